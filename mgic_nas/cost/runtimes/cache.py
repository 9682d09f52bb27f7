"""Latencies that were measured on this machine, kept for the user's later searches.

One file for each way to measure, a line of JSON for each network. Every line says all that the latency depends on, so
that a file from elsewhere, or one half written, only gives less: it is never wrong, and never an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VARIABLE = "MGIC_NAS_CACHE"


def cache_folder() -> Path:
    """``$MGIC_NAS_CACHE``, else ``mgic_nas`` in the user's cache folder (``$XDG_CACHE_HOME`` or ``~/.cache``)."""
    if own := os.environ.get(VARIABLE):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path("~/.cache").expanduser()) / "mgic_nas"


class LatencyCache:
    """Seconds by arch_id, of one way to measure.

    Args:
        key: everything that they depend on but the network: plain values.
        folder: of the caches, by default :func:`cache_folder`.
    """

    def __init__(self, key: Mapping[str, Any], folder: Path | None = None) -> None:
        self._key = json.loads(json.dumps(dict(key)))
        digest = hashlib.sha256(json.dumps(self._key, sort_keys=True).encode()).hexdigest()[:16]
        self.path = (folder or cache_folder()) / "latency" / f"{digest}.jsonl"
        self._seconds = self._read()

    def get(self, arch_id: str) -> float | None:
        """None where the network was not measured so."""
        return self._seconds.get(arch_id)

    def put(self, arch_id: str, seconds: float) -> None:
        """Kept on disk too, where it can be written: other searches may be writing at the same time."""
        self._seconds[arch_id] = seconds
        line = json.dumps({"arch_id": arch_id, "seconds": seconds, **self._key})
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # A line of its own whatever stands before it: a driver may have been killed in mid-write.
            with open(self.path, "a", encoding="utf-8") as stream:
                stream.write(f"\n{line}\n")

    def _read(self) -> dict[str, float]:
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except (OSError, ValueError):
            return {}
        found = {}
        for line in lines:
            with contextlib.suppress(ValueError, RecursionError):
                row = json.loads(line)
                if isinstance(row, dict) and self._key.items() <= row.items() and isinstance(row.get("arch_id"), str):
                    seconds = row.get("seconds")
                    if isinstance(seconds, float) and 0 < seconds < math.inf:
                        found[row["arch_id"]] = seconds
        return found
