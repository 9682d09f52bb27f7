"""A csv of other people's results: what is wrong with it is said in one line, naming columns and lines."""

import pytest

from mgic_nas.errors import UserError
from mgic_nas.report.reference import read_reference


def csv(tmp_path, text):
    path = tmp_path / "published.csv"
    path.write_text(text)
    return path


def test_macs_and_accuracy_in_either_spelling(tmp_path):
    (point,) = read_reference(csv(tmp_path, "name,macs,val_acc\nLeNet-5,420000,79.5\n"))
    assert (point.name, point.macs, point.acc, point.input_size) == ("LeNet-5", 420_000, 79.5, "")
    (point,) = read_reference(csv(tmp_path, "\ufeffmodel, gmacs ,top1,img_size,source\nresnet50,4.11,80.4,224,timm\n"))
    assert point.macs == pytest.approx(4.11e9)
    assert (point.name, point.acc, point.input_size) == ("resnet50", 80.4, "224")


def test_rows_without_numbers_are_left_out(tmp_path):
    assert read_reference(csv(tmp_path, "name,macs,top1\na,,80\nb,1e6,\n")) == ()


def test_every_missing_column_is_named(tmp_path):
    with pytest.raises(UserError, match=r"columns macs or gmacs, top1 or val_acc\. It has: name, accuracy\.") as error:
        read_reference(csv(tmp_path, "name,accuracy\na,80\n"))
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"lacks the columns name or model.*It has: none"):
        read_reference(csv(tmp_path, ""))


def test_a_cell_that_is_no_number_is_named_with_its_line(tmp_path):
    with pytest.raises(UserError, match=r"Line 3 .*macs is '4 M', not a number"):
        read_reference(csv(tmp_path, "name,macs,top1\na,1e6,80\nb,4 M,81\n"))
    with pytest.raises(UserError, match="percent"):
        read_reference(csv(tmp_path, "name,macs,top1\na,1e6,8000\n"))


def test_no_such_file(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_reference(tmp_path / "nothing.csv")
    with pytest.raises(UserError, match="directory"):
        read_reference(tmp_path)
