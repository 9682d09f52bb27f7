"""The books of a run: what a user loses, pays twice for, or is told wrongly if one of these fails."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from fakes.engine import EPOCHS, FakeSpace, accuracy, feasible, make_config, read_result, write_result

from mgic_nas.engine import read_record
from mgic_nas.engine.controller import Controller
from mgic_nas.engine.proposals.candidate import SearchProblem
from mgic_nas.engine.storage.study import VIOLATION, read_study
from mgic_nas.errors import UserError


def states(run: Any) -> dict[int, str]:
    return {row["number"]: row["state"] for row in run.rows()}


def attempts(run: Any) -> list[str]:
    """Every job that was handed out."""
    return [f"{e.number}/{e.attempt}" for e in run.events if e.kind == "handed out"]


@pytest.mark.parametrize("sampler", ["random", "nsga2", "tpe"])
def test_budgets_are_hard_and_no_architecture_is_trained_twice(run: Any, sampler: str) -> None:
    """The point of the tool: nobody pays for a network that does not fit, or for the same one twice."""
    allowed = feasible(run.space, 20_000)
    with run.open(sampler=sampler, trials=len(allowed), seed=3) as controller:
        run.finish(controller)
    rows = run.rows()
    assert {row["state"] for row in rows} == {"complete"}
    assert all(row["macs"] <= 20_000 for row in rows)
    assert len({row["arch_id"] for row in rows}) == len(rows)
    assert {row["arch_id"] for row in rows} == allowed  # it had to find every last one of them
    record = read_record(run.folder)
    assert record.rejected["duplicate"] > 0
    assert record.rejected["over budget"] > 0
    assert record.rejected["where"] > 0


def test_sampler_that_finds_nothing_is_helped_out_and_it_is_counted(run: Any) -> None:
    """One architecture in thirty fits: rejected proposals are capped, or the search would ask for ever."""
    with run.open(budgets=["1k"], trials=1, sampler="tpe") as controller:
        run.finish(controller)
    assert [row["arch_id"] for row in run.rows()] == ["a1b1"]
    record = read_record(run.folder)
    assert record.uniform == 1
    assert sum(record.rejected.values()) == 20


def test_study_shows_what_happened_in_optunas_own_words(run: Any) -> None:
    """optuna-dashboard opens the study: states, values and constraints must mean what they mean there."""
    with run.open(trials=10) as controller:
        run.finish(controller)
    study = optuna.load_study(study_name="demo", storage=f"sqlite:///{run.folder}/study.db")
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    complete = [t for t in study.trials if t.state.name == "COMPLETE"]
    assert len(complete) == 10
    for trial in complete:
        assert trial.values == [trial.user_attrs["result"]["val_acc"], trial.user_attrs["job"]["cost"]["macs"]]
        assert trial.constraints[VIOLATION] <= 0
    for trial in (t for t in study.trials if "rejected" in t.user_attrs):
        assert trial.state.name == "PRUNED"
        assert (trial.constraints[VIOLATION] > 0) == (trial.user_attrs["rejected"] != "duplicate")
    assert {t.state.name for t in study.trials} <= {"COMPLETE", "PRUNED"}


def test_space_that_is_used_up_ends_the_run_well(run: Any) -> None:
    """Asking for more trials than there are networks is no error, but must be said, and must not loop for ever."""
    allowed = feasible(run.space, 20_000)
    with run.open(trials=1000) as controller:
        run.finish(controller)
        assert controller.done
        assert controller.ended == "no untried architecture is left within the budgets"
    assert len(run.rows()) == len(allowed)
    assert run.events[-1].kind == "exhausted"
    # Asked again it says so at once, without filling the study with further rejections.
    before = len(read_study(run.folder)[0])
    with run.open(trials=1000) as controller:
        assert controller.next() is None
        assert controller.done
    assert len(read_study(run.folder)[0]) == before
    # A larger budget opens it again.
    with run.open(trials=1000, budgets=["30k"]) as controller:
        run.finish(controller)
    assert {row["arch_id"] for row in run.rows()} == feasible(run.space, 30_000)


def test_more_trials_extend_a_finished_run(run: Any) -> None:
    with run.open(trials=4) as controller:
        run.finish(controller)
    first = {row["arch_id"] for row in run.rows()}
    with run.open(trials=7) as controller:
        assert controller.wanted == 3
        run.finish(controller)
    rows = run.rows()
    assert len(rows) == 7
    assert first < {row["arch_id"] for row in rows}
    with run.open(trials=5) as controller:  # fewer than there are: nothing to do, nothing lost
        assert controller.done
    assert len(run.rows()) == 7


def test_killed_driver_loses_nothing_and_counts_nothing_twice(run: Any) -> None:
    """kill -9 with three trials under way, of which the workers finish one after the driver is gone."""
    controller = run.open(trials=6)
    run.train(controller, controller.next())
    jobs = [controller.next() for _ in range(3)]
    controller.report(jobs[0], {"epoch": 1, "val_acc": 51.0})
    run.kill(controller)
    assert sorted(states(run).values()) == ["complete", "running", "running", "running"]
    write_result(run.trials, jobs[1].number, 1, 77.0)

    run.events.clear()
    with run.open(trials=6) as controller:
        assert controller.counts.complete == 2  # the finished one was found without anybody saying so
        assert controller.counts.queued == 2
        run.finish(controller)
    rows = {row["number"]: row for row in run.rows()}
    assert [row["state"] for row in rows.values()] == ["complete"] * 6
    assert rows[jobs[1].number]["val_acc"] == 77.0
    assert f"{jobs[1].number}/2" not in attempts(run)
    assert {f"{jobs[0].number}/2", f"{jobs[2].number}/2"} <= set(attempts(run))


def test_orphan_of_a_killed_driver_finishes_while_its_trial_is_trained_again(run: Any) -> None:
    """The older attempt's result is taken, the newer worker is stopped, and there is one result, not two."""
    controller = run.open(trials=2)
    job = controller.next()
    run.kill(controller)

    controller = run.open(trials=2)
    again = controller.next()
    assert (again.number, again.attempt) == (job.number, 2)
    assert again.seed == job.seed
    assert controller.report(again, {"epoch": 1, "val_acc": 50.0})
    write_result(run.trials, job.number, 1, 71.0)
    assert not controller.report(again, {"epoch": 2, "val_acc": 50.5})
    # Whatever else the stopped worker manages to do changes nothing.
    write_result(run.trials, job.number, 2, 99.0)
    controller.finish(again)
    controller.fail(again, "late", died=True)
    assert not controller.report(again, {"epoch": 3, "val_acc": 50.9})
    assert controller.counts.complete == 1
    run.finish(controller)
    controller.close()
    row = next(row for row in run.rows() if row["number"] == job.number)
    assert (row["state"], row["val_acc"]) == ("complete", 71.0)


