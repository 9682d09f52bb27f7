"""The text that names a data set goes into run.yaml: it must mean the same later, elsewhere, and say no to typos."""

from pathlib import Path

import pytest
from fakes.tasks import refused, write_folder

from mgic_nas.tasks import load_data, resolve_spec
from mgic_nas.tasks.spec import parse_spec


def test_a_relative_path_is_recorded_so_that_a_resume_from_another_folder_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pets").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve_spec("pets?val=20") == f"{tmp_path}/pets?val=20"
    assert resolve_spec("images:./pets") == f"{tmp_path}/pets"
    assert resolve_spec("torch/cifar10?root=pets") == f"torch/cifar10?root={tmp_path}/pets"


def test_what_was_recorded_opens_the_same_data() -> None:
    data = load_data(" fashion?val=300&train=0.1 ", seed=3)
    assert data.spec == "fashion?seed=3&train=0.1&val=300"
    again = load_data(data.spec)
    assert again.spec == data.spec
    assert again.info == data.info
    assert again.info.sizes["train"] == 700


def test_options_that_need_escaping_survive() -> None:
    spec = parse_spec("hfds/some/name?train_split=train[:10%25]&label=a%26b")
    assert spec.options == {"train_split": "train[:10%]", "label": "a&b"}
    assert parse_spec(str(spec)).options == spec.options


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("", "name one"),
        ("?val=3", "name one"),
        ("fashion?vall=3", "Did you mean val"),
        ("fashion?val", "?name=value"),
        ("fashion?val=3&val=4", "given twice"),
        ("fashion?val=none", "not a number of images"),
        ("fashion?val=0", "not a number of images"),
        ("fashion?val=1.5", "not a number of images"),
        ("fashion?size=14x14x14", "HEIGHTxWIDTH"),
        ("fashion?chans=2", "1 (grey) or 3"),
        ("fashion?seed=-1", "whole number"),
        ("fashion?root=/tmp", "does not apply"),
        ("fashion?label=x", "does not apply"),
        ("fashoin", "Did you mean fashion"),
        ("no/such/folder", "no folder"),
        ("fashion?train=6000", "together exceed"),
        ("fashion?val=6999", "too few"),
        ("fashion?train=9", "fewer than the 10 classes"),
        ("fashion?test=2000", "more than the 1,000"),
        ("torch/cifar10", "root=FOLDER"),
    ],
)
def test_a_wrong_spec_is_refused_with_what_to_change(spec: str, part: str) -> None:
    assert part in refused(load_data, spec)


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    path.touch()
    assert "name the folder" in refused(resolve_spec, str(path))


def test_resolving_reads_no_data(tmp_path: Path) -> None:
    write_folder(tmp_path, ["a", "b"], 1)
    (tmp_path / "a" / "0.png").write_bytes(b"broken")
    assert resolve_spec(str(tmp_path)) == str(tmp_path)
