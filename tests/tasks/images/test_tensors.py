"""Batches of small images: what a network is trained on if one of these fails is not what the recipe says."""

import random
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as tvf
from fakes.tasks import encoded, refused, write_parquet
from PIL import Image
from torchvision import transforms

from mgic_nas.tasks import Augment, load_data
from mgic_nas.tasks._random import seeded
from mgic_nas.tasks.images.tensors import TensorSplit, statistics
from mgic_nas.tasks.split import crop


def split(count: int = 20, channels: int = 3, size: tuple[int, int] = (6, 8)) -> TensorSplit:
    """Images whose every pixel is their number."""
    numbers = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1)
    images = numbers.expand(-1, channels, *size).contiguous()
    one = (1 / 255,) * channels
    dataset: torch.utils.data.Dataset[int] = torch.utils.data.TensorDataset()  # type: ignore[assignment]
    return TensorSplit(images, np.arange(count, dtype=np.int64), (0.0,) * channels, one, dataset)


def test_a_shifted_mirrored_crop_is_what_torchvision_makes_of_each_image() -> None:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (30, 3, 6, 8), dtype=torch.uint8)
    top, left = torch.randint(0, 5, (30,)), torch.randint(0, 5, (30,))
    mirror = torch.rand(30) < 0.5
    made = crop(images, (6, 8), 2, top, left, mirror)
    for i in range(30):
        expected = tvf.crop(tvf.pad(images[i], [2]), int(top[i]), int(left[i]), 6, 8)
        assert torch.equal(made[i], tvf.hflip(expected) if mirror[i] else expected)


def test_numbers_are_bit_for_bit_those_of_torchvisions_transforms() -> None:
    data = load_data("fashion")
    info = data.info
    x, _ = next(iter(data.val.batches(200)))
    images = [data.val.as_dataset()[i][0] for i in range(200)]
    expected = torch.stack([tvf.normalize(tvf.to_tensor(image), info.mean, info.std) for image in images])
    assert torch.equal(x, expected)


def test_evaluation_sees_every_image_once_in_order() -> None:
    x, y = zip(*split().batches(6))
    assert [len(part) for part in y] == [6, 6, 6, 2]
    assert torch.cat(y).tolist() == list(range(20))
    assert torch.cat(x)[:, 0, 0, 0].round().tolist() == list(range(20))


def test_a_training_epoch_is_shuffled_whole_batches_with_their_labels() -> None:
    plain = Augment(flip=False, pad=0)
    x, y = zip(*split().batches(6, augment=plain))
    assert [len(part) for part in y] == [6, 6, 6]
    labels = torch.cat(y)
    assert len(set(labels.tolist())) == 18
    assert labels.tolist() != sorted(labels.tolist())
    assert torch.equal(torch.cat(x)[:, 0, 0, 0].round().long(), labels)
    assert split().steps(6) == 3


def test_a_batch_larger_than_the_data_still_trains() -> None:
    assert [len(y) for _, y in split(5).batches(64, augment=True)] == [5]
    assert split(5).steps(64) == 1


def test_an_epoch_depends_on_seed_and_epoch_alone() -> None:
    def epoch(seed: int, number: int) -> torch.Tensor:
        torch.rand(random.randrange(5) + 1)  # whatever else draws from torch's generator
        return torch.cat([x.flatten(1) for x, _ in split().batches(6, seed=seed, epoch=number, augment=True)])

    first = epoch(1, 0)
    assert torch.equal(first, epoch(1, 0))
    for other in (epoch(1, 1), epoch(2, 0), epoch(0, 1)):
        assert not torch.equal(first, other)


def test_the_default_shift_follows_the_size_of_the_image() -> None:
    assert [Augment().padding(side) for side in (14, 28, 32, 64)] == [2, 4, 4, 8]
    bright = split(200, 1, (16, 16))
    corners = torch.cat([x for x, _ in bright.batches(50, augment=True)])[:, 0]
    black = (corners == 0).any(2).sum(1)  # rows of the black frame within the image
    assert black.max() >= 2


def test_what_only_applies_to_large_images_is_not_silently_ignored() -> None:
    assert "large images" in refused(split().batches, 4, augment=Augment(auto_augment="rand-m9"))


def test_mean_and_std_are_the_pixels_own(tmp_path: Path) -> None:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (50, 3, 5, 4), dtype=torch.uint8)
    images[:, 2] = 7
    mean, std = statistics(images)
    scaled = images.double() / 255
    assert mean == tuple(round(float(scaled[:, c].mean()), 4) for c in range(3))
    assert std[:2] == tuple(round(float(scaled[:, c].std(correction=0)), 4) for c in range(2))
    assert std[2] == 1.0  # dividing by a constant channel's 0 would make every network NaN
    # Only the training part counts: a validation image must not leak into what networks are fed.
    labels = [0, 1] * 20
    pictures = [bytes(encode(np.full((4, 4, 3), 200 if row < 38 else 0, np.uint8))) for row in range(40)]
    write_parquet(tmp_path / "train.parquet", labels, images=pictures)
    write_parquet(tmp_path / "val.parquet", labels, images=[encode(np.zeros((4, 4, 3), np.uint8))] * 40)
    assert load_data(str(tmp_path)).info.mean == (round(200 / 255 * 38 / 40, 4),) * 3


def encode(pixels: np.ndarray) -> bytes:
    return encoded(Image.fromarray(pixels))


def test_seeding_a_block_leaves_the_callers_generators_alone() -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(1))  # noqa: NPY002

    def seed() -> None:
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        torch.manual_seed(1)

    seed()
    expected = draw()
    seed()
    drawn = []
    for _ in range(2):
        with seeded(5):
            drawn.append(draw())
    assert drawn[0] == drawn[1]
    assert draw() == expected


@pytest.mark.benchmark
def test_batched_augmentation_is_much_faster_than_one_image_at_a_time() -> None:
    data = load_data("fashion")
    list(data.train.batches(128, augment=True))
    begin = time.process_time()
    list(data.train.batches(128, augment=True))
    batched = len(data.train) / (time.process_time() - begin)
    each = transforms.Compose(
        [
            transforms.RandomHorizontalFlip(),
            transforms.RandomCrop(14, padding=2),
            transforms.ToTensor(),
            transforms.Normalize(data.info.mean, data.info.std),
        ]
    )
    images = data.train.as_dataset()
    begin = time.process_time()
    for i in range(300):
        each(images[i][0])
    single = 300 / (time.process_time() - begin)
    print(f"\n{batched:,.0f} images a CPU-second in batches, {single:,.0f} one at a time: {batched / single:.0f} times")
    assert batched > 5 * single
