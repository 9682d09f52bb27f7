"""All kinds of faults in every place, and the table of what came of them.

PYTHONPATH=tests .venv/bin/python -m faults                       # an hour or so on two cores
PYTHONPATH=tests .venv/bin/python -m faults --every 10 --only kill
unshare -rm env PYTHONPATH=tests .venv/bin/python -m faults       # may mount, so there are small disks as well
"""

import argparse
import contextlib
import itertools
import json
import os
import queue
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import kinds
from .invariants import DOUBLED, FAILED, LOST, OTHER
from .kinds import Reference, Setting

INSIDE = ("commit", "close", "fsync", "replace")  # writes that a kill may hit in the middle
RAY_EVERY = 12  # with Ray, whose start takes seconds, only each so manieth write
JOURNAL = "journal.jsonl"
Plan = tuple[str, Setting, Any, tuple[Any, ...]]


def plans(settings: dict[Setting, Reference], every: int, mounts: bool) -> Iterator[Plan]:
    """(kind, setting, function of :mod:`.kinds`, arguments) of every case."""
    for setting, reference in settings.items():
        ray = setting.executor == "ray"
        step = max(every, RAY_EVERY) if ray else every
        writes = {role: list(enumerate(lines, 1))[::step] for role, lines in reference.writes.items()}
        for role, lines in writes.items():
            for at, line in lines:
                yield f"kill -9 of the {role} at a write", setting, kinds.killed, (role, at, "before")
                if line.split()[1] in INSIDE and not ray:
                    yield f"kill -9 of the {role} inside a write", setting, kinds.killed, (role, at, "during")
        if setting.rungs == "thaw":
            continue
        places = [at for at, _ in writes["driver"]]
        some, few = places[:: 3 if ray else 5], places[:: 6 if ray else 12]
        for do, whom in (("term", "the driver"), ("term all", "driver and workers")):
            for at in some:
                yield f"SIGTERM to {whom}", setting, kinds.terminated, (do, at)
        for at in few:
            yield "two drivers", setting, kinds.two_drivers, (at,)
            yield "clock set back", setting, kinds.set_back, (at,)
            yield "data taken away and brought back", setting, kinds.taken, (at,)
        if ray:
            continue
        for step in (7, 20, 45):
            yield "run renamed between kills", setting, kinds.renamed, (step,)
        for role in writes:
            for at, _ in writes[role][::4]:
                yield "run renamed under the search", setting, kinds.moved, (role, at)
        for do, role in itertools.product(("full", "readonly", "io"), writes):
            for at, _ in writes[role][:: 4 if role == "driver" else 2]:
                yield f"disk {'breaks' if do == 'io' else do} at a write", setting, kinds.refused, (do, role, at)
        for most in (5_000, 10_000, 30_000, 50_000, 70_000, 100_000, 120_000, 150_000, 200_000, 300_000):
            yield "file size limited", setting, kinds.limited, (most,)
        for kib in (60, 150, 250, 350, 450, 600, 800) if mounts else ():
            yield "small disk, then read-only", setting, kinds.small_disk, (kib,)
    for setting, reference in settings.items():
        real = replace(setting, forked=False, concurrent=2)
        for number, role in itertools.product(range(5), ("driver", "worker", "both")):
            if setting.rungs != "thaw":
                seconds = reference.seconds + 6  # for the imports
                yield f"kill -9 at random moments ({role})", real, kinds.killed_at_random, (role, seconds, number)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__.partition("\n")[0])
    parser.add_argument("--every", type=int, default=1, metavar="K", help="only each K-th write")
    parser.add_argument("--only", default="", metavar="REGEX", help="kinds, as in the table")
    parser.add_argument("--executor", choices=("local", "ray"), help="only this one")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), metavar="N", help="cases at a time")
    parser.add_argument("--minutes", type=float, default=120, metavar="M", help="begin no further case after that")
    parser.add_argument("--mount", action="store_true", help="small disks too: needs the right to mount (unshare -rm)")
    parser.add_argument(
        "--folder",
        type=Path,
        help="where the searches are, and what came of them: the same folder again makes the others",
    )
    args = parser.parse_args()
    base = args.folder or Path(tempfile.mkdtemp(prefix="faults-"))
    base.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    executors = [args.executor] if args.executor else ["local", "ray"]
    rungs = {"local": ("none", "halving", "thaw"), "ray": ("none", "halving")}
    settings = [Setting(base, e, r) for e in executors for r in rungs[e]]
    cores: queue.SimpleQueue[int] = queue.SimpleQueue()
    for core in sorted(os.sched_getaffinity(0))[: args.jobs]:
        replace(settings[0], core=core).prepare()
        cores.put(core)
    references = {setting: Reference.of(setting) for setting in settings}
    for setting, reference in references.items():
        counts = ", ".join(f"{len(lines)} writes of the {role}" for role, lines in reference.writes.items())
        print(f"{setting.executor}, {setting.rungs}: {counts}, {reference.seconds:.1f} s", file=sys.stderr)

    todo = [p for p in plans(references, args.every, args.mount) if re.search(args.only, p[0])]
    random.Random(0).shuffle(todo)  # so that a part of them, where the time is short, has some of each kind
    table: dict[tuple[str, str], Counter[str]] = {}
    known: dict[str, list[str]] = {}  # case -> what was wrong, of earlier calls
    with contextlib.suppress(FileNotFoundError):
        lines = (base / JOURNAL).read_text().splitlines()
        known = dict(map(json.loads, lines))

    def run(plan: Plan) -> tuple[Plan, list[str] | None]:
        name, setting, kind, given = plan
        if key(plan) in known:
            return plan, known[key(plan)]
        if time.monotonic() - begin > 60 * args.minutes:
            return plan, None
        core = cores.get()
        try:
            reference = references[replace(setting, forked=True, concurrent=1)]
            case = kinds.make(replace(setting, core=core), reference, name, kind, *given)
            for wrong, what in case.wrong:
                print(f"{wrong}: {name} {setting.executor} {setting.rungs} {given}: {what}", file=sys.stderr)
            found = [wrong for wrong, _ in case.wrong]
            with open(base / JOURNAL, "a") as stream:
                stream.write(json.dumps([key(plan), found]) + "\n")
            return plan, found
        finally:
            cores.put(core)

    with ThreadPoolExecutor(args.jobs) as pool:
        for future in as_completed([pool.submit(run, plan) for plan in todo]):
            (name, setting, _, _), found = future.result()
            row = table.setdefault((name, setting.executor), Counter())
            row["left out" if found is None else "faults"] += 1
            row.update(found or ())
            (base / "table.md").write_text(markdown(table))
    print(markdown(table))
    done = sum(row["faults"] for row in table.values())
    print(f"{(time.monotonic() - begin) / 60:.0f} minutes, {done} of {len(todo)} faults")
    return int(any(row[kind] for row in table.values() for kind in (LOST, DOUBLED, FAILED, OTHER)))


def key(plan: Plan) -> str:
    name, setting, _, given = plan
    return f"{name}, {setting.executor}, {setting.rungs}, {given}"


def markdown(table: dict[tuple[str, str], Counter[str]]) -> str:
    """The table of all kinds."""
    lines = [f"| kind | executor | how many | {' | '.join((LOST, DOUBLED, FAILED, OTHER))} |"]
    lines.append("| --- | --- | --: | --: | --: | --: | --: |")
    for (name, executor), row in sorted(table.items()):
        cells = [name, executor, *(str(row[key]) for key in ("faults", LOST, DOUBLED, FAILED, OTHER))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
