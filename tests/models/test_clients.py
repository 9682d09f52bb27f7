"""Programs that take any timm name take ours: timm's own scripts, torchvision, segmentation_models_pytorch, fastai.

timm's scripts are in its repository, not in its wheel: MGIC_TIMM_SCRIPTS names the folder that holds them.
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.models import save_for_hf
from torchvision.models.feature_extraction import create_feature_extractor

import mgic_nas
from mgic_nas.tasks import load_data

SMALL = {"depths": 1, "s_g": 8, "s_c": 8}
CLASSES = 6


# --- timm's own scripts --------------------------------------------------------------------------------------


def script(name: str) -> str:
    folder = os.environ.get("MGIC_TIMM_SCRIPTS", "")
    path = Path(folder, name)
    if not folder or not path.is_file():
        pytest.skip(f"set MGIC_TIMM_SCRIPTS to a checkout of pytorch-image-models: {name} is not in timm's wheel")
    return str(path.resolve())


def run(*command: object, cwd: Path) -> str:
    """Standard output of a Python command; what it printed is in the failure."""
    done = subprocess.run([sys.executable, *map(str, command)], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def launched(name: str, *args: object, cwd: Path) -> str:
    return run("-m", "mgic_nas.timm_scripts", script(name), *args, cwd=cwd)


def result(output: str) -> dict:
    """What timm's scripts print for programs, after ``--result``."""
    return json.loads(output.partition("--result")[2])


def write_images(folder: Path, images: np.ndarray, labels: list[int]) -> None:
    for i, (image, label) in enumerate(zip(images, labels)):
        path = folder / f"{label:02}" / f"{i:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image folder as timm reads it: train/ and validation/, six classes of noise around a colour."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for split, count in (("train", 8), ("validation", 4)):
        labels = [c for c in range(CLASSES) for _ in range(count)]
        images = rng.integers(0, 90, (len(labels), 32, 32, 3)) + np.asarray(labels)[:, None, None, None] * 30
        write_images(root / split, images.astype(np.uint8), labels)
    return root


