"""Families that a user registers: costs, one architecture a canonical form, and ten wrong uses in one line each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from fakes.own import fresh
from torch import nn

import mgic_nas
from mgic_nas import SearchSpace, UserError
from mgic_nas._portable import from_text, to_text
from mgic_nas._registry import NotImportable, register_again, registrations
from mgic_nas.families import family
from mgic_nas.families import own as own_families

SIZE = (1, 8, 8)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    with fresh():
        yield


def build(config: Mapping[str, Any], num_classes: int, in_chans: int) -> nn.Module:
    body = nn.Sequential(nn.Conv2d(in_chans, config["width"], 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(body, nn.Linear(config["width"], num_classes))


def canonical(config: Mapping[str, Any]) -> Any:
    """``label`` changes nothing."""
    return (config["width"],)


def cost(config: Mapping[str, Any], input_size: tuple[int, int, int], num_classes: int) -> Any:
    return {"macs": 10 * config["width"], "params": config["width"]}


class Whole:
    """A family as one object."""

    arguments = ("width", "label")
    build = staticmethod(build)
    canonical = staticmethod(canonical)


def unhashable(config: Mapping[str, Any]) -> Any:
    return object()


def plain(config: Mapping[str, Any], num_classes: int, in_chans: int) -> Any:
    return config["width"]


def unknown_cost(config: Mapping[str, Any], input_size: tuple[int, int, int], num_classes: int) -> Any:
    return {"flops": 1}


def half(config: Mapping[str, Any], input_size: tuple[int, int, int], num_classes: int) -> Any:
    return 0.5


class Reads(nn.Module):
    """Looks at its inputs, which the meta device does not have."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) if x.sum().item() > 0 else x


def reads(config: Mapping[str, Any], num_classes: int, in_chans: int) -> nn.Module:
    return Reads()


def empty(config: Mapping[str, Any], num_classes: int, in_chans: int) -> nn.Module:
    return nn.PReLU()


def test_three_arguments_are_enough() -> None:
    mgic_nas.register_family("mine", build, ["width"])
    found = family("mine").cost({"width": 4}, SIZE, 10)
    assert (found.macs, found.params) == (4 * 9 * 64 + 40, 40 + 50)
    net = mgic_nas.create_model("mine", width=4, num_classes=3, in_chans=2)
    assert net(torch.zeros(5, 2, 8, 8)).shape == (5, 3)
    assert mgic_nas.profile("mine", input_size=SIZE, num_classes=10, width=4) == found


def test_a_cost_and_a_canonical_form_of_its_own_and_an_object_that_has_them() -> None:
    mgic_nas.register_family("mine", build, ["width", "label"], canonical=canonical, cost=cost)
    mgic_nas.register_family("whole", Whole)
    space = SearchSpace({"width": [4, 8], "label": ["a", "b"]}, model="mine")
    assert len({space.arch_id(setting) for setting in space.settings()}) == 2
    assert family("mine").cost({"width": 4}, SIZE, 10) == mgic_nas.Cost(40, 40, 4, 0)
    assert family("whole").arch_id({"width": 4, "label": "a"}) == family("whole").arch_id({"width": 4, "label": "b"})
    assert family("whole").cost({"width": 4, "label": "a"}, SIZE, 10).params == 90


def test_it_is_made_again_in_a_worker() -> None:
    """A worker gets texts; only the family that is asked for is imported."""
    mgic_nas.register_family("mine", build, ["width"])
    sent = registrations()
    with fresh():
        with pytest.raises(UserError, match="Unknown model 'mine'"):
            family("mine")
        register_again(sent)
        assert isinstance(own_families._DEFINED["mine"], str)
        assert family("mine").cost({"width": 4}, SIZE, 10).params == 90


def test_registering_again_changes_nothing_and_another_of_that_name_is_refused() -> None:
    mgic_nas.register_family("mine", build, ["width"])
    mgic_nas.register_family("mine", build, ["width"])
    with pytest.raises(UserError, match=r"there is a family named 'mine' already, \S*test_own:build"):
        mgic_nas.register_family("mine", plain, ["width"])


