"""A search accepts every network of the library, and what it prints and writes works for each of them.

The winner of a segmentation search is no timm name, and that of ``mgicify:NAME`` is one that timm knows otherwise: a
line that fails when it is pasted, or weights that score something else, would make the whole search worthless.
"""

import contextlib
import csv
import os
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

import mgic_nas
from mgic_nas.cli import main
from mgic_nas.engine.storage.record import read_record
from mgic_nas.families import model_names, network_names
from mgic_nas.tasks import load_data, metric_of

SHARED = Path(os.environ.get("MGIC_NAS_DATA", Path(__file__).parents[2] / "shared" / "data"))
IMAGES = "fashion?train=100&val=50"
LARGER = "fashion?train=640&val=50&size=32"  # ten steps: after one, the deepest networks overflow in eval mode
SHAPES = "segmentation:shapes?train=24&val=8&size=32"
WAVES = "functions:waves?train=256&val=100"
CLOUDS = "points:CLOUDS?points=32"  # CLOUDS is the file that a test makes


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, in which ``run`` is the run: lines are pasted where they were printed."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    clouds = rng.normal(size=(40, 48, 3)) * np.array([[1, 1, 1], [0.1, 0.1, 1]])[labels, None]
    parts = {f"{part}_{what}": value for part in ("train", "test") for what, value in
             (("points", clouds.astype(np.float32)), ("labels", labels))}  # fmt: skip
    np.savez(tmp_path / "clouds.npz", classes=np.array(["ball", "stick"]), **parts)
    return tmp_path


def searched(model: str, data: str, params: str, capsys: pytest.CaptureFixture[str]) -> tuple[mgic_nas.Run, str, str]:
    """A search as a user types it: (the run, what was on stdout, on stderr)."""
    Path("space.yaml").write_text(f'model: "{model}"\n{params}\n')
    argv = ["search", "space.yaml", "--data", data, "--budget", "100G", "--trials", "2", "--epochs", "1"]
    capsys.readouterr()
    code = main([*argv, "--executor", "local", "--concurrent", "1", "--out", "run"])
    out, err = capsys.readouterr()
    assert code == 0, err
    return mgic_nas.load_run("run"), out, err


def check(model: str, data: str, params: str, capsys: pytest.CaptureFixture[str]) -> torch.nn.Module:
    """Searches, pastes every line, and sees that the winner scores what was promised. Gives the winner."""
    data = data.replace("CLOUDS", "clouds.npz")
    run, out, err = searched(model, data, params, capsys)
    pasted = {"timm": timm, "mgic_nas": mgic_nas}
    row = next(iter(csv.DictReader(Path("run/budgets.csv").read_text().splitlines())))
    assert row["note"] == ""
    assert {p.name for p in Path("run/winners/100G").iterdir()} >= {"config.json", "model.safetensors"}

    with contextlib.chdir("run"):  # where the run lies
        net = eval(row["local_dir"], pasted).eval()
    known = load_data(data)
    scores = known.task.evaluate(net, known.val, batch_size=128)
    promised = run.best().row["val_acc"]
    one_image = 100 / len(known.val) if metric_of(data).of_items else 0.05
    assert scores["val_acc"] == pytest.approx(promised, abs=one_image + 1e-6)
    # The loss tells networks apart that guess alike.
    trained = {trial.number: trial for trial in read_record("run").entries}[run.best().row["number"]]
    assert scores["val_loss"] == pytest.approx(trained.val_loss, rel=1e-3)
    for other in (run.best().create_model(), mgic_nas.load_winner("run/winners/100G")):
        assert not other.training
        assert all(torch.equal(a, b) for a, b in zip(other.state_dict().values(), net.state_dict().values()))
        assert tuple(other.pretrained_cfg["mean"]) == known.info.mean

    shapes = [v.shape for v in net.state_dict().values()]
    lines = {row["create_model"], run.best().line, next(x for x in out.splitlines() if "create_model(" in x).strip()}
    assert len(lines) == 1, "the line is the same wherever it is printed"
    assert [v.shape for v in eval(lines.pop(), pasted).state_dict().values()] == shapes

    metric = known.task.metric
    assert metric == metric_of(data).name == row["metric"] == run.to_dict()["metric"]
    short = metric_of(data).short
    report = Path("run/report.md").read_text()
    assert f"{short} {promised:.2f} %" in out
    assert f"trial 0: {short} " in err
    assert f"scored by {metric} on" in report
    assert row["create_model"] in report
    assert row["local_dir"] in report
    assert metric_of(data).score in Path("run/report.html").read_text()
    return net


