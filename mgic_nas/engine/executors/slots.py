"""How many trials run side by side, and which resources each of them gets."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import UserError

MOST_BY_DEFAULT = 8  # on one machine: more at once leave a sampler little to learn from, and each holds half a gigabyte


@dataclass(frozen=True)
class Slots:
    """``concurrent`` trials at a time, each with ``threads`` CPU threads and ``gpus`` of a GPU (or several)."""

    concurrent: int
    threads: int
    gpus: float = 0.0

    def devices(self, slot: int, visible: Sequence[str]) -> list[str]:
        """The GPUs of a slot, in turn: with half a GPU each, slots 0 and 1 share the first."""
        if not self.gpus:
            return []
        first = math.floor(slot * self.gpus + 1e-9)
        return list(visible[first : first + max(1, math.ceil(self.gpus))])


def parse_gpus_per_trial(value: str | float) -> str | float:
    """``"auto"`` or a number from 0 up; UserError for anything else."""
    if value == "auto":
        return "auto"
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not (number >= 0 and math.isfinite(number)):
        raise UserError(f"gpus-per-trial must be auto or a number from 0 up, not {value!r}.")
    if number > 1 and number != int(number):
        raise UserError(f"gpus-per-trial above 1 must be a whole number, not {value!r}.")
    return number


def plan(
    concurrent: int | None,
    gpus_per_trial: str | float,
    nodes: Sequence[tuple[int, int]],
) -> Slots:
    """What fits on machines of so many (cores, GPUs) each.

    With ``auto`` a trial gets one GPU, or an equal part of one where more trials than GPUs are asked for; without
    GPUs it gets cores only. UserError where more GPUs are asked for than there are.
    """
    cores, gpus = sum(c for c, _ in nodes), sum(g for _, g in nodes)
    share = parse_gpus_per_trial(gpus_per_trial)
    if isinstance(share, str):
        share = min(1.0, gpus / (concurrent or gpus)) if gpus else 0.0
    if share:
        # On one machine at a time: two halves of GPUs on two machines are none.
        fit = sum(math.floor(g / share + 1e-9) for _, g in nodes)
        if fit < (concurrent or 1):
            raise UserError(
                f"{concurrent or 1} trials at a time with {share:g} GPU each do not fit on {gpus} GPU(s): "
                "lower --concurrent or --gpus-per-trial."
            )
        concurrent = concurrent or fit
    else:
        concurrent = concurrent or max(1, sum(min(c, MOST_BY_DEFAULT) for c, _ in nodes))
    threads = max(1, cores // concurrent)
    while threads > 1 and sum(c // threads for c, _ in nodes) < concurrent:
        threads -= 1
    return Slots(concurrent, threads, share)


def this_machine() -> list[tuple[int, int]]:
    """(cores, GPUs) of this machine, as :func:`plan` takes it."""
    return [(cores(), len(visible_gpus()))]


def cores() -> int:
    """How many cores this process may use: its affinity, and the quota of the container that it is in."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        count = os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            count = min(count, math.ceil(int(quota) / int(period)))
    return max(1, count)


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them. Makes no CUDA context."""
    import torch  # here: the command line checks its options without it

    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return [str(i) for i in range(count)]
    return [name.strip() for name in named.split(",") if name.strip()][:count]
