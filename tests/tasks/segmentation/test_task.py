"""Segmentation: masks stay with their images, the metric is the published one, and a network learns from it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes.tasks import refused
from PIL import Image

from mgic_nas.errors import UserError
from mgic_nas.models.segmentation import mgic_lraspp_mobilenetv3_small
from mgic_nas.tasks import Augment, load_data, resolve_spec
from mgic_nas.tasks.segmentation import masks as masks_module
from mgic_nas.tasks.segmentation.task import Segmentation, class_iou, confusion


class Answer(torch.nn.Module):
    """Gives prepared scores, whatever it sees."""

    def __init__(self, classes: torch.Tensor, count: int) -> None:
        super().__init__()
        self.scores = 20.0 * torch.nn.functional.one_hot(classes, count).movedim(-1, 1).float()
        self.at = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.at += len(x)
        return self.scores[self.at - len(x) : self.at]


def write_pairs(root: Path, count: int, *, size: tuple[int, int] = (12, 8), classes: int = 3, start: int = 0) -> None:
    """``root/images/<n>.png`` whose grey level is 10 times the mask's class, and ``root/masks/<n>.png``."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        mask = np.random.RandomState(number).randint(0, classes, (size[1], size[0])).astype(np.uint8)
        mask[0, 0] = 255
        Image.fromarray(mask).save(root / "masks" / f"{number}.png")
        grey = np.where(mask == 255, 0, mask * 10).astype(np.uint8)
        Image.fromarray(np.repeat(grey[:, :, None], 3, 2)).save(root / "images" / f"{number}.png")


def pixels(x: torch.Tensor, info: Any) -> torch.Tensor:
    """Normalised images as whole grey levels."""
    return (255 * (x[:, 0] * info.std[0] + info.mean[0])).round().long()


def test_a_network_learns_shapes() -> None:
    """The task, the network and the augmentation together: clearly better than the best constant answer."""
    torch.manual_seed(0)
    data = load_data("segmentation:shapes?train=128&val=64&size=48")
    ground = (data.val.labels == 0).sum() / (data.val.labels != 255).sum()
    chance = 100 * ground / data.info.num_classes
    net = mgic_lraspp_mobilenetv3_small(num_classes=data.info.num_classes, s_g=8, s_c=16, depths=1, filters=32)
    optimizer = torch.optim.AdamW(net.parameters(), lr=8e-3)
    for epoch in range(4):
        for x, y in data.train.batches(8, seed=0, epoch=epoch, augment=True):
            optimizer.zero_grad()
            data.task.loss(net(x), y).backward()
            optimizer.step()
        net.train()
    scores = data.task.evaluate(net, data.val)
    assert scores["val_acc"] > chance + 8
    assert scores["val_loss"] < 0.6
    assert net.training


def test_shapes_are_the_same_everywhere_and_parts_differ() -> None:
    data = load_data("segmentation:shapes?train=8&val=4&test=3&size=24x32")
    info = data.info
    assert (info.num_classes, info.input_size) == (4, (3, 24, 32))
    assert info.sizes == {"train": 8, "val": 4, "test": 3}
    assert data.test is not None
    more = load_data("segmentation:shapes?train=12&val=4&size=24x32")
    assert (more.train.labels[:8] == data.train.labels).all()
    assert set(np.unique(more.train.labels)) == {0, 1, 2, 3, 255}
    seen = [bytes(mask) for split in (data.train, data.val, data.test) for mask in split.labels]
    assert len(set(seen)) == 15
    assert data.train.labels.astype(int).sum() == 194_501
    others = ["seed=1&size=24x32&train=8", "size=24x31&train=8", "size=24x32&train=7", "size=24x32&train=8&crop=16"]
    prints = {load_data(f"segmentation:shapes?val=4&{other}").info.fingerprint for other in others}
    assert len(prints | {info.fingerprint}) == 5


