"""A look at every image and mask before they are used: what is broken, how large, how turned, which values."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ...errors import UserError
from ..images.build import CHECKED_FILES
from ..images.check import check
from ..images.decode import TURNED, TURNED_TIFF, Unreadable, header, orientation
from ..images.folder import FilesPart
from .files import Pair
from .read import counts, read_mask

#: The orientations of EXIF that swap width and height.
_SWAPPING = range(5, 9)
_NAMED = 3


@dataclass(frozen=True)
class Seen:
    """What was seen of an image and its mask.

    Attributes:
        image, mask: (width, height), upright as EXIF says.
        orientation: of the image, as EXIF numbers it.
        counts: value of the mask -> pixels; None where only its header was read.
        one_bit, palette, traits: as in :class:`~.read.Mask`.
        as_stored: the image is used as it is stored, not turned upright, because its mask was made for that.
    """

    image: tuple[int, int]
    mask: tuple[int, int]
    orientation: int = 1
    counts: Mapping[int, int] | None = None
    one_bit: bool = False
    palette: Mapping[int, int] | None = None
    traits: tuple[str, ...] = ()
    as_stored: bool = False

    @property
    def stored(self) -> tuple[int, int]:
        """(width, height) of the image as it is stored."""
        return self.image[::-1] if self.orientation in _SWAPPING else self.image

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the image as it is used."""
        return self.stored if self.as_stored else self.image


@dataclass
class Survey:
    """The pairs of one split that can be used, and those that cannot.

    Attributes:
        files: (image, mask) of what can be used, in order.
        seen: one a pair.
        broken: the others.
        traits: of the images, as :func:`~..images.check.check` gives them.
    """

    files: list[Pair] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    broken: list[Unreadable] = field(default_factory=list)
    traits: list[str] = field(default_factory=list)

    @property
    def masks(self) -> list[tuple[Path, Seen]]:
        """The masks whose values were read."""
        return [(mask, seen) for (_, mask), seen in zip(self.files, self.seen) if seen.counts is not None]


