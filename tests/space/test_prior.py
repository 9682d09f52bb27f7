"""What is believed beforehand: which weights are meant, by whatever way they are written."""

import math
from typing import Any

import numpy as np
import pytest

from mgic_nas import SearchSpace, UserError
from mgic_nas.space.prior import WEIGHT, log_weights, prior_of, read_prior, recorded_prior

SPACE = SearchSpace.from_dict(
    {
        "model": "mgic_resnet20",
        "params": {
            "s_g": {"choices": [4, 8]},
            "width_mult": {"low": 0.25, "high": 1.0, "step": 0.25, "per_stage": 3},
            "block": {"choices": ["basic", "bottleneck"]},
        },
    }
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("s_g=8", {"s_g": {8: WEIGHT}}),
        (["s_g=8:2.5", "s_g=4:0.5", "block=basic"], {"s_g": {8: 2.5, 4: 0.5}, "block": {"basic": WEIGHT}}),
        (
            {"s_g": 8, "block": {"basic": 3, "bottleneck": 1}},
            {"s_g": {8: WEIGHT}, "block": {"basic": 3, "bottleneck": 1}},
        ),
        ({"s_g": {"8": "2"}}, {"s_g": {8: 2.0}}),
        ({"s_g": {np.int64(8): np.float64(2)}}, {"s_g": {8: 2.0}}),
        ("width_mult=0.5:2", {f"width_mult.{i}": {0.5: 2.0} for i in range(3)}),
        ("width_mult.1=1:2", {"width_mult.1": {1.0: 2.0}}),
    ],
)
def test_what_is_meant(given: Any, expected: Any) -> None:
    prior = prior_of(SPACE, given)
    assert prior == expected
    assert read_prior(SPACE, recorded_prior(prior), "run.yaml") == prior


def test_logs_are_against_the_mean_of_the_values() -> None:
    logs = log_weights(prior_of(SPACE, {"s_g": {8: 3}}), SPACE.params)
    assert logs == {"s_g": {4: math.log(1 / 2), 8: math.log(3 / 2)}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("s_g", "takes name=value or name=value:weight"),
        ("s_g=", "takes name=value or name=value:weight"),
        ("s_q=8", "no parameter 's_q'. Did you mean s_g?"),
        ("s_g=5", r"s_g is 5, which is not in the space \(4, 8\)"),
        ("s_g=8:0", "'0' is no weight"),
        ("s_g=8:-1", "'-1' is no weight"),
        ("s_g=8:nan", "'nan' is no weight"),
        ("s_g=8:many", "'many' is no weight"),
        ({"s_g": {8: True}}, "True is no weight"),
        (["s_g=8", "s_g=8:2"], "s_g=8 is given twice"),
        (["width_mult=0.5", "width_mult.0=0.5"], "width_mult.0=0.5 is given twice"),
        (8, "takes texts such as"),
        ([8], "takes texts such as"),
    ],
)
def test_wrong_input_is_one_line(given: Any, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        prior_of(SPACE, given)
    assert "\n" not in str(error.value)


def test_a_recorded_one_is_checked() -> None:
    with pytest.raises(UserError, match=r"run\.yaml: .* is not param, value and weight"):
        read_prior(SPACE, [{"param": "s_g"}], "run.yaml")
