"""``--from`` and ``--enqueue``: what a search starts from. Trainings are pretended: their results are written."""

import csv
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from fakes.engine import write_result
from optuna.samplers import BaseSampler
from test_run import SPACE, small

import mgic_nas
import mgic_nas.run
from mgic_nas import UserError, search
from mgic_nas.cli import main
from mgic_nas.engine.proposals.candidate import SearchProblem
from mgic_nas.engine.samplers.registry import SAMPLERS, make_sampler
from mgic_nas.engine.storage.record import read_record
from mgic_nas.engine.storage.winner import winner
from mgic_nas.engine.surrogate import choice
from mgic_nas.engine.surrogate.expectation import Expected
from mgic_nas.preparation import Given, prepare
from mgic_nas.report import story
from mgic_nas.report.command import shown
from mgic_nas.report.gather import gather
from mgic_nas.report.markdown import markdown
from mgic_nas.space import parse_budget
from mgic_nas.starting import unfit, winners_of

FIRST = {"s_g": 8, "s_c": 16, "width_mult": 0.5}
SECOND = "s_g=4,s_c=8,width_mult=0.25"


def pretend(source: Any, folder: Path, *_: Any) -> None:
    while (job := source.next()) is not None:
        acc = 70 + 10 * job.config["width_mult"] + 0.1 * job.config["s_g"] + 0.01 * job.config["s_c"]
        write_result(source.config.trials_folder(folder), job.number, job.attempt, acc, job.last_epoch)
        source.finish(job)


@pytest.fixture(autouse=True)
def _pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mgic_nas.run, "_train", pretend)
    monkeypatch.setattr(mgic_nas.run, "_reported", mgic_nas.load_run)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> mgic_nas.Run:
    """A finished run; tests must not change it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mgic_nas.run, "_train", pretend)
        patch.setattr(mgic_nas.run, "_reported", mgic_nas.load_run)
        return search(**small(tmp_path_factory.mktemp("runs") / "old", trials=6))


def without_progress(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "progress"}


def width(setting: dict[str, Any]) -> int:
    return int(setting["width"])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def settings(run: mgic_nas.Run) -> list[tuple[Any, ...]]:
    table = run.trials()
    return list(zip(table["p.s_g"], table["p.s_c"], table["p.width_mult"], strict=True))


def test_a_search_learns_from_an_earlier_run_that_it_does_not_touch(earlier: mgic_nas.Run, tmp_path: Path) -> None:
    before = contents(earlier.folder)
    old = tmp_path / "old"
    shutil.copytree(earlier.folder, old)
    others = {"budgets": ["0.5M"], "data": "fashion?train=90&val=60"}
    options = small(tmp_path / "new", sampler="cost", trials=2, start_from=old, **others)
    run = search(**options)
    assert contents(old) == before
    with open(run.folder / "known.csv", newline="") as stream:
        known = list(csv.DictReader(stream))
    found = earlier.trials()
    assert [float(row["val_acc"]) for row in known] == list(found["val_acc"])
    assert [float(row["p.width_mult"]) for row in known] == list(found["p.width_mult"])
    # To go on needs the earlier run no more, with the same call or without naming it.
    shutil.rmtree(old)
    for more in ({"start_from": old}, {"start_from": None}):
        assert len(search(**{**options, **more}).trials()) == 2
    with pytest.raises(UserError, match="only a new run can start from"):
        search(**{**options, "start_from": earlier.folder})


def test_known_designs_are_trained_first_and_what_does_not_fit_is_said(
    earlier: mgic_nas.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = "s_g=8,s_c=16,width_mult=0.5"
    run = search(**small(tmp_path / "new", budgets=["0.3M"], trials=2, enqueue=[wide, SECOND]))
    assert "enqueued s_g=8, s_c=16, width_mult=0.5 is not trained: it is over the largest budget" in (
        capsys.readouterr().err
    )
    assert settings(run)[0] == (4, 8, 0.25)
    assert len(run.trials()) == 2
    # A larger budget later: it fits now, and nothing else is trained before it or twice.
    run = search(**small(tmp_path / "new", budgets=["0.3M", "1M"], trials=3))
    assert settings(run)[2] == (8, 16, 0.5)
    assert run.trials()["arch_id"].is_unique


def test_winners_of_a_run_are_trained_first_and_the_command_says_the_same(
    earlier: mgic_nas.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = search(**small(tmp_path / "new", trials=3, enqueue=[earlier.folder, FIRST], seed=5))
    entries = read_record(earlier.folder).entries
    best = [winner(entries, [parse_budget(budget)]) for budget in ("0.4M", "1M")]
    trained = [tuple(trial.setting.values()) for trial in best if trial]
    assert len(trained) == 2
    assert settings(run)[: len(trained)] == trained
    assert (8, 16, 0.5) in settings(run)[: len(trained) + 1]
    (tmp_path / "space.yaml").write_text(
        "model: mgic_resnet20\nkwargs: {depths: 1}\nparams:\n  s_g: {choices: [4, 8]}\n  s_c: {choices: [8, 16]}\n"
        "  width_mult: {choices: [0.25, 0.5]}\n"
    )
    command = ["search", str(tmp_path / "space.yaml"), "--data", "fashion?train=80&val=60", "--epochs", "1"]
    command += ["--budget", "0.4M", "--budget", "1M", "--executor", "local", "--concurrent", "1", "--trials", "3"]
    command += ["--out", str(tmp_path / "typed"), "--sampler", "random", "--seed", "5"]
    assert main([*command, "--enqueue", str(earlier.folder), "--enqueue", "s_g=8,s_c=16,width_mult=0.5"]) == 0
    assert settings(mgic_nas.load_run(tmp_path / "typed")) == settings(run)


def other(folder: Path, kwargs: dict[str, Any], searched: tuple[str, ...] = ("s_g", "s_c", "width_mult")) -> Any:
    """Options of a search of a space with other fixed arguments than :func:`earlier`'s."""
    space = {**SPACE, "kwargs": kwargs, "params": {name: SPACE["params"][name] for name in searched}}
    return small(folder, sampler="cost", space=mgic_nas.SearchSpace.from_dict(space), budgets=["5M"])


