"""Which images validate: were this to drift, accuracies of one run could no longer be compared."""

from pathlib import Path

import numpy as np
import pytest
from fakes.tasks import refused, write_folder
from hypothesis import given, settings
from hypothesis import strategies as st

from mgic_nas.errors import UserError
from mgic_nas.tasks import load_data
from mgic_nas.tasks.split import choose, cut


@st.composite
def labelled(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    counts = draw(st.lists(st.integers(1, 30), min_size=2, max_size=6))
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(draw(st.integers(0, 99))).permutation(labels), len(counts)


@given(labelled(), st.integers(0, 120), st.integers(1, 150), st.integers(0, 5))
@settings(max_examples=200, deadline=None)
def test_every_cut_is_disjoint_exact_and_trains_every_class(
    case: tuple[np.ndarray, int], val: int, train: int, seed: int
) -> None:
    labels, classes = case
    try:
        chosen, held, _ = cut(labels, classes, train, val or None, 0, seed)
    except UserError:
        assert train < classes or train + val > len(labels) or val > len(labels) - classes
        return
    assert len(chosen) == train
    assert len(held) == val
    assert not set(chosen) & set(held)
    assert (np.diff(chosen) > 0).all()
    assert set(labels[chosen]) == set(range(classes))
    if val:
        spare = np.bincount(labels) - 1
        share = np.bincount(labels[held], minlength=classes)
        assert (np.abs(share - spare * val / spare.sum()) < 1).all()


@given(labelled(), st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_a_smaller_subset_lies_within_a_larger_one(case: tuple[np.ndarray, int], seed: int) -> None:
    labels, classes = case
    if len(labels) < 2 * classes + 4:
        return
    small, held, _ = cut(labels, classes, classes, 2, 0, seed)
    large, held_too, _ = cut(labels, classes, classes + 1, 2, 0, seed)
    assert (held == held_too).all()
    assert set(small) <= set(large)


def test_the_cut_is_the_same_on_every_machine_and_in_every_version() -> None:
    labels = np.arange(20) % 2
    train, val, _ = cut(labels, 2, 6, 4, 0, 0)
    assert train.tolist() == [0, 6, 9, 10, 13, 15]
    assert val.tolist() == [4, 7, 11, 16]
    assert choose(labels, 4, 1, "val").tolist() == [4, 11, 18, 19]


def test_trials_with_other_seeds_still_see_the_same_validation_images() -> None:
    first, second = load_data("fashion?train=100"), load_data("fashion?train=2000")
    assert first.info.fingerprint != second.info.fingerprint
    (x, _), (x_too, _) = next(iter(first.val.batches(2000))), next(iter(second.val.batches(2000)))
    grey, spread = [(d.info.mean[0], d.info.std[0]) for d in (first, second)], 1e-6
    assert np.allclose(x * grey[0][1] + grey[0][0], x_too * grey[1][1] + grey[1][0], atol=spread)


@pytest.mark.parametrize("other", ["fashion?seed=1", "fashion?val=1999", "fashion?train=4999", "fashion?size=12"])
def test_a_fingerprint_tells_other_data_apart(other: str) -> None:
    assert load_data("fashion").info.fingerprint != load_data(other).info.fingerprint


def test_without_a_test_part_one_is_cut_that_nobody_trains_or_validates_on(tmp_path: Path) -> None:
    """Otherwise there is no number to quote; and the validation images must stay those that a search compared on."""
    write_folder(tmp_path, ["cat", "dog"], 40)
    whole, held = load_data(str(tmp_path)), load_data(f"{tmp_path}?test=0.25")
    assert whole.test is None
    assert held.test is not None
    assert held.info.sizes == {"train": 52, "val": 8, "test": 20}
    seen = [{image.numpy().tobytes() for image in split.images} for split in (held.train, held.val, held.test)]
    assert [len(images) for images in seen] == [52, 8, 20]  # every image is another
    assert not (seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2])
    assert seen[1] == {image.numpy().tobytes() for image in whole.val.images}
    assert np.bincount(held.test.labels).tolist() == [10, 10]
    assert load_data(f"{tmp_path}?test=0.25").info.fingerprint == held.info.fingerprint != whole.info.fingerprint
    assert "lower test" in refused(load_data, f"{tmp_path}?test=79")


@pytest.mark.parametrize("side", [8, 140])
def test_joined_parts_train_on_every_image_once_an_epoch_with_its_own_label(tmp_path: Path, side: int) -> None:
    write_folder(tmp_path, ["cat", "dog"], 10, size=(side, side))
    data = load_data(f"{tmp_path}?val=6&size={side}")
    both = data.train.joined(data.val)  # type: ignore[attr-defined]
    x, y = next(iter(both.batches(20, seed=1, epoch=0, augment=True)))
    assert len(both) == len(x) == 20
    assert sorted(y.tolist()) == [0] * 10 + [1] * 10
    brightness = x.mean((1, 2, 3))
    assert brightness[y == 0].max() < brightness[y == 1].min()  # a class is told by its brightness
    assert len(data.train) == 14
