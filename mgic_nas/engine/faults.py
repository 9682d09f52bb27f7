"""Whose fault it is that a training failed: the network's, for which it is failed for ever, or the machine's."""

from __future__ import annotations

import builtins
import contextlib
import errno
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import MachineFault
from ..train.stages import BUILD, CHECKPOINT, DATA, TRAIN, stage_of

MOST_TEXT = 500  # characters
GOES_ON = "nothing is lost, and the same command goes on once that is mended"
WORKER = "worker"  # where: the process is gone, and said nothing
EVERYWHERE = "everywhere"  # where: in one training after another, which were booked as failed

NETWORK = "network"  # final
MACHINE = "machine"  # the trial stays to be trained, and the search stops
LOST = "lost"  # the process is gone, or its CUDA context: tried again, in the end alone
CROWDED = "crowded"  # out of memory beside others: tried again alone
RESTART = "restart"  # its checkpoint is gone: trained from its beginning
UNKNOWN = "unknown"  # held back until it shows whether others still complete

# Anywhere in an error's text, whatever its type: libraries wrap what the system says into errors of their own.
_MACHINE_ERRNOS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE),
    *(errno.EMFILE, errno.ENFILE, errno.ENODEV, errno.ENXIO, errno.ENOTCONN, errno.EHOSTDOWN, errno.ETIMEDOUT),
)
_MACHINE_TEXTS = (
    *(os.strerror(number).lower() for number in _MACHINE_ERRNOS),
    "database or disk is full",
    "database is locked",
    "readonly database",
    "disk i/o error",
    "unable to open database file",
    "no cuda gpus are available",
    "no cuda-capable device",
    "found no nvidia driver",
    "cuda driver version is insufficient",
    "cuda unknown error",
    "all cuda-capable devices are busy",
    "devices unavailable",
    "uncorrectable ecc",
    "device has been lost",
    "nvml",
)
_MEMORY_TYPES = {"OutOfMemoryError", "MemoryError"}
_MEMORY_TEXTS = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")
_CUDA_TEXTS = ("cuda error", "cublas_status", "cudnn_status", "device-side assert", "acceleratorerror")
_DATABASE_TYPES = {"OperationalError", "DatabaseError", "StorageInternalError"}
# torch names other processes on the GPU beside "this process".
_NEIGHBOUR = re.compile(r"(?<!this )process \d+ has .* memory in use.*this process has", re.IGNORECASE | re.DOTALL)
# What building or running a network raises by itself: shapes and types that do not fit.
_NETWORK_TYPES = {
    *("ValueError", "TypeError", "RuntimeError", "AssertionError", "IndexError", "KeyError", "AttributeError"),
    *("ZeroDivisionError", "OverflowError", "NotImplementedError", "UserError", "RecursionError"),
}


@dataclass(frozen=True)
class Fault:
    """Why a training failed, as a worker tells it.

    Attributes:
        type: the name of the exception's class.
        text: one line for people, ``ValueError: what was wrong``.
        where: a stage of :mod:`mgic_nas.train.stages`, or :data:`WORKER`.
        errno: of an error of the system, its own or that of its cause.
        bases: the names of the classes that the exception's class inherits from.
    """

    type: str
    text: str
    where: str = TRAIN
    errno: int | None = None
    bases: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "bases", tuple(self.bases))  # JSON has lists

    def __str__(self) -> str:
        return self.text

    @classmethod
    def of(cls, error: BaseException) -> Fault:
        """From an exception, in the process that raised it."""
        number, cause = None, error
        while number is None:
            number = cause.errno if isinstance(cause, OSError) else None
            if cause.__cause__ is None:
                break
            cause = cause.__cause__
        bases = tuple(kind.__name__ for kind in type(error).__mro__)
        return cls(type(error).__name__, describe(error), stage_of(error), number, bases)

    @classmethod
    def of_text(cls, text: str, died: bool = False) -> Fault:
        """From a line ``ValueError: ...``, or from what is known of a worker that is gone."""
        kind = text.partition(":")[0]
        known = getattr(builtins, kind, None)
        bases = tuple(base.__name__ for base in known.__mro__) if isinstance(known, type) else ()
        return cls("died" if died else kind, text, WORKER if died else TRAIN, None, bases)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @property
    def kind(self) -> tuple[str, str]:
        """What makes two faults alike: not the text, which names another image each time."""
        return self.type, self.where

    @property
    def plain(self) -> str:
        """The text for who can mend it: a wrong input without the names of classes."""
        return re.sub(r"^UserError: (mgic_nas[\w.]+: )?", "", self.text)

    @property
    def mendable(self) -> bool:
        """Whether it is a wrong input, which the user can mend."""
        return self.type == "UserError"