def test_orphan_finishes_after_the_newer_attempt(run: Any) -> None:
    """The counted result and its weights stay those of the attempt that was first."""
    controller = run.open(trials=1)
    job = controller.next()
    run.kill(controller)
    with run.open(trials=1) as controller:
        run.finish(controller)
        write_result(run.trials, job.number, 1, 99.0)
    assert run.rows()[0]["val_acc"] == accuracy(job.config)
    assert read_record(run.folder).weights == {
        job.number: run.trials / str(job.number) / "attempt-2/weights.safetensors"
    }
    assert not (run.trials / str(job.number) / "attempt-1/weights.safetensors").exists()


def test_killed_worker_is_replaced_twice_and_then_the_trial_has_failed(run: Any) -> None:
    """A network that takes its worker down each time must not eat the whole search."""
    with run.open(trials=3) as controller:
        job = controller.next()
        for attempt in (1, 2, 3):
            assert job.attempt == attempt
            controller.report(job, {"epoch": 1, "val_acc": 50.0})
            controller.fail(job, "worker killed by SIGKILL, perhaps out of memory", died=True)
            if attempt < 3:
                job = controller.next()
        assert controller.counts.failed == 0  # until another completes it may be the machine's fault
        run.finish(controller)
    row = run.rows()[0]
    assert row["state"] == "failed"
    assert row["error"] == "worker killed by SIGKILL, perhaps out of memory (in each of 3 attempts)"
    assert row["epochs"] == 1
    assert [r["state"] for r in run.rows()[1:]] == ["complete", "complete"]


def test_killed_drivers_do_not_use_up_a_trials_retries(run: Any) -> None:
    for attempt in range(1, 6):
        controller = run.open(trials=1)
        job = controller.next()
        assert job.attempt == attempt
        run.kill(controller)
    with run.open(trials=1) as controller:
        for _ in range(2):
            controller.fail(controller.next(), "killed", died=True)
        run.train(controller, controller.next())
    assert run.rows()[0]["state"] == "complete"


