"""What ships: it must give the network's outputs, say how its inputs are prepared, and be whole or not there."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import timm.models._hub
import torch
from fakes.wrong import one_line, refused, tree, unchanged, unpack
from huggingface_hub import ModelCard
from timm.models import push_to_hf_hub

import mgic_nas
from mgic_nas import UserError
from mgic_nas.cli import main
from mgic_nas.deploy.files import open_file
from mgic_nas.exporting import ship
from mgic_nas.exporting.check import agreement
from mgic_nas.run import Winner
from mgic_nas.tasks import load_data

FILES = {"onnx": "model.onnx", "pt2": "model.pt2", "openvino": "model.xml"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="module")
def winner(run: Path) -> Winner:
    return mgic_nas.load_run(run).within("0.3M")


@pytest.fixture(scope="module")
def exports(winner: Winner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one export of each form, ONNX in 8 bits, too."""
    folder = tmp_path_factory.mktemp("exports")
    for form in ("hf", *FILES):
        winner.export(form, folder / form, int8=form == "onnx", fuse=form != "pt2")
    return folder


@pytest.mark.parametrize("form", FILES)
def test_a_file_gives_the_network_s_outputs_for_any_number_of_images(exports: Path, winner: Winner, form: str) -> None:
    opened = open_file(exports / form / FILES[form])
    net = winner.create_model()
    for batch in (1, 2, 7):
        x = torch.randn(batch, 1, 14, 14)
        with torch.no_grad():
            assert torch.allclose(opened.net(x), net(x), atol=1e-4)
    assert opened.carried == winner.carried


@pytest.mark.parametrize("form", FILES)
def test_a_file_has_the_network_s_score(exports: Path, run: Path, form: str) -> None:
    """Counted on the file that ships, with the preprocessing and the classes that it carries."""
    found = mgic_nas.score(exports / form / FILES[form], "fashion", against=run / "winners/0.3M")
    assert found.paired is not None
    assert found.paired.only_first == found.paired.only_second == 0
    assert found.evaluation.runtime != "torch"


def test_the_table_is_what_score_says(exports: Path, winner: Winner) -> None:
    rows = json.loads((exports / "onnx/export.json").read_text())["rows"]
    assert [row["file"] for row in rows] == [None, "model.onnx", "model.int8.onnx"]
    assert rows[0]["val_score"] == pytest.approx(winner.trial.val_acc)
    for row in rows[1:]:
        path = exports / "onnx" / row["file"]
        assert row["bytes"] == path.stat().st_size
        assert row["val_score"] == mgic_nas.score(path, winner.config.data["spec"], split="val").value
        assert row["latency_ms"] > 0
    card = (exports / "onnx/README.md").read_text()
    assert all(f"{row['val_score']:.2f} ± {row['val_error']:.2f} %" in card for row in rows)


def test_eight_bits_are_eight_bits_and_near(exports: Path) -> None:
    import onnx

    model = onnx.load(exports / "onnx/model.int8.onnx")
    types = {one.data_type for one in model.graph.initializer if len(one.dims) == 4}
    assert onnx.TensorProto.INT8 in types
    plain, eight = (open_file(exports / "onnx" / name).net for name in ("model.onnx", "model.int8.onnx"))
    x = next(load_data("fashion?train=400&val=200").val.batches(200))[0]
    told = agreement(plain, eight, x)
    assert told.difference > 0
    assert told.same_class is not None
    assert told.same_class > 80
    ways = json.loads((exports / "onnx/export.json").read_text())["int8_ways"]
    assert len({way["name"] for way in ways}) == len(ways) >= 4


