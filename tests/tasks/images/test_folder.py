"""Folders of image files, small ones in a tensor and large ones through timm's loader."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes.tasks import picture, refused, write_folder
from PIL import Image

from mgic_nas.tasks import Augment, load_data
from mgic_nas.tasks.images import build, loader
from mgic_nas.tasks.images.loader import LoaderSplit
from mgic_nas.tasks.images.tensors import TensorSplit

CLASSES = ["ape", "bee10", "bee9"]


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_class_folders_alone_are_cut_into_training_and_validation(tmp_path: Path) -> None:
    write_folder(tmp_path, CLASSES, 20)
    data = load_data(str(tmp_path))
    assert data.info.classes == ("ape", "bee9", "bee10")  # timm's order, so that its tools agree on class numbers
    assert data.info.sizes == {"train": 54, "val": 6, "test": 0}
    assert data.test is None
    assert isinstance(data.train, TensorSplit)


def test_train_val_and_test_folders_are_used_as_they_are(tmp_path: Path) -> None:
    for part, count in (("train", 9), ("validation", 4), ("test", 2)):
        write_folder(tmp_path / part, CLASSES, count, mode="L")
    data = load_data(str(tmp_path))
    assert data.info.sizes == {"train": 27, "val": 12, "test": 6}
    assert data.info.in_chans == 1
    assert data.test is not None
    image, label = data.test.as_dataset()[2]
    assert label == 1
    assert np.array_equal(np.asarray(image), np.asarray(picture(2, 0, mode="L")))  # bee9 is the third of CLASSES


def test_broken_and_misplaced_files_are_named(tmp_path: Path) -> None:
    write_folder(tmp_path, CLASSES, 20)
    (tmp_path / "ape" / "7.png").write_bytes(b"no image")
    assert "ape/7.png is not a readable image" in refused(load_data, str(tmp_path))
    (tmp_path / "ape" / "7.png").unlink()
    (tmp_path / "stray.png").write_bytes(b"")
    assert "stray.png lies beside" in refused(load_data, str(tmp_path))
    (tmp_path / "stray.png").unlink()
    (tmp_path / "empty").mkdir()
    assert "empty has no images" in refused(load_data, str(tmp_path))


def test_folders_that_are_no_data_set_are_refused(tmp_path: Path) -> None:
    assert "no images" in refused(load_data, str(tmp_path))
    write_folder(tmp_path / "val", CLASSES, 2)
    assert "no train/ beside it" in refused(load_data, str(tmp_path))
    write_folder(tmp_path / "train", CLASSES[:2], 2)
    assert "'bee9' that the training folder lacks" in refused(load_data, str(tmp_path))
    write_folder(tmp_path / "single", CLASSES[:1], 2)
    assert "one class only" in refused(load_data, str(tmp_path / "single"))


def test_small_images_of_differing_size_need_a_size(tmp_path: Path) -> None:
    write_folder(tmp_path, CLASSES, 5)
    picture(0, 0, (9, 8)).save(tmp_path / "ape" / "2.png")
    assert "?size=" in refused(load_data, str(tmp_path))
    assert load_data(f"{tmp_path}?size=8").info.input_size == (3, 8, 8)


def large(root: Path, count: int = 8) -> str:
    write_folder(root, CLASSES, count, size=(150, 140))
    picture(1, 0, (140, 200)).save(root / "ape" / "0.png")
    return str(root)


def test_large_images_go_through_timms_loader(tmp_path: Path, one_thread: None) -> None:
    data = load_data(large(tmp_path) + "?val=6")
    assert isinstance(data.train, LoaderSplit)
    assert data.info.input_size == (3, 224, 224)
    assert data.train.steps(4) == 4
    batches = list(data.train.batches(4, seed=1, epoch=0, augment=True))
    assert [tuple(x.shape) for x, _ in batches] == [(4, 3, 224, 224)] * 4
    assert all(x.dtype == torch.float32 and y.dtype == torch.int64 for x, y in batches)
    labels = torch.cat([y for _, y in data.val.batches(4)])
    assert labels.tolist() == data.val.labels.tolist()
    assert [len(y) for _, y in data.train.batches(64, augment=True)] == [18]


def test_large_images_made_small_live_in_a_tensor(tmp_path: Path) -> None:
    data = load_data(large(tmp_path) + "?val=6&size=32")
    assert isinstance(data.train, TensorSplit)
    assert data.info.input_size == (3, 32, 32)


def test_an_epoch_of_large_images_is_the_same_with_any_number_of_loader_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    data = load_data(large(tmp_path, 4) + "?val=3")
    augment = Augment(color_jitter=0.3, auto_augment="rand-m6-n1")

    def epoch(workers: int, number: int) -> torch.Tensor:
        torch.rand(3)
        monkeypatch.setattr(loader, "loader_workers", lambda: workers)
        return torch.cat([x for x, _ in data.train.batches(3, seed=1, epoch=number, augment=augment)])

    first = epoch(0, 0)
    assert torch.equal(first, epoch(0, 0))
    assert torch.equal(first, epoch(2, 0))
    assert not torch.equal(first, epoch(0, 1))


def test_an_augmentation_that_timm_does_not_know_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    data = load_data(large(tmp_path) + "?val=6")
    assert "'randy'" in refused(data.train.batches, 4, augment=Augment(auto_augment="randy"))


def test_a_large_image_that_turns_out_broken_stops_the_training_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    monkeypatch.setattr(build, "SAMPLE", 2)  # decoded at the start; the others only while training
    large(tmp_path)
    path = tmp_path / "bee9" / "3.png"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])  # its header is whole
    monkeypatch.setattr(build, "CHECKED_FILES", 2)  # too many to be looked at first
    data = load_data(f"{tmp_path}?val=3")
    broken = data.train if 3 + 8 in rows(data.train) else data.val
    assert "bee9/3.png" in refused(lambda: list(broken.batches(4)))
    monkeypatch.undo()
    assert "bee9/3.png" in refused(load_data, f"{tmp_path}?val=3")


def rows(split: Any) -> list[int]:
    """Which of the folder's images a split has."""
    return split.as_dataset()._indices.tolist()