TRAINED = [
    ("mgic_resnet20", {"depths": 1, "s_g": 8, "s_c": 16}, 32),
    ("mgic_mobilenetv3_small_100", {"s_g": 8, "s_c": 16}, 64),
    ("mgicified", {"base": "test_resnet", "s_g": 4, "s_c": 8}, 64),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kwargs", "side"), TRAINED, ids=[t[0] for t in TRAINED])
def test_train_validate_and_inference(name: str, kwargs: dict, side: int, folder: Path, tmp_path: Path) -> None:
    """timm's train.py trains a name; validate.py and inference.py read its checkpoint and agree with it."""
    given = ["--model", name, "--model-kwargs", *(f"{k}={v}" for k, v in kwargs.items())]
    given += ["--data-dir", folder, "--num-classes", CLASSES, "--img-size", side, "--device", "cpu", "-j", 0]
    once = ["--epochs", 1, "--warmup-epochs", 0, "--lr", 0.05, "-b", 12, "--output", tmp_path, "--experiment", "x"]
    run("-P", script("train.py"), "--device-modules", "mgic_nas", *given, *once, cwd=tmp_path)
    (row,) = csv.DictReader((tmp_path / "x" / "summary.csv").open())
    # Some base networks are scored on other crops than they are trained on.
    known = ["--checkpoint", tmp_path / "x" / "last.pth.tar", "-b", 8, "--use-train-size"]
    for extra in ([], ["--reparam"]):
        found = result(launched("validate.py", *given, *known, *extra, cwd=tmp_path))
        assert found["top1"] == pytest.approx(float(row["eval_top1"]), abs=1e-3)
    out = ["--label-type", "none", "--include-index", "--results-dir", tmp_path, "--results-file", "predicted.csv"]
    launched("inference.py", *given, *known, *out, cwd=tmp_path)
    predicted = list(csv.DictReader((tmp_path / "predicted.csv").open()))
    labels = [int(path.parent.name) for path in sorted((folder / "validation").rglob("*.png"))]
    right = [int(r["index"]) == label for r, label in zip(predicted, labels, strict=True)]
    assert 100 * np.mean(right) == pytest.approx(found["top1"], abs=1e-3)


@pytest.mark.slow
def test_validate_gives_a_winners_promised_accuracy(tmp_path: Path) -> None:
    """timm's validate.py on a search winner, with the run's validation images as PNG files, gives its val_acc."""
    data = "fashion?train=300&val=200"
    space = {"model": "mgic_resnet20", "kwargs": SMALL, "params": {"width_mult": {"choices": [0.5]}}}
    found = mgic_nas.search(
        mgic_nas.SearchSpace.from_dict(space),
        data=data,
        budgets=["1M"],
        trials=1,
        epochs=2,
        out=tmp_path / "run",
        executor="local",
        progress=False,
    )
    split = load_data(data).val.as_dataset()
    images, labels = zip(*[(np.asarray(split[i][0]), int(split[i][1])) for i in range(len(split))])
    write_images(tmp_path / "images" / "validation", np.stack(images).squeeze(), list(labels))
    winner = found.folder / "winners" / "1M"
    args = ["--model", f"local-dir:{winner}", "--data-dir", tmp_path / "images", "--device", "cpu", "-j", 0, "-b", 50]
    top1 = result(launched("validate.py", *args, cwd=tmp_path))["top1"]
    assert top1 == pytest.approx(found.best(macs=1e6).row["val_acc"], abs=100 / len(split) + 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "side"), [("mgic_resnet20", 32), ("mgic_mobilenetv3_small_100", 64), ("mgicified", 64)]
)
def test_benchmark(name: str, side: int, tmp_path: Path) -> None:
    few = ["--device", "cpu", "-b", 2, "--num-warm-iter", 1, "--num-bench-iter", 5]
    found = result(launched("benchmark.py", "--model", name, "--img-size", side, *few, cwd=tmp_path))
    assert "error" not in found
    assert found["infer_samples_per_sec"] > 0
    assert found["train_samples_per_sec"] > 0
    params = mgic_nas.profile(name, **({"base": "resnet18"} if name == "mgicified" else {})).params
    assert found["param_count"] == round(params / 1e6, 2)


@pytest.mark.slow
@pytest.mark.parametrize("reparam", [False, True])
@pytest.mark.parametrize("name", ["mgic_resnet20", "mgic_mobilenetv3_small_100", "mgicified"])
def test_onnx_export(name: str, reparam: bool, tmp_path: Path) -> None:
    """timm's onnx_export.py writes a saved network, folded or not: a valid graph of the right size."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    kwargs = {"base": "test_resnet", "s_g": 4, "s_c": 8} if name == "mgicified" else {"s_g": 8, "s_c": 16}
    save_for_hf(timm.create_model(name, num_classes=CLASSES, **kwargs), tmp_path / "net")
    args = [tmp_path / "net.onnx", "--model", f"local-dir:{tmp_path / 'net'}", "--num-classes", CLASSES]
    launched("onnx_export.py", *args, "--img-size", 64, *["--reparam"] * reparam, cwd=tmp_path)
    graph = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(graph)
    assert graph.graph.output[0].type.tensor_type.shape.dim[-1].dim_value == CLASSES
    assert any(node.op_type == "BatchNormalization" for node in graph.graph.node) <= (not reparam)


def test_the_launcher_says_what_is_missing(tmp_path: Path) -> None:
    for args in ([], ["validate.py"]):
        command = [sys.executable, "-m", "mgic_nas.timm_scripts", *args]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 2
        assert "validate.py" in done.stderr
        assert done.stderr.count("\n") == 1


def test_the_launcher_runs_a_script_in_a_checkout_of_timm(tmp_path: Path) -> None:
    """The checkout's own timm/ does not shadow the installed one, and the script sees its own name and arguments."""
    (tmp_path / "timm").mkdir()
    (tmp_path / "timm" / "__init__.py").write_text("raise ImportError('the checkout shadows the installed timm')")
    (tmp_path / "s.py").write_text(
        "import sys, timm\n"
        "if __name__ == '__main__':\n"
        "    print(sys.argv, timm.is_model('mgic_resnet20'), timm.is_model('mgicified'))\n"
    )
    output = run("-m", "mgic_nas.timm_scripts", "s.py", "--model", "x", cwd=tmp_path)
    assert output.split("\n")[0] == "['s.py', '--model', 'x'] True True"


