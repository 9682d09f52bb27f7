"""A search goes on after any fault as if there had been none. A few faults of each kind; ``python -m faults`` has all.

What breaks for a user: hours of training are lost, done twice, counted twice, or a good network is failed.
"""

from collections.abc import Callable
from typing import Any

import pytest

from faults import kinds
from faults.kinds import Reference, Setting

Undisturbed = Callable[[str], tuple[Setting, Reference]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """A search by its early stopping, and what it gives undisturbed."""
    base = tmp_path_factory.mktemp("faults")
    known: dict[str, tuple[Setting, Reference]] = {}

    def get(rungs: str) -> tuple[Setting, Reference]:
        if rungs not in known:
            setting = Setting(base, rungs=rungs)
            setting.prepare()
            known[rungs] = setting, Reference.of(setting)
        return known[rungs]

    return get


def holds(undisturbed: Undisturbed, rungs: str, kind: Any, *args: Any) -> None:
    """A fault of a kind, of whose arguments a number from 0 to 1 is a place in the search."""
    setting, reference = undisturbed(rungs)
    writes = reference.writes["worker" if "worker" in args else "driver"]
    args = tuple(max(1, round(a * len(writes))) if isinstance(a, float) else a for a in args)
    assert kinds.make(setting, reference, kind.__name__, kind, *args).wrong == []


@pytest.mark.parametrize(
    ("rungs", "place", "when"),
    [("none", 0.1, "before"), ("none", 0.5, "during"), ("halving", 0.7, "during")],
)
def test_driver_that_is_killed_at_a_write(undisturbed: Undisturbed, rungs: str, place: float, when: str) -> None:
    holds(undisturbed, rungs, kinds.killed, "driver", place, when)


@pytest.mark.parametrize(("rungs", "place"), [("none", 0.9), ("halving", 0.6)])
def test_worker_that_is_killed_at_a_write(undisturbed: Undisturbed, rungs: str, place: float) -> None:
    holds(undisturbed, rungs, kinds.killed, "worker", place, "before")


@pytest.mark.parametrize(("do", "role", "place"), [("full", "worker", 0.5), ("readonly", "driver", 0.7)])
def test_disk_that_is_full_or_cannot_be_written(undisturbed: Undisturbed, do: str, role: str, place: float) -> None:
    holds(undisturbed, "none", kinds.refused, do, role, place)


def test_disk_on_which_the_system_writes_only_a_part(undisturbed: Undisturbed) -> None:
    holds(undisturbed, "none", kinds.limited, 150_000)


def test_data_that_are_away_for_a_while(undisturbed: Undisturbed) -> None:
    holds(undisturbed, "none", kinds.taken, 0.3)


def test_run_that_is_renamed_between_kills(undisturbed: Undisturbed) -> None:
    holds(undisturbed, "halving", kinds.renamed, 70)


def test_run_that_is_renamed_under_its_search(undisturbed: Undisturbed) -> None:
    holds(undisturbed, "none", kinds.moved, "worker", 0.5)


def test_clock_that_is_set_back(undisturbed: Undisturbed) -> None:
    holds(undisturbed, "none", kinds.set_back, 0.5)


def test_second_driver_is_refused_and_the_first_goes_on(undisturbed: Undisturbed) -> None:
    holds(undisturbed, "none", kinds.two_drivers, 0.5)


@pytest.mark.parametrize(("do", "place"), [("term", 0.4), ("term all", 0.6)])
def test_sigterm_as_clusters_send_it(undisturbed: Undisturbed, do: str, place: float) -> None:
    holds(undisturbed, "none", kinds.terminated, do, place)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("role", ["driver", "worker", "both"])
@pytest.mark.parametrize("executor", ["local", "ray"])
def test_real_processes_that_are_killed_at_random(undisturbed: Undisturbed, executor: str, role: str) -> None:
    setting, reference = undisturbed("halving")
    real = Setting(setting.base, executor, "halving", concurrent=2, forked=False)
    assert kinds.make(real, reference, "random", kinds.killed_at_random, role, 15.0).wrong == []
