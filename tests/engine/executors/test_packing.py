"""How many trials at a time: memory is never oversubscribed, and more of them only where that pays."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes.engine import make_config

from mgic_nas.engine.executors import packing as probe
from mgic_nas.engine.executors.packing import Machine, Packing, Reading, choose, packing
from mgic_nas.engine.proposals.candidate import SearchProblem
from mgic_nas.train import Setup

GPU = Machine("processor", 16, ("0",), host_mb=100_000)
GIB = 1024


class Bench:
    """A machine on paper: ``rate(copies)`` images a second in all."""

    def __init__(self, rate: Any, **memory: float) -> None:
        self.rate, self.memory = rate, {"host_mb": 1000.0, **memory}
        self.asked: list[tuple[int, int]] = []

    def __call__(self, copies: int, threads: int) -> list[Reading]:
        self.asked.append((copies, threads))
        memory = dict(self.memory)
        if "gpu_mb" in memory:  # each has a context of 500 MiB besides
            memory["gpu_used_mb"] = copies * (memory["gpu_mb"] + 500)
            assert memory["gpu_used_mb"] < memory["gpu_total_mb"], "the probe itself ran out of memory"
        return [Reading(round(self.rate(copies) * 2 / copies), 2.0, **memory) for _ in range(copies)]


def test_two_cores_compare_one_trial_of_two_threads_with_two_of_one() -> None:
    bench = Bench(lambda copies: {1: 700, 2: 1000}[copies])
    found = choose(Machine("processor", 2, host_mb=16_000), bench)
    assert bench.asked == [(1, 2), (2, 1)]
    assert found is not None
    assert (found.concurrent, found.images_per_second) == (2, {1: 700.0, 2: 1000.0})


def test_fewer_trials_at_a_time_where_more_gain_nothing() -> None:
    """A sampler learns more from trials one after the other; a difference of a few percent is noise."""
    found = choose(Machine("processor", 2, host_mb=16_000), Bench(lambda copies: {1: 980, 2: 1000}[copies]))
    assert found is not None
    assert found.concurrent == 1


@pytest.mark.parametrize(("host_mb", "copies"), [(1100, 1), (2300, 1), (2400, 2), (4800, 4), (None, 8)])
def test_memory_of_the_machine_is_never_oversubscribed(host_mb: float | None, copies: int) -> None:
    """Not even by the probe: the kernel would kill trials, or the user's own programs."""
    bench = Bench(lambda copies: 100 * copies)  # of 1,000 MiB each
    found = choose(Machine("processor", 8, host_mb=host_mb), bench)
    assert found is not None
    assert found.concurrent == copies == bench.asked[-1][0]


@pytest.mark.parametrize(("total", "copies"), [(3, 1), (8, 4), (80, 8)])
def test_memory_of_a_gpu_is_never_oversubscribed(total: int, copies: int) -> None:
    """A GPU is shared without isolation: one copy too many and all of them fail. Contexts count."""
    bench = Bench(lambda copies: 100 * copies, gpu_mb=1000.0, gpu_total_mb=total * GIB)
    found = choose(GPU, bench)
    assert found is not None
    assert found.concurrent == copies
    assert found.gpu_mb == 1500


def test_what_others_use_of_a_gpu_counts() -> None:
    """Half of it is another user's."""

    def measure(copies: int, threads: int) -> list[Reading]:
        assert copies <= 2
        return [Reading(100, 1.0, 1000, 1000, 8000 + 1500 * copies, 16_000)] * copies

    found = choose(GPU, measure)
    assert found is not None
    assert found.concurrent <= 2


def test_several_gpus_share_the_cores_and_the_memory() -> None:
    machine = Machine("processor", 16, ("0", "1", "2", "3"), host_mb=50_000)
    bench = Bench(lambda copies: 100 * copies, gpu_mb=1000.0, gpu_total_mb=80 * GIB, host_mb=3000.0)
    found = choose(machine, bench)
    assert bench.asked == [(1, 4), (2, 2), (3, 1)]  # 4 on each of 4 GPUs would take 48 GB of the 50
    assert found is not None
    assert found.concurrent == 12


def test_measurement_that_fails_ends_the_probe_not_the_search() -> None:
    def fails_at(limit: int) -> Any:
        def measure(copies: int, threads: int) -> list[Reading]:
            if copies >= limit:
                raise RuntimeError("CUDA out of memory")
            return [Reading(100, 1.0, 1000, 1000, 1500, 80_000)] * copies

        return measure

    found = choose(GPU, fails_at(3))
    assert found is not None
    assert found.concurrent == 2
    assert choose(GPU, fails_at(1)) is None


