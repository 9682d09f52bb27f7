"""What is wrong with images before a network sees them: broken files, and the same image twice."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from ...errors import UserError
from .decode import DARK_TRAIT, DEEP_TRAIT, Unreadable, in_channels, traits
from .parts import Part

#: Files of up to this many bytes in all are decoded once to check them; of more, headers and ends are looked at.
DECODED_BYTES = 2**28
#: Most bytes that are read to find images that are there twice.
HASHED_BYTES = 2**31
#: How whole files of these formats end; one that ends otherwise is decoded.
_ENDS = ((b"\xff\xd8", b"\xff\xd9"), (b"\x89PNG", b"IEND\xaeB`\x82"))
_NAMED = 3


class SomeRows(Part):
    """Chosen rows of a part, such as those that can be read."""

    def __init__(self, part: Part, rows: np.ndarray) -> None:
        self._part = part
        self._rows = rows
        self.labels = part.labels[rows]

    def where(self, index: int) -> str:
        return self._part.where(int(self._rows[index]))

    def content(self, index: int) -> bytes:
        return self._part.content(int(self._rows[index]))

    def identity(self, index: int) -> str:
        return self._part.identity(int(self._rows[index]))

    def length(self, index: int) -> int | None:
        return self._part.length(int(self._rows[index]))

    def ends(self, index: int) -> tuple[bytes, bytes]:
        return self._part.ends(int(self._rows[index]))

    def image(self, index: int) -> Image.Image:
        return self._part.image(int(self._rows[index]))

    def header(self, index: int) -> tuple[tuple[int, int], str]:
        return self._part.header(int(self._rows[index]))


def check(part: Part, rows: Sequence[int] | np.ndarray, whole: bool = False) -> tuple[dict[int, Unreadable], list[str]]:
    """The images among ``rows`` that cannot be used, and the :func:`~.decode.traits` of the others, one item each.

    Files are decoded where they are small in all or ``whole`` is set; else their headers are read, and those are
    decoded that do not end as their format does. The answer depends on the files alone, not on the machine.
    """
    rows = [int(row) for row in rows]
    lengths = [part.length(row) for row in rows]
    whole = whole or sum(DECODED_BYTES + 1 if length is None else length for length in lengths) <= DECODED_BYTES
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        results = list(pool.map(functools.partial(_check_one, part, whole), rows))
    broken = {row: result for row, result in zip(rows, results) if isinstance(result, Unreadable)}
    return broken, [trait for result in results if not isinstance(result, Unreadable) for trait in result]


def _check_one(part: Part, whole: bool, row: int) -> list[str] | Unreadable:
    try:
        if not whole:
            part.header(row)
            if _ends_well(part, row):
                return []
        image = part.image(row)
        found = traits(image)
        in_channels(image, 3, part.where(row))
        return found
    except Unreadable as error:
        return error
    except UserError as error:
        return Unreadable(str(error), part.where(row), "no image")


def _ends_well(part: Part, row: int) -> bool:
    first, last = part.ends(row)
    return any(first.startswith(start) and last.endswith(end) for start, end in _ENDS)


def refusal(broken: Iterable[Unreadable], of: int) -> UserError:
    """The one line for all the images that cannot be used."""
    errors = list(broken)
    if len(errors) == 1:
        return UserError(f"{errors[0]}, or go on without it by ?bad=skip")
    some = ", ".join(f"{error.where} ({error.reason})" for error in errors[:_NAMED])
    more = f" and {len(errors) - _NAMED:,} more" if len(errors) > _NAMED else ""
    hints = {str(error).removeprefix(error.where).rpartition(": ")[2] for error in errors}
    hint = re.sub(r"\bit\b", "them", hints.pop()) if len(hints) == 1 else "replace or remove them"
    return UserError(
        f"{len(errors):,} of {of:,} images cannot be read: {some}{more}: {hint}, or go on without them by ?bad=skip"
    )


def refuse_dark(found: Sequence[str], of: int) -> None:
    """Refuses images of 16 bits that hold fewer, as of a camera's 10 or 12: of them 8 bits keep next to nothing.

    Args:
        found: the traits of the images that were looked at.
        of: how many these are; where most have 8 bits, a note says it of the others.

    Raises:
        UserError: most are such images, and no image of 16 bits is none.
    """
    count = Counter(found)
    dark = count[DARK_TRAIT]
    if dark == count[DEEP_TRAIT] and 2 * dark > of:
        what = DARK_TRAIT.removeprefix("of 16 bits without a ")
        raise UserError(
            f"none of {dark:,} images of 16 bits that were looked at has a {what}: scale the values to all of 16 bits "
            "(by 16 where they have 12), or save the images with 8 bits a channel"
        )


def trait_notes(found: Iterable[str]) -> list[str]:
    """``12 images of 16 bits, scaled to 8``, one line for each trait."""
    return [f"{count:,} image{'s' if count > 1 else ''} {trait}" for trait, count in sorted(Counter(found).items())]


def duplicate_notes(chosen: dict[str, tuple[Part, np.ndarray]], in_memory: bool) -> list[str]:
    """Notes on images that are there twice, byte for byte: in two splits, or under two classes.

    Args:
        chosen: (part, rows) by role; "train" is the first.
        in_memory: whether contents are at hand or cheap; else only files of equal length are read.
    """
    items = [(role, part, int(row)) for role, (part, rows) in chosen.items() for row in rows]
    lengths = [part.length(row) for _, part, row in items]
    if not in_memory and any(length is None for length in lengths):
        return []
    several = Counter(lengths)
    candidates = [(item, length) for item, length in zip(items, lengths) if length is None or several[length] > 1]
    if sum(length or 0 for _, length in candidates) > HASHED_BYTES:
        return [f"not looked for images that are there twice: {len(candidates):,} large files would have to be read"]
    first: dict[bytes, tuple[str, str, int]] = {}
    twice: dict[str, list[tuple[str, str]]] = {}
    classes: list[tuple[str, str]] = []
    for (role, part, row), _ in candidates:
        try:
            digest = hashlib.sha256(part.content(row)).digest()
        except UserError:  # broken, which is said elsewhere
            continue
        place, label = part.where(row), int(part.labels[row])
        known = first.setdefault(digest, (role, place, label))
        if known[0] != role:
            twice.setdefault(f"{role} images are also in {known[0]}", []).append((place, known[1]))
        if known[2] != label:
            classes.append((place, known[1]))
    notes = [f"{len(found):,} of the {what}: {found[0][0]} is {found[0][1]}" for what, found in twice.items()]
    if classes:
        notes.append(f"images under two classes: {len(classes):,}, such as {classes[0][0]}, which is {classes[0][1]}")
    return notes
