"""Whose fault it is that a training failed: a network must not be failed for ever by a disk, a mount or a neighbour."""

import errno
from pathlib import Path
from typing import Any

import pytest

from mgic_nas.engine import faults
from mgic_nas.engine.doubts import FAILING_ALIKE
from mgic_nas.engine.faults import CROWDED, LOST, MACHINE, NETWORK, RESTART, UNKNOWN, Fault, classify
from mgic_nas.errors import MachineFault, UserError
from mgic_nas.train.stages import BUILD, CHECKPOINT, DATA, WRITE, Watched, during


class OutOfMemoryError(RuntimeError):
    """torch's."""


class Strange(Exception):
    """What nobody has seen before."""


def raised(error: BaseException, stage: str | None = None) -> Fault:
    try:
        if stage is None:
            raise error
        with during(stage):
            raise error
    except Exception as caught:
        return Fault(**Fault.of(caught).to_dict())  # as it arrives from a worker


CUDA_MEMORY = "CUDA out of memory. Tried to allocate 2 GiB. {}this process has 5.1 GiB memory in use."
CASES = [
    (OSError(errno.ENOSPC, "No space left on device"), None, MACHINE),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), WRITE, MACHINE),
    (OSError(errno.EFBIG, "File too large"), WRITE, MACHINE),
    (OSError(errno.ESTALE, "Stale file handle"), None, MACHINE),
    (OSError(errno.EMFILE, "Too many open files"), None, MACHINE),
    (PermissionError(errno.EACCES, "Permission denied"), DATA, MACHINE),
    (FileNotFoundError(errno.ENOENT, "No such file"), None, MACHINE),
    (RuntimeError("PytorchStreamWriter failed: No space left on device"), WRITE, MACHINE),
    (RuntimeError("DataLoader worker: Too many open files"), None, MACHINE),
    (UserError("the image 7.png cannot be read"), DATA, MACHINE),
    (ValueError("torn parquet page"), DATA, MACHINE),
    (ModuleNotFoundError("No module named 'torchvision'"), BUILD, MACHINE),
    (RuntimeError("No CUDA GPUs are available"), None, MACHINE),
    (RuntimeError("CUDA error: uncorrectable ECC error encountered"), None, MACHINE),
    (RuntimeError("CUDA error: an illegal memory access was encountered"), None, LOST),
    (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), None, LOST),
    (FloatingPointError("the training loss became nan in epoch 1"), None, NETWORK),
    (RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"), None, NETWORK),
    (UserError("s_g=3 does not divide 16"), BUILD, NETWORK),
    (TypeError("unexpected keyword"), BUILD, NETWORK),
    (OutOfMemoryError(CUDA_MEMORY.format("")), None, NETWORK),
    (OutOfMemoryError(CUDA_MEMORY.format("Process 99 has 70 GiB memory in use. Including, ")), None, CROWDED),
    (MemoryError("cannot allocate 1 TB"), None, UNKNOWN),
    (FileNotFoundError(errno.ENOENT, "No such file"), CHECKPOINT, RESTART),
    (RuntimeError("PytorchStreamReader failed reading zip archive"), CHECKPOINT, RESTART),
    (ValueError("is at (epochs, seed, data) (1, 2, 3)"), CHECKPOINT, RESTART),
    (OSError(errno.EIO, "Input/output error"), CHECKPOINT, MACHINE),
    (Strange("?"), None, UNKNOWN),
]


@pytest.mark.parametrize(("error", "stage", "verdict"), CASES, ids=lambda value: str(value)[:40])
def test_each_fault_has_one_owner(error: BaseException, stage: str | None, verdict: str) -> None:
    assert classify(raised(error, stage), alone=True) == verdict


@pytest.mark.parametrize("error", [OutOfMemoryError("CUDA out of memory"), MemoryError(), OSError(errno.ENOMEM, "x")])
def test_memory_beside_others_is_nobodys_fault(error: BaseException) -> None:
    assert classify(raised(error), alone=False) == CROWDED


def test_what_a_batch_raises_is_the_datas_whoever_asked_for_it() -> None:
    """Also in the middle of an evaluation, which is the task's business."""

    class Split:
        def batches(self) -> Any:
            return (1 / (2 - i) for i in range(3))

    def evaluate(split: Any) -> None:
        list(split.batches())

    with pytest.raises(ZeroDivisionError) as caught:
        evaluate(Watched(Split()))
    assert Fault.of(caught.value).where == DATA


def test_the_cause_says_what_the_system_said() -> None:
    error = RuntimeError("cannot save")
    error.__cause__ = OSError(errno.ENOSPC, "full")
    assert classify(raised(error), alone=True) == MACHINE


