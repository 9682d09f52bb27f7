"""What the search itself costs beside the trainings."""

import time
from pathlib import Path
from typing import Any

import pytest
from fakes.bench import show

from mgic_nas.engine.controller import Controller
from mgic_nas.engine.executors import local
from mgic_nas.engine.storage.config import RunConfig
from mgic_nas.space import SearchSpace
from mgic_nas.tasks import load_data
from mgic_nas.train import Job, Setup, get_recipe, train

pytestmark = [pytest.mark.slow, pytest.mark.benchmark]

TRIALS = 6
DATA = "fashion?train=1000&val=200"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("sampler", ["cost", "tpe"])
def test_the_loop_takes_less_than_the_training(
    sampler: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """CPU time of the driver (proposals, study, csv) for each trial, against a bare training of one short epoch."""
    import dataclasses

    space = SearchSpace.from_yaml("quickstart")
    info = load_data(DATA).info
    data: dict[str, Any] = {"spec": DATA, **dataclasses.asdict(info)}
    recipe = get_recipe("quick")
    config = RunConfig("bench", space.to_dict(), data, ["2M"], TRIALS, 1, recipe.to_dict(), sampler, executor="local")
    setup = Setup(space.model, DATA, 1, recipe, str(tmp_path / "bench" / "trials"))
    with Controller(tmp_path / "bench", config) as controller:
        begin = time.process_time()
        local.execute(controller, setup, 1, 0)
        driver = (time.process_time() - begin) / TRIALS
        trials = list(controller._ledger.trials.values())
    bare = []
    setup = dataclasses.replace(setup, threads=1, device="cpu")
    for number, trial in enumerate(trials):
        begin = time.process_time()
        list(train(Job(number, 1, trial.config, 0, 1, seed=trial.seed), setup))
        bare.append(time.process_time() - begin)
    training = sum(bare) / len(bare)
    row = [sampler, f"{driver * 1e3:.0f}", f"{training * 1e3:.0f}", f"{100 * driver / training:.0f} %"]
    heading = ["sampler", "driver, CPU ms a trial", "bare training of 1,000 images, CPU ms", "driver / training"]
    show(capsys, f"The trial loop of the local executor, {TRIALS} trials of one epoch", heading, [row])
    assert driver < training
