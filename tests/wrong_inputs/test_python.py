"""The Python interface with values of the wrong kind: one line, before anything is made on disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from fakes.wrong import one_line, unchanged, unpack
from torch import nn

import mgic_nas
from mgic_nas import SearchSpace, UserError
from mgic_nas.cost.count import count
from mgic_nas.pareto import best_within
from mgic_nas.report import build
from mgic_nas.space import parse_budget, parse_budgets
from mgic_nas.tasks import load_data, resolve_spec
from mgic_nas.train import get_recipe

GOOD: dict[str, Any] = {
    "space": "space.yaml",
    "data": "fashion?train=80&val=60",
    "budgets": "1M",
    "trials": 2,
    "epochs": 1,
    "executor": "local",
    "concurrent": 1,
    "out": "run",
}
WRONG: dict[str, list[Any]] = {
    "space": [None, 5, b"no.yaml", {"model": "mgic_resnet20"}, ["quickstart"], "", object(), Path("nothing.yaml")],
    "data": [None, 5, b"fashion", ["fashion"], Path("nothing"), {}, ""],
    "budgets": [None, [], {}, 0, -5, float("nan"), float("inf"), "x", [None], [[1]], True, [True], object(), b"5M", 1j],
    "trials": ["2", "AUTO", "", 2.0, 0, -1, True, [2]],
    "epochs": ["1", 1.5, 0, True],
    "out": [5, b"run", ["run"], 1.5],
    "executor": [5, "dask", ["local"]],
    "sampler": [5, "best", ["cost"], {}],
    "rungs": [5, "asha", True, []],
    "concurrent": ["1", 0, 1.5, True],
    "gpus_per_trial": [None, "x", -1, float("nan"), True, [], {}],
    "seed": [None, "0", -1, 1.5, True],
    "keep": [None, "some", True, 5],
    "winner": ["best", True, 5, ["expected"]],
    "hours": [0, -1, "4", float("nan"), float("inf"), True, [4]],
    "worth": [0, -0.1, "0.1", float("nan"), float("inf"), True],
    "storage": [5, b"x", ["x"]],
    "latencies": [5, b"x.csv", [5], "no.csv", ["a.csv", 1], {}, "space.yaml", "Nano 1.csv", "torch.csv"],
    "recipe": [
        5,
        "slow",
        {"lr": -1},
        {"lr": "fast"},
        {"lrr": 1},
        {"name": "x"},
        {5: 1},
        [],
        {"decay_milestones": 5},
        {"scale": 1},
        {"lr": float("inf")},
        {"opt": "adamv"},
        {"opt": 3},
        {"opt": ""},
        {"auto_augment": 7},
        {"auto_augment": "rand-m9"},  # of large images only
        {"scale": [2, 1]},
        {"scale": [0.1]},
        {"color_jitter": 0.4},
    ],
}


@pytest.mark.usefixtures("nothing_is_trained")
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_argument_of_search(name: str, value: Any) -> None:
    with unchanged(Path.cwd()), pytest.raises(UserError) as caught:
        mgic_nas.search(**{**GOOD, name: value})
    one_line(caught.value)


def small() -> SearchSpace:
    return SearchSpace.from_yaml("space.yaml")


CALLS: dict[str, Callable[[], Any]] = {
    "load_run(None)": lambda: mgic_nas.load_run(None),  # type: ignore[arg-type]
    "load_run(5)": lambda: mgic_nas.load_run(5),  # type: ignore[arg-type]
    "load_run of nothing": lambda: mgic_nas.load_run("nothing"),
    "load_run of a null byte": lambda: mgic_nas.load_run("a\0b"),
    "load_winner(None)": lambda: mgic_nas.load_winner(None),  # type: ignore[arg-type]
    "load_winner of nothing": lambda: mgic_nas.load_winner("nothing"),
    "load_winner of a null byte": lambda: mgic_nas.load_winner("a\0b"),
    "create_model(None)": lambda: mgic_nas.create_model(None),  # type: ignore[arg-type]
    "create_model(5)": lambda: mgic_nas.create_model(5),  # type: ignore[arg-type]
    "create_model([])": lambda: mgic_nas.create_model([]),  # type: ignore[arg-type]
    "create_model of a typo": lambda: mgic_nas.create_model("mgic_resnet21"),
    "create_model of a hub": lambda: mgic_nas.create_model("hf-hub:timm/resnet18"),
    "negative classes": lambda: mgic_nas.create_model("mgic_resnet20", num_classes=-1),
    "half a class": lambda: mgic_nas.create_model("mgic_resnet20", num_classes=1.5),  # type: ignore[arg-type]
    "classes as a text": lambda: mgic_nas.create_model("mgic_resnet20", num_classes="10"),  # type: ignore[arg-type]
    "no channels": lambda: mgic_nas.create_model("mgic_resnet20", in_chans=0),
    "channels as a text": lambda: mgic_nas.create_model("mgic_diffgcn", in_chans="3"),  # type: ignore[arg-type]
    "s_g of zero": lambda: mgic_nas.create_model("mgic_resnet20", s_g=0),
    "s_g as a text": lambda: mgic_nas.create_model("mgic_resnet20", s_g="8"),
    "an unknown argument": lambda: mgic_nas.create_model("mgic_resnet20", s_q=8),
    "an unknown block": lambda: mgic_nas.create_model("mgic_resnet20", block="basik"),
    "a width of nan": lambda: mgic_nas.create_model("mgic_resnet20", width_mult=float("nan")),
    "a width that is huge": lambda: mgic_nas.create_model("mgic_resnet20", width_mult=1e300),
    "k of zero": lambda: mgic_nas.create_model("mgic_diffgcn", k=0),
    "profile(None)": lambda: mgic_nas.profile(None),  # type: ignore[arg-type]
    "profile(5)": lambda: mgic_nas.profile(5),  # type: ignore[arg-type]
    "profile of a typo": lambda: mgic_nas.profile("resnet19"),
    "profile of a size": lambda: mgic_nas.profile("mgic_resnet20", input_size=32),  # type: ignore[arg-type]
    "profile of two sides": lambda: mgic_nas.profile("mgic_resnet20", input_size=(32, 32)),  # type: ignore[arg-type]
    "profile of a text": lambda: mgic_nas.profile("mgic_resnet20", input_size="3,32,32"),  # type: ignore[arg-type]
    "profile of no side": lambda: mgic_nas.profile("mgic_resnet20", input_size=(3, 0, 32)),
    "profile of half a side": lambda: mgic_nas.profile("resnet18", input_size=(3, 32.5, 32)),  # type: ignore[arg-type]
    "profile of classes": lambda: mgic_nas.profile("mgic_resnet20", num_classes=-1),
    "profile of an argument": lambda: mgic_nas.profile("mgic_resnet20", s_q=8),
    "profile of a channel": lambda: mgic_nas.profile("mgic_resnet20", in_chans="3"),
    "profile too small": lambda: mgic_nas.profile("vit_tiny_patch16_224", input_size=(3, 32, 32)),
    "profile of a built one": lambda: mgic_nas.profile(nn.Conv2d(3, 4, 3), s_g=8),
    "profile without a size": lambda: mgic_nas.profile(nn.Conv2d(3, 4, 3)),
    "profile of a wrong size": lambda: mgic_nas.profile(nn.Conv2d(3, 4, 3), input_size=(1, 8, 8)),
    "profile of no network": lambda: mgic_nas.profile(nn.Module(), input_size=(1, 8, 8)),
    "count of no network": lambda: count("resnet18", (3, 32, 32)),  # type: ignore[arg-type]
    "count without parameters": lambda: count(nn.Identity(), (3, 32, 32)),
    "count of a wrong size": lambda: count(nn.Conv2d(3, 4, 3), (1, 8, 8)),
    "mgicify(None)": lambda: mgic_nas.mgicify(None, 8, 16),  # type: ignore[arg-type]
    "mgicify(5)": lambda: mgic_nas.mgicify(5, 8, 16),  # type: ignore[arg-type]
    "mgicify of a typo": lambda: mgic_nas.mgicify("resnet19", 8, 16),
    "mgicify of s_g 0": lambda: mgic_nas.mgicify("resnet18", 0, 16),
    "mgicify of s_g text": lambda: mgic_nas.mgicify("resnet18", "8", 16),  # type: ignore[arg-type]
    "mgicify of s_c None": lambda: mgic_nas.mgicify("resnet18", 8, None),  # type: ignore[arg-type]
    "mgicify of an init": lambda: mgic_nas.mgicify("resnet18", 8, 16, init="zeros"),
    "mgicify of levels": lambda: mgic_nas.mgicify("resnet18", 8, 16, min_levels=-1),
    "mgicify of a linear": lambda: mgic_nas.mgicify(nn.Linear(3, 4), 8, 16),
    "mgicify of one without blocks": lambda: mgic_nas.mgicify("vgg11", 8, 16),
    "mgicify of mgic": lambda: mgic_nas.mgicify("mgic_resnet20", 8, 16),
    "mgicify of an argument": lambda: mgic_nas.mgicify("resnet18", 8, 16, depth_of_field=3),
    "mgicify of a built one's": lambda: mgic_nas.mgicify(timm.create_model("resnet18"), 8, 16, num_classes=3),
    "mgicify of a size": lambda: mgic_nas.mgicify("resnet18", 8, 16, input_size=(3, 0, 3)),
    "fuse(None)": lambda: mgic_nas.fuse(None),  # type: ignore[arg-type]
    "from_yaml(None)": lambda: SearchSpace.from_yaml(None),  # type: ignore[arg-type]
    "from_dict(None)": lambda: SearchSpace.from_dict(None),  # type: ignore[arg-type]
    "from_dict([])": lambda: SearchSpace.from_dict([]),  # type: ignore[arg-type]
    "from_dict of numbers": lambda: SearchSpace.from_dict({1: 2}),  # type: ignore[dict-item]
    "from_dict of an object": lambda: SearchSpace.from_dict({"model": "mgic_resnet20", "params": object()}),
    "from_dict of an array": lambda: SearchSpace.from_dict(
        {"model": "mgic_resnet20", "params": {"s_g": {"choices": torch.tensor([4, 8])}}}
    ),
    "from_dict of a set": lambda: SearchSpace.from_dict(
        {"model": "mgic_resnet20", "params": {"s_g": {"choices": {4}}}}
    ),
    "config of nothing": lambda: small().config({}),
    "config of too much": lambda: small().config({"s_g": 4, "width_mult": 0.5, "x": 1}),
    "arch_id of another": lambda: small().arch_id({"s_g": "four", "width_mult": 0.5}),
    "cost of another": lambda: small().cost({"s_g": 0, "width_mult": 0.5}, (1, 14, 14), 10),
    "no setting is allowed": lambda: SearchSpace.from_dict({**small().to_dict(), "where": ["s_g > 100"]}),
    "parse_budget(None)": lambda: parse_budget(None),  # type: ignore[arg-type]
    "parse_budget([])": lambda: parse_budget([]),  # type: ignore[arg-type]
    "parse_budget(-1)": lambda: parse_budget(-1),
    "parse_budget(nan)": lambda: parse_budget(float("nan")),
    "parse_budgets of None": lambda: parse_budgets([None]),  # type: ignore[list-item]
    "load_data(5)": lambda: load_data(5),  # type: ignore[arg-type]
    "resolve_spec(None)": lambda: resolve_spec(None),  # type: ignore[arg-type]
    "get_recipe(5)": lambda: get_recipe(5),  # type: ignore[arg-type]
    "get_recipe of a list": lambda: get_recipe({"lr": [0.1]}),
    "get_recipe of nan": lambda: get_recipe({"lr": float("nan")}),
    "get_recipe of half a batch": lambda: get_recipe({"batch_size": 1.5}),
    "get_recipe of milestones": lambda: get_recipe({"decay_milestones": 5}),
    "build of nothing": lambda: build("nothing"),
    "parse_budgets of a text": lambda: parse_budgets("5M"),
    "parse_budgets of a number": lambda: parse_budgets(5e6),  # type: ignore[arg-type]
    "winner of nothing": lambda: mgic_nas.load_run("run").best(macs="1"),
    "best of a text": lambda: mgic_nas.load_run("run").best(macs="many"),
    "best of nan": lambda: mgic_nas.load_run("run").best(macs=float("nan")),
    "best of a negative": lambda: mgic_nas.load_run("run").best(params=-1),
    "best of a list": lambda: mgic_nas.load_run("run").best(macs=[1]),  # type: ignore[arg-type]
    "best of a latency": lambda: mgic_nas.load_run("run").best(latency="5ms"),
    "best of a runtime": lambda: mgic_nas.load_run("run").best(limits={"latency-openvino": "5ms"}),
    "best of no runtime": lambda: mgic_nas.load_run("run").best(limits={"latency-openvina": "5ms"}),
    "best of a wrong suffix": lambda: mgic_nas.load_run("run").best(limits={"latency-openvino-8": "5ms"}),
    "best of macs twice": lambda: mgic_nas.load_run("run").best(macs=1e9, limits={"macs": "5M"}),
    "best of no mapping": lambda: mgic_nas.load_run("run").best(limits=["5M"]),  # type: ignore[arg-type]
    "retrain of a budget": lambda: mgic_nas.load_run("run").retrain("5Q"),
    "retrain of a number": lambda: mgic_nas.load_run("run").retrain(trials="2"),  # type: ignore[arg-type]
    "retrain of no seeds": lambda: mgic_nas.load_run("run").retrain(seeds=0),
    "retrain of a text": lambda: mgic_nas.load_run("run").retrain(epochs="3"),  # type: ignore[arg-type]
    "retrain of a recipe": lambda: mgic_nas.load_run("run").retrain(recipe={"lr": -1}),
    "retrain of weights": lambda: mgic_nas.load_run("run").retrain(weights="first"),
    "retrain with_val of a text": lambda: mgic_nas.load_run("run").retrain(with_val="yes"),  # type: ignore[arg-type]
    "retrain into a number": lambda: mgic_nas.load_run("run").retrain(out=5),  # type: ignore[arg-type]
    "retrain from no winner": lambda: mgic_nas.load_run("run").retrain(trials=0, teacher="budget:1k"),
    "retrain from one that is not there": lambda: mgic_nas.load_run("run").retrain(trials=0, teacher="retrained:0.3M"),
    "retrained of none": lambda: mgic_nas.load_run("run").best().retrained(),
    "train_network(None)": lambda: mgic_nas.train_network(None, "fashion"),  # type: ignore[arg-type]
    "train_network of no data": lambda: mgic_nas.train_network("resnet18", None),  # type: ignore[arg-type]
    "train_network of arguments": lambda: mgic_nas.train_network("mgic_resnet20", "fashion", {"s_q": 8}),
    "best of no kind": lambda: mgic_nas.load_run("run").best(limits={5: "5M"}),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_call(name: str) -> None:
    unpack(Path.cwd())
    with unchanged(Path.cwd()), pytest.raises(UserError) as caught:
        CALLS[name]()
    one_line(caught.value)


def test_a_front_of_lists_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"shape|length|dimension|broadcast"):
        best_within([1.0, 2.0], [[1.0]], [5.0])


@pytest.mark.parametrize("value", [None, 5, b"run", ["run"], "", "a\0b", "x" * 5000, Path("nothing"), {}])
def test_a_wrong_network_to_score_export_or_register(value: Any, tmp_path: Path) -> None:
    run = unpack(tmp_path)
    winner = mgic_nas.load_run(run).best()
    calls: list[Callable[[], object]] = [
        lambda: mgic_nas.score(value, "fashion"),
        lambda: mgic_nas.register_run(value),
        lambda: winner.export(value, tmp_path / "out"),
        lambda: winner.export("onnx", tmp_path / "out", data=value) if value is not None else mgic_nas.score(value),
        lambda: mgic_nas.score(run, split=value),
    ]
    calls += [] if isinstance(value, Path) else [lambda: winner.export("hf", value)]
    for call in calls:
        with unchanged(tmp_path), pytest.raises(UserError) as error:
            call()
        one_line(error.value)
