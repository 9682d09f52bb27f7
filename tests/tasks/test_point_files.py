"""Files of point clouds as people write them: read, doubted in a note, or refused in one line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes.tasks import refused

from mgic_nas.tasks.points import load

CLASSES = np.array(["ball", "stick"])


def arrays(train: int = 20, test: int = 6, points: int = 10, **changes: Any) -> dict[str, Any]:
    """Clouds of two classes in about the unit ball; ``changes`` replace arrays, None removes them."""
    rng = np.random.default_rng(0)

    def clouds(count: int) -> np.ndarray:
        return rng.uniform(-0.5, 0.5, (count, points, 3)).astype(np.float32)

    content = {
        "train_points": clouds(train),
        "train_labels": np.arange(train) % 2,
        "test_points": clouds(test),
        "test_labels": np.arange(test) % 2,
        "classes": CLASSES,
        **changes,
    }
    return {name: value for name, value in content.items() if value is not None}


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "clouds.npz"
    np.savez(path, **arrays(**changes))
    return path


BASE = arrays()
TRAIN = BASE["train_points"]


def changed(index: Any, value: float, dtype: Any = np.float32) -> np.ndarray:
    clouds = TRAIN.astype(dtype)
    clouds[index] = value
    return clouds


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"train_points": TRAIN.astype(">f4")},
        {"train_points": TRAIN.astype(np.longdouble)},
        {"train_points": np.asfortranarray(TRAIN)},
        {"train_labels": np.arange(20)[:, None] % 2},
        {"train_labels": (np.arange(20) % 2).astype(np.uint64)},
        {"classes": CLASSES.astype("S")},
    ],
    ids=["plain", "big-endian", "long double", "by column", "labels in a column", "unsigned labels", "names as bytes"],
)
def test_the_same_clouds_in_other_forms_are_the_same(tmp_path: Path, changes: dict[str, Any]) -> None:
    data = load(str(write(tmp_path, **changes)))
    assert data.info.classes == ("ball", "stick")
    assert data.info.notes == ()
    assert data.info.smallest_class == ("ball", 9)
    for x, _ in data.train.batches(8, augment=True):
        assert x.shape == (8, 3, 10)
    x, y = next(load(str(write(tmp_path))).val.batches(8))
    found, labels = next(data.val.batches(8))
    assert (found == x).all()
    assert (labels == y).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train_points": TRAIN.transpose(0, 2, 1)}, "swap its last two axes"),
        ({"test_points": TRAIN[:6].transpose(0, 2, 1)}, "swap its last two axes"),
        ({"test_points": TRAIN[:5]}, "it has 5 test_points and 6 test_labels"),
        ({"test_points": TRAIN[:6, :7]}, "points=10 is more than the 7 points of a test cloud"),
        ({"train_points": TRAIN.transpose(1, 0, 2)}, "10 train_points and 20 train_labels"),
        ({"train_points": (100 * TRAIN).astype(np.int16)}, "not float (clouds, points, 3)"),
        ({"train_points": np.array([cloud[: 5 + n] for n, cloud in enumerate(TRAIN[:3])], object)}, "unequal size"),
        ({"train_points": changed((3, 2, 1), np.inf)}, "in 1 of its 20 clouds, the first of which is 3"),
        ({"train_points": changed((slice(4, 6), 0), np.nan)}, "in 2 of its 20 clouds, the first of which is 4"),
        ({"train_points": changed((3, 2, 1), 1e300, np.float64)}, "too large"),
        ({"train_labels": 1 + np.arange(20) % 2}, "count from 1: subtract 1"),
        ({"train_labels": np.arange(20) % 2 / 1}, "not a list of whole numbers"),
        ({"train_labels": CLASSES[np.arange(20) % 2]}, "not a list of whole numbers"),
        ({"train_labels": np.zeros(20, int)}, "fewer than two training clouds of the class 'stick'"),
        ({"train_labels": np.eye(2, dtype=int)[np.arange(20) % 2]}, "(20, 2), not a list"),
        ({"test_labels": np.full(6, 2)}, "test_labels has numbers outside 0..1"),
        ({"test_labels": None, "test_points": None}, "no array 'test_labels'; its arrays are train_points"),
        ({"classes": np.array(["ball", "ball"])}, "the name 'ball', which is empty or there twice"),
        ({"classes": np.array(["ball", " "])}, "the name ' '"),
        ({"classes": np.array(["ball"])}, "two or more names"),
        ({"classes": np.array(["ball", "stick"], object)}, "could run code"),
        ({"val_points": TRAIN[:4]}, "no array 'val_labels'"),
        ({"training_labels": np.zeros(3, int)}, "could both be the labels of the train part"),
    ],
)
def test_clouds_in_another_form_are_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    assert said in refused(load, str(write(tmp_path, **changes)))


def test_too_few_clouds_to_validate_on(tmp_path: Path) -> None:
    path = write(tmp_path, train_points=TRAIN[:4], train_labels=np.arange(4) % 2)
    assert "too few clouds to validate on" in refused(load, str(path))
    info = load(f"{path}?val=1").info
    assert (info.sizes["val"], info.blind) == (1, 100)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Code:
        def __reduce__(self) -> tuple[Any, tuple[Path]]:
            return Path.touch, (tmp_path / "ran",)

    path = write(tmp_path, classes=np.array([Code(), Code()], object))
    refused(load, str(path))
    assert not (tmp_path / "ran").exists()


def test_the_files_own_validation_part_is_used(tmp_path: Path) -> None:
    """Cut from train instead, it would be passed over in silence."""
    own = arrays(train=4, points=10)["train_points"] / 2
    data = load(str(write(tmp_path, valid_points=own, valid_labels=np.arange(4) % 2)))
    assert data.info.sizes == {"train": 20, "val": 4, "test": 6}
    x, _ = next(data.val.batches(8))
    assert (x.transpose(1, 2).numpy() == own).all()
    fewer = load(f"{data.spec}?val=2&train=10")
    assert fewer.info.sizes == {"train": 10, "val": 2, "test": 6}
    other = load(str(write(tmp_path, valid_points=own / 2, valid_labels=np.arange(4) % 2)))
    assert other.info.fingerprint != data.info.fingerprint


def repeated(*rows: int) -> np.ndarray:
    clouds = TRAIN.copy()
    for row in rows:
        clouds[row, 5:] = clouds[row, 5]
    return clouds


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"test_points": np.concatenate([TRAIN[:2], BASE["test_points"][2:]])}, "2 of the test clouds are also in"),
        ({"train_points": np.concatenate([TRAIN[:10], TRAIN[:10]])}, "val clouds are also in train"),
        ({"train_points": np.concatenate([TRAIN[:1], TRAIN[:19]])}, "clouds under two classes"),
        ({"train_points": repeated(*range(20))}, "train clouds repeat points, as padded ones do"),
        ({"train_points": np.where(np.arange(20)[:, None, None] < 15, 0.5, TRAIN)}, "clouds are a single place"),
        ({"train_points": 1000 * TRAIN, "test_points": 1000 * BASE["test_points"]}, "scale them"),
        ({"val_points": 9 * TRAIN[:4], "val_labels": np.arange(4) % 2}, "val clouds reach"),
        ({"test_points": 100 * BASE["test_points"]}, "test clouds reach"),
        ({"extra": np.zeros(3)}, "arrays that are not read: extra"),
    ],
)
def test_what_is_doubtful_is_said(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    assert said in " | ".join(load(f"{write(tmp_path, **changes)}?val=4").info.notes)


def test_hidden_files_beside_the_npz_are_not_there(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "._clouds.npz").write_bytes(b"x")
    assert load(str(tmp_path)).info.fingerprint == load(str(path)).info.fingerprint


def test_a_text_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "clouds.npz").write_text("x y z\n")
    said = refused(lambda: load(str(tmp_path / "clouds.npz")))
    assert "no archive as numpy.savez makes it" in said
    assert "pickle" not in said