def test_segmentation(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params = "kwargs: {depths: 1, filters: 16}\nparams: {s_g: {choices: [8, 16]}, s_c: {choices: [16]}}"
    net = check("mgic_lraspp_mobilenetv3_small", SHAPES, params, capsys)
    assert net(torch.zeros(1, 3, 40, 24)).shape == (1, 4, 40, 24)
    report = Path("run/report.md").read_text()
    assert "Validation mIoU" in report
    assert "binomial" not in report, "mIoU is no share of right answers"
    assert "accurac" not in report.lower()


def test_points(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = check("mgic_diffgcn", CLOUDS, "params: {s_g: {choices: [16, 32]}, k: {choices: [4]}}", capsys)
    assert net(torch.zeros(2, 3, 32)).shape == (2, 2)
    assert "point clouds" in Path("run/report.md").read_text()


def test_functions(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check("implicit_mgic_mobilenetv3", WAVES, "kwargs: {c_max: 64}\nparams: {s_g: {choices: [8, 16]}}", capsys)
    row = next(iter(csv.DictReader(Path("run/budgets.csv").read_text().splitlines())))
    assert float(row["mse"]) > 0
    report = Path("run/report.md").read_text()
    assert f"(MSE {float(row['mse']):.3g})" in report
    assert "images" not in report


CONVERTED = "params: {s_g: {choices: [16, 32]}, s_c: {choices: [64]}}"


def test_a_converted_network(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check("mgicify:resnet10t", IMAGES, CONVERTED, capsys)
    net = timm.create_model("local-dir:run/winners/100G", pretrained=True, num_classes=3)
    assert net.get_classifier().out_features == 3, "timm adapts it as any other"


@pytest.mark.slow
@pytest.mark.parametrize("base", ["resnext26ts", "mobilenetv3_small_050", "efficientnet_b0", "convnext_atto"])
def test_converted_networks(workplace: Path, base: str, capsys: pytest.CaptureFixture[str]) -> None:
    params = CONVERTED if base != "mobilenetv3_small_050" else CONVERTED.replace("16, 32", "4, 8").replace("64", "16")
    check(f"mgicify:{base}", LARGER, params, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*model_names(), "resnet10t"])
def test_every_timm_name(workplace: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    own = "s_g: {choices: [8, 16]}" if name.startswith("mgic") else "drop_path_rate: {choices: [0.0, 0.1]}"
    check(name, LARGER, f"params: {{{own}}}", capsys)


@pytest.mark.slow
@pytest.mark.parametrize("name", network_names())
def test_every_other_name(workplace: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    data, own = next(
        found
        for part, found in (
            ("lraspp", (SHAPES, "s_g: {choices: [8, 16]}")),
            ("gcn", (CLOUDS, "k: {choices: [4, 8]}")),
            ("dgcnn", (CLOUDS, "k: {choices: [4, 8]}")),
            ("implicit", (WAVES, "c_max: {choices: [64, 128]}")),
        )
        if part in name
    )
    check(name, data, f"params: {{{own}}}", capsys)


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "modelnet10").is_dir(), reason="MGIC_NAS_DATA names the folder of modelnet10")
def test_modelnet10(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = f"points:{SHARED / 'modelnet10'}?points=64&train=100&val=50"
    check("mgic_diffgcn", data, "params: {s_g: {choices: [16, 32]}}", capsys)


def test_what_is_no_winner_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(mgic_nas.UserError, match="is no winner"):
        mgic_nas.load_winner(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(mgic_nas.UserError, match="cannot be read"):
        mgic_nas.load_winner(tmp_path)
    (tmp_path / "config.json").write_text('{"architecture": "resnet10t", "num_classes": 2}')
    with pytest.raises(mgic_nas.UserError, match="cannot be loaded"):
        mgic_nas.load_winner(tmp_path)
    own = '{"library": "mgic_nas", "architecture": "dgcnn", "num_classes": 2, "in_chans": 3}'
    (tmp_path / "config.json").write_text(own)
    with pytest.raises(mgic_nas.UserError, match="cannot be loaded"):
        mgic_nas.load_winner(tmp_path)
    with pytest.raises(mgic_nas.UserError, match="Did you mean dgcnn"):
        mgic_nas.create_model("dgcn")