def test_worker_that_died_after_its_result_has_done_its_job(run: Any) -> None:
    with run.open(trials=1) as controller:
        job = controller.next()
        write_result(run.trials, job.number, 1, 70.0)
        controller.fail(job, "killed", died=True)
        assert controller.done
    assert run.rows()[0]["val_acc"] == 70.0


def test_failures_are_recorded_with_their_reason_and_not_repeated(run: Any) -> None:
    with run.open(trials=3) as controller:
        raised, turned_nan = controller.next(), controller.next()
        controller.fail(raised, "ValueError: no such layer")
        assert not controller.report(turned_nan, {"epoch": 1, "val_acc": float("nan")})
        run.finish(controller)
    rows = {row["number"]: row for row in run.rows()}
    assert rows[raised.number]["error"] == "ValueError: no such layer"
    assert rows[turned_nan.number]["error"] == "val_acc is nan after epoch 1"
    assert [row["state"] for row in rows.values()] == ["failed", "failed", "complete"]
    assert len(set(attempts(run))) == 3
    with run.open(trials=3) as controller:  # nor after a restart
        assert controller.done


def test_nan_in_a_result_is_a_failure_and_not_a_point_on_the_front(run: Any) -> None:
    with run.open(trials=2) as controller:
        job = controller.next()
        write_result(run.trials, job.number, 1, 50.0)
        controller._read_result = lambda *_: {"epochs": EPOCHS, "val_acc": float("nan")}
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Optuna would only warn of a NaN that it is told
            controller.finish(job)
        controller._read_result = read_result
        run.finish(controller)
    assert [row["state"] for row in run.rows()] == ["failed", "complete"]
    assert run.rows()[0]["val_acc"] is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_damaged_result_does_not_keep_a_run_from_being_opened(run: Any, text: str) -> None:
    controller = run.open(trials=1)
    job = controller.next()
    run.kill(controller)
    write_result(run.trials, job.number, 1, 70.0)
    (run.trials / f"{job.number}/attempt-1/result.json").write_text(text)
    with run.open(trials=1) as controller:
        run.finish(controller)
    assert run.rows()[0]["val_acc"] == accuracy(job.config)