def test_what_was_recorded_opens_the_same_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pairs(tmp_path / "city", 10)
    monkeypatch.chdir(tmp_path)
    spec = resolve_spec("segmentation:city?val=2&classes=3")
    assert spec == f"segmentation:{tmp_path}/city?classes=3&val=2"
    data = load_data("segmentation:city?val=2&classes=3", seed=4)
    assert data.spec == f"segmentation:{tmp_path}/city?classes=3&seed=4&val=2"
    assert load_data(data.spec).info == data.info
    assert load_data(spec).info.fingerprint != data.info.fingerprint


@pytest.mark.parametrize("held", [True, False])
def test_masks_stay_with_their_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: bool) -> None:
    """In memory and read by loader processes, cut, shifted and mirrored: each pixel keeps its class."""
    write_pairs(tmp_path, 12)
    if not held:
        monkeypatch.setattr(masks_module, "SMALL_BYTES", 0)
    data = load_data(f"segmentation:{tmp_path}?val=3&crop=6x10")
    assert data.info.num_classes == 3
    assert (data.train.memory is not None) == held  # type: ignore[attr-defined]
    views = []
    for augment in (None, True, Augment(flip=False, pad=3), Augment(flip=True, pad=0)):
        for x, y in data.train.batches(4, seed=1, epoch=2, augment=augment):
            assert x.shape[2:] == y.shape[1:] == ((8, 12) if augment is None else (6, 10))
            expected = torch.where(y == 255, 0, 10 * y)
            assert (pixels(x, data.info) == expected).all()
        views.append(x)
    again = list(data.train.batches(4, seed=1, epoch=2, augment=True))[-1][0]
    other = list(data.train.batches(4, seed=1, epoch=3, augment=True))[-1][0]
    assert torch.equal(again, views[1])
    assert not torch.equal(other, views[1])


def test_held_and_read_data_train_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pairs(tmp_path, 6)
    held = list(load_data(f"segmentation:{tmp_path}?val=1").train.batches(2, seed=3, augment=True))
    monkeypatch.setattr(masks_module, "SMALL_BYTES", 0)
    read = list(load_data(f"segmentation:{tmp_path}?val=1").train.batches(2, seed=3, augment=True))
    assert len(held) == len(read) == 2
    for (x, y), (x_too, y_too) in zip(held, read):
        assert torch.equal(x, x_too)
        assert torch.equal(y, y_too)


def test_mean_intersection_over_union() -> None:
    """By hand; a class that never occurs does not count, an ignored pixel neither."""
    target = torch.tensor([[0, 0, 1, 1, 255]])
    counts = confusion(torch.tensor([[0, 1, 1, 1, 2]]), target, 4)
    iou = class_iou(counts)
    torch.testing.assert_close(iou[:2], torch.tensor([50.0, 200 / 3], dtype=torch.double))
    assert iou[2:].isnan().all()


def test_the_metric_is_over_the_whole_split_and_not_a_mean_over_batches() -> None:
    data = load_data("segmentation:shapes?train=4&val=7&size=16")
    labels = torch.from_numpy(data.val.labels).long()
    wrong = labels.clone()
    wrong[labels == 255] = 3
    assert data.task.evaluate(Answer(wrong, 4), data.val)["val_acc"] == 100
    wrong[:3] = 0
    scores = [data.task.evaluate(Answer(wrong, 4), data.val, batch_size=size) for size in (1, 3, 512)]
    seen = labels != 255
    parts = []
    for label in range(4):
        hit, either = ((wrong == label) & (labels == label))[seen], ((wrong == label) | (labels == label))[seen]
        parts.append(100 * hit.sum() / either.sum())
    assert all(s["val_acc"] == pytest.approx(float(sum(parts) / 4)) for s in scores)
    assert scores[0]["val_loss"] == pytest.approx(scores[2]["val_loss"])
    loss = torch.nn.functional.cross_entropy(Answer(wrong, 4).scores, labels, ignore_index=255)
    assert scores[2]["val_loss"] == pytest.approx(float(loss))


