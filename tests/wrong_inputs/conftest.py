from pathlib import Path

import pytest
from fakes import wrong

import mgic_nas.run


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command is called in an empty folder, with a good space.yaml in it."""
    (tmp_path / "space.yaml").write_text(wrong.SPACE)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that gets as far as that has taken a wrong input for a good one."""

    def accepted(*_: object, **__: object) -> None:
        raise AssertionError("taken for good")

    monkeypatch.setattr(mgic_nas.run, "_train", accepted)
