"""The report of real runs on disk: interrupted ones, and ones of which only the tables are left."""

import csv
import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import report as fakes

from mgic_nas.engine.storage.trial import curve_points
from mgic_nas.errors import UserError
from mgic_nas.report import build, story
from mgic_nas.report.gather import gather, read_curve
from mgic_nas.train import get_recipe

FILES = {"trials.csv", "front.csv", "budgets.csv", "report.html", "report.md", "front.png"}


def table(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Four real trainings of an epoch on 300 images, one that raised, and one that was never finished."""
    pytest.importorskip("optuna")
    from mgic_nas.engine import Controller
    from mgic_nas.tasks import load_data
    from mgic_nas.train import Setup, get_recipe, work

    spec = "fashion?train=300&val=150"
    info = load_data(spec).info
    config = fakes.config(
        data={**dataclasses.asdict(info), "spec": spec},
        trials=6,
        epochs=2,
        sampler="random",
        executor="local",
        budgets=["0.1M", "0.5M", "1M"],
        recipe=get_recipe("quick").to_dict(),
    )
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    setup = Setup(config.model, spec, 2, get_recipe("quick"), str(folder / "trials"), device="cpu", threads=1)
    with Controller(folder, config) as controller:
        for turn in range(6):
            job = controller.next()
            if turn == 4:
                controller.fail(job, "RuntimeError: out of <b>memory</b>")
                continue
            for result in work(job, setup):
                assert controller.report(job, result)
                if turn == 5:
                    break
            else:
                controller.finish(job)
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "tiny"))


def test_a_real_run_gets_everything(run):
    said = []
    path = build(run, echo=said.append)
    assert path == run / "report.html"
    assert {p.name for p in run.iterdir()} >= FILES | {"winners"}
    trials = table(run / "trials.csv")
    assert [t["state"] for t in trials] == ["complete"] * 4 + ["failed", "running"]
    front = table(run / "front.csv")
    assert list(front[0]) == list(trials[0])
    assert [float(t["macs"]) for t in front] == sorted(float(t["macs"]) for t in front)
    assert {t["number"] for t in front} == {t["number"] for t in trials if t["on_front"] == "True"}
    budgets = {b["budget"]: b for b in table(run / "budgets.csv")}
    assert list(budgets) == ["0.1M", "0.5M", "1M"]
    assert budgets["0.1M"]["note"] == "No trained network is within 0.1 M MACs (at 1×14×14)."
    assert float(budgets["1M"]["macs"]) <= 1e6
    assert budgets["1M"]["input_size"] == "1x14x14"
    html = path.read_text()
    assert "out of &lt;b&gt;memory" in html
    assert "RuntimeError" in (run / "report.md").read_text()
    assert "Unfinished: 5 of 6 trials are over, 1 running" in html
    assert said == []
    assert gather(run).paired, "each training kept which images its network got right"
    assert "Differences have the smaller, paired error" in html
    assert not list(run.glob(".*.??????*")), "no temporary file is left"


def test_the_exported_winner_scores_what_the_report_says(run, monkeypatch):
    """timm's own loader of the winner's folder, on the same images: val_acc to one image."""
    import timm
    import torch

    from mgic_nas.tasks import load_data

    build(run)
    winner = {b["budget"]: b for b in table(run / "budgets.csv")}["1M"]
    monkeypatch.chdir(run.rename(run.with_name("moved")))  # the lines are valid in the run's folder, wherever it is
    net = eval(winner["local_dir"], {"timm": timm})
    data = load_data("fashion?train=300&val=150")
    score = data.task.evaluate(net.eval(), data.val, device="cpu")
    assert score["val_acc"] == pytest.approx(float(winner["val_acc"]), abs=100 / 150 + 1e-6)
    known = timm.data.resolve_model_data_config(net)
    for name, value in data.info.data_config().items():
        assert known[name] == value or tuple(known[name]) == tuple(value)
    with torch.no_grad():
        assert net(torch.zeros(1, *data.info.input_size)).shape == (1, 10)


def test_building_again_changes_nothing(run):
    build(run)
    before = {name: (run / name).read_bytes() for name in FILES}
    build(run)
    assert {name: (run / name).read_bytes() for name in FILES} == before


def test_the_curve_of_an_unfinished_trial_is_shown(run):
    """Somebody who looks at a running search wants to see that it moves."""
    summary = gather(run)
    assert [len(t.curve) for t in summary.trials] == [2, 2, 2, 2, 0, 1]


def test_missing_weights_are_told(run):
    shutil.rmtree(run / "trials")
    said = []
    build(run, echo=said.append)
    assert said[-1] == "no winner written for the budget 1M: its weights are no longer there"
    assert "No trained weights" in (run / "report.html").read_text()
    assert not (run / "winners").exists()


def test_a_run_without_its_study_is_read_from_its_table(run):
    """Of a run that is committed or sent, study.db stays at home: its report can still be built, the table is kept."""
    build(run)
    before, full = (run / "trials.csv").read_bytes(), gather(run)
    for path in run.glob("study.db*"):
        path.unlink()
    build(run)
    assert (run / "trials.csv").read_bytes() == before
    summary = gather(run)
    assert [(t.number, t.setting, t.config) for t in summary.front] == [
        (t.number, t.setting, t.config) for t in full.front
    ]
    assert (run / "winners" / "1M" / "model.safetensors").exists()


def test_a_run_that_was_killed_before_its_first_trial(tmp_path):
    fakes.config().save(tmp_path)
    build(tmp_path)
    assert "No network has finished training yet" in (tmp_path / "report.md").read_text()
    assert table(tmp_path / "front.csv") == []
    assert {p.name for p in tmp_path.iterdir()} == (FILES - {"trials.csv"}) | {"run.yaml"}


def test_reference_points_are_laid_over_the_front(run, tmp_path):
    published = tmp_path / "published.csv"
    published.write_text(
        "name,gmacs,top1,img_size,data\nLeNet-5,0.00042,79.5,14,fashion\nbig,0.4,99,28,mnist\n?,0.1,90,,\n"
    )
    said = []
    html = build(run, published, echo=said.append).read_text()
    figures = json.loads(html.split('id="data">', 1)[1].split("</script>", 1)[0])["figures"]
    (trace,) = (t for t in figures["front-macs"]["data"] if t["name"] == "reference")
    assert trace["x"] == [420_000.0]
    assert "at 14" in trace["hover"][0]
    assert "published.csv" in html
    assert len(said) == 1
    assert said[0].startswith("2 points of published.csv left out: of other data or another input size")
    html = build(run, published, apart=True).read_text()
    figures = json.loads(html.split('id="data">', 1)[1].split("</script>", 1)[0])["figures"]
    (trace,) = (t for t in figures["front-macs"]["data"] if t["name"] == "other data or input size")
    assert (trace["text"], trace["marker"]["symbol"]) == (["big", "?"], "diamond-open")


def test_a_wrong_reference_leaves_the_old_report_alone(run, tmp_path):
    build(run)
    before = (run / "report.html").stat().st_ino
    (tmp_path / "wrong.csv").write_text("who,what\n")
    with pytest.raises(UserError, match="lacks the columns"):
        build(run, tmp_path / "wrong.csv")
    assert (run / "report.html").stat().st_ino == before


def test_a_folder_that_is_no_run_is_left_alone(tmp_path):
    with pytest.raises(UserError, match="not a run"):
        build(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="not a run"):
        build(tmp_path / "nothing")


def test_a_line_that_is_being_written_is_left_out_of_a_curve(tmp_path):
    for attempt, text in enumerate(("epoch,val_acc\n1,50.0\n2,60.0\n", "epoch,val_acc\n2,61.0\n3,nan\n4")):
        (tmp_path / f"attempt-{attempt}").mkdir()
        (tmp_path / f"attempt-{attempt}" / "epochs.csv").write_text(text)
    attempts = [tmp_path / f"attempt-{attempt}" for attempt in range(3)]
    assert curve_points(read_curve(attempts)) == ((1, 50.0), (2, 61.0))


def test_the_command_makes_the_run_again():
    """Every word of it is read back by the shell as it was meant."""
    import shlex

    summary = fakes.summary("runs/a name", data={**fakes.DATA, "spec": "fashion?train=300&val=150"}, keep="all")
    words = shlex.split(summary.command)
    assert words[:5] == ["mgic-nas", "search", "quickstart", "--data", "fashion?train=300&val=150"]
    assert words[-2:] == ["--out", "."], "in the run's folder, whatever it is called by then"
    assert words[words.index("--keep") + 1] == "all"
    assert [words[i + 1] for i, word in enumerate(words) if word == "--budget"] == ["0.5M", "1M", "2M"]
    assert fakes.summary(space_source="").command == "", "a space that was made in Python has no command"


def test_the_command_names_early_stopping_and_the_recipe():
    steady = get_recipe("steady").to_dict()
    command = fakes.summary(rungs="thaw", recipe=steady).command
    assert " --rungs thaw " in command
    assert " --recipe steady " in command
    assert fakes.summary(recipe={**steady, "lr": 0.02}).command == "", "no command line says that"


def test_a_run_with_early_stopping_is_finished_although_some_wait_at_a_rung():
    table, curves = fakes.rows(stopped=(3, 5))
    for row in table:
        row["state"] = "paused" if row["state"] == "stopped" else row["state"]
    open_run = fakes.summary(table=(table, curves))
    assert not open_run.over
    assert "Unfinished: 22 of 24 trials are over, 2 paused" in story.status(open_run)
    over = dataclasses.replace(open_run, record=dataclasses.replace(open_run.record, over=True))
    assert over.over
    assert story.status(over).startswith("Finished. 2 trained only so far as to see")


def test_importing_the_report_is_light():
    """`mgic-nas --help` may import it."""
    code = (
        "import sys, mgic_nas.report\n"
        "heavy = {'torch', 'timm', 'plotly', 'pandas', 'matplotlib', 'optuna', 'ray', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium")
def test_the_page_works_in_a_browser(tmp_path):
    """Sorting, filtering and switching in a real browser, with an empty console and nothing fetched."""
    from mgic_nas.report.page import page

    script = """<script>addEventListener("load", () => {
      const table = document.getElementById("all-trials"), form = document.querySelector(".filters");
      table.tHead.rows[0].cells[2].querySelector("button").click();
      const accs = [...table.tBodies[0].rows].map((row) => row.cells[2].dataset.v);
      form.elements.text.value = "basic"; form.dispatchEvent(new Event("input"));
      document.querySelectorAll("#front .switch button")[1].click();
      document.title = JSON.stringify({
        accs, shown: form.querySelector("output").textContent,
        axis: document.querySelector("#front .plot .title").textContent,
        plots: document.querySelectorAll(".plot svg").length,
        fetched: performance.getEntriesByType("resource").length,
      });
    });</script></body>"""
    html = page(fakes.summary(table=fakes.rows(failed=(3,))), {}).replace("</body>", script)
    (tmp_path / "report.html").write_text(html)
    done = subprocess.run(
        [
            *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--enable-logging=stderr", "--v=0", f"--user-data-dir={tmp_path / 'profile'}"),
            *("--virtual-time-budget=5000", "--dump-dom", f"file://{tmp_path / 'report.html'}"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr
    found = json.loads(done.stdout.split("<title>", 1)[1].split("</title>", 1)[0])
    numbers = [float(value) for value in found["accs"] if value]
    assert numbers == sorted(numbers)
    assert found["accs"][-1] == "", "a trial without an accuracy comes last"
    assert found["shown"].endswith("of 24 trials")
    assert found["axis"] == "Parameters (log scale)"
    assert found["plots"] == 7, "front, four parameters, hypervolume, curves"
    assert found["fetched"] == 0
