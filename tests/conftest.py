"""How the tests share a machine: one worker a core (``pytest -n auto``), and one thread in each of them."""

from __future__ import annotations

import os

MOST_WORKERS = 8  # each imports torch and optuna: about half a gigabyte

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported; what a test starts inherits it
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_xdist_auto_num_workers() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_WORKERS)