# --- other packages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [("mgic_resnet20", SMALL), ("mgic_resnet50", SMALL), ("mgicified", {"base": "test_resnet", "s_g": 4, "s_c": 8})],
)
def test_torchvisions_feature_extraction(name: str, kwargs: dict) -> None:
    net, x = timm.create_model(name, **kwargs).eval(), torch.randn(2, 3, 64, 64)
    names = [info["module"] for info in net.feature_info]
    maps = create_feature_extractor(net, names)(x)
    expected = net.forward_intermediates(x, intermediates_only=True)[-len(names) :]
    for tap, wanted in zip(names, expected, strict=True):
        torch.testing.assert_close(maps[tap], wanted)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("mgic_resnet18", SMALL),
        ("mgic_mobilenetv3_small_100", SMALL),
        ("mgicified", {"base": "resnet18", "s_g": 8, "s_c": 64}),
    ],
)
def test_segmentation_models_encoder(name: str, kwargs: dict) -> None:
    """segmentation_models_pytorch's tu- encoders: a U-Net on our features, forward and backward."""
    smp = pytest.importorskip("segmentation_models_pytorch")
    net = smp.Unet(f"tu-{name}", encoder_weights=None, in_channels=4, classes=3, **kwargs)
    x = torch.randn(2, 4, 64, 96)
    y = net.train()(x)
    assert y.shape == (2, 3, 64, 96)
    y.square().mean().backward()
    unused = [n for n, p in net.named_parameters() if p.grad is None]
    assert not unused
    assert any(n.startswith("encoder.") and ".restrict." in n for n, _ in net.named_parameters())


FASTAI = """
import fastai.callback.progress, torch, mgic_nas
from fastai.data.core import DataLoaders
from fastai.vision.learner import vision_learner
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(16, 3, 32, 32), torch.arange(16) % 3)
dls = DataLoaders(DataLoader(data, 8, drop_last=True), DataLoader(data, 8), device="cpu")
learner = vision_learner(
    dls, {name!r}, pretrained=False, normalize=False, n_out=3, loss_func=torch.nn.CrossEntropyLoss(), **{kwargs!r}
)
assert any("restrict" in n for n, _ in learner.model.named_parameters())
before = [p.clone() for p in learner.model.parameters() if p.requires_grad]
with learner.no_bar(), learner.no_logging():
    learner.fit(1)
after = [p for p in learner.model.parameters() if p.requires_grad]
assert len(learner.opt.param_groups) == 2
assert sum(not torch.equal(a, b) for a, b in zip(before, after)) > len(before) / 2
print("fitted", float(learner.recorder.losses[-1]))
"""


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [("mgic_resnet20", SMALL), ("mgicified", {"base": "test_resnet", "s_g": 4, "s_c": 8})],
)
def test_fastais_vision_learner(name: str, kwargs: dict, tmp_path: Path) -> None:
    """fastai's vision_learner takes a name and fits. In a process of its own: fastai patches torch where it stands."""
    pytest.importorskip("fastai")
    assert "fitted" in run("-c", FASTAI.format(name=name, kwargs=kwargs), cwd=tmp_path)
