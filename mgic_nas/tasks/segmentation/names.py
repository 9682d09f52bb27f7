"""The file that names the classes of a folder of images with masks."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from ...errors import UserError

FILE = "classes.txt"


def class_names(root: Path) -> tuple[str, ...]:
    """The lines of ``classes.txt`` in ``root``, in UTF-8 with or without a byte order mark; none without the file.

    Raises:
        UserError: it cannot be read, is no UTF-8 text, or a name is empty or there twice.
    """
    path = next((child for child in sorted(root.iterdir()) if child.name.lower() == FILE), None)
    if path is None:
        return ()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{path} is UTF-16 and not UTF-8 text: save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path} is not UTF-8 text (line {line}): save it as UTF-8") from None
    # Of other kinds of line ends (form feeds, U+2028) no editor makes a line.
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", text)]
    while lines and not lines[-1]:
        lines.pop()
    if any(unicodedata.category(letter) == "Cc" and letter != "\t" for line in lines for letter in line):
        raise UserError(f"{path} holds control characters, so it is no UTF-8 text: save it as UTF-8")
    if not lines:
        raise UserError(f"{path} is empty: write one class a line, or remove it")
    if "" in lines:
        raise UserError(f"{path} has no name in line {lines.index('') + 1}: write one class a line")
    first: dict[str, int] = {}
    for number, name in enumerate(lines, 1):
        twin = first.setdefault(unicodedata.normalize("NFC", name), number)
        if twin != number:
            raise UserError(f"{path} names {name!r} in the lines {twin} and {number}: name each class once")
    _refuse_other_order(path, lines)
    return tuple(lines)


def _refuse_other_order(path: Path, lines: list[str]) -> None:
    """Lines such as ``1: road`` that count otherwise than the lines do would name the wrong classes."""
    numbers = [int(match[0]) for line in lines if (match := re.match(r"\d{1,6}(?=[\s:;,.=-])", line))]
    if len(numbers) != len(lines) or len(set(numbers)) != len(numbers) or numbers == list(range(len(lines))):
        return
    if sorted(numbers) in (list(range(len(lines))), list(range(1, len(lines) + 1))):
        raise UserError(
            f"{path} numbers its lines {', '.join(map(str, numbers[:4]))}, but the first line names the class 0: "
            "write the names alone, in the order of the masks' numbers from 0"
        )
