"""What the numbers in masks mean: which is which class, and which is none. A guess is said, or refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import UserError
from ..spec import Spec
from .read import Mask, hexadecimal
from .shapes import IGNORE
from .survey import Seen

#: More values than this are not believed to be classes where nothing says how many there are.
MAX_GUESSED = 64
BINARY = ("background", "foreground")
_NAMED = 3


@dataclass(frozen=True)
class Values:
    """The mask's number of each class, in order, and the number that is no class.

    ``coloured``: numbers are 0xRRGGBB. A mask of one bit holds 0 and the largest number, whatever that is.
    """

    lookup: tuple[int, ...]
    ignore: int | None = IGNORE
    coloured: bool = False

    @property
    def plain(self) -> bool:
        """Whether masks hold the classes as they are counted, and 255 elsewhere."""
        return self.lookup == tuple(range(len(self.lookup))) and self.ignore == IGNORE

    def classes(self, mask: Mask, path: Path) -> np.ndarray:
        """uint8 (H, W): the class of each pixel, :data:`IGNORE` where it has none.

        Raises:
            UserError: a number that is neither.
        """
        scale = self._scale(mask.one_bit)
        numbers = mask.values if scale == 1 else mask.values.astype(np.int64) * scale
        if self.coloured:
            order = np.argsort(self.lookup)
            place = np.searchsorted(self.lookup, numbers, sorter=order).clip(max=len(order) - 1)
            labels = order[place].astype(np.uint8)
            known = np.array(self.lookup)[labels] == numbers
        else:
            table, is_known = self._tables()
            index = numbers.clip(max=len(table) - 1) if numbers.dtype.itemsize > 2 else numbers
            labels, known = table[index], is_known[index]
        if not known.all():
            raise UserError(f"{path} has the value {self.text(int(numbers[~known][0]))}: {self.said()}")
        return labels

    def _tables(self) -> tuple[np.ndarray, np.ndarray]:
        """Number of a mask of up to 16 bits, or of all above them, -> class; and whether it is a class or none."""
        table, known = np.full(2**16 + 1, IGNORE, dtype=np.uint8), np.zeros(2**16 + 1, dtype=bool)
        table[list(self.lookup)] = range(len(self.lookup))
        known[list(self.lookup)] = True
        if self.ignore is not None:
            table[self.ignore], known[self.ignore] = IGNORE, True
        return table, known

    def by_class(self, seen: Seen) -> np.ndarray:
        """int64 (classes,): the pixels of each class in a mask that was read."""
        assert seen.counts is not None
        scale = self._scale(seen.one_bit)
        scaled = {number * scale: pixels for number, pixels in seen.counts.items() if number * scale != self.ignore}
        return np.array([scaled.get(number, 0) for number in self.lookup], dtype=np.int64)

    def wrong(self, seen: Seen) -> list[int]:
        """The numbers of a mask that are neither a class nor none."""
        scale = self._scale(seen.one_bit)
        return sorted({number * scale for number in seen.counts or ()} - {*self.lookup, self.ignore})

    def text(self, number: int) -> str:
        return hexadecimal(number) if self.coloured else str(number)

    def said(self) -> str:
        """``classes are 0 to 2, 255 is ignored``."""
        ordered = self.lookup == tuple(range(len(self.lookup)))
        named = f"0 to {len(self.lookup) - 1}" if ordered else ",".join(map(self.text, self.lookup))
        return f"classes are {named}" + ("" if self.ignore is None else f", {self.ignore} is ignored")

    def _scale(self, one_bit: bool) -> int:
        return max(self.lookup) if one_bit and 1 not in self.lookup and not self.coloured else 1


Masks = Sequence[tuple[Path, Seen]]


def find_values(spec: Spec, names: tuple[str, ...], masks: Masks) -> tuple[Values, tuple[str, ...], list[str]]:
    """The values of the masks, the classes' names, and what a user should know of it.

    Args:
        spec: with ``classes``, ``values``, ``colours`` or ``ignore``, where the user says it.
        names: of classes.txt; none where there is no such file.
        masks: the masks that train and validate, those that were read.

    Raises:
        UserError: numbers that no rule explains, or that do not fit what was said.
    """
    count = spec.get("classes") or len(names) or None
    if names and count != len(names):
        raise UserError(f"classes.txt names {len(names)} classes, classes={count} says other: mend one of them")
    if count is not None and not 2 <= count <= IGNORE:
        raise UserError(f"data {spec.source!r}: {count} classes; 2 to {IGNORE} can be told apart")
    given = spec.get("values") or spec.get("colours")
    notes: list[str] = []
    if given:
        if count not in (None, len(given)):
            raise UserError(f"data {spec.source!r}: {len(given)} values for {count} classes: mend one of them")
        coloured = "colours" in spec.options
        default = None if coloured or IGNORE in given else IGNORE
        values = Values(given, spec.get("ignore", default), coloured)
        if values.ignore in given:
            raise UserError(f"data {spec.source!r}: ignore={values.ignore} is one of the classes: remove it there")
    else:
        _refuse_other_palettes(masks)
        values, guesses = _guess(spec, count, masks)
        notes += guesses
    refuse_wrong(values, masks)
    default_names = BINARY if values.lookup == (0, IGNORE) and not given else tuple(map(str, range(len(values.lookup))))
    return values, names or default_names, notes


def _guess(spec: Spec, count: int | None, masks: Masks) -> tuple[Values, list[str]]:
    ignore = spec.get("ignore")
    total: Counter[int] = Counter()
    for _, seen in masks:
        if not seen.one_bit:
            total.update(seen.counts or {})
    found = set(total) - {ignore}
    if found == {0, IGNORE} and count in (None, 2):
        return Values((0, IGNORE), ignore), [
            "masks of 0 and 255 alone: 0 is taken for the first class, 255 for the second; if 255 is no class, say "
            "?ignore=255"
        ]
    bits = {value for _, seen in masks if seen.one_bit for value in seen.counts or {}}
    notes = []
    if ignore is None:
        ignore = IGNORE
        if IGNORE in found:
            _refuse_ambiguous(masks)
            share = 100 * total[IGNORE] / total.total()
            notes.append(f"the masks' value 255 ({share:.2g} % of the pixels) is taken for no class (?ignore=255)")
    found = (found | bits) - {ignore}
    return Values(tuple(range(count or _guessed_count(spec, found))), ignore), notes


def _guessed_count(spec: Spec, found: set[int]) -> int:
    where = f"the masks of {spec.source}"
    if len(found) < 2:
        some = f"the value {min(found)} alone" if found else "no class at all"
        raise UserError(f"{where} hold {some}: there is nothing to tell apart; ?ignore= names what is no class")
    if len(found) > MAX_GUESSED:
        raise UserError(
            f"{where} hold {len(found)} different values, as lossy or smoothed ones do: if they are classes, say how "
            "many by ?classes=NUMBER"
        )
    if found != set(range(len(found))):
        some = _ranges(found)
        raise UserError(
            f"{where} hold the values {some}, which do not count from 0 (scaled or once lossy masks have values "
            f"between): name those of the classes in their order by ?values={some}, or say how many by ?classes=NUMBER"
        )
    return len(found)


def _ranges(numbers: set[int]) -> str:
    """``0,3-7,255``, as ``?values=`` is written."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs)


