"""A search of ten thousand trials: the last costs the driver no more than twice what the thousandth did."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fakes import scale
from fakes.bench import show

from mgic_nas.engine.storage.config import RunConfig
from mgic_nas.space import SearchSpace

SAMPLERS = ("random", "cost")


def written(folder: Path, sampler: str, numbers: tuple[int, int]) -> tuple[tuple[Path, Path], RunConfig]:
    """A short and a long run, and with what they are opened."""
    space = SearchSpace.from_dict(scale.SPACE)
    assert space.size >= 10**12
    made = scale.config(scale.SPACE, scale.budgets(space), 10**6, sampler)
    folders = folder / f"{sampler}-short", folder / f"{sampler}-long"
    for one, number in zip(folders, numbers, strict=True):
        scale.written(one, made, number)
    return folders, made


def row(sampler: str, before: scale.Measured, after: scale.Measured) -> tuple[list[str], float]:
    """Cells of a table, and the ratio of the long run to the short one."""
    ratio = sum(after.median_ms) / sum(before.median_ms)
    cells = [f"{ask + tell:.1f} ({ask:.1f} + {tell:.1f})" for ask, tell in (before.median_ms, after.median_ms)]
    return [sampler, *cells, f"{ratio:.2f}"], ratio


def heading(numbers: tuple[int, int]) -> list[str]:
    return ["sampler", *(f"CPU ms of ask + tell after {number:,} trials" for number in numbers), "ratio"]


def alone(work: Callable[..., Any], *args: Any) -> Any:
    """Done in a process of its own, so that the memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        return processes.submit(work, *args).result()


@pytest.mark.benchmark
def test_fifteen_hundred_trials(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same in small."""
    numbers, rows, ratios = (150, 1_500), [], []
    for sampler in SAMPLERS:
        cells, ratio = row(sampler, *scale.in_turns(*written(tmp_path, sampler, numbers), 15))
        rows.append(cells)
        ratios.append(ratio)
    show(capsys, "Trials in a space of 2e12 settings", heading(numbers), rows)
    assert max(ratios) <= 2


@pytest.mark.slow
@pytest.mark.benchmark
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_ten_thousand_trials(sampler: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Time, memory and the report."""
    numbers = (1_000, 10_000)
    folders, made = written(tmp_path, sampler, numbers)
    (_, short), (seconds, long) = (alone(scale.opened, folder, made) for folder in folders)
    cells, ratio = row(sampler, *scale.in_turns(folders, made, 100))
    lived = alone(scale.lived, folders[0], made, 1_000)
    built, size = alone(scale.reported, folders[1])
    cells += [f"{long - short:.0f}", f"{lived:.0f}", f"{seconds:.1f}", f"{built:.1f}", f"{size / 1e6:.2f}"]
    more = [
        "MiB that 9,000 more take",
        "MiB of 1,000 trials handed out",
        "opened, CPU s",
        "report, CPU s",
        "report.html, MB",
    ]
    show(capsys, "Trials in a space of 2e12 settings", [*heading(numbers), *more], [cells])
    assert ratio <= 2
    assert long - short < 400
    assert 9 * lived < 400
    assert built < 30
    assert size < 5e6
