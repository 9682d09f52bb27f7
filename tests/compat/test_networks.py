"""Networks are what they were at bb2c7bb: identity, cost, state_dict, initial weights of a seed, outputs."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

import mgic_nas
from compat import common

CASES: list[dict[str, Any]] = common.load("networks")
# These take a second or more each.
LARGE = {
    *("mgic_resnet101", "mgic_resnet50", "mgic_resnext50_32x4d", "mgic_lraspp_mobilenetv3_large"),
    *("convnext_atto", "regnety_002", "ghostnet_050", "mobilenetv3_small_100"),
    *("mgicify:ghostnet_050", "mgicify:efficientnet_lite0"),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The networks are small: more threads only wait for each other, above all beside other tests."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _name(case: dict[str, Any]) -> str:
    return "-".join([case["how"], case["model"], *(f"{k}={v}" for k, v in case["config"].items())])


def _marked(case: dict[str, Any]) -> Any:
    marks = [pytest.mark.slow] if case["model"] in LARGE else []
    return pytest.param(case, id=_name(case), marks=marks)


def test_every_name_is_there() -> None:
    """The recorded names, and the same of them in timm."""
    import timm

    recorded = {(case["model"], case["how"]) for case in CASES if not case["config"]}
    assert len(recorded) == 22
    for name, how in recorded:
        assert timm.is_model(name) == (how == "timm"), name


@pytest.mark.parametrize("case", [pytest.param(case, id=_name(case)) for case in CASES])
def test_identity_and_cost(case: dict[str, Any]) -> None:
    """An arch_id that changes makes a finished run train everything again; a cost, that budgets mean something else."""
    space = mgic_nas.SearchSpace.from_dict(case["space"])
    size = tuple(case["input_size"])
    assert space.arch_id(case["setting"]) == case["arch_id"]
    arguments = space.config(case["setting"])
    for cost in (
        space.cost(case["setting"], size, case["num_classes"]),  # type: ignore[arg-type]
        mgic_nas.profile(space.model, input_size=size, num_classes=case["num_classes"], **arguments),  # type: ignore[arg-type]
    ):
        assert {kind: getattr(cost, kind) for kind in case["cost"]} == case["cost"]


@pytest.mark.parametrize("case", [_marked(case) for case in CASES])
def test_weights_and_outputs(case: dict[str, Any]) -> None:
    """Saved weights fit, a seed gives the weights that it gave, and the network calculates what it did."""
    # At bb2c7bb the first use of some timm bases (EfficientNets) in a process drew from the random generator, so that
    # their first network had other weights than all later ones of the same seed. Recorded are the later ones.
    net = common.build(case)
    found = common.structure(net)
    assert found == case["structure"]
    changed = [
        f"{key}: {now}, was {before}"
        for key, now, before in zip(found, common.weights(net), case["weights"], strict=True)
        if now != pytest.approx(before, rel=1e-4, abs=1e-4 * before[1] + 1e-9)
    ]
    assert not changed
    outputs, expected = common.outputs(net, case["seen"]), case["outputs"]
    size = max(map(abs, expected["eval"][2:]))
    assert outputs["eval"][2:] == pytest.approx(expected["eval"][2:], rel=1e-5, abs=1e-5 * size)
    assert outputs["eval"][:2] == pytest.approx(expected["eval"][:2], rel=1e-5, abs=1e-5 * expected["eval"][1])
    if common.rounds_alike():  # batch norm over two inputs multiplies what the last digits of the weights differ by
        assert outputs["train"] == pytest.approx(expected["train"], rel=1e-5)