def test_memory_of_a_gpu_is_read_with_contexts() -> None:
    """On a device of our own making: torch's own counters know nothing of CUDA contexts."""
    from mgic_nas.train.probe import memory

    class Cuda:
        def mem_get_info(self, device: Any) -> tuple[int, int]:
            return 70 * 2**30, 80 * 2**30

        def max_memory_reserved(self, device: Any) -> int:
            return 9 * 2**30

    found = memory(torch.device("cuda", 0), Cuda())
    assert (found["gpu_mb"], found["gpu_used_mb"], found["gpu_total_mb"]) == (9 * GIB, 10 * GIB, 80 * GIB)
    assert memory(torch.device("cpu"))["gpu_used_mb"] == 0


SPACE = {
    "model": "mgic_resnet20",
    "kwargs": {"depths": 1},
    "params": {"s_g": {"choices": [4, 8]}, "width_mult": {"choices": [0.25, 0.5, 1.0]}},
}


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    from mgic_nas.tasks import load_data

    info = load_data("fashion").info
    data = {"spec": "fashion", "fingerprint": info.fingerprint, "num_classes": 10, "input_size": [1, 14, 14]}
    config = make_config(space=SPACE, data=data, budgets=["1M"], trials=20)
    setup = Setup(config.model, "fashion", 3, "quick", str(tmp_path / "trials"))  # type: ignore[arg-type]
    return {"folder": tmp_path, "config": config, "problem": SearchProblem.of_run(config), "setup": setup, "trials": 20}


@pytest.mark.parametrize(
    "changes", [{"concurrent": 2}, {"gpus_per_trial": 0}, {"gpus_per_trial": 0.5}, {"address": "auto"}, {"trials": 3}]
)
def test_what_the_user_said_is_not_probed(given: Any, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "choose", lambda *_: pytest.fail("probed"))
    trials = changes.pop("trials", 20)
    config = make_config(space=SPACE, data=given["config"].data, budgets=["1M"], **changes)
    assert packing(**given | {"config": config, "trials": trials, "say": print}) is None


def test_probe_that_would_take_too_much_of_the_search_is_left_out(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "choose", lambda *_: pytest.fail("probed"))
    monkeypatch.setattr(probe, "this_machine", lambda: Machine("processor", 2, host_mb=64_000))
    assert packing(**given, say=print, patience=probe.SHORTEST - 1) is None


def test_probe_of_a_dry_run_writes_nothing(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "this_machine", lambda: Machine("processor", 2, host_mb=64_000))
    monkeypatch.setattr(probe, "choose", lambda machine, measure: Packing(2, {1: 10.0, 2: 15.0}))
    found = packing(**given, say=print, keep=False)
    assert found is not None
    assert found.rate == 15.0
    assert not list(given["folder"].iterdir())


def test_probe_of_a_machine_that_is_too_busy_gives_up(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must cost seconds, whatever else runs; the search then starts as it would without a probe."""
    monkeypatch.setattr(probe, "PATIENCE", 0.0)
    monkeypatch.setattr(probe, "SHORTEST", 0.0)
    monkeypatch.setattr(probe, "this_machine", lambda: Machine("processor", 2, host_mb=64_000))
    assert packing(**given, say=lambda line: pytest.fail(line)) is None
    assert not list(given["folder"].iterdir())


@pytest.mark.timeout(300)
def test_probe_trains_for_a_moment_says_so_and_is_remembered(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real thing, with real workers; a resumed search does not probe again, and nothing is left in trials/."""
    monkeypatch.setattr(probe, "SECONDS", 0.1)
    monkeypatch.setattr(probe, "PATIENCE", 240.0)
    monkeypatch.setattr(probe, "this_machine", lambda: Machine("processor", 2, host_mb=64_000))
    lines: list[str] = []
    found = packing(**given, say=lines.append)
    assert found is not None
    assert found.concurrent in (1, 2)
    assert found.rate > 0
    assert len(lines) == 1
    assert "2 cores" in lines[0]
    kept = json.loads((given["folder"] / probe.PACKING_JSON).read_text())
    assert kept["concurrent"] == found.concurrent
    assert set(kept["images_per_second"]) == {"1", "2"}
    assert kept["host_mb"] > 100
    assert [p.name for p in given["folder"].iterdir()] == [probe.PACKING_JSON]
    monkeypatch.setattr(probe, "choose", lambda *_: pytest.fail("probed again"))
    assert packing(**given, say=lines.append) == found
    # On another machine the old answer means nothing.
    monkeypatch.setattr(probe, "this_machine", lambda: Machine("processor", 4, host_mb=64_000))
    monkeypatch.setattr(probe, "choose", lambda machine, measure: Packing(4))
    assert packing(**given, say=lines.append) == Packing(4)