def full() -> Fault:
    return Fault("OSError", "OSError: [Errno 28] No space left on device", WRITE, errno.ENOSPC, ("OSError",))


def strange(text: str = "?") -> Fault:
    return Fault("Strange", f"Strange: {text}")


def states(run: Any) -> list[str]:
    return [row["state"] for row in run.rows()]


def test_full_disk_stops_the_search_and_fails_nobody(run: Any) -> None:
    with run.open(trials=4) as controller:
        run.train(controller, controller.next())
        hit, other = controller.next(), controller.next()
        controller.fail(hit, full())
        assert controller.next() is None
        run.train(controller, other)  # what was under way ends well
        assert controller.done
        assert controller.gave_up == full()
    assert sorted(states(run)) == ["complete", "complete", "running"]
    with run.open(trials=4) as controller:
        run.finish(controller)
        assert controller.gave_up is None
    assert states(run) == ["complete"] * 4


def test_unknown_fault_is_the_networks_once_it_comes_back_and_others_complete(run: Any) -> None:
    with run.open(trials=3) as controller:
        bad = controller.next().config
        controller.fail(controller_job(controller), strange())
        for _ in range(20):
            job = controller.next()
            if job is None:
                break
            if job.config == bad:
                controller.fail(job, strange())
            else:
                run.train(controller, job)
        assert controller.done
    assert states(run) == ["failed", "complete", "complete"]
    assert run.rows()[0]["error"] == "Strange: ?"


def controller_job(controller: Any) -> Any:
    """The job that is under way, as it was handed out."""
    from mgic_nas.train import Job

    (number,) = controller._ledger.live
    trial = controller._ledger.trials[number]
    return Job(number, trial.attempt, dict(trial.config), 0, trial.last_epoch)


def test_unknown_fault_that_passes_fails_nobody(run: Any) -> None:
    with run.open(trials=3) as controller:
        controller.fail(controller.next(), strange())
        run.finish(controller)
    assert states(run) == ["complete"] * 3


@pytest.mark.parametrize("before", [0, 2])
def test_unknown_faults_in_a_row_are_the_machines_also_after_a_success(run: Any, before: int) -> None:
    """The texts differ: each names another image."""
    with run.open(trials=8) as controller:
        for _ in range(before):
            run.train(controller, controller.next())
        count = 0
        while (job := controller.next()) is not None:
            count += 1
            controller.fail(job, strange(f"image {count}"))
        assert count == 3
        assert controller.gave_up is not None
    assert states(run).count("failed") == 0
    with run.open(trials=8) as controller:
        run.finish(controller)
    assert states(run) == ["complete"] * 8


def test_single_trial_with_an_unknown_fault_ends_and_stays_to_be_trained(run: Any) -> None:
    with run.open(trials=1) as controller:
        for _ in range(2):
            controller.fail(controller.next(), strange())
        assert controller.next() is None
        assert controller.done
        assert controller.gave_up is not None
    assert states(run) == ["running"]


def test_out_of_memory_beside_another_is_tried_again_alone(run: Any) -> None:
    memory = Fault("OutOfMemoryError", "OutOfMemoryError: CUDA out of memory")
    with run.open(trials=3) as controller:
        job, other = controller.next(), controller.next()
        controller.fail(job, memory)
        third = controller.next()
        assert third.number != job.number  # not as long as there is something else to do
        run.train(controller, other)
        run.train(controller, third)
        again = controller.next()
        assert again.number == job.number
        assert controller.next() is None
        controller.fail(again, memory)
        assert controller.done
    assert states(run) == ["failed", "complete", "complete"]


def test_worker_that_dies_beside_others_gets_a_last_attempt_alone(run: Any) -> None:
    with run.open(trials=2) as controller:
        job, other = controller.next(), controller.next()
        for _ in range(3):
            assert job is not None
            controller.fail(job, "killed", died=True)
            job = controller.next()
        assert job is None
        run.train(controller, other)
        run.train(controller, controller.next())
    assert states(run) == ["complete"] * 2


def test_workers_that_always_die_are_the_machines_fault(run: Any) -> None:
    with run.open(trials=8) as controller:
        while (job := controller.next()) is not None:
            controller.fail(job, "worker killed by SIGKILL", died=True)
        assert controller.gave_up is not None
        assert controller.done
    assert set(states(run)) == {"running"}


