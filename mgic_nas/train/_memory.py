"""The peak memory of a training."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from functools import cache
from typing import Any

import torch

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


class PeakMemory:
    """The peak since this object was made.

    On CUDA: the peak of what torch had allocated, in MiB, with the data set's tensor and without the CUDA context.

    On the CPU: the resident memory of the whole process at most, in MiB, python, torch and data included (some
    500 MiB before anything is trained). Linux resets this peak for every training; elsewhere it is the peak since
    the process began, so of the largest training so far.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.earlier = 0.0  # of the same trial's earlier jobs
        if device.type == "cuda":
            torch.cuda.init()  # the first call of a process would raise otherwise
            torch.cuda.reset_peak_memory_stats(device)
        else:
            _trim()
            with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
                file.write("5")

    def mebibytes(self) -> float:
        """The peak so far."""
        return round(max(self.earlier, self._now()), 1)

    def _now(self) -> float:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / 2**20
        return process_peak()


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
_LARGEST = 32 * 2**20  # bytes that glibc can be told to take from its heap


def keep_freed() -> None:
    """Lets glibc keep what is freed, for the next batch, which needs as much again. Elsewhere nothing happens.

    By default it gives maps of megabytes back to the system at once, and every batch's pages are mapped and cleared
    anew: 300,000 page faults, a sixth of the time, in an epoch of 5,000 images of 64 channels at 14x14.
    """
    if mallopt := _glibc("mallopt"):
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def _trim() -> None:
    """Gives back what earlier trainings freed, so that they are no part of the next one's peak."""
    if malloc_trim := _glibc("malloc_trim"):
        malloc_trim(0)


@cache
def _glibc(name: str) -> Any:
    """A function of the C library, where that is glibc."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(None)
        return getattr(library, name) if hasattr(library, "gnu_get_libc_version") else None
    except OSError:  # a static Python
        return None


def process_peak() -> float:
    """The resident memory of this process at most, in MiB, since it began or since the latest :class:`PeakMemory`."""
    try:
        with open("/proc/self/status") as file:
            line = next(line for line in file if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    except (OSError, StopIteration):
        return _rusage()


def _rusage() -> float:
    if resource is None:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 1024)
