"""Point clouds as data: what a training relies on, and what is said about files that do not fit."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes.tasks import refused

from mgic_nas.models.points import dgcnn
from mgic_nas.tasks.point_file import PointFile
from mgic_nas.tasks.points import PointAugment, PointSplit, load, resolve

SHARED = Path(os.environ.get("MGIC_NAS_DATA", Path(__file__).parents[3] / "shared" / "data"))
MODELNET = SHARED / "modelnet10" / "modelnet10.npz"
needs_modelnet = pytest.mark.skipif(not MODELNET.exists(), reason=f"no {MODELNET}; MGIC_NAS_DATA names its folder")


def arrays(per_class: int = 10, size: int = 40) -> dict[str, Any]:
    """Three classes of clouds: balls, sticks and discs."""
    rng = np.random.default_rng(0)
    shapes = np.array([[1, 1, 1], [0.1, 0.1, 1], [1, 1, 0.1]])

    def part(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(3 * count) % 3
        return (rng.normal(size=(3 * count, size, 3)) * shapes[labels, None]).astype(np.float16), labels

    train_points, train_labels = part(per_class)
    test_points, test_labels = part(4)
    return {
        "train_points": train_points,
        "train_labels": train_labels,
        "test_points": test_points,
        "test_labels": test_labels,
        "classes": np.array(["ball", "stick", "disc"]),
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.savez(tmp_path / "shapes.npz", **arrays())
    return tmp_path / "shapes.npz"


def test_clouds_are_loaded_and_cut_by_class(file: Path) -> None:
    data = load(str(file))
    info = data.info
    assert (info.name, info.num_classes, info.classes) == ("shapes", 3, ("ball", "stick", "disc"))
    assert (info.input_size, info.in_chans) == ((3, 40, 1), 3)
    assert info.sizes == {"train": 27, "val": 3, "test": 12}
    assert np.bincount(data.val.labels).tolist() == [1, 1, 1]
    assert data.test is not None
    assert len(data.test) == 12
    x, y = next(data.val.batches(2))
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((2, 3, 40), torch.float32, (2,), torch.int64)


def test_classes_without_validation_or_test_clouds_are_named(file: Path) -> None:
    notes = load(f"{file}?val=1&test=2").info.notes
    assert any(note.startswith("2 of 3 classes have no validation clouds ('") for note in notes)
    assert any(note.startswith("1 of 3 classes have no test clouds ('") for note in notes)
    assert not any("classes have no" in note for note in load(str(file)).info.notes)


def test_no_cloud_is_both_trained_on_and_validated_on(file: Path) -> None:
    data = load(f"{file}?val=9")
    train, val = ({x.numpy().tobytes() for x in next(s.batches(100))[0]} for s in (data.train, data.val))
    assert (len(train), len(val), len(train & val)) == (21, 9, 0)


def test_the_file_the_folder_and_the_written_spec_are_the_same_data(file: Path, monkeypatch) -> None:
    data = load(f"modelnet10:{file}?seed=3&points=16&train=12&val=6")
    assert data.spec == f"points:{file}?points=16&seed=3&train=12&val=6"
    assert load(data.spec).info == data.info
    assert load(f"{file.parent}?points=16&seed=3&train=12&val=6").info.fingerprint == data.info.fingerprint
    monkeypatch.chdir(file.parent)
    assert resolve("shapes.npz?val=6&points=8") == f"{file}?points=8&val=6"


def test_the_fingerprint_tells_data_and_cuts_apart(file: Path) -> None:
    specs = [str(file), f"{file}?points=8", f"{file}?seed=1", f"{file}?val=6"]
    assert len({load(spec).info.fingerprint for spec in specs}) == 4
    assert load(str(file), seed=1).info.fingerprint == load(f"{file}?seed=1").info.fingerprint
    changed = arrays()
    changed["train_points"][5, 0, 0] += 1
    np.savez(file, **changed)
    assert load(str(file)).info.fingerprint != load(f"{file}?points=8").info.fingerprint


def test_a_search_reads_no_test_cloud(file: Path, monkeypatch) -> None:
    read: list[str] = []
    original = PointFile._read
    monkeypatch.setattr(PointFile, "_read", lambda self, name: read.append(name) or original(self, name))
    data = load(str(file))
    list(data.train.batches(8, augment=True))
    list(data.val.batches(8))
    assert "test_points" not in read
    assert data.test is data.test
    assert read.count("test_points") == 1


def test_an_epoch_depends_on_seed_and_epoch_alone(file: Path) -> None:
    """A resumed training must see what the uninterrupted one saw."""
    split = load(f"{file}?points=10").train

    def epoch(seed: int, number: int) -> torch.Tensor:
        torch.rand(number)  # the global generator takes no part
        return torch.cat([x for x, _ in split.batches(5, seed=seed, epoch=number, augment=True)])

    assert epoch(0, 1).shape == (25, 3, 10)
    assert torch.equal(epoch(0, 1), epoch(0, 1))
    assert not torch.equal(epoch(0, 1), epoch(0, 2))
    assert not torch.equal(epoch(0, 1), epoch(1, 1))


def test_a_training_batch_holds_distinct_points_of_its_own_clouds() -> None:
    clouds = np.arange(6 * 20 * 3, dtype=np.float32).reshape(6, 20, 3)
    split = PointSplit(clouds, np.arange(6), 8)
    still = PointAugment(scale=(1, 1), shift=0)
    x, y = next(split.batches(6, augment=still))
    assert sorted(y.tolist()) == list(range(6))
    for cloud, label in zip(x, y):
        taken = cloud.T[:, 0]
        assert len(set(taken.tolist())) == 8
        assert ((taken >= 60 * label) & (taken < 60 * (label + 1))).all()
        assert torch.equal(cloud.T[:, 1], taken + 1)  # a point's coordinates stay together


def test_scored_clouds_are_sampled_as_trained_ones() -> None:
    """A file may list points farthest-first. The first few would then be spread evenly, as no training cloud's are."""
    cloud = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    order = [0]
    distance = torch.full((400,), torch.inf)
    while len(order) < 400:
        distance = torch.minimum(distance, (cloud - cloud[order[-1]]).norm(dim=1))
        distance[order[-1]] = -1
        order.append(int(distance.argmax()))
    split = PointSplit(cloud[order].expand(8, -1, -1).numpy(), np.arange(8), 40)

    def nearest(x: torch.Tensor) -> float:
        apart = torch.cdist(x.transpose(1, 2), x.transpose(1, 2)) + 9 * torch.eye(40)
        return apart.amin(2).mean().item()

    scored, labels = next(split.batches(8))
    assert labels.tolist() == list(range(8))
    assert torch.equal(scored, next(split.batches(8))[0])
    assert torch.equal(scored[5], next(split.batches(1))[0][0])
    trained = next(split.batches(8, augment=PointAugment(scale=(1, 1), shift=0)))[0]
    assert nearest(scored) == pytest.approx(nearest(trained), rel=0.25)
    assert nearest(scored) < 0.7 * nearest(split.clouds[:, :40].transpose(1, 2))
    whole = PointSplit(split.clouds.numpy(), np.arange(8), 400)
    assert torch.equal(next(whole.batches(8))[0].transpose(1, 2), whole.clouds)