def _refuse_ambiguous(masks: Masks) -> None:
    """Refuses 255 that is never beside a class but 0: it may be a class of its own, or the same as 1."""
    held = [(path, set(seen.counts or ())) for path, seen in masks if not seen.one_bit]
    with_255 = [(path, values) for path, values in held if IGNORE in values]
    if any(values - {0, IGNORE} for _, values in with_255):
        return
    others = ((path, number) for path, values in held for number in sorted(values - {0, IGNORE}))
    if (other := next(others, None)) is not None:
        raise UserError(
            f"{len(with_255):,} masks such as {with_255[0][0]} hold 255 beside 0 alone, others such as {other[0]} hold "
            f"{other[1]}: write them alike, or say ?ignore=255 if 255 is no class"
        )


def _refuse_other_palettes(masks: Masks) -> None:
    """Refuses palette images in which one number has two colours: there the numbers are no classes."""
    first: dict[int, tuple[int, Path]] = {}
    for path, seen in masks:
        for number, colour in (seen.palette or {}).items():
            known, other = first.setdefault(number, (colour, path))
            if known != colour:
                raise UserError(
                    f"{other} and {path} are palette images in which {number} is {hexadecimal(known)} and "
                    f"{hexadecimal(colour)}: name the classes' colours in order by ?colours=RRGGBB,RRGGBB, or the "
                    "numbers by ?values=0,1 if they are right"
                )


def refuse_wrong(values: Values, masks: Masks) -> None:
    """Refuses masks with a value that is neither a class nor none, all of them in one line.

    Raises:
        UserError: there are some.
    """
    wrong = [(path, numbers[0]) for path, seen in masks if (numbers := values.wrong(seen))]
    if len(wrong) == 1:
        raise UserError(f"{wrong[0][0]} has the value {values.text(wrong[0][1])}: {values.said()}")
    if wrong:
        some = ", ".join(f"{path} has the value {values.text(number)}" for path, number in wrong[:_NAMED])
        raise UserError(f"{len(wrong):,} of {len(masks):,} masks have values of no class: {some}: {values.said()}")


def check_classes(
    values: Values, classes: tuple[str, ...], train: Sequence[Seen], val: Sequence[Seen], is_cut: bool
) -> tuple[tuple[str, int] | None, list[str]]:
    """The class with the fewest training images and their number, and what a user should know of the classes.

    Args:
        values, classes: what masks mean.
        train, val: what was seen of the images that train and validate.
        is_cut: the validation part is cut from the training images.

    Raises:
        UserError: a class has no pixel to train on.
    """
    if any(seen.counts is None for seen in train):
        return None, []
    pixels = np.stack([values.by_class(seen) for seen in train])
    validated = np.stack([values.by_class(seen) for seen in val]).sum(0) if val else np.zeros(len(classes))
    absent = np.flatnonzero(pixels.sum(0) == 0).tolist()
    if absent:
        some = ", ".join(f"{classes[label]!r} ({values.text(values.lookup[label])})" for label in absent[:_NAMED])
        what = "the class" if len(absent) == 1 else f"{len(absent)} of {len(classes)} classes,"
        if any(validated[label] for label in absent):
            also = ", only in validation ones"
            remedy = "say ?seed=1 for another cut, or add images of it" if is_cut else "add images of it to train"
        else:
            also = f" ({values.ignore} is no class)" if values.ignore is not None else ""
            there = {values.lookup[label] for label in range(len(classes)) if label not in absent}
            remedy = f"add images of it, or name the numbers of the classes by ?values={_ranges(there)}"
            remedy = "add images of it" if values.coloured else remedy
        raise UserError(f"{what} {some} has no pixel in the training masks{also}: {remedy}")
    unseen = [classes[label] for label in np.flatnonzero(validated == 0)]
    notes = []
    if unseen and all(seen.counts is not None for seen in val):
        more = f" and {len(unseen) - _NAMED} more" if len(unseen) > _NAMED else ""
        notes.append(f"no validation pixel of the class {', '.join(unseen[:_NAMED])}{more}: the mIoU is without it")
    images = (pixels > 0).sum(0)
    smallest = int(images.argmin())
    return (classes[smallest], int(images[smallest])), notes
