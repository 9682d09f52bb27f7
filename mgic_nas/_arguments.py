"""What the command line takes: its commands, their options and an example of each. Imports nothing heavy."""

from __future__ import annotations

import argparse
from typing import NoReturn

from ._version import __version__
from .engine.executors.registry import EXECUTORS

DATA_HELP = """\
data, with options after a question mark, as in --data 'photos?size=64&val=0.2':
  fashion                       embedded Fashion-MNIST, 14x14
  FOLDER                        train/CLASS/*, val/CLASS/*, test/CLASS/*, or CLASS/* alone; or parquet files
  segmentation:FOLDER, points:FILE.npz, functions:waves, torch/NAME, hfds/NAME, ...
  ?size=64 or 32x48             input size in pixels (default: the images' own up to 128, else 224)
  ?val=0.2 or 500               validation part, cut from train where there is none (default: a tenth)
  ?train=..., ?test=...         use so many images of these parts; ?test=0.1 cuts a test part where there is none
  ?chans=1 or 3                 grey or colour
  ?bad=skip                     go on without broken images, and count them
  ?layout=classes               the folders are classes, whatever they are called
  ?seed=N                       another cut
"""

RECIPE_HELP = """\
recipes:
  quick     SGD for a few epochs, no augmentation (default of a search)
  steady    AdamW, whose early epochs tell the last (with early stopping)
  full      SGD, 5 epochs of warm-up, flips and shifts, label smoothing (default of retrain and train)
  paper     the paper's, for 100 epochs
"""

SAMPLER_HELP = """\
samplers:
  cost                           knows what networks cost and models their accuracy (default)
  tpe, tpe-univariate, nsga2, gp Optuna's
  random, stratified             random, and random evenly over MACs
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, without the usage."""
        self.exit(2, f"{self.prog}: error: {message} (see `{self.prog} --help`)\n")


class _Once(argparse.Action):
    """An option that is given twice in the belief that it is repeatable: the first would be dropped in silence."""

    def __call__(self, parser, namespace, values, option_string=None):  # type: ignore[no-untyped-def]
        if getattr(namespace, self.dest, None) not in (None, self.default):
            parser.error(f"argument {option_string}: given twice; name one")
        setattr(namespace, self.dest, values)


