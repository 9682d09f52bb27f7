"""Data sets that torchvision, Hugging Face and WebDataset know by name, read through timm."""

import gzip
import io
import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from fakes.tasks import encoded, picture, refused, write_folder, write_parquet
from huggingface_hub import constants
from torchvision.datasets import cifar

from mgic_nas.tasks import load_data
from mgic_nas.tasks.images import hub, named


def cifar10_folder(root: Path, count: int = 40) -> np.ndarray:
    """torchvision's layout with ``count`` images in each of its six files; returns the first file's images."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (count, 3072), dtype=np.uint8)
    batch = {"data": images, "labels": [row % 10 for row in range(count)]}
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        (folder / name).write_bytes(pickle.dumps(batch))
    names = ["airplane", "automobile", *"bcdefghi"]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    return images.reshape(-1, 3, 32, 32)


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision compares checksums with the real files', which these are not."""
    monkeypatch.setattr(cifar, "check_integrity", lambda *_: True)


@pytest.mark.usefixtures("unchecked")
def test_torchvisions_cifar10_folder_is_recognised(tmp_path: Path) -> None:
    images = cifar10_folder(tmp_path)
    for spec in (str(tmp_path), f"{tmp_path}/cifar-10-batches-py", f"torch/cifar10?root={tmp_path}"):
        data = load_data(spec)
        assert data.spec == spec
        assert data.info.classes[1] == "automobile"
        assert data.info.input_size == (3, 32, 32)
        assert data.info.sizes == {"train": 180, "val": 20, "test": 40}
        assert data.test is not None
        pixels = np.asarray(data.test.as_dataset()[7][0])
        assert np.array_equal(pixels, images[7].transpose(1, 2, 0))
    assert load_data(f"{tmp_path}?train=50&val=10").info.sizes["train"] == 50


def test_an_incomplete_cifar10_folder_is_refused(tmp_path: Path) -> None:
    cifar10_folder(tmp_path)
    assert "corrupted" in refused(load_data, str(tmp_path))


def test_torchvisions_mnist_stays_grey(tmp_path: Path) -> None:
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for stem, count in (("train", 50), ("t10k", 20)):
        labels = np.arange(count, dtype=np.uint8) % 10
        for kind, magic, content in (
            ("labels-idx1", 2049, labels),
            ("images-idx3", 2051, np.eye(28, dtype="u1")[None].repeat(count, 0) * 255),
        ):
            head = np.array([magic, *content.shape], ">u4").tobytes()
            (folder / f"{stem}-{kind}-ubyte").write_bytes(head + content.tobytes())
            (folder / f"{stem}-{kind}-ubyte.gz").write_bytes(gzip.compress(head + content.tobytes()))
    data = load_data(f"torch/mnist?root={tmp_path}")
    assert data.info.input_size == (1, 28, 28)
    assert data.info.sizes == {"train": 45, "val": 5, "test": 20}
    assert data.info.std == (round(float(np.sqrt(1 / 28 - 1 / 28**2)), 4),)


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("torch/cifar11?root=/nowhere", "cifar11"),
        ("torch/cifar10?root=/nowhere", "not found"),
        ("torch/cifar10?root=/nowhere&label=x", "no columns"),
        ("wds/?root=/nowhere", "wds/"),
    ],
)
def test_a_name_that_cannot_be_opened_is_refused(spec: str, part: str) -> None:
    assert part in refused(load_data, spec)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("train_split=trian", "no 'trian': mend train_split"),
        ("val_split=validation", "no 'validation': mend val_split"),
        ("val_split=test", "the split 'test' would be the val and the test part"),
        ("val_split=train", "the split 'train' would be the train and the val part"),
        ("train_split=test&test_split=train&val_split=test", "would be the train and the val part"),
        ("bad=skip", "'bad' does not apply"),
        ("layout=classes", "'layout' does not apply"),
    ],
)
def test_splits_of_a_name_are_never_mixed(tmp_path: Path, options: str, said: str) -> None:
    """timm takes every name but train for the test part: a slip would train on it, or choose by it."""
    cifar10_folder(tmp_path)
    assert said in refused(load_data, f"torch/cifar10?root={tmp_path}&{options}")


@pytest.mark.usefixtures("unchecked")
def test_validating_on_the_test_part_has_to_be_said(tmp_path: Path) -> None:
    cifar10_folder(tmp_path)
    sizes = load_data(f"torch/cifar10?root={tmp_path}&val_split=test&test_split=none").info.sizes
    assert sizes == {"train": 200, "val": 40, "test": 0}


SPEC = "torch/image_folder?root="