@pytest.mark.parametrize("form", ["hf", *FILES])
def test_the_lines_of_the_card_work(exports: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    card = (exports / form / "README.md").read_text()
    monkeypatch.chdir(exports / form)
    names: dict[str, Any] = {}
    exec(card.partition("```python\n")[2].partition("```")[0], names)
    if form == "hf":
        assert names["net"](torch.zeros(1, 1, 14, 14)).shape == (1, 10)
        assert [*names["config"]["mean"]] == [0.2852]
    else:
        assert np.asarray(names["scores"].detach() if form == "pt2" else names["scores"]).shape == (1, 10)
        assert names["config"]["label_names"][9] == "Ankle boot"


def test_the_card_is_one_for_the_hub(exports: Path, winner: Winner) -> None:
    card = ModelCard.load(exports / "hf/README.md")
    assert (card.data.license, card.data.library_name, card.data.pipeline_tag) == (
        "mit",
        "timm",
        "image-classification",
    )
    (result,) = card.data.eval_results or []
    assert (result.metric_type, result.dataset_split) == ("accuracy", "validation")
    assert result.metric_value == pytest.approx(winner.trial.val_acc)
    for said in ("0.2M, 0.3M", f"{winner.trial.macs:,} MACs at 1x14x14", winner.line, "import mgic_nas  # first"):
        assert said in card.text


def test_timm_loads_and_would_push_the_folder(exports: Path, winner: Winner, monkeypatch: pytest.MonkeyPatch) -> None:
    net = timm.create_model(f"local-dir:{exports / 'hf'}", pretrained=True).eval()
    x = torch.randn(2, 1, 14, 14)
    with torch.no_grad():
        assert torch.equal(net(x), winner.create_model()(x))
    pushed: dict[str, bytes] = {}

    class Api:
        def __init__(self, **_: object) -> None: ...

        def create_repo(self, repo_id: str, **_: object) -> Any:
            return type("Url", (), {"repo_id": repo_id})

        def file_exists(self, **_: object) -> bool:
            return False

        def upload_folder(self, folder_path: str, **_: object) -> None:
            pushed.update({path.name: path.read_bytes() for path in Path(folder_path).iterdir()})

    monkeypatch.setattr(timm.models._hub, "HfApi", Api)
    push_to_hf_hub(net, "somebody/net", safe_serialization=True)
    assert pushed.keys() == {"README.md", "config.json", "model.safetensors"}
    own = json.loads((exports / "hf/config.json").read_text())
    assert json.loads(pushed["config.json"])["model_args"] == own["model_args"]


def test_a_folder_of_a_run_is_exported_with_the_run_s_data(run: Path, tmp_path: Path) -> None:
    argv = ["export", str(run / "winners/0.2M"), "--to=onnx", "--no-fuse", f"--out={tmp_path / 'out'}"]
    assert main(argv) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"README.md", "export.json", "model.onnx"}


def test_the_card_of_a_retrained_network_has_its_test_score(run: Path, tmp_path: Path) -> None:
    from mgic_nas.exporting.source import of_folder

    shutil.copytree(run, tmp_path / "run")
    folder = tmp_path / "run/retrain/trial-1/seed-0"
    shutil.copytree(run / "winners/0.2M", folder)
    row = mgic_nas.load_run(run).within("0.2M").row
    result = {"epochs": 90, "seed": 0, "val_acc": 61.5, "macs": row["macs"], "params": row["params"]}
    result |= {"network": "trial-1", "arch_id": row["arch_id"], "test": {"acc": 60.25, "items": 1000, "loss": 1.0}}
    (folder / "result.json").write_text(json.dumps(result))
    card = (ship.export(of_folder(folder), "hf", tmp_path / "out").folder / "README.md").read_text()
    assert "top-1 60.25 % on 1,000 images, scored once" in card
    assert "90 epochs after the search" in card


