from pathlib import Path

import pytest
from fakes import wrong


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command is called in an empty folder, with a good space.yaml in it."""
    (tmp_path / "space.yaml").write_text(wrong.SPACE)
    monkeypatch.chdir(tmp_path)