WRONG: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    (("my net", build, ["width"]), {}, "no name for a family"),
    ((5, build, ["width"]), {}, "no name for a family"),
    (("resnet18", build, ["width"]), {}, "a model named 'resnet18' already"),
    (("mgic_resnet20", build, ["width"]), {}, "a model named 'mgic_resnet20' already"),
    (("mgicify:x", build, ["width"]), {}, "no name for a family"),
    (("implicit_mine", build, ["width"]), {}, "begins as this package's own names do"),
    (("settings", build, ["width"]), {}, "a model named 'settings' already"),
    (("mine", None, ["width"]), {}, "build must be a function, not None"),
    (("mine", build), {}, "name its arguments"),
    (("mine", build, "width"), {}, "name its arguments"),
    (("mine", build, ["width", "num_classes"]), {}, "'num_classes' comes from the data"),
    (("mine", build, [5]), {}, "5 is no argument's name"),
    (("mine", lambda config, num_classes, in_chans: None, ["width"]), {}, "cannot be given to worker processes"),
    (("mine", build, ["width"]), {"cost": 5}, "cost must be a function"),
    (("mine", build, ["width"]), {"canonical": "width"}, "canonical must be a function"),
    (("mine", build, ["width"]), {"input_size": 8}, r"input_size must be \(C, H, W\)"),
    (("mine", build, ["width"]), {"num_classes": 0}, "num_classes must be a whole number"),
]


@pytest.mark.parametrize(("arguments", "options", "hint"), WRONG)
def test_wrong_definitions_are_one_line(arguments: tuple[Any, ...], options: dict[str, Any], hint: str) -> None:
    with pytest.raises(UserError, match=hint) as told:
        mgic_nas.register_family(*arguments, **options)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("made", "options", "config", "hint"),
    [
        (build, {}, {"widht": 4}, "mine takes no argument 'widht'. Did you mean width"),
        (build, {}, {"width": "x"}, "mine cannot be built from {'width': 'x'}: TypeError"),
        (build, {}, {}, "mine cannot be built from {}: KeyError: 'width'"),
        (plain, {}, {"width": 4}, "build gave int, not a torch.nn.Module"),
        (build, {"canonical": unhashable}, {"width": 4}, "canonical gave <object .*: give numbers, texts"),
        (build, {"cost": unknown_cost}, {"width": 4}, "cost gave an unknown kind 'flops'"),
        (build, {"cost": half}, {"width": 4}, "cost gave 0.5 as macs: give whole numbers from 1 up"),
        (reads, {}, {"width": 4}, "on the meta device to count it: pass cost= to register_family"),
        (empty, {}, {"width": 4}, "neither convolutions nor linear layers"),
    ],
)
def test_what_does_not_work_out_is_one_line(made: Any, options: Any, config: Any, hint: str) -> None:
    mgic_nas.register_family("mine", made, ["width"], **options)
    with pytest.raises(UserError, match=hint) as told:
        family("mine").cost(config, SIZE, 10)
    assert "\n" not in str(told.value)


def test_a_value_that_the_builder_refuses_is_found_when_the_space_is_made() -> None:
    mgic_nas.register_family("mine", build, ["width"])
    with pytest.raises(UserError, match="the value 'wide' of width is refused by mine"):
        SearchSpace({"width": [4, "wide"]}, model="mine")


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"params": {"a": [1]}}, "a space has a model, or cost="),
        ({"params": {"a": [1]}, "cost": 5}, "cost must be a function of a setting"),
        ({"params": {"a": [1]}, "cost": len, "model": "resnet18"}, "leave cost= out"),
        ({"params": [1], "cost": len}, "params must be a dict"),
        ({"params": {}, "cost": len}, "nothing to search"),
        ({"params": {"a": range(3, 1)}, "cost": len}, "choices of a is empty"),
        ({"params": {"a": 5}, "cost": len}, "a is 5: write a"),
    ],
)
def test_a_wrong_space_in_python_is_one_line(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(UserError, match=hint) as told:
        SearchSpace(**options)
    assert "\n" not in str(told.value)


def test_only_what_another_process_can_import_travels() -> None:
    assert from_text(to_text(build, "it"), "it") is build
    with pytest.raises(UserError, match=r"it carries .* bytes, which would go with every job"):
        to_text(bytes(2_000_000), "it")
    gone = to_text(build, "it").replace(to_text(build, "it")[-12:], "")
    with pytest.raises(NotImportable, match="it cannot be imported in this process"):
        from_text(gone, "it")
