"""Networks of another space: which setting of this one they are, and what makes them other networks."""

from typing import Any

import pytest

from mgic_nas import SearchSpace, UserError
from mgic_nas.space.elsewhere import Network, differences, placed, searched

KWARGS = {"depths": 1}
THEIRS = {"depths": 1, "s_g": 4, "s_c": 8, "width_mult": 0.5}
PARAMS: dict[str, Any] = {
    "s_g": {"choices": [4, 8]},
    "s_c": {"choices": [8, 16]},
    "width_mult": {"choices": [0.25, 0.5]},
}


def space(kwargs: dict[str, Any] | None = None, model: str = "mgic_resnet20", **params: Any) -> SearchSpace:
    own = {name: p for name, p in {**PARAMS, **params}.items() if p is not None}
    return SearchSpace.from_dict({"model": model, "kwargs": KWARGS if kwargs is None else kwargs, "params": own})


def compared(here: SearchSpace, model: str = "mgic_resnet20", **changes: Any) -> dict[str, tuple[str, str]]:
    network = Network(model, {**THEIRS, **changes})
    return differences(here, placed(here, network, "trial 1"), network)


def test_the_same_network_has_no_differences_however_it_is_written() -> None:
    assert compared(space()) == {}
    assert compared(space(block={"choices": ["basic", "bottleneck"]})) == {}  # basic is the default
    assert compared(space({**KWARGS, "block": "basic"})) == {}
    assert compared(space(), block="basic", width_mult=0.5) == {}
    assert compared(space(width_mult={"choices": [0.5], "per_stage": 3})) == {}
    # Of another model with the same depths, it is the same network, as its own name says.
    here = space(model="mgic_resnet56")
    setting = {name: THEIRS[name] for name in PARAMS}
    assert differences(here, setting, Network("mgic_resnet20", THEIRS, here.arch_id(setting))) == {}


@pytest.mark.parametrize(
    ("kwargs", "params", "found"),
    [
        ({"depths": 2}, {}, {"depths": ("1", "2")}),
        ({}, {}, {"depths": ("1", "the model's default")}),
        ({**KWARGS, "s_g": 8}, {"s_g": None}, {"s_g": ("4", "8")}),
        (KWARGS, {"s_g": {"choices": [8]}}, {"s_g": ("4", "8")}),
        ({**KWARGS, "block": "bottleneck"}, {}, {"block": ("the model's default", "bottleneck")}),
        ({**KWARGS, "transfer_init": "aggregation"}, {}, {"transfer_init": ("uniform", "aggregation")}),
    ],
)
def test_what_differs_is_named(kwargs: dict[str, Any], params: dict[str, Any], found: dict[str, Any]) -> None:
    assert compared(space(kwargs, **params)) == found


def test_another_model_is_said_and_what_it_does_not_search() -> None:
    assert compared(space({}, "mgic_resnet56")) == {
        "model": ("mgic_resnet20", "mgic_resnet56"),
        "depths": ("1", "the model's default"),
    }


def test_a_value_that_is_not_in_the_space_is_refused() -> None:
    with pytest.raises(UserError, match="trial 1: s_c is 8, which is not in the space"):
        compared(space(s_c={"choices": [16, 32]}))
    with pytest.raises(UserError, match="does not say block"):  # of another model, whose default may be another
        compared(space(block={"choices": ["basic", "bottleneck"]}), "mgic_resnet56")


def test_what_a_space_searches() -> None:
    params = {
        **PARAMS,
        "block": {"choices": ["basic"]},
        "depths": {"low": 1, "high": 1},
        "levels": {"low": 1, "high": 2},
    }
    assert searched({"params": params}) == {*PARAMS, "levels"}
    assert searched({"params": None}) == frozenset()
