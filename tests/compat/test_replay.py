"""A simulated search in a recorded table takes the epochs that it took at bb2c7bb."""

import json
import shutil
from pathlib import Path

import pytest

from compat import common


@pytest.mark.timeout(400)
@pytest.mark.slow
def test_same_replays(tmp_path: Path) -> None:
    shutil.copytree(common.ROOT / "runs" / "table_fashion", tmp_path / "runs" / "table_fashion")
    done = common.call(*common.REPLAY, "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found, expected = json.loads((tmp_path / "out" / "replay.json").read_text()), common.load("replay")
    # Equal accuracies were ranked by their place in the file at bb2c7bb, which moves the third digit.
    correlation = expected["table"].pop("rank_correlation_of_seeds")
    assert found["table"]["rank_correlation_of_seeds"] == pytest.approx(correlation, abs=0.01)
    for now, before, (name, traces) in zip(
        found["contestants"], expected["contestants"], common.load("traces").items(), strict=True
    ):
        assert now["name"] == before["name"] == name
        assert now["epochs"] == before["epochs"], name
        assert now["epochs"]["0.99"] == [trace["epochs"][-1] for trace in traces]
        assert now["trials"] == before["trials"], name
    assert not common.differences(found, expected)
