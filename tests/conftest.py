"""How the tests share a machine: one worker a core (``pytest -n auto``), and one thread in each of them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

MOST_WORKERS = 8  # each imports torch and optuna: about half a gigabyte

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported; what a test starts inherits it
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_xdist_auto_num_workers() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_WORKERS)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is read from the user's cache, or left in it; also by the processes that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MGIC_NAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
