"""Folders with MNIST's idx files: what Fashion-MNIST is downloaded as."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from fakes.tasks import refused

from mgic_nas.tasks import load_data
from mgic_nas.tasks.images.idx import pool


def write_idx(path: Path, values: np.ndarray) -> None:
    head = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
    content = head + values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for stem, count, suffix in (("train", 60, ".gz"), ("t10k", 20, "")):
        write_idx(tmp_path / f"{stem}-images-idx3-ubyte{suffix}", rng.integers(0, 256, (count, 28, 28)))
        write_idx(tmp_path / f"{stem}-labels-idx1-ubyte{suffix}", np.arange(count) % 4)
    return tmp_path


def test_the_files_of_fashion_mnist_are_a_data_set(folder: Path) -> None:
    data = load_data(f"{folder}?val=12")
    assert data.info.input_size == (1, 28, 28)
    assert data.info.sizes == {"train": 48, "val": 12, "test": 20}
    assert data.test is not None
    assert len(data.test) == 20


def test_pooled_images_are_the_means_of_their_pixels(folder: Path) -> None:
    assert load_data(f"{folder}?pool=2").info.input_size == (1, 14, 14)
    image = np.array([[[0, 1], [2, 3]], [[0, 0], [0, 255]]], dtype=np.uint8)
    assert pool(image).ravel().tolist() == [2, 64]  # rounded half up


def test_what_cannot_be_read_is_named(folder: Path) -> None:
    assert "pool=3 does not divide" in refused(load_data, f"{folder}?pool=3")
    images = folder / "train-images-idx3-ubyte.gz"
    images.write_bytes(images.read_bytes()[:-50])
    assert images.name in refused(load_data, str(folder))
    write_idx(images, np.zeros((59, 28, 28)))
    assert "do not belong together" in refused(load_data, str(folder))
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    assert "train-labels-idx1-ubyte" in refused(load_data, str(folder))
