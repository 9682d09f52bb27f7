"""At what a training was when it failed: the network's own computing, or something that the machine has to give."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

DATA, BUILD, CHECKPOINT, WRITE, TRAIN = "data", "build", "checkpoint", "write", "train"

T = TypeVar("T")


@contextlib.contextmanager
def during(stage: str) -> Iterator[None]:
    """An exception that leaves the block is one of this stage, unless an inner block has named another."""
    try:
        yield
    except Exception as error:
        if not hasattr(error, "stage"):
            error.stage = stage  # type: ignore[attr-defined]
        raise


def stage_of(error: BaseException) -> str:
    """What :func:`during` said of an exception."""
    return str(getattr(error, "stage", TRAIN))


def reading(batches: Iterable[T]) -> Iterator[T]:
    """The batches; what is raised while the next one is read is of the stage ``data``."""
    with during(DATA):
        yield from batches


class Watched:
    """A split for whoever evaluates on it, with :func:`reading` around its batches."""

    def __init__(self, split: Any) -> None:
        self._split = split

    def batches(self, *args: Any, **options: Any) -> Iterator[Any]:
        with during(DATA):
            batches = self._split.batches(*args, **options)
        return reading(batches)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._split, name)

    def __len__(self) -> int:
        return len(self._split)