def test_the_same_again_is_fine_and_anything_else_is_not(winner: Winner, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = winner.export("hf", out)
    assert winner.export("hf", out).to_dict() == first.to_dict()
    other = mgic_nas.load_run(run).within("0.2M")
    assert other.trial.number != winner.trial.number
    with unchanged(tmp_path):
        with pytest.raises(UserError) as error:
            other.export("hf", out)
        one_line(error.value, "holds another export", "another folder")
        with pytest.raises(UserError) as error:
            winner.export("onnx", out)
        one_line(error.value, "holds another export")
    (out / "mine.txt").write_text("mine")
    with unchanged(tmp_path), pytest.raises(UserError) as error:
        winner.export("hf", out)
    one_line(error.value, "other content (mine.txt)")


def test_a_link_is_not_written_through(winner: Winner, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    with unchanged(tmp_path), pytest.raises(UserError) as error:
        winner.export("hf", tmp_path / "out")
    one_line(error.value, "is a link")


def test_a_file_that_differs_is_not_kept(winner: Winner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also nothing half written, in the place or beside it."""

    def wrong(net: torch.nn.Module, target: str, **_: object) -> torch.nn.Module:
        changed = mgic_nas.fuse(net)
        with torch.no_grad():
            next(changed.parameters()).mul_(1.1)
        return changed

    monkeypatch.setattr(ship, "fuse", wrong)
    before = tree(tmp_path)
    with pytest.raises(UserError) as error:
        winner.export("onnx", tmp_path / "new/out")
    one_line(error.value, "differs from the network", "nothing is kept")
    assert tree(tmp_path / "new") == before


@pytest.mark.parametrize(("form", "name"), [("onnx", "onnxruntime"), ("onnx", "onnx"), ("openvino", "openvino")])
def test_a_missing_package_is_one_line_with_the_command(
    winner: Winner, tmp_path: Path, form: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with unchanged(tmp_path), pytest.raises(UserError) as error:
        winner.export(form, tmp_path / "out")
    one_line(error.value, f"pip install {name}")


def test_a_network_that_timm_does_not_know(tmp_path: Path) -> None:
    """Segmentation: the pixels' classes are compared, and the folder says how it is loaded."""
    from mgic_nas.exporting.source import of_folder
    from mgic_nas.networks import save_network

    data = load_data("segmentation:shapes?size=32&train=24&val=8&test=4")
    config = {"width_mult": 0.25}
    torch.manual_seed(0)
    name = "mgic_lraspp_mobilenetv3_small"
    net = mgic_nas.create_model(name, num_classes=4, in_chans=3, **config).eval()
    (tmp_path / "net").mkdir()
    save_network(
        tmp_path / "net",
        net,
        name,
        config,
        num_classes=4,
        in_chans=3,
        data_config=data.info.data_config(),
        label_names=data.info.classes,
    )
    out = tmp_path / "out"
    found = ship.export(of_folder(tmp_path / "net"), "onnx", out, fused=False, data=data.spec)
    assert [row["form"] for row in found.to_dict()["rows"]][:2] == ["as trained", "onnx"]
    score = mgic_nas.score(out / "model.onnx", data.spec, against=tmp_path / "net")
    assert score.paired is not None
    assert score.paired.difference == pytest.approx(0, abs=1e-3)
    assert score.paired.p_value is None
    card = ship.export(of_folder(tmp_path / "net"), "hf", tmp_path / "hf").folder / "README.md"
    assert "mgic_nas.load_winner" in card.read_text()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["run", "--out=out"], ["--to"]),
        (["run", "--to=onnx"], ["--out"]),
        (["run", "--to=onnxx", "--out=out"], ["did you mean onnx"]),
        (["run", "--to=", "--out=out"], ["hf, onnx, pt2, openvino"]),
        (["run", "--to=pt2", "--int8", "--out=out"], ["int8 is for onnx"]),
        (["run", "--to=hf", "--int8", "--out=out"], ["int8 is for onnx"]),
        (["run", "--to=hf", "--out="], ["folder's path"]),
        (["run", "--to=hf", "--out=space.yaml"], ["is a file"]),
        (["run", "--to=hf", "--out=space.yaml/x"], ["cannot be written"]),
        (["run", "--to=hf", "--out=run"], ["other content"]),
        (["run", "--to=hf", "--out=/dev/null/x"], ["cannot be written"]),
        (["run", "--to=hf", "--out=" + "x" * 300], ["cannot be written"]),
        (["run", "--to=hf", "--out=out", "--budget=1k"], ["no trained network is within 1k"]),
        (["run", "--to=hf", "--out=out", "--budget=5Q"], ["5Q"]),
        (["run", "--to=onnx", "--out=out", "--data=fashoin"], ["did you mean fashion"]),
        (["run", "--to=onnx", "--out=out", "--data=functions:waves"], ["1x14x14"]),
        (["nothing", "--to=hf", "--out=out"], ["neither a run nor a folder"]),
        (["space.yaml", "--to=hf", "--out=out"], ["neither a run nor a folder"]),
        (["copy", "--to=hf", "--out=out", "--budget=1M"], ["no run"]),
        (["copy", "--to=onnx", "--out=out"], ["does not say its data", "--data"]),
        (["torn", "--to=hf", "--out=out"], ["torn cannot be loaded"]),
    ],
)
def test_a_wrong_export(argv: list[str], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = unpack(tmp_path)
    (tmp_path / "space.yaml").write_text("model: mgic_resnet20\n")
    for name in ("copy", "torn"):
        shutil.copytree(run / "winners/0.2M", tmp_path / name)
    os.truncate(tmp_path / "torn/model.safetensors", 100)
    monkeypatch.chdir(tmp_path)
    refused(["export", *argv], *words)


def test_a_folder_needs_the_import_that_its_card_shows(exports: Path) -> None:
    """In a process of its own, as a reader of the card has one."""
    folder = exports / "hf"
    line = f"timm.create_model('local-dir:{folder}', pretrained=True)"
    done = subprocess.run([sys.executable, "-c", f"import timm; {line}"], capture_output=True, timeout=120, check=False)
    assert done.returncode == 1
    assert b"Unknown model" in done.stderr