def test_folders_that_timm_does_not_find_are_not_taken_for_the_whole(tmp_path: Path) -> None:
    """timm reads the data set's own folder where a split has none: validation images would be training images."""
    write_folder(tmp_path / "a", ["cat", "dog"], 10)
    info = load_data(f"{SPEC}{tmp_path}/a").info
    assert info.sizes == {"train": 18, "val": 2, "test": 0}
    assert info.notes == ("no split 'validation': the validation part is cut from train",)
    assert "no folder of the split 'holdout'" in refused(load_data, f"{SPEC}{tmp_path}/a&test_split=holdout")
    for split in ("train", "val"):
        write_folder(tmp_path / "b" / split, ["cat", "dog"], 10)
    assert load_data(f"{SPEC}{tmp_path}/b").info.sizes == {"train": 20, "val": 20, "test": 0}
    assert "would be the val and the test part" in refused(load_data, f"{SPEC}{tmp_path}/b&test_split=val")
    write_folder(tmp_path / "c" / "test", ["cat", "dog"], 10)
    write_folder(tmp_path / "c" / "trein", ["cat", "dog"], 10)
    assert "no folder of the split 'train' but test/" in refused(load_data, f"{SPEC}{tmp_path}/c")


def test_splits_that_number_their_classes_otherwise_are_refused(tmp_path: Path) -> None:
    """torchvision numbers the folders of each split by themselves: without cats, dogs would be cats."""
    write_folder(tmp_path / "train", ["cat", "dog", "eel"], 10)
    write_folder(tmp_path / "val", ["dog", "eel"], 10)
    message = refused(load_data, f"{SPEC}{tmp_path}")
    assert "class 0 is 'dog' in the split 'validation' and 'cat' in 'train'" in message
    write_folder(tmp_path / "val", ["cat"], 1)
    write_folder(tmp_path / "test", ["cat", "dog"], 1)
    assert "class 2 is None in the split 'test'" in refused(load_data, f"{SPEC}{tmp_path}&test_split=test")


def test_hugging_face_data_sets_are_read_by_name(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    labels = [0, 1, 2] * 10
    write_parquet(tmp_path / "pets" / "train.parquet", labels, image="image", names=["ape", "bee", "cat"])
    write_parquet(tmp_path / "pets" / "test.parquet", labels[:6], image="image", names=["ape", "bee", "cat"])
    data = load_data(f"hfds/{tmp_path}/pets?val=6&root={tmp_path}/cache")
    assert data.info.classes == ("ape", "bee", "cat")
    assert data.info.sizes == {"train": 24, "val": 6, "test": 6}
    assert data.test is not None
    assert np.array_equal(np.asarray(data.test.as_dataset()[2][0]), np.asarray(picture(2, 2)))
    assert "'dev'" in refused(load_data, f"hfds/{tmp_path}/pets?val_split=dev&root={tmp_path}/cache")


@pytest.mark.parametrize("kind", ["hfds", "hfids"])
def test_a_hub_that_does_not_answer_is_one_line_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """The hub's libraries alone would try again for up to minutes."""
    pytest.importorskip("datasets")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens
    message = refused(load_data, f"{kind}/nobody/nothing?root={tmp_path}")
    assert "cannot be reached: check the network" in message
    assert "Retrying" not in caplog.text
    assert not constants.is_offline_mode()


def test_a_hub_that_does_not_answer_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert not hub.reachable()
    with hub.offline():
        assert constants.is_offline_mode()
    assert not constants.is_offline_mode()


def write_webdataset(root: Path, mode: str, broken: int | None = None) -> None:
    """Splits train (30 images) and validation (9), a shard each."""
    splits = {}
    for name, count in (("train", 30), ("validation", 9)):
        with tarfile.open(root / f"{name}-0.tar", "w") as tar:
            for row in range(count):
                image = b"broken" if row == broken else encoded(picture(row % 3, row, mode=mode))
                for suffix, content in (("png", image), ("cls", str(row % 3).encode())):
                    entry = tarfile.TarInfo(f"{row:04}.{suffix}")
                    entry.size = len(content)
                    tar.addfile(entry, io.BytesIO(content))
        splits[name] = {"name": name, "num_samples": count, "filenames": [f"{name}-0.tar"], "shard_lengths": [count]}
    (root / "_info.json").write_text(json.dumps({"splits": splits}))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_web_data_sets_are_read_to_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    pytest.importorskip("webdataset")
    write_webdataset(tmp_path, mode)
    data = load_data(f"wds/?root={tmp_path}")
    assert data.info.sizes == {"train": 30, "val": 9, "test": 0}
    assert data.info.input_size == (len(mode), 8, 8)
    assert data.val.labels.tolist() == [0, 1, 2] * 3
    assert np.array_equal(np.asarray(data.val.as_dataset()[4][0]), np.asarray(picture(1, 4, mode=mode)))
    monkeypatch.setattr(named, "MAX_BYTES", 1000)
    assert "too much for memory" in refused(load_data, f"wds/?root={tmp_path}")


def test_images_that_timm_would_leave_out_are_an_error(tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    write_webdataset(tmp_path, "RGB", broken=20)
    assert "29 of its 30 images" in refused(load_data, f"wds/?root={tmp_path}")