def test_augmentation_moves_whole_clouds() -> None:
    generator = torch.Generator().manual_seed(0)
    cloud = torch.rand(50, 30, 3)
    varied = PointAugment()(cloud, generator)
    factor = (varied[:, 1] - varied[:, 0]) / (cloud[:, 1] - cloud[:, 0])
    assert (factor > 0.66).all()
    assert (factor < 1.51).all()
    offset = varied[:, 0] - factor * cloud[:, 0]
    assert offset.abs().max() < 0.21
    torch.testing.assert_close(varied, cloud * factor[:, None] + offset[:, None], rtol=1e-3, atol=1e-4)

    turned = PointAugment(scale=(1, 1), shift=0, rotate=True)(cloud, generator)
    torch.testing.assert_close(turned[..., 2], cloud[..., 2])
    torch.testing.assert_close(turned.norm(dim=-1), cloud.norm(dim=-1))
    assert not torch.allclose(turned, cloud, atol=0.1)

    shaken = PointAugment(scale=(1, 1), shift=0, jitter=0.01)(cloud, generator) - cloud
    assert shaken.std().item() == pytest.approx(0.01, rel=0.1)


def test_a_network_learns_shapes(file: Path) -> None:
    """Data, loss and metric fit together: a few epochs tell balls, sticks and discs apart."""
    torch.manual_seed(0)
    np.savez(file, **arrays(per_class=30))
    data = load(f"{file}?points=16&val=18")
    net = dgcnn(num_classes=3, width=16, k=4)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for epoch in range(6):
        for x, y in data.train.batches(8, epoch=epoch, augment=True):
            optimizer.zero_grad()
            data.task.loss(net(x), y, smoothing=0.1).backward()
            optimizer.step()
    scores = data.task.evaluate(net, data.val, batch_size=4)
    assert data.task.metric == "top-1 accuracy"
    assert scores["val_acc"] > 70
    assert net.training


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("", "name an npz file"),
        ("/nowhere/clouds.npz", "there is no file /nowhere/clouds.npz"),
        ("{file}?points=0", "points=0 is not a number of points"),
        ("{file}?points=many", "points=many is not"),
        ("{file}?points=41", "more than the 40 points"),
        ("{file}?points=8&points=9", "given twice"),
        ("{file}?size=32", "'size' does not apply to point clouds"),
        ("{file}?vall=3", "no option 'vall=3'"),
        ("{file}?val=28", "lower val"),
        ("{file}?train=20&val=20", "lower one"),
        ("{file}?test=13", "more than the 12"),
    ],
)
def test_a_spec_that_does_not_fit_is_refused_in_one_line(file: Path, spec: str, says: str) -> None:
    assert says in refused(load, spec.format(file=file))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"train_points": None}, "no array 'train_points'"),
        ({"classes": None}, "no array 'classes'"),
        ({"classes": np.array([1, 2, 3])}, "two or more names"),
        ({"train_points": np.zeros((30, 40, 2), np.float32)}, "not float (clouds, points, 3)"),
        ({"train_points": np.zeros((29, 40, 3), np.float32)}, "29 train_points and 30 train_labels"),
        ({"train_points": np.full((30, 40, 3), np.nan, np.float32)}, "a coordinate that is no number"),
        ({"train_labels": np.arange(30)}, "outside 0..2"),
        ({"test_labels": np.zeros(12)}, "whole numbers"),
        ({"train_labels": np.array([0, 1] * 14 + [1, 2])}, "fewer than two training clouds of the class 'disc'"),
        ({"classes": np.array(["ball", "stick", "disc"], dtype=object)}, "cannot be read"),
    ],
)
def test_a_file_in_another_form_is_refused_in_one_line(file: Path, change: dict[str, Any], says: str) -> None:
    content = {key: value for key, value in {**arrays(), **change}.items() if value is not None}
    np.savez(file, **content)
    message = refused(load, str(file))
    assert says in message
    assert str(file) in message


def test_a_damaged_file_is_refused_in_one_line(file: Path) -> None:
    """A download that broke off, a text in its place, a single array, an empty file."""
    np.savez_compressed(file, **arrays())
    content = file.read_bytes()
    for broken in (
        content[: len(content) // 2],
        b"<html>not found</html>",
        b"",
        content[:300] + b"x" * 500 + content[800:],
    ):
        file.write_bytes(broken)
        assert str(file) in refused(load, str(file))
    with open(file, "wb") as stream:
        np.save(stream, np.zeros(3))
    assert "a single array" in refused(load, str(file))
    assert "holds 0 npz files" in refused(load, str(Path(__file__).parent))


@needs_modelnet
def test_modelnet10_has_its_published_sizes() -> None:
    data = load(f"modelnet10:{MODELNET}")
    assert data.info.sizes == {"train": 3592, "val": 399, "test": 908}
    assert data.info.input_size == (3, 1024, 1)
    assert data.info.classes[:3] == ("bathtub", "bed", "chair")
    assert data.test is not None
    x, _ = next(data.test.batches(16))
    assert x.abs().max() <= 1
    assert x.norm(dim=1).amax(1).min() > 0.99  # centred, in the unit ball