def parser() -> argparse.ArgumentParser:
    found = _Parser(
        prog="mgic-nas",
        description="Budget-constrained architecture search over multigrid-in-channels (MGIC) networks.",
        epilog="Start with: mgic-nas search quickstart --data fashion --budget 0.5M --budget 2M --trials 16",
    )
    found.add_argument("--version", action="version", version=f"mgic_nas {__version__}")
    commands = found.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)

    def command(name: str, what: str, example: str, *more: str) -> argparse.ArgumentParser:
        """``more``: what its options are chosen from, said below them."""
        return commands.add_parser(
            name,
            help=what,
            description=f"{what[0].upper()}{what[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog="\n".join([*more, f"example: mgic-nas {name} {example}"]),
        )

    p = command("models", "the registered names with params, MACs, input size", "--json")
    p.add_argument("--json", action="store_true", help="print JSON")

    p = command(
        "profile",
        "what a network or a search space costs, before anything is trained",
        "quickstart --data fashion --budget 0.5M",
    )
    p.add_argument(
        "target", metavar="SPACE|NAME", help="a search space (YAML file or shipped name) or a timm model name"
    )
    p.add_argument("--data", metavar="D", help="takes input size and classes from this data set")
    p.add_argument("--input-size", metavar="C,H,W", help="input size, instead of a data set's")
    p.add_argument("--num-classes", type=int, metavar="N", help="classes, instead of a data set's")
    p.add_argument("--budget", action="append", default=[], metavar="B", help="5M, params=1M, latency=5ms; repeatable")
    p.add_argument(
        "--latencies", action="append", default=[], metavar="CSV", help="measurements: jetson.csv gives latency-jetson"
    )
    p.add_argument("--set", action="append", default=[], metavar="k=v", help="an argument of the model, such as s_g=8")
    p.add_argument("--json", action="store_true", help="print JSON")
    p.add_argument("--time", action="store_true", help="measure a network on this machine, and its inference form")
    _add_trust(p)

    p = command(
        "search",
        "train candidates within budgets, and report the Pareto front",
        "quickstart --data 'photos?size=32' --budget 2M --dry-run",
        DATA_HELP,
        SAMPLER_HELP,
        RECIPE_HELP,
    )
    p.add_argument("space", metavar="SPACE", help="a YAML file or the name of a shipped space")
    p.add_argument(
        "--data", required=True, action=_Once, metavar="D", help="fashion, a folder, segmentation:..., points:..., ..."
    )
    p.add_argument("--budget", action="append", required=True, metavar="B", help="5M (MACs), params=1M, latency=5ms")
    p.add_argument(
        "--latencies", action="append", metavar="CSV", help="measurements: jetson.csv makes --budget latency-jetson=5ms"
    )
    p.add_argument(
        "--trials", type=_trials, metavar="N|auto", help="architectures to train, in all (default: 16, or all)"
    )
    p.add_argument("--hours", type=float, metavar="H", help="start nothing more after so many hours of training")
    p.add_argument("--worth", type=float, metavar="P", help="end when 8 more promise fewer points (auto: 0.1)")
    p.add_argument("--epochs", type=int, metavar="E", help="epochs of each (default: what makes 240 steps, at least 3)")
    p.add_argument(
        "--dry-run", action="store_true", help="say what it will do and what it will take, and write nothing"
    )
    p.add_argument("--out", metavar="DIR", help="the run's folder; the same command again resumes it")
    p.add_argument("--executor", choices=tuple(EXECUTORS), help="default: ray where it is installed, else local")
    p.add_argument("--sampler", action=_Once, metavar="S", help="cost (default), tpe, nsga2, random or stratified")
    p.add_argument("--rungs", metavar="R", help="early stopping: none, halving or thaw (pays from 4 epochs on)")
    _add_sharing(p)
    _add_recipe(p)
    p.add_argument("--seed", type=int, default=0, metavar="S")
    p.add_argument("--keep", choices=("front", "all"), default="front", help="whose weights are kept")
    _add_winner(p)
    p.add_argument("--address", metavar="A", help="an existing Ray cluster")
    p.add_argument("--storage", metavar="PATH", help="folder that all nodes share, for trials/")
    _add_trust(p)
    p.add_argument(
        "--from",
        dest="start_from",
        action=_Once,
        metavar="RUN",
        help="an earlier run to learn from: other budgets, epochs or data",
    )
    p.add_argument(
        "--enqueue",
        action="append",
        default=[],
        metavar="X",
        help="train these first: s_g=8,width_mult=0.5, a YAML or csv of designs, or a run, for its winners; repeatable",
    )
    p.add_argument(
        "--prior",
        action="append",
        default=[],
        metavar="N=V[:W]",
        help="believe in a value: s_g=8 makes it 4 times as likely as others, s_g=8:2 twice; repeatable",
    )
    p.add_argument("--retry-failed", action="store_true", help="train again what is booked as failed in the run")
    p.add_argument("--wait", action="store_true", help="wait where space or data are missing, instead of ending")
    p.add_argument("--json", action="store_true", help="print the winners as JSON")

    p = command("report", "build the report again from what is on disk", "runs/demo --watch")
    p.add_argument("folders", nargs="+", metavar="RUN", help="a run's folder; several on the same data are overlaid")
    p.add_argument("--out", metavar="FILE", help="the page of several runs (default: overlay.html)")
    p.add_argument("--watch", action="store_true", help="keep the page fresh until the run is complete")
    p.add_argument(
        "--reference", metavar="CSV", help="points to lay over the front: name, macs, val_acc, data, input_size"
    )
    p.add_argument("--apart", action="store_true", help="with those of other data or another input size, drawn apart")
    _add_winner(p)
    p.add_argument("--json", action="store_true", help="print the winners as JSON")

    p = command(
        "retrain",
        "a run's winners on a full recipe, scored once on the test split",
        "runs/demo --budget 1M --epochs 100 --seeds 3 --set-recipe ema_decay=0.999",
        RECIPE_HELP,
    )
    p.add_argument("folder", metavar="RUN", help="a run's folder")
    p.add_argument("--budget", action="append", metavar="B", help="whose winner (default: of all the run's budgets)")
    p.add_argument("--trial", action="append", type=int, metavar="N", help="a network by its trial; repeatable")
    p.add_argument("--front", action="store_true", help="every network of the front")
    p.add_argument("--data", metavar="D", help="other data with the same classes, as with ?test=0.1")
    p.add_argument("--out", metavar="DIR", help="where retrain/ and retrain.csv are written (default: the run)")
    _add_training(p, executor=None, winners=", budget:2M or retrained:2M")
    _add_trust(p)

    p = command(
        "train",
        "one training of one network, ours or any of timm's",
        "mgic_resnet20 --set s_g=8 --data photos --epochs 30",
        DATA_HELP,
        RECIPE_HELP,
    )
    p.add_argument("name", metavar="NAME", help="a model's name, such as mgic_resnet56 or resnet18")
    p.add_argument("--data", required=True, metavar="D", help="fashion, a folder, segmentation:..., points:..., ...")
    p.add_argument("--set", action="append", default=[], metavar="k=v", help="an argument of the model, such as s_g=8")
    p.add_argument("--out", metavar="DIR", help="default: runs/NAME-DATA; the same command again goes on there")
    _add_training(p, executor="local")
    _add_trust(p)

    p = command("score", "what a trained network is worth on a part of some data", "runs/demo --budget 1M --split test")
    p.add_argument("target", metavar="RUN|FOLDER|FILE", help="a run, a winner's folder, or an exported file")
    p.add_argument("--data", metavar="D", help="as a search takes it (default: the run's own)")
    p.add_argument("--split", default="test", metavar="test|val|train", help="the part that is scored (default: test)")
    p.add_argument("--budget", action=_Once, metavar="B", help="which winner of a run (default: the most accurate)")
    p.add_argument("--against", metavar="OTHER", help="another network, scored on the same images: paired difference")
    _add_trust(p)
    p.add_argument("--json", action="store_true", help="print JSON, with all confusions")

    p = command(
        "export",
        "a winner as a folder that ships: hf, onnx (int8), pt2 or openvino",
        "runs/demo --budget 1M --to onnx --int8 --out shipped",
    )
    p.add_argument("target", metavar="RUN|FOLDER", help="a run, or a winner's folder")
    p.add_argument("--to", required=True, metavar="hf|onnx|pt2|openvino", help="the form; all but hf are checked")
    p.add_argument("--out", required=True, metavar="DIR", help="the folder that is written")
    p.add_argument("--budget", action=_Once, metavar="B", help="which winner of a run (default: the most accurate)")
    p.add_argument("--int8", action="store_true", help="with onnx: in 8 bits, too, calibrated on training images")
    p.add_argument("--no-fuse", action="store_true", help="as trained, BatchNorms not folded")
    _add_trust(p)
    p.add_argument("--data", metavar="D", help="on which the file is checked (default: the run's own)")
    p.add_argument("--json", action="store_true", help="print JSON")

    p = command("tables", "the paper's tables beside what this code gives", "5 7")
    p.add_argument("numbers", nargs="*", metavar="N", help="tables, such as 5 7 (default: all)")
    p.add_argument("--runs", default="runs", metavar="DIR", help="recorded trainings to show (default: runs)")
    form = p.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print a page that explains what differs")

    p = command(
        "record",
        "train a whole space with several seeds: a table for `replay`",
        "quickstart --data fashion --budget 2M --epochs 6 --seeds 3 --out runs/table",
        DATA_HELP,
        RECIPE_HELP,
    )
    p.add_argument("space", metavar="SPACE", help="a YAML file or the name of a shipped space")
    p.add_argument("--data", required=True, metavar="D", help="fashion, a folder (images, parquet), or a timm data set")
    p.add_argument("--budget", action="append", required=True, metavar="B", help="5M (MACs), params=1M; repeatable")
    p.add_argument("--epochs", type=int, required=True, metavar="E", help="epochs of each training")
    p.add_argument("--seeds", type=int, default=3, metavar="K", help="trainings of each architecture (default: 3)")
    p.add_argument("--out", required=True, metavar="DIR", help="the table; the same command again resumes it")
    _add_trust(p)
    _add_recipe(p)
    p.add_argument("--executor", choices=tuple(EXECUTORS), default="local")
    _add_sharing(p)

    p = command(
        "replay",
        "simulated searches on recorded trainings: samplers compared in seconds",
        "runs/table_fashion --sampler cost --sampler tpe --out page",
        SAMPLER_HELP,
    )
    p.add_argument(
        "table",
        metavar="TABLE",
        nargs="+",
        help="what `record` made, or other people's csv, parquet or YAML",
    )
    p.add_argument(
        "--sampler", action="append", default=[], metavar="S[+R]", help="cost+halving, tpe, module:factory; repeatable"
    )
    p.add_argument("--seeds", type=int, default=20, metavar="K", help="simulated searches of each (default: 20)")
    p.add_argument("--first-seed", type=int, default=0, metavar="S", help="of the searches (default: 0)")
    p.add_argument("--trials", type=int, metavar="N", help="trainings of a search at most (default: all, or 150)")
    p.add_argument("--concurrent", type=int, default=1, metavar="N", help="simulated trainings at a time (default: 1)")
    p.add_argument("--budget", action="append", default=[], metavar="B", help="on MACs, for regrets; repeatable")
    p.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default: 1)")
    p.add_argument("--out", metavar="DIR", help="write a page with a picture and all numbers there")
    p.add_argument("--json", action="store_true", help="print JSON")

    return found


