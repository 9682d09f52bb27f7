"""Which images train and which validate: stratified, the same on every machine, nested."""

import numpy as np

from ..errors import UserError


def _shares(capacity: np.ndarray, total: int) -> np.ndarray:
    """``total`` items over classes in proportion to ``capacity``, never above it (largest remainders)."""
    if total == 0:
        return np.zeros_like(capacity)
    quota = capacity * (total / capacity.sum())
    shares = np.floor(quota).astype(np.int64)
    largest = np.argsort(shares - quota, kind="stable")
    shares[largest[: total - shares.sum()]] += 1
    return shares


def _by_class(labels: np.ndarray, classes: int, seed: int) -> list[np.ndarray]:
    """The indices of each class, shuffled by ``seed``."""
    # RandomState and not default_rng: numpy promises that its stream never changes, and the cut must not.
    rng = np.random.RandomState(seed)
    return [rng.permutation(np.flatnonzero(labels == label)) for label in range(classes)]


def amount(wanted: int | float | None, available: int, default: int, what: str) -> int:
    """How many of ``available`` images an option asks for: a number, a fraction, or ``default``.

    Raises:
        UserError: more than there are.
    """
    if wanted is None:
        return default
    if available == 0:
        raise UserError(f"{what}={wanted} asks for images where there are none: remove the option")
    count = max(1, round(wanted * available)) if isinstance(wanted, float) else wanted
    if count > available:
        raise UserError(f"{what}={wanted} asks for more than the {available:,} images that there are: lower it")
    return count


def choose(labels: np.ndarray, wanted: int | float | None, seed: int, what: str) -> np.ndarray:
    """A stratified subset of ``wanted`` images: sorted indices. All of them where ``wanted`` is None."""
    count = amount(wanted, len(labels), len(labels), what)
    if count == len(labels):
        return np.arange(count)
    groups = _by_class(labels, int(labels.max()) + 1, seed)
    shares = _shares(np.array([len(group) for group in groups]), count)
    return np.sort(np.concatenate([group[:share] for group, share in zip(groups, shares)]))


def cut(
    labels: np.ndarray,
    classes: int,
    train: int | float | None,
    val: int | float | None,
    default_val: int | float,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Sorted indices of the training and of the validation part, both with every class in its proportion.

    With one seed the validation images stay the same whatever ``train`` is, and a smaller part is a subset of a
    larger one: so subsets of growing size can be compared.

    Raises:
        UserError: the numbers do not fit the data.
    """
    groups = _by_class(labels, classes, seed)
    counts = np.array([len(group) for group in groups])
    spare = counts - 1  # each class keeps one image to train on
    val_count = amount(
        val, len(labels), round(default_val * len(labels)) if default_val < 1 else int(default_val), "val"
    )
    if val_count > spare.sum():
        raise UserError(f"val={val_count} leaves too few of the {len(labels):,} images to train on: lower val")
    val_shares = _shares(spare, val_count)
    left = counts - val_shares
    train_count = amount(train, len(labels), int(left.sum()), "train")
    if train_count > left.sum():
        raise UserError(
            f"train={train_count} and val={val_count} together exceed the {len(labels):,} training images: lower one"
        )
    if train_count < classes:
        raise UserError(f"train={train_count} is fewer than the {classes} classes: raise train")
    train_shares = 1 + _shares(left - 1, train_count - classes)
    train_part = [group[len(group) - share :] for group, share in zip(groups, train_shares)]
    val_part = [group[:share] for group, share in zip(groups, val_shares)]
    return np.sort(np.concatenate(train_part)), np.sort(np.concatenate(val_part))
