"""A search of ten thousand trials: the last costs the driver no more than twice what the thousandth did."""

import functools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fakes import scale
from fakes.bench import show

from mgic_nas.engine.controller import Controller
from mgic_nas.engine.proposals.pool import CandidatePool
from mgic_nas.engine.samplers.registry import make_sampler
from mgic_nas.space import SearchSpace


@pytest.mark.benchmark
def test_two_thousand_trials(capsys: pytest.CaptureFixture[str]) -> None:
    """The same in small, in memory: random trials, and a few of the cost-aware sampler after 200 and after 2,000."""
    space = SearchSpace.from_dict(scale.SPACE)
    results: dict[int, Any] = {}
    marks, few = (200, 2_000), 25
    config = scale.config(scale.SPACE, scale.budgets(space), marks[-1] + 2 * few, "random")
    found: dict[str, list[float]] = {"random": [], "cost": []}

    def read(folder: Path, number: int, attempt: int) -> Any:
        return results.get(number)

    with Controller(None, config, read_result=read) as controller:
        pool = functools.cache(lambda: CandidatePool(controller.problem))
        samplers = {name: make_sampler(name, 1, pool, controller.problem) for name in found}
        for mark in marks:
            for name, until in (("random", mark), ("cost", mark + few)):
                controller._store.set_sampler(samplers[name])
                measured = scale.Measured()
                scale.drive(controller, until - controller.counts.started, measured, results)
                found[name].append(sum(measured.median_ms(len(measured.ask), few - 5)))
    heading = ["sampler", *(f"ask + tell, CPU ms, at {mark:,}" for mark in marks), "ratio"]
    rows = [[name, *(f"{ms:.1f}" for ms in times), f"{times[1] / times[0]:.2f}"] for name, times in found.items()]
    show(capsys, "Trials in memory, in a space of 2e12 settings", heading, rows)
    assert all(times[1] <= 2 * times[0] for times in found.values())


@pytest.mark.slow
@pytest.mark.benchmark
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("sampler", ["random", "cost"])
def test_ten_thousand_trials(sampler: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On disk, as a search does it, in a process of its own so that the memory is its own."""
    assert SearchSpace.from_dict(scale.SPACE).size >= 10**12
    few, many = 1_000, 10_000
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        found = processes.submit(scale.whole, tmp_path / "run", sampler, few, many).result()
    ratio, size = sum(found.after) / sum(found.before), found.sizes["report.html"] / 1e6
    row = [sampler, *(f"{sum(ms):.1f} ({ms[0]:.1f} + {ms[1]:.1f})" for ms in (found.before, found.after))]
    row += [f"{ratio:.2f}", f"{found.grown:.0f}", f"{found.opened:.1f}", f"{found.built:.1f}", f"{size:.2f}"]
    ask_tell = [f"ask + tell, CPU ms, at {mark:,}" for mark in (few, many)]
    heading = ["sampler", *ask_tell, "ratio", "memory grown, MiB", "opened, CPU s", "report, CPU s", "report.html, MB"]
    show(capsys, f"{many:,} trials in a space of 2e12 settings", heading, [row])
    assert ratio <= 2
    assert found.grown < 400
    assert found.built < 30
    assert size < 5
