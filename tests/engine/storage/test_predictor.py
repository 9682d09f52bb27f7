"""Predicted latencies: from the times of rows, with a stated error on networks that were not fitted on."""

import math
import random
from collections.abc import Mapping
from typing import Any

import pytest

from mgic_nas import families
from mgic_nas.engine.storage.predictor import Measured, Network, Predictor
from mgic_nas.families.rows import RowFamily
from mgic_nas.models.parts import Part

OVERHEAD, SCALE, EACH = 2e-4, 1.3, -5e-6


def network() -> Network:
    family = families.family("mgic_resnet20")
    assert isinstance(family, RowFamily)
    return Network(family, (3, 32, 32), 10)


def settings(number: int) -> list[dict[str, Any]]:
    rng = random.Random(0)
    return [
        {
            "s_g": rng.choice([4, 8, 16]),
            "s_c": 16,
            "width_mult": [rng.choice([0.5, 1.0, 1.5, 2.0]) for _ in range(3)],
            "depths": [rng.choice([1, 2, 3]) for _ in range(3)],
        }
        for _ in range(number)
    ]


def part_times(known: Network, configs: list[dict[str, Any]]) -> dict[Part, float]:
    parts = sorted({part for config in configs for part in known.parts(config)}, key=lambda p: p.digest)
    return {part: 1e-5 * (1 + i % 17) for i, part in enumerate(parts)}


def truth(known: Network, times: Mapping[Part, float], config: dict[str, Any]) -> float:
    parts = known.parts(config)
    return OVERHEAD + SCALE * sum(times[part] for part in parts) + EACH * len(parts)


def test_overhead_and_scale_are_found_from_a_few_networks() -> None:
    """Also where the networks differ in the number of their rows."""
    known, configs = network(), settings(60)
    times = part_times(known, configs)
    measured = [Measured(config, truth(known, times, config)) for config in configs]
    predictor = Predictor(known, times, measured[:16], measured[16:32])
    for config, seconds in measured:
        assert predictor.seconds(config) == pytest.approx(seconds, rel=1e-6)
    assert predictor.accuracy.ninety < 1e-6
    assert predictor.accuracy.rank == pytest.approx(1)
    assert predictor.fastest == min(seconds for _, seconds in measured[:32])


def test_error_is_that_of_the_networks_held_out() -> None:
    """Those that were fitted on would flatter it: here they are exact, and the others a tenth slower."""
    known, configs = network(), settings(32)
    times = part_times(known, configs)
    measured = [Measured(config, truth(known, times, config)) for config in configs]
    slower = [Measured(config, seconds / 0.9) for config, seconds in measured[16:]]
    accuracy = Predictor(known, times, measured[:16], slower).accuracy
    assert accuracy.median == pytest.approx(0.1)
    assert accuracy.ninety == pytest.approx(0.1)
    assert str(accuracy).startswith("median error 10.0 %, 90 % within 10.0 %, rank correlation ")
    assert str(accuracy).endswith("on 16 networks that were measured, after a fit on 16 others")


def test_network_with_a_row_that_was_not_timed_has_no_prediction() -> None:
    """A guess of it would be silent; it is measured instead."""
    known, configs = network(), settings(32)
    times = part_times(known, configs)
    measured = [Measured(config, truth(known, times, config)) for config in configs]
    predictor = Predictor(known, times, measured[:16], measured[16:])
    assert predictor.seconds({**configs[0], "width_mult": [0.5, 0.5, 3.0]}) is None
    assert predictor.threshold(1.0) == 1 + predictor.accuracy.ninety
    assert math.isfinite(predictor.seconds(configs[0]) or math.nan)