@pytest.mark.parametrize("at", ["proposed", "enqueued", "result saved", "told"])
def test_driver_may_die_between_any_two_writes(run: Any, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step of a trial's life is a write; a kill before the next one must be mended by opening the run again."""

    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    controller = run.open(trials=3)
    run.train(controller, controller.next())
    with monkeypatch.context() as patch:
        if at == "proposed":  # a proposal is in the study, and no job
            patch.setattr(controller, "_start_job", killed)
        elif at == "enqueued":
            patch.setattr(controller._store, "ask", killed)
            patch.setattr(
                controller._proposer,
                "propose",
                lambda: controller._store.ask_fixed({"a": 1, "b": 1, "alias": 0}, {}),
            )
        elif at == "result saved":
            patch.setattr(controller._store, "finish", killed)
        else:
            patch.setattr(controller._weights, "finished", killed)
        with pytest.raises(Killed):
            run.train(controller, controller.next())
    run.kill(controller)
    with run.open(trials=3) as controller:
        run.finish(controller)
        assert controller.counts.complete == 3
    assert [row["state"] for row in run.rows()] == ["complete"] * 3
    assert not [t for t in read_study(run.folder)[0] if not t.state.is_finished()]


@pytest.mark.parametrize("at", ["asked", "proposed", "handed out", "result saved"])
def test_a_killed_driver_loses_and_doubles_no_known_design(run: Any, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``enqueue``: whatever the driver was about to write, each design that fits is trained once, and before others."""

    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    # (8, 8) is too large, (5, 4) against where, and one is named twice.
    designs = [{"a": a, "b": b, "alias": 0} for a, b in ((2, 4), (8, 8), (3, 2), (5, 4), (2, 4), (5, 2))]

    def open_() -> Any:
        config = make_config(trials=5)
        problem = replace(SearchProblem.of_run(config, run.space), enqueued=tuple(designs))
        return Controller(run.folder, config, problem=problem, read_result=read_result)

    controller = open_()
    run.train(controller, controller.next())
    with monkeypatch.context() as patch:
        if at == "asked":
            patch.setattr(controller._store, "ask", killed)
        elif at == "proposed":
            patch.setattr(controller, "_start_job", killed)
        elif at == "handed out":
            patch.setattr(controller, "report", killed)
        else:
            patch.setattr(controller._store, "finish", killed)
        with pytest.raises(Killed):
            run.train(controller, controller.next())
    run.kill(controller)
    with open_() as controller:
        run.finish(controller)
    rows = run.rows()
    assert [row["arch_id"] for row in rows[:3]] == ["a2b4", "a3b2", "a5b2"]
    assert len(rows) == 5
    assert len({row["arch_id"] for row in rows}) == 5
    assert [row["state"] for row in rows] == ["complete"] * 5


def test_second_driver_is_refused_while_one_is_at_work(run: Any) -> None:
    with run.open() as controller:
        job = controller.next()
        with pytest.raises(UserError, match="being written by another search"):
            run.open()
        run.train(controller, job)
    run.open().close()


def test_results_of_a_lost_study_are_not_taken_for_those_of_a_new_trial(run: Any) -> None:
    """After a power cut sqlite may have lost a trial whose worker's files are there: another architecture's."""
    write_result(run.trials, 0, 1, 99.9)
    make_config(trials=1).save(run.folder)
    with run.open(trials=1, sampler="random") as controller:
        job = controller.next()
        assert job.number == 0
        assert controller.report(job, {"epoch": 1, "val_acc": 50.0})
        run.train(controller, job)
    assert run.rows()[0]["val_acc"] != 99.9


def test_recover_may_be_called_again(run: Any) -> None:
    """While trials are under way it must not hand them out a second time."""
    with run.open(trials=2) as controller:
        job = controller.next()
        controller.recover()
        assert controller.counts.queued == 0
        run.train(controller, job)
        run.finish(controller)
    assert len(attempts(run)) == 2


def test_same_seed_same_search_and_the_same_training_whoever_proposes(run: Any, tmp_path: Path) -> None:
    with run.open(trials=8, seed=5) as controller:
        run.finish(controller)
    again = type(run)(tmp_path / "again")
    with again.open(trials=8, seed=5) as controller:
        again.finish(controller)
    assert [r["arch_id"] for r in run.rows()] == [r["arch_id"] for r in again.rows()]
    other = type(run)(tmp_path / "other")
    with other.open(trials=8, seed=5, sampler="tpe") as controller:
        other.finish(controller)
    seeds = {r["arch_id"]: r["seed"] for r in run.rows()}
    assert all(seeds.get(r["arch_id"], r["seed"]) == r["seed"] for r in other.rows())


def test_resumed_sampler_does_not_propose_its_first_ideas_again(run: Any) -> None:
    for trials in (3, 6, 9):
        with run.open(trials=trials, seed=1) as controller:
            run.finish(controller)
    firsts = [t.params for t in read_study(run.folder)[0]]
    assert len({str(p) for p in firsts}) > len(firsts) / 2


def test_best_within_each_budget_is_kept_up_to_date(run: Any) -> None:
    with run.open(trials=12) as controller:
        run.finish(controller)
        best = controller.counts.best
    rows = run.rows()
    for label, limit in (("10k", 10_000), ("20k", 20_000)):
        assert best[label] == max(r["val_acc"] for r in rows if r["macs"] <= limit)


def test_observer_that_breaks_does_not_end_the_search(run: Any) -> None:
    """A closed terminal must not cost a night's work."""

    def broken(event: Any) -> None:
        raise BrokenPipeError

    run.events = type("Broken", (), {"append": staticmethod(broken)})()
    with pytest.warns(UserWarning, match="observer"), run.open(trials=2) as controller:
        run.finish(controller)
    assert [row["state"] for row in run.rows()] == ["complete"] * 2


def test_large_space_is_drawn_from_without_being_enumerated(run: Any) -> None:
    class Huge(FakeSpace):
        def __init__(self) -> None:
            super().__init__()
            self.size = 10**9

        def enumerate_values(self) -> Any:
            raise AssertionError("enumerated")

    with run.open(space=Huge(), trials=1000, sampler="tpe") as controller:
        run.finish(controller)
        assert controller.ended.startswith("no untried architecture within the budgets was found in")
    assert {row["arch_id"] for row in run.rows()} == feasible(run.space, 20_000)
