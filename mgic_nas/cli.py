"""The command line: parses, calls, prints. No logic.

Progress goes to stderr, results to stdout. Exit codes: 0 done; 2 wrong input; 130 or 143 interrupted, resumable;
1 anything else.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from ._signals import terminable
from ._text import size_text
from ._version import __version__
from .engine.executors.registry import EXECUTORS
from .errors import INSTALL, Interrupted, MachineFault, TrainingFailed, UserError

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

example: mgic-nas search quickstart --data 'photos?size=32' --budget 2M --dry-run
"""

# What the extra "search" brings, and what that brings in turn: models and winners do without.
_EXTRA = "optuna sqlalchemy alembic filelock ray pandas pyarrow moocore plotly matplotlib jinja2 tqdm"
EXTRA = frozenset(_EXTRA.split())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, without the usage."""
        self.exit(2, f"{self.prog}: error: {message} (see `{self.prog} --help`)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="mgic-nas",
        description="Budget-constrained architecture search over multigrid-in-channels (MGIC) networks.",
        epilog="Start with: mgic-nas search quickstart --data fashion --budget 0.5M --budget 2M --trials 16",
    )
    parser.add_argument("--version", action="version", version=f"mgic_nas {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)

    p = commands.add_parser("models", help="the registered names with params, MACs, input size")
    p.add_argument("--json", action="store_true", help="print JSON")
    p.set_defaults(run=_models)

    p = commands.add_parser("profile", help="what a network or a search space costs, before anything is trained")
    p.add_argument(
        "target", metavar="SPACE|NAME", help="a search space (YAML file or shipped name) or a timm model name"
    )
    p.add_argument("--data", metavar="D", help="takes input size and classes from this data set")
    p.add_argument("--input-size", metavar="C,H,W", help="input size, instead of a data set's")
    p.add_argument("--num-classes", type=int, metavar="N", help="classes, instead of a data set's")
    p.add_argument("--budget", action="append", default=[], metavar="B", help="5M, params=1M, latency=5ms; repeatable")
    p.add_argument("--set", action="append", default=[], metavar="k=v", help="an argument of the model, such as s_g=8")
    p.add_argument("--json", action="store_true", help="print JSON")
    p.add_argument("--time", action="store_true", help="measure a network on this machine, and its inference form")
    p.set_defaults(run=_profile)

    p = commands.add_parser(
        "search",
        help="train candidates within budgets, and report the Pareto front",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=DATA_HELP,
    )
    p.add_argument("space", metavar="SPACE", help="a YAML file or the name of a shipped space")
    p.add_argument("--data", required=True, metavar="D", help="fashion, a folder, segmentation:..., points:..., ...")
    p.add_argument("--budget", action="append", required=True, metavar="B", help="5M (MACs), params=1M, latency=5ms")
    p.add_argument(
        "--latencies", action="append", metavar="CSV", help="measurements: jetson.csv makes --budget latency-jetson=5ms"
    )
    p.add_argument("--trials", type=int, metavar="N", help="architectures to train, in all (default: 16, or all)")
    p.add_argument("--epochs", type=int, metavar="E", help="epochs of each (default: what makes 240 steps, at least 3)")
    p.add_argument(
        "--dry-run", action="store_true", help="say what it will do and what it will take, and write nothing"
    )
    p.add_argument("--out", metavar="DIR", help="the run's folder; the same command again resumes it")
    p.add_argument("--executor", choices=tuple(EXECUTORS), help="default: ray where it is installed, else local")
    p.add_argument("--sampler", metavar="S", help="cost (default), tpe, nsga2, random or stratified")
    p.add_argument("--rungs", metavar="R", help="early stopping: none, halving or thaw (pays from 4 epochs on)")
    p.add_argument("--concurrent", type=int, metavar="N", help="trainings at a time")
    p.add_argument("--gpus-per-trial", default="auto", metavar="auto|X", help="share of a GPU for each training")
    _add_recipe(p)
    p.add_argument("--seed", type=int, default=0, metavar="S")
    p.add_argument("--keep", choices=("front", "all"), default="front", help="whose weights are kept")
    p.add_argument("--address", metavar="A", help="an existing Ray cluster")
    p.add_argument("--storage", metavar="PATH", help="folder that all nodes share, for trials/")
    p.add_argument("--retry-failed", action="store_true", help="train again what is booked as failed in the run")
    p.add_argument("--wait", action="store_true", help="wait where space or data are missing, instead of ending")
    p.add_argument("--json", action="store_true", help="print the winners as JSON")
    p.set_defaults(run=_search)

    p = commands.add_parser("report", help="build the report again from what is on disk")
    p.add_argument("folder", metavar="RUN", help="a run's folder")
    p.add_argument("--reference", metavar="CSV", help="points to lay over the front: columns name, macs, val_acc")
    p.add_argument("--json", action="store_true", help="print the winners as JSON")
    p.set_defaults(run=_report)

    p = commands.add_parser("score", help="what a trained network is worth on a part of some data")
    p.add_argument("target", metavar="RUN|FOLDER|FILE", help="a run, a winner's folder, or an exported file")
    p.add_argument("--data", metavar="D", help="as a search takes it (default: the run's own)")
    p.add_argument("--split", default="test", metavar="test|val|train", help="the part that is scored (default: test)")
    p.add_argument("--budget", metavar="B", help="which winner of a run (default: the most accurate)")
    p.add_argument("--against", metavar="OTHER", help="another network, scored on the same images: paired difference")
    p.add_argument("--json", action="store_true", help="print JSON, with all confusions")
    p.set_defaults(run=_score)

    p = commands.add_parser("export", help="a winner as a folder that ships: hf, onnx (int8), pt2 or openvino")
    p.add_argument("target", metavar="RUN|FOLDER", help="a run, or a winner's folder")
    p.add_argument("--to", required=True, metavar="hf|onnx|pt2|openvino", help="the form; all but hf are checked")
    p.add_argument("--out", required=True, metavar="DIR", help="the folder that is written")
    p.add_argument("--budget", metavar="B", help="which winner of a run (default: the most accurate)")
    p.add_argument("--int8", action="store_true", help="with onnx: in 8 bits, too, calibrated on training images")
    p.add_argument("--no-fuse", action="store_true", help="as trained, BatchNorms not folded")
    p.add_argument("--data", metavar="D", help="on which the file is checked (default: the run's own)")
    p.add_argument("--json", action="store_true", help="print JSON")
    p.set_defaults(run=_export)

    p = commands.add_parser("tables", help="the paper's tables beside what this code gives")
    p.add_argument("numbers", nargs="*", metavar="N", help="tables, such as 5 7 (default: all)")
    p.add_argument("--runs", default="runs", metavar="DIR", help="recorded trainings to show (default: runs)")
    form = p.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print a page that explains what differs")
    p.set_defaults(run=_tables)

    p = commands.add_parser("record", help="train a whole space with several seeds: a table for `replay`")
    p.add_argument("space", metavar="SPACE", help="a YAML file or the name of a shipped space")
    p.add_argument("--data", required=True, metavar="D", help="fashion, a folder (images, parquet), or a timm data set")
    p.add_argument("--budget", action="append", required=True, metavar="B", help="5M (MACs), params=1M; repeatable")
    p.add_argument("--epochs", type=int, required=True, metavar="E", help="epochs of each training")
    p.add_argument("--seeds", type=int, default=3, metavar="K", help="trainings of each architecture (default: 3)")
    p.add_argument("--out", required=True, metavar="DIR", help="the table; the same command again resumes it")
    _add_recipe(p)
    p.add_argument("--executor", choices=tuple(EXECUTORS), default="local")
    p.add_argument("--concurrent", type=int, metavar="N", help="trainings at a time")
    p.add_argument("--gpus-per-trial", default="auto", metavar="auto|X", help="share of a GPU for each training")
    p.set_defaults(run=_record)

    p = commands.add_parser("replay", help="simulated searches on recorded trainings: samplers compared in seconds")
    p.add_argument("table", metavar="TABLE", help="a folder that `record` made")
    p.add_argument("--sampler", action="append", default=[], metavar="S[+R]", help="cost+halving, tpe, ...; repeatable")
    p.add_argument("--seeds", type=int, default=20, metavar="K", help="simulated searches of each (default: 20)")
    p.add_argument("--concurrent", type=int, default=1, metavar="N", help="simulated trainings at a time (default: 1)")
    p.add_argument("--budget", action="append", default=[], metavar="B", help="on MACs, for regrets; repeatable")
    p.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default: 1)")
    p.add_argument("--out", metavar="DIR", help="write a page with a picture and all numbers there")
    p.add_argument("--json", action="store_true", help="print JSON")
    p.set_defaults(run=_replay)

    p = commands.add_parser(
        "retrain",
        help="a run's winners on a full recipe, scored once on the test split",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: mgic-nas retrain runs/demo --budget 1M --epochs 100 --seeds 3 --set-recipe ema_decay=0.999",
    )
    p.add_argument("folder", metavar="RUN", help="a run's folder")
    p.add_argument("--budget", action="append", metavar="B", help="whose winner (default: of all the run's budgets)")
    p.add_argument("--trial", action="append", type=int, metavar="N", help="a network by its trial; repeatable")
    p.add_argument("--front", action="store_true", help="every network of the front")
    p.add_argument("--data", metavar="D", help="other data with the same classes, as with ?test=0.1")
    p.add_argument("--out", metavar="DIR", help="where retrain/ and retrain.csv are written (default: the run)")
    _add_training(p, executor=None, winners=", budget:2M or retrained:2M")
    p.set_defaults(run=_retrain)

    p = commands.add_parser(
        "train",
        help="one training of one network, ours or any of timm's",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=DATA_HELP + "         mgic-nas train mgic_resnet20 --set s_g=8 --data photos --epochs 30\n",
    )
    p.add_argument("name", metavar="NAME", help="a model's name, such as mgic_resnet56 or resnet18")
    p.add_argument("--data", required=True, metavar="D", help="fashion, a folder, segmentation:..., points:..., ...")
    p.add_argument("--set", action="append", default=[], metavar="k=v", help="an argument of the model, such as s_g=8")
    p.add_argument("--out", metavar="DIR", help="default: runs/NAME-DATA; the same command again goes on there")
    _add_training(p, executor="local")
    p.set_defaults(run=_train)

    return parser


def _add_training(p: argparse.ArgumentParser, executor: str | None, winners: str = "") -> None:
    p.add_argument("--epochs", type=int, metavar="E", help="epochs of each training (default: 30)")
    p.add_argument("--seeds", type=int, default=1, metavar="K", help="trainings of each network (default: 1)")
    _add_recipe(p)
    p.add_argument("--with-val", action="store_true", help="train on the validation images too")
    p.add_argument("--weights", choices=("last", "best"), help="of the last epoch (default), or the best in validation")
    p.add_argument("--teacher", metavar="T", help=f"learn from it too: a timm name, local-dir:FOLDER{winners}")
    p.add_argument("--executor", choices=tuple(EXECUTORS), default=executor)
    p.add_argument("--concurrent", type=int, metavar="N", help="trainings at a time")
    p.add_argument("--gpus-per-trial", default="auto", metavar="auto|X", help="share of a GPU for each training")
    p.add_argument("--json", action="store_true", help="print JSON")


def _add_recipe(p: argparse.ArgumentParser) -> None:
    p.add_argument("--recipe", metavar="R", help="training recipe, by name: quick, steady, full or paper")
    p.add_argument(
        "--set-recipe", action="append", default=[], metavar="k=v", help="a change to the recipe, such as lr=0.05"
    )


def _training(args: argparse.Namespace) -> dict[str, Any]:
    from .space.assignments import recipe_of

    names = ("epochs", "seeds", "out", "with_val", "weights", "teacher", "executor", "concurrent", "gpus_per_trial")
    recipe = recipe_of(args.recipe, args.set_recipe, default="full")
    return {"recipe": recipe, **{name: getattr(args, name) for name in names}}


def _retrain(args: argparse.Namespace) -> None:
    from .report import build
    from .run import load_run

    run = load_run(args.folder)
    found = run.retrain(args.budget, args.trial, args.front, data=args.data, **_training(args))
    if args.out is None:
        build(run.folder, echo=_say)
    _json(found.to_dict()) if args.json else print(found)


def _train(args: argparse.Namespace) -> None:
    from .retraining.single import train_network
    from .space.assignments import assignments

    found = train_network(args.name, args.data, assignments("--set", args.set), **_training(args))
    _json(found.to_dict()) if args.json else print(found)


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def _models(args: argparse.Namespace) -> None:
    from dataclasses import asdict

    from .families import family, in_timm, model_names, network_names
    from .profiling import profile

    rows = []
    for name in [*model_names(), *network_names()]:
        known = {"input_size": list(family(name).input_size), "timm": in_timm(name)}
        rows.append({"name": name, **known, **asdict(profile(name))})
    if args.json:
        return _json(rows)
    print(f"{'name':<30} {'params':>12} {'MACs':>15} {'without R, P':>15}  input size")
    for r in rows:
        size = size_text(r["input_size"]) + ("" if r["timm"] else "  mgic_nas.create_model")
        print(f"{r['name']:<30} {r['params']:>12,} {r['macs']:>15,} {r['macs_without_transfers']:>15,}  {size}")
    return None


def _profile(args: argparse.Namespace) -> None:
    from .profiling import profile_target

    found = profile_target(
        args.target, args.data, args.input_size, args.num_classes, args.budget, args.set, timed=args.time
    )
    _json(found.to_dict()) if args.json else print(found)


def _search(args: argparse.Namespace) -> None:
    from .run import plan, search
    from .space.assignments import recipe_of

    options = {
        "trials": args.trials,
        "epochs": args.epochs,
        "out": args.out,
        "executor": args.executor,
        "sampler": args.sampler,
        "rungs": args.rungs,
        "concurrent": args.concurrent,
        "gpus_per_trial": args.gpus_per_trial,
        "recipe": recipe_of(args.recipe, args.set_recipe, default="quick"),
        "seed": args.seed,
        "keep": args.keep,
        "address": args.address,
        "storage": args.storage,
        "latencies": args.latencies,
    }
    if args.dry_run:
        planned = plan(args.space, args.data, args.budget, **options)
        return _json(planned.to_dict()) if args.json else print(planned)
    run = search(args.space, args.data, args.budget, **options, retry_failed=args.retry_failed, wait=args.wait)
    return _json(run.to_dict()) if args.json else print(run)


def _record(args: argparse.Namespace) -> None:
    from .space.assignments import recipe_of
    from .tabular.recording import record

    record(
        args.space,
        data=args.data,
        budgets=args.budget,
        epochs=args.epochs,
        seeds=args.seeds,
        out=args.out,
        recipe=recipe_of(args.recipe, args.set_recipe, default="quick"),
        executor=args.executor,
        concurrent=args.concurrent,
        gpus_per_trial=args.gpus_per_trial,
    )


def _replay(args: argparse.Namespace) -> None:
    from .engine.storage.config import at_least_one
    from .tabular.compare import DEFAULT, compare
    from .tabular.write import text, to_dict, write

    for name in ("seeds", "concurrent", "jobs"):
        at_least_one(name, getattr(args, name))
    found = compare(
        args.table,
        contestants=args.sampler or DEFAULT,
        seeds=args.seeds,
        concurrent=args.concurrent,
        budgets=args.budget,
        jobs=args.jobs,
        say=_say,
    )
    if args.out:
        asked = "".join(f" --sampler {name}" for name in args.sampler)
        write(found, args.out, f"mgic-nas replay {args.table}{asked} --seeds {args.seeds} --out {args.out}")
    _json(to_dict(found)) if args.json else print(text(found))


def _report(args: argparse.Namespace) -> None:
    from .report import build
    from .run import load_run

    run = load_run(args.folder)
    build(run.folder, reference=args.reference, echo=_say)
    _json(run.to_dict()) if args.json else print(run)


def _score(args: argparse.Namespace) -> None:
    from .scoring import score

    found = score(args.target, args.data, args.split, args.budget, args.against)
    _json(found.to_dict()) if args.json else print(found)


def _export(args: argparse.Namespace) -> None:
    from .shipping import export_network

    found = export_network(
        args.target, args.to, args.out, args.budget, int8=args.int8, fuse=not args.no_fuse, data=args.data
    )
    _json(found.to_dict()) if args.json else print(found)


def _tables(args: argparse.Namespace) -> None:
    from .paper import page, text, to_json
    from .paper.compare import compare

    tables = compare(args.numbers, args.runs)
    _json(to_json(tables)) if args.json else print(page(tables) if args.markdown else text(tables))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    args = _parser().parse_args(argv)
    try:
        with terminable():
            args.run(args)
    except UserError as error:
        print(f"mgic-nas {args.command}: error: {error}", file=sys.stderr)
        return 2
    except (MachineFault, TrainingFailed) as error:
        print(f"mgic-nas {args.command}: error: {error}", file=sys.stderr)
        return error.code
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRA:
            raise
        print(
            f"mgic-nas {args.command}: error: {package} is not installed: {INSTALL}.",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt as error:
        ended = error if isinstance(error, Interrupted) else Interrupted()
        print(f"mgic-nas {args.command}: {ended}.", file=sys.stderr)
        return ended.code
    except BrokenPipeError:  # `mgic-nas models | head`
        sys.stderr.close()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
