"""Test scores stand beside a winner once there are some, and the noise of training is named apart."""

import pytest
from fakes import report as fakes

from mgic_nas._text import THIN
from mgic_nas.report.markdown import markdown
from mgic_nas.report.page import page
from mgic_nas.report.retrained import FILE, read_retrained

TABLE = "network,trial,seed,epochs,test_acc,test_error\nx,{n},0,30,88.0,1.0\nx,{n},1,30,86.0,1.0\ny,,0,30,50,1\n"


def test_scores_and_their_spread(tmp_path):
    number = fakes.summary(tmp_path).winners[-1].trial.number
    (tmp_path / FILE).write_text(TABLE.format(n=number))
    found = read_retrained(tmp_path)
    assert list(found) == [number]
    assert (found[number].seeds, found[number].epochs, found[number].test) == (2, 30, 87.0)
    assert found[number].spread == pytest.approx(2**0.5)
    summary = fakes.summary(tmp_path)
    for text in (page(summary, {}), markdown(summary, {})):
        assert "Test accuracy, 30 epochs, 2 seeds" in text
        assert f"87.0 ± 1.4{THIN}%" in text
        assert "seeds of one network spread by 1.4 points" in text


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "trial,test_acc\nx,y\n1,\n", "trial,test_acc\n1,nan\n\x00"])
def test_what_cannot_be_read_is_left_out(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    assert all(one.test is None for one in read_retrained(tmp_path).values())
    assert "Test accuracy" not in page(fakes.summary(tmp_path), {})


def test_without_any_the_noise_of_training_is_said_to_be_unknown():
    assert "that noise was not measured here" in page(fakes.summary(), {})
