"""Latencies as costs, by name: ``latency``, ``latency-onnxruntime-b8-t2``, ``latency-<stem of a csv>``.

The names are file names and columns too, so each has one spelling, of ``a-z``, ``0-9``, ``_`` and ``-``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ...errors import UserError
from .registry import RUNTIMES

LATENCY = "latency"  # of one image in torch, as the network is trained, on one thread or on the GPU
PREFIX = f"{LATENCY}-"

_NAME = re.compile(r"[a-z0-9_]+(-[a-z0-9_]+)*")
_SUFFIX = re.compile(r"(?:-b([1-9][0-9]{0,4}))?(?:-t([1-9][0-9]{0,2}))?")


class RuntimeKind(NamedTuple):
    """The latency of the form that ships, fused, in a runtime: of a whole batch."""

    runtime: str
    batch: int = 1
    threads: int = 1

    def __str__(self) -> str:
        batch = "" if self.batch == 1 else f"-b{self.batch}"
        threads = "" if self.threads == 1 else f"-t{self.threads}"
        return f"{PREFIX}{self.runtime}{batch}{threads}"


def is_latency(kind: str) -> bool:
    """Whether a kind of cost is measured in seconds."""
    return kind == LATENCY or kind.startswith(PREFIX)


def runtime_kind(kind: str) -> RuntimeKind | None:
    """What a kind of latency measures in which runtime; None for :data:`LATENCY`, and for the name of a csv.

    Raises:
        UserError: a runtime with a suffix that is none, or that has a shorter spelling; a name with other characters.
    """
    if kind == LATENCY:
        return None
    name = kind.removeprefix(PREFIX)
    if not _NAME.fullmatch(name):
        raise UserError(f"Budget {kind!r}: a latency is named by a-z, 0-9, _ and -, as in latency-onnxruntime-b8.")
    runtime, _, rest = name.partition("-")
    if runtime not in RUNTIMES:
        return None
    suffix = _SUFFIX.fullmatch(name[len(runtime) :])
    if suffix is None:
        raise UserError(
            f"Budget {kind!r}: after {PREFIX}{runtime} may come -b8 (images at a time) and then -t2 (threads), "
            f"not -{rest}."
        )
    found = RuntimeKind(runtime, int(suffix[1] or 1), int(suffix[2] or 1))
    if str(found) != kind:
        raise UserError(f"Budget {kind!r}: write {found}.")
    return found


def csv_stem(kind: str) -> str | None:
    """The stem of the csv of measurements that a kind of latency is from; None for others."""
    return None if not kind.startswith(PREFIX) or runtime_kind(kind) else kind.removeprefix(PREFIX)


def latency_title(kind: str) -> str:
    """For a heading: ``Latency``, ``Latency in onnxruntime, batch 8, 2 threads``, ``Latency by jetson.csv``."""
    if stem := csv_stem(kind):
        return f"Latency by {stem}.csv"
    found = runtime_kind(kind)
    if found is None:
        return "Latency"
    batch = f", batch {found.batch}" if found.batch > 1 else ""
    threads = f", {found.threads} threads" if found.threads > 1 else ""
    return f"Latency in {found.runtime}{batch}{threads}"
