"""Folders with MNIST's idx files: what Fashion-MNIST is downloaded as."""

import gzip
from pathlib import Path
from typing import Any

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


def spoil(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)


def header(kind: int, *shape: int) -> bytes:
    return bytes([0, 0, kind, len(shape)]) + b"".join(side.to_bytes(4, "big") for side in shape)


TRAIN, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TESTS, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
IMAGES = np.random.default_rng(1).integers(0, 256, (60, 28, 28))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        # What lies there both packed and unpacked: which of the two is meant?
        (lambda f: write_idx(f / TRAIN, IMAGES), "hold different data: remove one"),
        (lambda f: write_idx(f / f"{TEST_LABELS}.gz", np.arange(20) % 3), "hold different data: remove one"),
        (lambda f: (f / f"{TRAIN}.gz").write_bytes(gzip.compress(b"")), "not an idx file"),
        (lambda f: (f / f"{TRAIN}.gz").write_bytes(b"<html>not found</html>"), "cannot be read"),
        (lambda f: (f / f"{TRAIN}.gz").write_bytes((f / f"{TRAIN}.gz").read_bytes()[:99]), "cannot be read"),
        (lambda f: (f / f"{TRAIN}.gz").write_bytes(gzip.compress(bytes(999))[:10] + bytes(90)), "cannot be read"),
        (lambda f: spoil(f, TESTS, (f / TESTS).read_bytes()[:-1]), "bytes, not the 20x28x28"),
        (lambda f: spoil(f, TESTS, (f / TESTS).read_bytes() + b"x"), "bytes, not the 20x28x28"),
        (lambda f: spoil(f, TESTS, header(8, *[2**31] * 4)), "bytes, not the 2147483648x"),
        (lambda f: spoil(f, TESTS, header(13, 1, 1, 1) + bytes(4)), "of floats, not of bytes"),
        (lambda f: spoil(f, TESTS, b"\0\0\x08\x03"), "not an idx file"),
        (lambda f: write_idx(f / TESTS, np.zeros((20, 28))), "they hold 20 x 28 and 20 numbers"),
        (lambda f: write_idx(f / TEST_LABELS, np.arange(19) % 4), "do not belong together"),
        (
            lambda f: write_idx(f / TEST_LABELS, np.arange(20) % 5),
            "(test) has the label 4, of which train has no images",
        ),
        (lambda f: write_idx(f / f"{LABELS}.gz", 1 + np.arange(60) % 4), "no training image"),
        (lambda f: write_idx(f / f"{LABELS}.gz", np.zeros(60)), "one class only"),
        (lambda f: (f / TEST_LABELS).unlink(), f"no file {TEST_LABELS}"),
        (lambda f: (f / TESTS).unlink(), f"no file {TESTS}"),
    ],
)
def test_files_that_would_be_read_wrong_are_refused_before_a_search(folder: Path, change: Any, said: str) -> None:
    change(folder)
    assert said in refused(load_data, str(folder))


def test_both_forms_of_the_same_file_are_one(folder: Path) -> None:
    before = load_data(str(folder)).info
    (folder / TRAIN).write_bytes(gzip.decompress((folder / f"{TRAIN}.gz").read_bytes()))
    (folder / "._t10k-images-idx3-ubyte").write_bytes(b"x")
    after = load_data(str(folder)).info
    assert (after.fingerprint, after.notes) == (before.fingerprint, before.notes) == (before.fingerprint, ())


def test_files_with_a_dot_in_their_name_are_the_same(folder: Path) -> None:
    before = load_data(str(folder)).info
    for path in list(folder.iterdir()):
        path.rename(folder / path.name.replace("-idx", ".idx"))
    assert load_data(str(folder)).info.fingerprint == before.fingerprint


def test_what_is_doubtful_is_said(folder: Path) -> None:
    write_idx(folder / f"{TRAIN}.gz", IMAGES)
    write_idx(folder / TESTS, np.concatenate([IMAGES[5:7], 255 - IMAGES[:18]]))
    write_idx(folder / "valid-images-idx3-ubyte", IMAGES)
    notes = " | ".join(load_data(str(folder)).info.notes)
    assert "2 of the test images are also in train: image 0 is image 5 of train" in notes
    assert "idx files that are not read: valid-images-idx3-ubyte" in notes
    write_idx(folder / TESTS, np.zeros((80, 28, 28)))
    write_idx(folder / TEST_LABELS, np.arange(80) % 4)
    assert "are train and t10k swapped?" in " | ".join(load_data(str(folder)).info.notes)


@pytest.mark.parametrize(
    "spec", ["fashion?bad=skip", "{}?bad=skip", "fashion?pool=2", "{}?image=x", "fashion?layout=classes"]
)
def test_an_option_that_means_nothing_is_refused(folder: Path, spec: str) -> None:
    assert "does not apply to" in refused(load_data, spec.format(folder))
