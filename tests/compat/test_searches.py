"""The same search finds what it found at bb2c7bb: proposals, seeds, accuracies to the last digit."""

from pathlib import Path

import pytest

from compat import common


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["quickstart-short", pytest.param("quickstart", marks=pytest.mark.slow)])
def test_same_search_same_trials(name: str, tmp_path: Path) -> None:
    common.first_start("quickstart", tmp_path)
    done = common.call(*common.SEARCHES[name], cwd=tmp_path, old_recipe=True)
    assert done.returncode == 0, done.stderr
    assert common.trials(tmp_path / "run" / "trials.csv") == common.trials(common.DATA / f"{name}.csv")
