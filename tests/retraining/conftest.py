"""Trainings in this process, on one thread as the workers have it."""

from collections.abc import Iterator

import pytest
import torch
from fakes.training import train_here

from mgic_nas.retraining import start
from mgic_nas.train import loop


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(start, "executor", lambda name: train_here)
    yield
    torch.set_num_threads(threads)
    loop.cached_data.cache_clear()