def look(pairs: Sequence[Pair], unmasked: Sequence[Path], *, coloured: bool, every: bool, skipping: bool) -> Survey:
    """Looks at the files of one split.

    Args:
        pairs: (image, mask).
        unmasked: images without a mask, which are broken.
        coloured: masks hold colours, not numbers.
        every: reads the values of every mask, also of more than :data:`CHECKED_FILES`.
        skipping: what is broken is left out, so that it must be found now: decodes every image, or, where they are
            more than that, looks at headers and ends and reads every mask.
    """
    survey = Survey(broken=[_unmasked(path) for path in unmasked])
    few = len(pairs) <= CHECKED_FILES
    images = FilesPart(Path("/"), [str(image) for image, _ in pairs], np.zeros(len(pairs), dtype=np.int64))
    broken, survey.traits = check(images, range(len(pairs)), skipping and few) if few or skipping else ({}, [])
    step = 1 if every or few or skipping else -(-len(pairs) // CHECKED_FILES)
    sound = [row for row in range(len(pairs)) if row not in broken]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = dict(zip(sound, pool.map(lambda row: _look_at(pairs[row], coloured, row % step == 0), sound)))
    for row, pair in enumerate(pairs):
        result = broken.get(row) or found[row]
        if isinstance(result, Unreadable):
            survey.broken.append(result)
        else:
            survey.files.append(pair)
            survey.seen.append(result)
    return survey


def _look_at(pair: Pair, coloured: bool, read: bool) -> Seen | Unreadable:
    image, mask = pair
    try:
        size, _ = header(str(image), str(image))
        seen = Seen(size, size, orientation(str(image)))
        if not read:
            return replace(seen, mask=header(str(mask), str(mask))[0])
        numbers = read_mask(mask, coloured)
        height, width = numbers.values.shape
        return replace(
            seen,
            mask=(width, height),
            counts=counts(numbers.values),
            one_bit=numbers.one_bit,
            palette=numbers.palette,
            traits=numbers.traits,
        )
    except Unreadable as error:
        return error


def _unmasked(path: Path) -> Unreadable:
    reason = "no mask of its name"
    return Unreadable(f"{path} has {reason}: add it or remove the image", str(path), reason)


def fit_sizes(surveys: Sequence[Survey], exif: str | None) -> str | None:
    """Moves pairs whose sizes differ to the broken ones, and decides which images are turned as EXIF says.

    A mask belongs to the picture as people see it or as it is stored, which its size tells. Where it does not (the
    image is square, or upside down), the other images of the data set tell, or else ``exif``.

    Args:
        surveys: of the splits; they are changed.
        exif: "apply" or "ignore" where the user said it; else None.

    Returns:
        What holds for images whose size does not tell.
    """
    told: set[str] = set()
    for survey in surveys:
        for seen in survey.seen:
            if seen.image != seen.stored and seen.mask in (seen.image, seen.stored):
                told.add("apply" if seen.mask == seen.image else "ignore")
    exif = exif or (told.pop() if len(told) == 1 else None)
    for survey in surveys:
        kept = [(pair, _fitted(pair, seen, exif)) for pair, seen in zip(survey.files, survey.seen)]
        survey.broken += [result for _, result in kept if isinstance(result, Unreadable)]
        good = [(pair, result) for pair, result in kept if isinstance(result, Seen)]
        survey.files, survey.seen = [pair for pair, _ in good], [seen for _, seen in good]
    return exif


def _fitted(pair: Pair, seen: Seen, exif: str | None) -> Seen | Unreadable:
    where = str(pair[0])
    if seen.mask not in (seen.image, seen.stored):
        reason = f"{_by(seen.image)} and its mask {_by(seen.mask)}"
        return Unreadable(f"{where} is {reason}: make them the same size", where, reason)
    if seen.orientation == 1:
        return seen
    if seen.image != seen.stored:
        return replace(seen, as_stored=seen.mask == seen.stored)
    if exif is None:
        reason = "turned by EXIF, and its mask's size does not tell whether the mask is turned too"
        return Unreadable(f"{where} is {reason}: say ?exif=apply or ?exif=ignore", where, reason)
    return replace(seen, as_stored=exif == "ignore")


def refuse_broken(surveys: Sequence[Survey]) -> None:
    """Refuses what cannot be used, all of it in one line.

    Raises:
        UserError: there is some.
    """
    broken = [error for survey in surveys for error in survey.broken]
    if not broken:
        return
    if len(broken) == 1:
        raise UserError(f"{broken[0]}; or go on without it by ?bad=skip")
    of = len(broken) + sum(len(survey.files) for survey in surveys)
    some = ", ".join(f"{error.where} ({error.reason})" for error in broken[:_NAMED])
    more = f" and {len(broken) - _NAMED:,} more" if len(broken) > _NAMED else ""
    hint = str(broken[0]).removeprefix(broken[0].where).rpartition(": ")[2]
    raise UserError(
        f"{len(broken):,} of {of:,} images or masks cannot be used: {some}{more}: {hint}"
        + (", or go on without them by ?bad=skip" if of > len(broken) else "")
    )


def refuse_sizes(surveys: Sequence[Survey], size: tuple[int, int] | None = None) -> None:
    """Refuses images that are not of ``size`` (width, height), or else of the first one's.

    Raises:
        UserError: there are some.
    """
    every = [(pair[0], seen.size) for survey in surveys for pair, seen in zip(survey.files, survey.seen)]
    wanted = size or every[0][1]
    differing = [(path, size) for path, size in every if size != wanted]
    if differing:
        path, found = differing[0]
        raise UserError(
            f"{len(differing):,} of {len(every):,} images differ in size from the first one, {_by(wanted)}: {path} is "
            f"{_by(found)}: say ?size=HEIGHTxWIDTH"
        )


def left_out_notes(broken: Sequence[Unreadable]) -> list[str]:
    """What is said of images and masks that ``?bad=skip`` goes on without."""
    if not broken:
        return []
    some = ", ".join(f"{error.where} ({error.reason})" for error in broken[:2])
    return [f"images or masks left out by ?bad=skip: {len(broken):,}, such as {some}"]


def notes_of(surveys: Mapping[str, Survey]) -> list[str]:
    """What a user should know of how images and masks are read, one line each."""
    found: Counter[str] = Counter()
    for survey in surveys.values():
        found.update(f"images {trait}" for trait in survey.traits if trait not in (TURNED, TURNED_TIFF))
        found.update(f"masks {trait}" for seen in survey.seen for trait in seen.traits)
        turned = [seen for seen in survey.seen if seen.orientation != 1]
        found["images turned upright as EXIF says, as their masks are"] += sum(not seen.as_stored for seen in turned)
        found["images not turned as EXIF says, since their masks are not"] += sum(seen.as_stored for seen in turned)
    lines = [f"{n:,} {what.replace('s ', ' ', 1) if n == 1 else what}" for what, n in sorted((+found).items())]
    if any(seen.counts is None for survey in surveys.values() for seen in survey.seen):
        lines.append(f"more than {CHECKED_FILES:,} images: not every image and mask was read")
    return lines


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
