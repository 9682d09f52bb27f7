"""How many trials run side by side: too many and they run out of memory, too few and machines stand idle."""

from typing import Any

import pytest

from mgic_nas.engine.executors import registry as executors
from mgic_nas.engine.executors.registry import choose
from mgic_nas.engine.executors.slots import Slots, cores, plan
from mgic_nas.errors import UserError


@pytest.mark.parametrize(
    ("concurrent", "gpus", "nodes", "expected"),
    [
        (None, "auto", [(2, 0)], Slots(2, 1, 0)),
        (None, "auto", [(64, 0)], Slots(8, 8, 0)),
        (3, "auto", [(16, 0)], Slots(3, 5, 0)),
        (5, "auto", [(2, 0)], Slots(5, 1, 0)),  # as the user says, one thread each
        (None, "auto", [(16, 1)], Slots(1, 16, 1)),
        (None, "auto", [(64, 8)], Slots(8, 8, 1)),
        (4, "auto", [(16, 1)], Slots(4, 4, 0.25)),
        (2, "auto", [(16, 8)], Slots(2, 8, 1)),
        (None, 0.5, [(16, 2)], Slots(4, 4, 0.5)),
        (2, 0.5, [(16, 2)], Slots(2, 8, 0.5)),
        (None, 2, [(16, 4)], Slots(2, 8, 2)),
        (None, 0, [(16, 4)], Slots(8, 2, 0)),
        (None, "0.3", [(9, 1)], Slots(3, 3, 0.3)),
        (5, "auto", [(4, 0), (4, 0), (4, 0)], Slots(5, 2, 0)),
        (None, "auto", [(64, 0), (4, 0)], Slots(12, 5, 0)),
        (2, "auto", [(4, 0), (4, 0), (4, 0)], Slots(2, 4, 0)),  # six threads would fit on no machine
        (None, 0.75, [(8, 1), (8, 1)], Slots(2, 8, 0.75)),  # not on a half here and a quarter there
    ],
)
def test_plan(concurrent: int | None, gpus: Any, nodes: list[tuple[int, int]], expected: Slots) -> None:
    assert plan(concurrent, gpus, nodes) == expected


@pytest.mark.parametrize(
    ("concurrent", "gpus", "nodes", "said"),
    [
        (2, 1, [(8, 1)], "2 trials at a time with 1 GPU each do not fit on 1 GPU"),
        (None, 1, [(8, 0)], "do not fit on 0 GPU"),
        (4, 0.5, [(8, 1)], "lower --concurrent or --gpus-per-trial"),
        (None, "some", [(8, 1)], "must be auto or a number from 0 up"),
        (None, -1, [(8, 1)], "must be auto or a number from 0 up"),
        (None, float("nan"), [(8, 1)], "must be auto or a number from 0 up"),
        (None, 1.5, [(8, 2)], "above 1 must be a whole number"),
    ],
)
def test_more_than_there_is_is_refused(concurrent: Any, gpus: Any, nodes: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        plan(concurrent, gpus, nodes)


def test_gpus_are_dealt_in_turn() -> None:
    """Two trials on one GPU while another stands idle would halve the speed."""
    assert [Slots(4, 1, 0.5).devices(slot, ["3", "5"]) for slot in range(4)] == [["3"], ["3"], ["5"], ["5"]]
    assert [Slots(2, 1, 2).devices(slot, list("0123")) for slot in range(2)] == [["0", "1"], ["2", "3"]]
    assert [Slots(3, 1, 0.3).devices(slot, ["0"]) for slot in range(3)] == [["0"]] * 3
    assert Slots(1, 1, 0).devices(0, ["0"]) == []


def test_cores_of_this_machine() -> None:
    assert cores() >= 1


def test_executor_is_chosen_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ray the search still runs, and says on what; --executor ray then is one clear line."""
    said: list[str] = []
    monkeypatch.setattr(executors, "has_ray", lambda: True)
    assert choose(None, said.append) == "ray"
    assert choose("local", said.append) == "local"
    assert said == []
    monkeypatch.setattr(executors, "has_ray", lambda: False)
    assert choose(None, said.append) == "local"
    assert "ray is not installed" in said[0]
    with pytest.raises(UserError, match=r"ray is not installed: pip install"):
        choose("ray", said.append)
    with pytest.raises(UserError, match=r"Unknown executor 'slurm'\. Known: local, ray"):
        choose("slurm", said.append)
