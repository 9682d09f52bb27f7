"""What this machine is: its processor's name, and how much memory is left. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import platform
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def cpu_model() -> str:
    """The processor's name, also a part of keys: ``Intel(R) Xeon(R) ...``."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()


def available_memory_mb(proc: Path = Path("/proc/meminfo"), cgroup: Path = _CGROUP) -> float | None:
    """MiB that can be allocated without swapping: the machine's, and the container's where that is less.

    None where neither can be read.
    """
    found = []
    with contextlib.suppress(OSError, StopIteration, ValueError):
        line = next(line for line in proc.read_text().splitlines() if line.startswith("MemAvailable:"))
        found.append(int(line.split()[1]) / 1024)
    with contextlib.suppress(OSError, ValueError):
        limit = (cgroup / "memory.max").read_text().strip()
        if limit != "max":
            # The page cache counts as used, but is reclaimed.
            cache = 0
            with contextlib.suppress(OSError):
                stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
                cache = int(stat.get("inactive_file", 0))
            used = int((cgroup / "memory.current").read_text()) - cache
            found.append((int(limit) - used) / 2**20)
    return min(found) if found else None