def test_network_faults_that_are_alike_stop_before_any_succeeded(run: Any) -> None:
    with run.open(trials=12) as controller:
        count = 0
        while (job := controller.next()) is not None:
            count += 1
            controller.fail(job, f"ValueError: {count}")
        assert count == FAILING_ALIKE
        assert controller.done
    assert str(controller.gave_up) == "6 trials failed alike and none succeeded: ValueError: 6"


def test_torn_checkpoint_means_training_from_the_start(run: Any) -> None:
    with run.open(trials=1, rungs="halving") as controller:
        run.train(controller, controller.next())
        job = controller.next()
        assert job.first_epoch > 0
        controller.fail(job, raised(RuntimeError("failed reading zip archive"), CHECKPOINT))
        again = controller.next()
        assert (again.number, again.first_epoch, again.checkpoint) == (job.number, 0, None)
        run.train(controller, again)
    assert states(run) == ["complete"]


def test_result_that_is_not_there_is_asked_for_again(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleted, or half written by a full disk: not the network's fault."""
    monkeypatch.setattr("mgic_nas.engine.controller.VISIBLE_WITHIN", 0.0)
    with run.open(trials=1) as controller:
        controller.finish(controller.next())
        run.finish(controller)
    assert states(run) == ["complete"]


def test_failed_trials_are_trained_again_in_their_own_place(run: Any) -> None:
    with run.open(trials=4) as controller:
        failed = controller.next()
        controller.fail(failed, "ValueError: no space (booked by an earlier version)")
        run.finish(controller)
    with run.open(trials=4, retry_failed=True) as controller:
        assert controller.notes == ["1 failed trials are trained again"]
        job = controller.next()
        assert job.config == failed.config
        assert (controller.counts.started, controller.counts.failed) == (4, 0)
        run.kill(controller)  # the order is kept
    with run.open(trials=4) as controller:
        run.finish(controller)
    rows = run.rows()
    assert [row["state"] for row in rows] == ["complete"] * 4
    assert len({row["arch_id"] for row in rows}) == 4
    with run.open(trials=4, retry_failed=True) as controller:
        assert controller.notes == ["no trial has failed"]
        assert controller.done


def test_fewer_trials_than_were_started_change_nothing(run: Any) -> None:
    with run.open(trials=4) as controller:
        run.finish(controller)
    with run.open(trials=2) as controller:
        assert controller.notes == ["4 trials were started already, so --trials 2 changes nothing"]
        assert controller.done
    assert "trials: 4\n" in (run.folder / "run.yaml").read_text()


def test_driver_faults_are_one_line() -> None:
    sqlite = type("OperationalError", (Exception,), {"orig": Exception("database or disk is full")})
    assert faults.of_driver(sqlite("long\nSQL")) == "Exception: database or disk is full"
    optuna = type("StorageInternalError", (Exception,), {})("invalid data in the commit")
    optuna.__cause__ = sqlite("long")
    assert faults.of_driver(optuna) == "Exception: database or disk is full"
    assert faults.of_driver(OSError(errno.EROFS, "Read-only file system", "x/y")) == "Read-only file system: x/y"
    assert faults.of_driver(ValueError("a bug")) == ""
    assert faults.of_driver(ModuleNotFoundError("ray")) == ""


def test_run_that_is_renamed_under_its_search_is_one_line_and_goes_on(run: Any, tmp_path: Path) -> None:
    controller = run.open(trials=3)
    run.train(controller, controller.next())
    job = controller.next()
    run.folder.rename(tmp_path / "moved")
    controller.fail(job, raised(FileNotFoundError(errno.ENOENT, "No such file or directory"), WRITE))
    assert controller.done
    with pytest.raises(MachineFault, match=r"demo is no longer there \(renamed, or a disk that is gone\)"):
        controller.close()
    assert not run.folder.exists()
    run.folder = tmp_path / "moved"
    run.trials = run.folder / "trials"
    with run.open(trials=3) as controller:
        run.finish(controller)
    assert states(run) == ["complete"] * 3


def test_run_that_was_moved_goes_on_from_its_checkpoints(run: Any, tmp_path: Path) -> None:
    with run.open(trials=2, rungs="halving") as controller:
        run.train(controller, controller.next())
        run.kill(controller)
    run.folder = run.folder.rename(tmp_path / "moved")
    run.trials = run.folder / "trials"
    with run.open(trials=2, rungs="halving") as controller:
        jobs = []
        while (job := controller.next()) is not None:
            jobs.append(job)
            run.train(controller, job)
    checkpoints = [job.checkpoint for job in jobs if job.checkpoint]
    assert checkpoints
    assert all(str(path).startswith(str(run.folder)) for path in checkpoints)
    assert "failed" not in states(run)
