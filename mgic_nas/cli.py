"""The command line: parses, calls, prints. No logic.

Progress goes to stderr, results to stdout. Exit codes: 0 done; 2 wrong input; 130 or 143 interrupted, resumable;
1 anything else.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ._arguments import parser
from ._signals import terminable
from ._text import size_text
from ._trust import import_trusted
from .errors import INSTALL, Interrupted, MachineFault, TrainingFailed, UserError

# What the extra "search" brings, and what that brings in turn: models and winners do without.
_EXTRA = "optuna sqlalchemy alembic filelock ray pandas pyarrow moocore matplotlib jinja2 tqdm"
EXTRA = frozenset(_EXTRA.split())


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
        args.target,
        args.data,
        args.input_size,
        args.num_classes,
        args.budget,
        args.set,
        timed=args.time,
        latencies=args.latencies,
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
        "winner": args.winner,
        "hours": args.hours,
        "worth": args.worth,
        "address": args.address,
        "storage": args.storage,
        "latencies": args.latencies,
        "start_from": args.start_from,
        "enqueue": args.enqueue,
        "prior": args.prior,
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
    from .engine.storage.config import at_least_one, check_seed
    from .tabular.compare import DEFAULT, compare
    from .tabular.write import prepare, text, to_json, write

    for name in ("seeds", "concurrent", "jobs", *(["trials"] if args.trials is not None else [])):
        at_least_one(name, getattr(args, name))
    check_seed(args.first_seed)
    if args.out:
        prepare(args.out)
    found = [
        compare(
            table,
            contestants=args.sampler or DEFAULT,
            seeds=args.seeds,
            concurrent=args.concurrent,
            budgets=args.budget,
            jobs=args.jobs,
            say=_say,
            first_seed=args.first_seed,
            trials=args.trials,
        )
        for table in args.table
    ]
    try:
        if args.out:
            write(found, args.out, shlex.join(["mgic-nas", *args.typed]))
    finally:  # the numbers are told also where the disk is full
        _json(to_json(found)) if args.json else print(text(found))


def _report(args: argparse.Namespace) -> None:
    from .report import build, gather_runs, overlay, summary_text, watch
    from .run import load_run

    if len(args.folders) > 1:
        _refuse(args, ("watch", "reference", "apart", "json", "winner"), "is for one run alone.")
        over = gather_runs(args.folders)
        print(summary_text(over), f"report: {overlay(over, args.out or 'overlay.html')}", sep="\n")
        return
    _refuse(args, ("out",), "is for several runs; the report of one is in its folder.")
    if not args.reference:
        _refuse(args, ("apart",), "is for the points of --reference.")
    run = load_run(args.folders[0])
    if args.winner:
        run = run.chosen_by(args.winner)
    (watch if args.watch else build)(run.folder, reference=args.reference, echo=_say, apart=args.apart)
    _json(run.to_dict()) if args.json else print(run)


def _refuse(args: argparse.Namespace, options: Sequence[str], why: str) -> None:
    """UserError where one of the options was given."""
    for name in options:
        if getattr(args, name):
            raise UserError(f"--{name} {why}")


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


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "models": _models,
    "profile": _profile,
    "search": _search,
    "report": _report,
    "retrain": _retrain,
    "train": _train,
    "score": _score,
    "export": _export,
    "tables": _tables,
    "record": _record,
    "replay": _replay,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    args = parser().parse_args(argv)
    args.typed = list(sys.argv[1:] if argv is None else argv)
    try:
        with terminable():
            import_trusted(getattr(args, "trust", ()))
            COMMANDS[args.command](args)
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