def test_large_images_are_scored_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores of 19 classes at 1024x2048 are 160 MB an image: a batch size made for training must not end the run."""
    monkeypatch.setattr(masks_module, "PIXELS", 2 * 16 * 16)
    data = load_data("segmentation:shapes?train=4&val=5&size=16")
    assert [len(x) for x, _ in data.val.batches(512)] == [2, 2, 1]


def test_the_loss_counts_labelled_pixels_alone() -> None:
    task, output = Segmentation(), torch.randn(2, 3, 4, 4)
    target = torch.randint(0, 3, (2, 4, 4))
    target[0] = 255
    torch.testing.assert_close(task.loss(output, target), torch.nn.functional.cross_entropy(output[1:], target[1:]))
    target[:] = 255
    assert task.loss(output, target) == 0


def test_layouts_of_folders(tmp_path: Path) -> None:
    for part, count in (("train", 5), ("val", 2), ("test", 1)):
        write_pairs(tmp_path / part, count)
    (tmp_path / "classes.txt").write_text("sky\nroad\ncar\n")
    data = load_data(f"segmentation:{tmp_path}")
    assert data.info.classes == ("sky", "road", "car")
    assert data.info.sizes == {"train": 5, "val": 2, "test": 1}
    assert data.info.input_size == (3, 8, 12)
    assert data.test is not None
    assert len(data.test) == 1
    assert load_data(f"segmentation:{tmp_path}?train=3&val=1").info.sizes == {"train": 3, "val": 1, "test": 1}


def test_other_sizes_palettes_and_ignored_values(tmp_path: Path) -> None:
    write_pairs(tmp_path, 4)
    write_pairs(tmp_path, 2, size=(20, 10), start=4)
    path = tmp_path / "masks" / "0.png"
    palette = Image.fromarray(np.where(np.asarray(Image.open(path)) == 255, 9, 1).astype(np.uint8)).convert("P")
    palette.putpalette([200] * 768)
    palette.save(path)
    assert "?size=" in refused(load_data, f"segmentation:{tmp_path}?classes=3")
    assert "0.png has the value 9" in refused(load_data, f"segmentation:{tmp_path}?size=8x12&classes=3")
    for path in (tmp_path / "masks").iterdir():
        mask = np.array(Image.open(path))
        mask[mask == 255] = 9
        Image.fromarray(mask).save(path)
    data = load_data(f"segmentation:{tmp_path}?size=8x12&classes=3&ignore=9&val=1")
    assert data.train.labels.shape == (5, 8, 12)
    assert set(np.unique(data.train.labels)) == {0, 1, 2, 255}


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("segmentation:", "name shapes or a folder"),
        ("segmentation:shape", "no folder"),
        ("segmentation:shapes?chans=1", "does not apply"),
        ("segmentation:shapes?classes=3", "does not apply"),
        ("segmentation:shapes?crop=99", "larger than the images"),
        ("segmentation:shapes?crop=8&crop=9", "given twice"),
        ("segmentation:shapes?sized=9", "Did you mean size"),
        ("segmentation:{}?classes=1", "a number of classes"),
        ("segmentation:{}?ignore=x", "whole number"),
        ("segmentation:{}?classes=2", "classes are 0 to 1"),
        ("segmentation:{}?train=6", "together exceed"),
    ],
)
def test_a_wrong_spec_is_refused_with_what_to_change(tmp_path: Path, spec: str, part: str) -> None:
    write_pairs(tmp_path, 6)
    assert part in refused(load_data, spec.format(tmp_path))


def test_a_broken_folder_is_named(tmp_path: Path) -> None:
    write_pairs(tmp_path, 6)
    (tmp_path / "masks" / "3.png").unlink()
    assert "3.png has no mask" in refused(load_data, f"segmentation:{tmp_path}")
    Image.fromarray(np.arange(288, dtype=np.uint8).reshape(8, 12, 3)).save(tmp_path / "masks" / "3.png")
    assert "has colours" in refused(load_data, f"segmentation:{tmp_path}")
    Image.new("L", (11, 8)).save(tmp_path / "masks" / "3.png")
    assert "the same size" in refused(load_data, f"segmentation:{tmp_path}")
    (tmp_path / "masks" / "3.png").write_bytes(b"broken")
    assert "not a readable image" in refused(load_data, f"segmentation:{tmp_path}")
    with pytest.raises(UserError, match="flip and pad"):
        load_data("segmentation:shapes").train.batches(4, augment=Augment(color_jitter=0.4))