def classify(fault: Fault, alone: bool) -> str:
    """Whose fault it is; the first rule that fits.

    Args:
        fault: what happened.
        alone: no other trial was being trained at any time of the attempt.
    """
    text = fault.text.lower()
    memory = fault.type in _MEMORY_TYPES or fault.errno == errno.ENOMEM or any(t in text for t in _MEMORY_TEXTS)
    system = fault.errno is not None or "OSError" in fault.bases
    rules = (
        # The process is gone: killed, or crashed in a library. Nobody knows yet whose fault that is.
        (fault.where == WORKER, LOST),
        (fault.type == "FloatingPointError", NETWORK),  # NaN: the loss diverged
        # Before memory and CUDA: a checkpoint that is gone or torn is no error of the device.
        (fault.where == CHECKPOINT and fault.errno == errno.ENOENT, RESTART),
        # Memory is the network's only where nobody else took any.
        (memory and (not alone or bool(_NEIGHBOUR.search(text))), CROWDED),
        (memory and fault.type == "MemoryError", UNKNOWN),  # of the host, where others than trials take some too
        (memory, NETWORK),
        # A GPU, a disk, a mount or a database that is gone. Before CUDA's others, which may be a kernel's.
        (any(t in text for t in _MACHINE_TEXTS), MACHINE),
        (any(t in text for t in _CUDA_TEXTS) or fault.type == "AcceleratorError", LOST),
        (system and fault.errno != errno.EINVAL, MACHINE),  # computing raises no error of the system
        (fault.type in _DATABASE_TYPES, MACHINE),
        ("ImportError" in fault.bases, MACHINE),  # a module that was there is not
        (fault.where == CHECKPOINT, RESTART),
        (fault.where == DATA, MACHINE),  # batches do not depend on the network; they were read when the run was made
        (fault.where in (BUILD, TRAIN) and fault.type in _NETWORK_TYPES, NETWORK),
    )
    return next((verdict for fits, verdict in rules if fits), UNKNOWN)


def describe(error: BaseException) -> str:
    """``ValueError: what was wrong``, on one line and not too long."""
    text = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 3]}..."


def of_driver(error: BaseException) -> str:
    """What happened, in one line, where an exception of the driver is the machine's fault; empty where it is not."""
    fault = Fault.of(error)
    cause: BaseException | None = error
    while cause is not None and not hasattr(cause, "orig"):  # Optuna wraps what SQLAlchemy wraps
        cause = cause.__cause__
    database = getattr(cause, "orig", None)
    system = fault.errno is not None or "OSError" in fault.bases or fault.type in _DATABASE_TYPES
    if "ImportError" in fault.bases or not (system or fault.type == "MemoryError"):
        return ""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}{f': {error.filename}' if error.filename else ''}"
    return describe(database) if isinstance(database, BaseException) else fault.text


@contextlib.contextmanager
def machine_faults(folder: Path) -> Iterator[None]:
    """What the machine does to the driver (a full disk, a locked study) as a MachineFault of one line."""
    try:
        yield
    except MachineFault:
        raise
    except Exception as error:
        if what := of_driver(error):
            raise MachineFault(f"{folder}: {what}; {GOES_ON}") from error
        raise