def _add_training(p: argparse.ArgumentParser, executor: str | None, winners: str = "") -> None:
    p.add_argument("--epochs", type=int, metavar="E", help="epochs of each training (default: 30)")
    p.add_argument("--seeds", type=int, default=1, metavar="K", help="trainings of each network (default: 1)")
    _add_recipe(p)
    p.add_argument("--with-val", action="store_true", help="train on the validation images too")
    p.add_argument("--weights", choices=("last", "best"), help="of the last epoch (default), or the best in validation")
    p.add_argument("--teacher", metavar="T", help=f"learn from it too: a timm name, local-dir:FOLDER{winners}")
    p.add_argument("--executor", choices=tuple(EXECUTORS), default=executor)
    _add_sharing(p)
    p.add_argument("--json", action="store_true", help="print JSON")


def _add_trust(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--trust", action="append", default=[], metavar="MODULE", help="import this module, which registers a family"
    )


def _add_sharing(p: argparse.ArgumentParser) -> None:
    p.add_argument("--concurrent", type=int, metavar="N", help="trainings at a time")
    p.add_argument("--gpus-per-trial", default="auto", metavar="auto|X", help="share of a GPU for each training")


def _trials(text: str) -> int | str:
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is neither a whole number nor auto") from None


def _add_winner(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--winner", choices=("expected", "measured"), help="choose winners by expected accuracy (default), or measured"
    )


def _add_recipe(p: argparse.ArgumentParser) -> None:
    p.add_argument("--recipe", metavar="R", help="training recipe, by name: quick, steady, full or paper")
    p.add_argument(
        "--set-recipe", action="append", default=[], metavar="k=v", help="a change to the recipe, such as lr=0.05"
    )
