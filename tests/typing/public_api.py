"""The public interface as a type checker sees it: mypy checks this file in CI, nothing runs it.

Types are imported from the modules that define them, since ``assert_type`` of an ``Any`` with an ``Any`` would pass.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, assert_type

import pandas as pd
import torch
from torch import nn

import mgic_nas
from mgic_nas.cost.rows_cost import Cost
from mgic_nas.engine.storage.config import RunConfig
from mgic_nas.errors import UserError
from mgic_nas.exporting.ship import Export
from mgic_nas.results import Run, Winner
from mgic_nas.retraining.results import Trainings
from mgic_nas.scoring import Score
from mgic_nas.space.parameters import Scalar
from mgic_nas.space.search_space import SearchSpace


def networks(net: nn.Module) -> None:
    assert_type(mgic_nas.__version__, str)
    assert_type(mgic_nas.create_model("mgic_diffgcn", num_classes=10, in_chans=3, s_g=16), nn.Module)
    assert_type(mgic_nas.mgicify("resnet18", s_g=16, s_c=64, min_levels=1, init="weights"), nn.Module)
    assert_type(mgic_nas.mgicify(net, 16, 64, input_size=(3, 224, 224)), nn.Module)
    assert_type(mgic_nas.fuse(net), nn.Module)
    assert_type(mgic_nas.load_winner(Path("runs/demo/winners/1M")), nn.Module)


def shipping(run: Run, winner: Winner) -> None:
    assert_type(mgic_nas.score("runs/demo", "fashion", split="val", budget="1M", against=winner), Score)
    assert_type(mgic_nas.score(winner).value, float)
    assert_type(winner.export("onnx", Path("out"), int8=True), Export)
    assert_type(mgic_nas.export_network("runs/demo", "pt2", Path("out"), budget="1M"), Export)
    assert_type(mgic_nas.register_run(run), list[str])
    assert_type(mgic_nas.register_family("mine", build, ["width"]), None)
    assert_type(run.within("1M"), Winner)


def build(config: Mapping[str, Any], num_classes: int, in_chans: int) -> nn.Module:
    return nn.Linear(in_chans, num_classes)


def of_a_function(run: Run) -> None:
    space = mgic_nas.SearchSpace({"width": [16, 32]}, cost=lambda setting: 100)
    assert_type(mgic_nas.search(space, train=lambda setting, epochs, report: 50.0, budgets="1k"), Run)


def trainings(run: Run, winner: Winner) -> None:
    found = run.retrain("1M", epochs=100, seeds=3, recipe={"name": "full", "ema_decay": 0.999}, teacher="budget:2M")
    assert_type(found, Trainings)
    assert_type(found.networks["trial-3"].test_mean, float | None)
    assert_type(found.trained[0].test_acc, float | None)
    assert_type(mgic_nas.train_network("resnet18", "fashion", {"drop_rate": 0.1}, out=Path("runs/x")), Trainings)
    assert_type(winner.retrained(seed=1), nn.Module)


def costs(net: nn.Module) -> None:
    assert_type(mgic_nas.profile(net, input_size=(3, 32, 32)), Cost)
    cost = mgic_nas.profile("mgic_resnet56", s_g=8, s_c=16, num_classes=10, input_size=(3, 32, 32))
    assert_type(cost, Cost)
    assert_type(mgic_nas.Cost(2, 1, 3, 4), Cost)
    assert_type(cost.macs, int)
    assert_type(cost.macs_without_transfers, int)
    assert_type(cost.params, int)
    assert_type(cost.activations, int)


def spaces() -> None:
    assert_type(mgic_nas.SearchSpace.from_dict({"model": "mgic_resnet20", "params": {}}), SearchSpace)
    space = mgic_nas.SearchSpace.from_yaml("quickstart")
    assert_type(space, SearchSpace)
    assert_type(space.model, str)
    assert_type(space.size, int)
    assert_type(space.source, str)
    assert_type(space.enumerable, bool)
    setting = space.sample(random.Random(0))
    assert_type(setting, dict[str, Scalar])
    assert_type(space.settings(), Iterator[dict[str, Scalar]])
    assert_type(space.allows(setting), bool)
    assert_type(space.config(setting), dict[str, Any])
    assert_type(space.canonical(setting), Hashable)
    assert_type(space.arch_id(setting), str)
    assert_type(space.cost(setting, (1, 14, 14), 10), Cost)
    assert_type(space.create_model_line(setting, 10, 1), str)
    assert_type(space.to_dict(), dict[str, Any])


def runs(space: mgic_nas.SearchSpace) -> None:
    assert_type(mgic_nas.search("quickstart", data="fashion", budgets=["0.5M", "params=1M"], trials=16), Run)
    run = mgic_nas.search(space, "fashion", 1e6, 24, out=Path("runs/demo"), executor="local", recipe={"lr": 0.1})
    assert_type(run, Run)
    assert_type(mgic_nas.load_run("runs/demo"), Run)
    assert_type(mgic_nas.Run(run.folder, run.config), Run)
    assert_type(run.config, RunConfig)
    assert_type(run.folder, Path)
    assert_type(run.trials(), pd.DataFrame)
    assert_type(run.front(), pd.DataFrame)
    assert_type(run.winners(), dict[str, Winner | None])
    assert_type(run.to_dict(), dict[str, object])
    winner = run.best(macs=1e6, params="1M", latency="5ms", limits={"latency-openvino-b8": "5ms", "activations": 1e6})
    assert_type(winner, Winner)
    assert_type(winner.arguments, dict[str, object])
    assert_type(winner.line, str)
    assert_type(winner.weights, Path | None)
    assert_type(winner.create_model(), nn.Module)
    assert_type(winner.create_model(pretrained=False), nn.Module)
    assert_type(winner.to_dict(), dict[str, object])


def errors() -> None:
    try:
        mgic_nas.load_run("nowhere")
    except mgic_nas.UserError as error:
        assert_type(error, UserError)
    assert_type(mgic_nas.UserError("one line"), UserError)
    assert_type(mgic_nas.recalibrate(nn.BatchNorm2d(3), torch.zeros(2, 3, 4, 4)), nn.BatchNorm2d)
    assert_type(mgic_nas.MachineFault("one line").passing, bool)
    assert_type(mgic_nas.Interrupted().code, int)
    mgic_nas.serach  # type: ignore[attr-defined]  # noqa: B018  (a name that does not exist is an error)