def test_a_large_sets_fingerprint_follows_its_files(tmp_path: Path) -> None:
    first = load_data(large(tmp_path / "a") + "?val=3").info.fingerprint
    assert load_data(large(tmp_path / "b") + "?val=3").info.fingerprint == first
    picture(0, 99, (150, 141)).save(tmp_path / "b" / "bee9" / "1.png")
    assert load_data(f"{tmp_path}/b?val=3").info.fingerprint != first


def cut_notes(spec: str) -> list[str]:
    return [note for note in load_data(spec).info.notes if "centre-cropped" in note]


def test_what_the_crop_to_the_inputs_shape_cuts_off_is_said(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", CLASSES, 10, size=(40, 20))
    assert "30 of 30 images that were looked at have another shape" in cut_notes(f"{tmp_path}/a?size=16")[0]
    assert "up to 50 % of an image" in cut_notes(f"{tmp_path}/a?size=16")[0]
    for spec in ("", "?size=16x32", "?size=20x40"):
        assert not cut_notes(f"{tmp_path}/a{spec}")
    write_folder(tmp_path / "b", CLASSES, 10, size=(150, 150))
    assert not cut_notes(f"{tmp_path}/b")
    picture(0, 99, (140, 200)).save(tmp_path / "b" / "bee9" / "1.png")
    assert "1 of 30 images" in cut_notes(f"{tmp_path}/b")[0]
    assert "up to 30 %" in cut_notes(f"{tmp_path}/b")[0]


def test_the_crop_cuts_off_what_is_said(tmp_path: Path) -> None:
    """timm's transform keeps the share of a picture that the note names."""
    write_folder(tmp_path, CLASSES, 10, size=(8, 8))
    for number in range(10):
        image = np.zeros((20, 40, 3), np.uint8)
        image[:, :10] = (255, 0, 0)  # the quarter on the left
        Image.fromarray(image).save(tmp_path / "ape" / f"{number}.png")
    data = load_data(f"{tmp_path}?size=16")
    apes = data.train.images[torch.from_numpy(data.train.labels) == 0]  # type: ignore[attr-defined]
    assert int(apes[:, 0].max()) < 60  # but for what bicubic rings at the edge
    assert "up to 50 %" in cut_notes(f"{tmp_path}?size=16")[0]


def test_classes_without_validation_or_test_images_are_named(tmp_path: Path) -> None:
    write_folder(tmp_path / "train", CLASSES, 10)
    write_folder(tmp_path / "val", CLASSES[:2], 4)
    write_folder(tmp_path / "test", CLASSES[1:], 4)
    notes = load_data(str(tmp_path)).info.notes
    assert "1 of 3 classes have no validation images ('bee9'): networks are chosen by the others alone" in notes
    assert "1 of 3 classes have no test images ('ape'): a score is of the others alone" in notes
    write_folder(tmp_path / "alone", CLASSES, 10)
    assert any("2 of 3 classes have no validation" in n for n in load_data(f"{tmp_path}/alone?val=1").info.notes)
    assert any("1 of 3 classes have no test" in n for n in load_data(f"{tmp_path}/alone?test=2").info.notes)
    assert not any("classes have no" in n for n in load_data(f"{tmp_path}/alone?test=3").info.notes)
