"""What a network is said to be worth: on the right inputs, classes by name, and compared on the same images."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from fakes.wrong import one_line, refused, unchanged, unpack
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms.functional import normalize, to_tensor

import mgic_nas
from mgic_nas import UserError
from mgic_nas.cli import main
from mgic_nas.evaluation import Evaluation, compare, jackknife, mcnemar
from mgic_nas.tasks import ItemScores, load_data
from mgic_nas.tasks.metrics import MIOU, TOP1

DATA = "fashion?train=400&val=200"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("finished"))


def edited(folder: Path, target: Path, **changes: object) -> Path:
    """A copy of a winner's folder with other values in its config."""
    target.mkdir()
    config = json.loads((folder / "config.json").read_text())
    for key, value in changes.items():
        (config["pretrained_cfg"] if key in config["pretrained_cfg"] else config)[key] = value
    (target / "config.json").write_text(json.dumps(config))
    (target / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    return target


def test_score_on_the_validation_part_is_the_search_s(run: Path) -> None:
    for row in mgic_nas.load_run(run).front().to_dict("records"):
        found = mgic_nas.score(run, split="val", budget=f"{row['macs']}")
        assert found.value == pytest.approx(row["val_acc"])
        assert found.evaluation.count == 200
        assert found.error == pytest.approx(100 * math.sqrt(row["val_acc"] / 100 * (1 - row["val_acc"] / 100) / 200))
        assert any("searches choose by" in note for note in found.evaluation.notes)
        assert any("the run's own data" in note for note in found.evaluation.notes)


def test_a_folder_below_a_run_is_scored_on_the_run_s_data(run: Path) -> None:
    found = mgic_nas.score(run / "winners/0.3M", split="val")
    assert found.evaluation.spec == DATA
    assert found.value == mgic_nas.score(run, split="val", budget="0.3M").value


def test_confusions_add_up(run: Path) -> None:
    found = mgic_nas.score(run / "winners/0.2M", DATA).to_dict()
    confusion = np.array(found["confusion"])
    assert confusion.sum() == found["items"] == 1000
    assert found["score"] == pytest.approx(100 * confusion.trace() / 1000)
    assert [found["by_class"][name] for name in found["classes"]] == pytest.approx(
        100 * confusion.diagonal() / confusion.sum(1)
    )


def test_images_are_prepared_as_the_network_was_trained(run: Path, tmp_path: Path) -> None:
    """By the data's own mean and std the inputs would be others, and the accuracy silently wrong."""
    folder = edited(run / "winners/0.2M", tmp_path / "net", mean=[0.6], std=[0.1])
    net = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    test = load_data("fashion").test
    assert test is not None
    images = [normalize(to_tensor(image), [0.6], [0.1]) for image, _ in test.as_dataset()]
    loader = DataLoader(TensorDataset(torch.stack(images), torch.from_numpy(test.labels)), 100)
    with torch.no_grad():
        right = sum(int((net(x).argmax(1) == y).sum()) for x, y in loader)
    found = mgic_nas.score(folder, "fashion")
    assert abs(found.value - right / 10) <= 0.1
    assert abs(found.value - mgic_nas.score(run / "winners/0.2M", "fashion").value) > 1
    assert any("own mean and std" in note for note in found.evaluation.notes)


def test_size_and_colours_are_the_network_s(run: Path) -> None:
    found = mgic_nas.score(run / "winners/0.2M", "fashion?size=28&chans=3")
    assert found.evaluation.input_size == (1, 14, 14)
    assert found.evaluation.notes[0] == "?size=28 is replaced by the network's size=14x14"
    assert found.value == mgic_nas.score(run / "winners/0.2M", "fashion").value


def test_classes_in_another_order_are_matched_by_name(run: Path, tmp_path: Path) -> None:
    folder = run / "winners/0.2M"
    names = json.loads((folder / "config.json").read_text())["label_names"]
    turned = edited(folder, tmp_path / "turned", label_names=names[::-1])
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    for key in ("classifier.weight", "classifier.bias"):
        weights[key] = weights[key].flip(0).contiguous()
    safetensors.torch.save_file(weights, turned / "model.safetensors")
    paired = mgic_nas.score(turned, DATA, against=folder)
    assert paired.paired is not None
    assert (paired.paired.only_first, paired.paired.only_second, paired.paired.difference) == (0, 0, 0)
    assert any("matched by name" in note for note in paired.evaluation.notes)


def test_other_classes_are_named(run: Path, tmp_path: Path) -> None:
    names = json.loads((run / "winners/0.2M/config.json").read_text())["label_names"]
    other = edited(run / "winners/0.2M", tmp_path / "other", label_names=["Hat", *names[1:]])
    with pytest.raises(UserError) as error:
        mgic_nas.score(other, "fashion")
    one_line(error.value, "lacks 'T-shirt/top' and has besides 'Hat'")


def test_classes_without_names_are_taken_for_the_data_s_and_that_is_said(run: Path, tmp_path: Path) -> None:
    nameless = edited(run / "winners/0.2M", tmp_path / "nameless", label_names=[])
    found = mgic_nas.score(nameless, DATA)
    assert found.value == mgic_nas.score(run / "winners/0.2M", DATA).value
    assert any("does not name its classes" in note for note in found.evaluation.notes)
    with pytest.raises(UserError, match="10 outputs without names"):
        mgic_nas.score(nameless, few_classes(tmp_path), split="val")


def few_classes(folder: Path) -> str:
    """Images of two classes, without a test part."""
    from PIL import Image

    for name in ("cat", "dog"):
        (folder / "images" / name).mkdir(parents=True)
        for i in range(4):
            Image.new("L", (14, 14), 60 * i).save(folder / "images" / name / f"{i}.png")
    return str(folder / "images")


def test_no_test_part_is_said_with_what_makes_one(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        mgic_nas.score(run / "winners/0.2M", few_classes(tmp_path))
    one_line(error.value, "no test part", "test=0.1", "--split val")


def evaluation(right: list[int], **changes: object) -> Evaluation:
    bits = np.array(right, dtype=bool)
    items = ItemScores({"val_acc": 100 * bits.mean(), "val_loss": 1.0}, 100 * bits, bits)
    labels = np.zeros(len(bits), dtype=np.int64)
    given = ("net", "torch", "fashion", "test", (1, 14, 14), TOP1, ("a", "b"), labels, items, (), "x")
    return Evaluation(*given)  # type: ignore[arg-type]


def test_a_paired_difference_has_the_standard_error_of_its_items() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(500) < 0.8
    second = np.where(rng.random(500) < 0.1, ~first, first)
    found = compare(evaluation(first.tolist()), evaluation(second.tolist()))
    differences = 100 * (first.astype(float) - second)
    assert found.difference == pytest.approx(differences.mean())
    assert found.error == pytest.approx(differences.std() / math.sqrt(500))
    apart = math.hypot(100 * first.std(), 100 * second.std()) / math.sqrt(500)
    assert found.error < 0.6 * apart  # which is why it is paired
    assert (found.only_first, found.only_second) == (int((first & ~second).sum()), int((second & ~first).sum()))


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (5, 0), (3, 8), (10, 10), (61, 40), (400, 300)])
def test_mcnemars_exact_p_value(b: int, c: int) -> None:
    n = b + c
    tail = sum(math.comb(n, k) for k in range(min(b, c) + 1)) / 2**n
    assert mcnemar(b, c) == pytest.approx(min(1.0, 2 * tail))


