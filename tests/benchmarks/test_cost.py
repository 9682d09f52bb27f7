"""The cost of a candidate takes microseconds: a search may look at a million where others build one at a time."""

import importlib.util
import logging
import random
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from fakes.bench import alternating, peak_mb, per_item, show
from torch.utils.flop_counter import FlopCounterMode

from mgic_nas.cost.count import count
from mgic_nas.families import family
from mgic_nas.space import SearchSpace
from mgic_nas.space.survey import survey

pytestmark = [pytest.mark.slow, pytest.mark.benchmark]

MULTS = [0.5, 0.75, 1.0, 1.25, 1.5]
FAMILIES = [
    ("mgic_resnet20", (3, 32, 32)),
    ("mgic_resnet56", (3, 32, 32)),
    ("mgic_mobilenetv3_large_100", (3, 224, 224)),
]
CLASSES = 10


def space_of(model: str, **more: Any) -> SearchSpace:
    """Thousands to a million of settings: widths and groups, stage by stage."""
    stages = 3 if "resnet" in model else 6
    params = {
        "s_g": {"choices": [4, 8, 16, 32]},
        "s_c": {"choices": [8, 16, 32, 64]},
        "width_mult": {"choices": MULTS, "per_stage": stages},
        "block": {"choices": ["basic", "inverted_residual"]},
        **more,
    }
    return SearchSpace.from_dict({"model": model, "params": params})


def build_and(measure: Callable[[torch.nn.Module, tuple[int, ...]], object], model: str, size: Any, device: str) -> Any:
    def work(config: dict[str, Any]) -> None:
        with torch.no_grad():
            measure(family(model).build(config, CLASSES, size[0], device=device).eval(), size)

    return work


def flop_counter(net: torch.nn.Module, size: tuple[int, ...]) -> int:
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, *size, device="meta"))
    return counter.get_total_flops() // 2


def fvcore(net: torch.nn.Module, size: tuple[int, ...]) -> float:
    from fvcore.nn import FlopCountAnalysis

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = FlopCountAnalysis(net, torch.zeros(1, *size)).unsupported_ops_warnings(False).total()
    return float(found)


HAS_FVCORE = importlib.util.find_spec("fvcore") is not None


def race(model: str, size: tuple[int, int, int]) -> tuple[float, dict[str, float]]:
    """CPU seconds a candidate: of the first 4,000, then of each way to count, in turns; new candidates each time."""
    space, rng, known = space_of(model), random.Random(0), family(model)

    def some(number: int) -> list[dict[str, Any]]:
        return [space.config(space.sample(rng)) for _ in range(number)]

    def oracle(_: int) -> float:
        return per_item(lambda config: known.cost(config, size, CLASSES), some(4_000))

    by_torch, by_fvcore = build_and(flop_counter, model, size, "meta"), build_and(fvcore, model, size, "cpu")
    contestants = {"oracle": oracle, "torch": lambda _: per_item(by_torch, some(2))}
    if HAS_FVCORE:
        contestants["fvcore"] = lambda _: per_item(by_fvcore, some(1))
    first = oracle(0)
    config = some(1)[0]
    net = known.build(config, CLASSES, size[0], device="meta").eval()
    assert known.cost(config, size, CLASSES).macs == flop_counter(net, size)  # they count the same
    return first, alternating(contestants)


@pytest.mark.timeout(1200)
def test_a_candidate_costs_microseconds_not_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    """At least a thousand times faster than to build a network and to count it with torch's FlopCounterMode."""
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    rows, ratios = [], []
    for model, size in FAMILIES:
        first, seconds = race(model, size)
        oracle = seconds["oracle"]
        row = [f"{model} at {'x'.join(map(str, size))}", f"{1 / oracle:,.0f}", f"{1 / first:,.0f}"]
        for name in ("torch", "fvcore"):
            told = name in seconds
            row += [f"{1 / seconds[name]:.1f}", f"{seconds[name] / oracle:,.0f}x"] if told else ["not installed", "-"]
        rows.append(row)
        ratios.append(seconds["torch"] / oracle)
    heading = ["candidates a CPU-second", "oracle", "its first 4,000", "build + FlopCounterMode", "slower by"]
    show(capsys, "The cost oracle, one core", [*heading, "build + fvcore", "slower by"], rows)
    assert min(ratios) >= 1000


@pytest.mark.timeout(1200)
def test_a_million_candidates_are_profiled_while_others_build_a_thousand(capsys: pytest.CaptureFixture[str]) -> None:
    """Exactly counted, de-duplicated, with every budget's share: `mgic-nas profile` of a whole space."""
    model, size = "mgic_mobilenetv3_large_100", (3, 224, 224)
    space = space_of(model, block={"choices": ["inverted_residual", "basic", "bottleneck", "resnext"]})
    assert space.size == 1_000_000
    rng = random.Random(0)
    work = build_and(count, model, size, "meta")
    some = [space.config(space.sample(rng)) for _ in range(6)]
    before = per_item(work, some)
    profiled = []
    whole = per_item(lambda _: profiled.append(survey(space, size, CLASSES, ["60M", "200M"])), [0])
    counted = (before + per_item(work, some)) / 2
    found = profiled[0]
    assert found.exact
    row = [f"{space.size:,} settings, {found.distinct:,} architectures", f"{whole:.1f}", f"{peak_mb():,.0f}"]
    row += [f"{counted * 1e3:.0f}", f"{counted * space.size / whole:,.0f}x"]
    heading = ["profile of a space", "CPU seconds", "peak MiB", "ms to build and count one", "ratio a candidate"]
    show(capsys, f"A million candidates of {model}, one core", heading, [row])
    assert counted * space.size / whole >= 1000
