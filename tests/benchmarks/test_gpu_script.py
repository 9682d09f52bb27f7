"""``gpu.py`` runs wherever there is no GPU, too, so that it does where there is one."""

import re
import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("gpu.py")


@pytest.mark.timeout(300)
def test_every_part_measures_something_and_the_table_stands_last(capsys: pytest.CaptureFixture[str]) -> None:
    rows = runpy.run_path(str(SCRIPT))["main"](["--device", "cpu", "--tiny"])
    number = re.compile(r"\d+(\.\d+)? (ms|s|an hour)")
    assert all(number.search(measured.replace(",", "")) for _, measured, _ in rows)
    for part in ("eager", "channels_last", "bf16", "trials at a time: 1", "start of a worker", "second trial"):
        assert any(part in what for what, *_ in rows)
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[-len(rows) :] == [f"| {' | '.join(row)} |" for row in rows]
    assert "torch" in lines[-len(rows) - 4]


def test_a_gpu_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT))["main"](["--device", "cuda"])
    assert ended.value.code == 2
    assert "there is no GPU here" in capsys.readouterr().err