def test_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=50)
    without = np.array([np.delete(values, i).mean() for i in range(50)])
    assert jackknife(without) == pytest.approx(values.std(ddof=1) / math.sqrt(50))


def test_segmentation_is_compared_image_by_image() -> None:
    items = [ItemScores({"val_acc": 50.0 + i, "val_loss": 1.0}, np.array([49.0, 50, 51]) + i) for i in (0, 2)]
    given = ("net", "torch", "segmentation:shapes", "test", (3, 64, 64), MIOU, ("a", "b"), None)
    found = compare(*(Evaluation(*given, one, (), "x") for one in items))  # type: ignore[arg-type]
    assert (found.difference, found.error, found.p_value) == (-2, 0, None)


def test_other_items_are_not_compared() -> None:
    with pytest.raises(UserError, match="needs the same"):
        compare(evaluation([1, 0, 1]), evaluation([1, 0]))


def test_command_prints_a_page_and_json(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with unchanged(run):
        assert main(["score", str(run), "--budget=0.2M", f"--against={run / 'winners/0.3M'}"]) == 0
        page = capsys.readouterr().out
        assert main(["score", str(run), "--budget=0.2M", f"--against={run / 'winners/0.3M'}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert f"top-1 {found['score']:.2f} ± {found['standard_error']:.2f} %" in page
    assert f"difference {found['paired']['difference']:+.2f} ± {found['paired']['error']:.2f} points" in page
    assert "9 Ankle boot" in page
    assert "exact p = " in page


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], ["RUN|FOLDER|FILE"]),
        (["nothing"], ["nothing is not there"]),
        (["nothing.onnx"], ["nothing.onnx is not there"]),
        (["space.yaml"], ["no network's file", ".onnx"]),
        (["empty", "--data=fashion"], ["no network", "run.yaml", "config.json"]),
        (["run", "--split=tset"], ["split must be one of test, val, train"]),
        (["run", "--split="], ["split must be"]),
        (["run", "--data=fashoin"], ["did you mean fashion"]),
        (["run", "--data="], ["data"]),
        (["run", "--data=functions:waves"], ["1x14x14"]),
        (["run", "--data=segmentation:shapes"], ["1x14x14"]),
        (["run", "--data=points:none.npz"], ["none.npz"]),
        (["run", "--budget=1k"], ["no trained network is within 1k"]),
        (["run", "--budget=5Q"], ["5Q"]),
        (["alone"], ["does not say which data"]),
        (["run/winners/0.2M", "--data=fashion", "--budget=1M"], ["no run"]),
        (["run", "--against=nothing"], ["nothing is not there"]),
        (["broken.onnx", "--data=fashion"], ["broken.onnx"]),
        (["config", "--data=fashion"], ["mean must be 1 numbers"]),
    ],
)
def test_a_wrong_score(argv: list[str], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = unpack(tmp_path)
    (tmp_path / "space.yaml").write_text("model: mgic_resnet20\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.onnx").write_bytes(b"nothing that onnxruntime reads")
    edited(run / "winners/0.2M", tmp_path / "config", mean=[0.1, 0.2])
    edited(run / "winners/0.2M", tmp_path / "alone")
    monkeypatch.chdir(tmp_path)
    refused(["score", *argv], *words)