def test_networks_that_differ_in_a_fixed_argument_are_left_out_and_no_setting_is_two_networks(
    earlier: mgic_nas.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = other(tmp_path / "new", {"depths": 1, "s_g": 8}, ("s_c", "width_mult"))
    found = prepare(Given(**without_progress(options), start_from=earlier.folder), keep=False).problem.earlier
    table = earlier.trials()
    agree = table[table["p.s_g"] == 8]
    assert 0 < len(agree) < len(table)
    assert list(found.accs) == list(agree["val_acc"])
    assert len({tuple(setting.values()) for setting in found.settings}) == len(found.accs)
    said = capsys.readouterr().err
    assert f"starts from {len(agree)} of the 6 networks of" in said
    assert re.search(r"the others are not in this space \(trial \d: s_g is 4, here 8\)", said)


def test_what_a_whole_run_has_otherwise_is_said_and_learned_from_but_its_winners_are_not_enqueued(
    earlier: mgic_nas.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = without_progress(other(tmp_path / "new", {"depths": 2}))
    found = prepare(Given(**options, start_from=earlier.folder), keep=False).problem.earlier
    assert list(found.accs) == list(earlier.trials()["val_acc"])
    assert "1 epoch); their depths is 1, here 2: trusted as far" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"no winner of this space: .*its depths is 1, here 2, so it is another") as no:
        prepare(Given(**options, enqueue=earlier.folder), keep=False)
    assert "\n" not in str(no.value)
    with pytest.raises(UserError, match=r"trials.csv, row 2 is the network"):
        prepare(Given(**options, enqueue=earlier.folder / "trials.csv"), keep=False)
    # The start of its weights is a part of a design, and no reason to learn nothing.
    options = without_progress(other(tmp_path / "new", {"depths": 1, "zero_init_last": False}))
    assert len(prepare(Given(**options, start_from=earlier.folder), keep=False).problem.earlier.accs) == 6
    assert "their" not in capsys.readouterr().err
    with pytest.raises(UserError, match="its zero_init_last is True, here False"):
        prepare(Given(**options, enqueue=earlier.folder), keep=False)


def test_the_winners_that_are_enqueued_are_those_that_the_run_names(
    earlier: mgic_nas.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ``winner: expected`` luck does not win; what is enqueued is what budgets.csv hands over."""
    lucky = winner(read_record(earlier.folder).entries, [parse_budget("1M")])
    assert lucky is not None

    def expect(trials: Any, *_: Any) -> dict[int, Expected]:
        return {t.number: Expected(t.val_acc - 20 * (t.number == lucky.number), 1.0) for t in trials}

    monkeypatch.setattr(choice, "expect", expect)
    run = mgic_nas.load_run(shutil.copytree(earlier.folder, tmp_path / "old"))
    assert run.config.winner == "expected"
    won = [found.trial.number for found in run.winners().values() if found]
    assert lucky.number not in won
    assert [trial.number for trial in winners_of(run.folder)] == list(dict.fromkeys(won))


def test_a_sampler_from_outside_says_that_it_learns(
    earlier: mgic_nas.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SAMPLERS, "_entries", dict(SAMPLERS._entries))

    def mine(seed: int, pool: Any, problem: Any) -> BaseSampler:
        return make_sampler("random", seed)

    SAMPLERS.register("mine", mine, travels=False)
    options = small(tmp_path / "new", sampler="mine", start_from=earlier.folder, trials=2)
    with pytest.raises(UserError, match="mine is not known to make use of it"):
        search(**options)
    assert len(search(**options | {"rungs": "thaw", "epochs": 4, "out": tmp_path / "thaw"}).trials()) == 2
    setattr(mine, "uses_earlier", True)  # noqa: B010
    assert len(search(**options).trials()) == 2


def test_a_design_that_was_trained_is_not_said_to_be_left_out_by_a_smaller_budget(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = small(tmp_path / "new", trials=2, enqueue=[FIRST])
    search(**options)
    search(**{**options, "trials": 3, "budgets": ["0.3M"], "enqueue": ()})
    assert "is not trained" not in capsys.readouterr().err


def test_a_run_that_ended_before_its_study_was_made_goes_on(tmp_path: Path) -> None:
    options = small(tmp_path / "new", trials=2, enqueue=[FIRST])
    config = prepare(Given(**without_progress(options))).config
    (tmp_path / "new").mkdir()
    config.save(tmp_path / "new")
    assert settings(search(**options))[0] == (8, 16, 0.5)


def test_a_design_over_the_budget_is_said_with_the_costs_that_are_known() -> None:
    space = mgic_nas.SearchSpace({"width": [16, 64]}, cost=width)
    problem = SearchProblem(space, (1, 1, 1), 1, (parse_budget("50"),), enqueued=({"width": 64},))
    assert unfit(problem) == ["enqueued width=64 is not trained: it is over the largest budget with 64 MACs"]
    assert unfit(problem, {space.arch_id({"width": 64})}) == []


def test_that_a_sampler_may_not_change_comes_before_what_it_makes_use_of(earlier: mgic_nas.Run, tmp_path: Path) -> None:
    options = small(tmp_path / "new", sampler="cost", prior="s_g=8", start_from=earlier.folder)
    search(**options)
    for more in ({}, {"prior": (), "start_from": None}):
        with pytest.raises(UserError, match="is a run with sampler = 'cost', not 'tpe'"):
            search(**{**options, "sampler": "tpe", **more})


def test_a_prior_is_kept_and_may_be_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = small(tmp_path / "new", sampler="cost", trials=3, prior=["s_g=8:3"])
    run = search(**options)
    assert run.config.prior == [{"param": "s_g", "value": 8, "weight": 3.0}]
    search(**options | {"trials": 4, "prior": ()})
    assert mgic_nas.load_run(run.folder).config.prior == run.config.prior
    search(**options | {"trials": 5, "prior": {"s_g": {4: 2, 8: 1}}})
    assert [one["weight"] for one in mgic_nas.load_run(run.folder).config.prior] == [2.0, 1.0]
    command = ["search", "quickstart", "--data", "fashion?train=80&val=60", "--budget", "1M", "--out", "x"]
    capsys.readouterr()
    with pytest.raises(UserError, match="prior is for the sampler cost; tpe is not known to make use of it"):
        search(**small(tmp_path / "x", sampler="tpe", rungs="thaw", epochs=4, prior="s_g=8"))
    for more, said in (
        (["--prior", "s_q=8"], "no parameter 's_q'"),
        (["--sampler", "tpe"], "tpe is not known to make"),
    ):
        assert main([*command, "--prior", "s_g=8", *more]) == 2
        assert said in capsys.readouterr().err


def test_the_report_says_what_a_search_started_from(earlier: mgic_nas.Run, tmp_path: Path) -> None:
    given = {"start_from": earlier.folder, "enqueue": [SECOND, FIRST], "prior": "s_g=8"}
    run = search(**small(tmp_path / "new", sampler="cost", **given))
    summary = gather(run.folder, None)
    assert story.started(summary) == [
        ("Started from", shown(earlier.folder, run.folder)),
        ("Enqueued", "2 designs, trained first where they fit"),
        ("Prior weights", "s_g=8 (4)"),
    ]
    assert "| Enqueued | 2 designs" in markdown(summary, {})
    assert story.started(gather(earlier.folder, None)) == []


def test_a_dry_run_reads_both_and_writes_nothing(earlier: mgic_nas.Run, tmp_path: Path) -> None:
    options = small(tmp_path / "new", sampler="cost", start_from=earlier.folder, enqueue=[SECOND])
    del options["progress"]
    found = prepare(Given(**options), keep=False)
    assert len(found.problem.earlier.accs) == 6
    assert found.problem.enqueued == ({"s_g": 4, "s_c": 8, "width_mult": 0.25},)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start_from": "nowhere"}, "nowhere is not a run: it has no run.yaml"),
        ({"start_from": 3}, "from must be a run's folder"),
        ({"sampler": "tpe", "start_from": "OLD"}, "tpe is not known to make use of it"),
        ({"enqueue": "s_g=8"}, "does not say s_c"),
        ({"enqueue": 8}, "enqueue takes settings"),
        ({"enqueue": [FIRST, "s_g=5,s_c=8,width_mult=0.5"]}, "s_g is 5, which is not in the space"),
        ({"enqueue": "missing.csv"}, "there is no file missing.csv"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(
    earlier: mgic_nas.Run, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    if changes.get("start_from") == "OLD":
        changes = {**changes, "start_from": earlier.folder}
    with pytest.raises(UserError, match=said) as caught:
        search(**{**small(tmp_path / "new", sampler="cost"), **changes})
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("design", ["{s_g: 9, s_c: 8, width_mult: 0.5}", "{s_g: [1], s_c: {}}", "{}"])
def test_designs_in_a_run_that_somebody_changed_are_refused(tmp_path: Path, design: str) -> None:
    options = small(tmp_path / "new", trials=1, enqueue=[SECOND])
    search(**options)
    path = tmp_path / "new" / "run.yaml"
    changed = re.sub(r"enqueue:\n(?:[- ] .*\n)+", f"enqueue: [{design}]\n", path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    with pytest.raises(UserError, match=r"run.yaml, enqueue"):
        search(**{**options, "trials": 2, "enqueue": ()})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("p.s_g,p.s_c,p.width_mult,val_acc\n8,16,0.5,many\n", "known.csv cannot be read"),
        ("p.s_g,p.s_c,p.width_mult,val_acc\n9,16,0.5,80\n", "s_g '9' is not in the space"),
        ("p.s_g,p.s_c,val_acc\n8,16,80\n", "it has no 'p.width_mult'"),
        ("p.s_g,p.s_c,p.width_mult,val_acc\n8,16,0.5,101\n", "no accuracy in percent"),
        ("p.s_g,p.s_c,p.width_mult,val_acc\n8,16,0.5,nan\n", "no accuracy in percent"),
    ],
)
def test_a_copy_that_somebody_changed_is_refused(
    earlier: mgic_nas.Run, tmp_path: Path, content: str, said: str
) -> None:
    options = small(tmp_path / "new", sampler="cost", trials=1, start_from=earlier.folder)
    search(**options)
    (tmp_path / "new" / "known.csv").write_text(content)
    with pytest.raises(UserError, match=said):
        search(**{**options, "trials": 2})
