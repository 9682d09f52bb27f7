"""The text that names a data set: ``source?option=value&option=value``."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from ..errors import UserError, did_you_mean

#: Prefixes that timm's create_dataset knows; what follows is a name, not a path.
NAMED = ("torch", "hfds", "hfids", "tfds", "wds")
MAX_SEED = 2**32 - 1
#: What a value holds unescaped, so that paths and slices (``train[:10%25]``) stay legible.
_UNESCAPED = "/[]:,.{}|+"

Option = tuple[Callable[[str], Any], str]  # parser (ValueError for a value that does not fit), what the value must be


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _images(text: str) -> int | float:
    """A number of images, or a fraction of them."""
    if "." not in text:
        return _positive(text)
    value = float(text)
    if not 0 < value < 1:
        raise ValueError
    return value


def _size(text: str) -> tuple[int, int]:
    sides = [_positive(side) for side in text.lower().split("x")]
    if len(sides) not in (1, 2):
        raise ValueError
    return sides[0], sides[-1]


def _channels(text: str) -> int:
    if text not in ("1", "3"):
        raise ValueError
    return int(text)


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value <= MAX_SEED:
        raise ValueError
    return value


def _name(text: str) -> str:
    if not text:
        raise ValueError
    return text


def one_of(*values: str) -> Callable[[str], str]:
    """The parser of one of these words."""

    def parse(text: str) -> str:
        if text not in values:
            raise ValueError
        return text

    return parse


def whole(lowest: int, highest: float = math.inf) -> Callable[[str], int]:
    """The parser of a whole number, written in digits alone, from ``lowest`` to ``highest``."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not lowest <= int(text) <= highest:
            raise ValueError
        return int(text)

    return parse


#: The options that every data set of files takes.
COMMON: dict[str, Option] = {
    "train": (_images, "a number of images, or a fraction such as 0.5"),
    "val": (_images, "a number of images, or a fraction such as 0.1"),
    "test": (_images, "a number of images, or a fraction such as 0.5"),
    "seed": (_seed, f"a whole number from 0 to {MAX_SEED}"),
}
BAD: Option = (one_of("refuse", "skip"), "refuse or skip")
SIZE: Option = (_size, "pixels such as 32, or HEIGHTxWIDTH such as 32x48")
#: :mod:`mgic_nas.tasks.images.classification` says what each one does.
OPTIONS: dict[str, Option] = {
    **COMMON,
    "size": SIZE,
    "chans": (_channels, "1 (grey) or 3 (colour)"),
    "bad": BAD,
    "layout": (one_of("classes"), "classes"),
    "pool": (_positive, "a whole number of pixels such as 2"),
    "image": (_name, "a column's name"),
    "label": (_name, "a column's name"),
    "root": (_name, "a folder"),
    "train_split": (_name, "a split's name"),
    "val_split": (_name, "a split's name, or none"),
    "test_split": (_name, "a split's name, or none"),
}


@dataclass(frozen=True)
class Spec:
    """A parsed spec.

    Attributes:
        source: a name, an absolute path or a ``prefix/name`` of timm's.
        options: the parsed values.
        texts: the same as they were written, unescaped.
    """

    source: str
    options: Mapping[str, Any]
    texts: Mapping[str, str]

    @property
    def kind(self) -> str | None:
        """timm's prefix ("torch", "hfds", ...), or None for another name or a path."""
        prefix, slash, _ = self.source.partition("/")
        return prefix.lower() if slash and prefix.lower() in NAMED else None

    def get(self, option: str, default: Any = None) -> Any:
        return self.options.get(option, default)

    def only(self, allowed: Collection[str], what: str) -> None:
        """Refuses the options beside ``allowed``, which do not apply to ``what``.

        Raises:
            UserError: naming the first option that does not apply.
        """
        for option in self.options:
            if option not in allowed:
                raise UserError(f"data {self.source!r}: the option {option!r} does not apply to {what}")

    def only_images(self, *own: str) -> None:
        """Refuses the options beside ``own`` and those that suit every kind of image data set."""
        self.only({*COMMON, "size", "chans", "bad", *own}, "this kind of data set")

    def with_seed(self, seed: int) -> Spec:
        """The same with ``seed``, where the spec names none itself; 0 is not written."""
        if not seed or "seed" in self.options:
            return self
        return replace(self, options={**self.options, "seed": seed}, texts={**self.texts, "seed": str(seed)})

    def __str__(self) -> str:
        query = urlencode(sorted(self.texts.items()), safe=_UNESCAPED, quote_via=quote)
        return f"{self.source}?{query}" if query else self.source


def parse_spec(
    text: str,
    options: Mapping[str, Option] = OPTIONS,
    what: str = "",
    is_name: Callable[[Spec], bool] = lambda spec: False,
) -> Spec:
    """The spec in ``text``, its paths made absolute.

    Args:
        text: as a user writes it.
        options: those that apply.
        what: what the data is, for the message about an option that other data has.
        is_name: whether the source is a name beside those of :data:`NAMED`, and not a path.

    Raises:
        UserError: an empty source, an unknown or twice-given option, or a value that does not fit.
    """
    source, _, query = text.strip().partition("?")
    if not source:
        raise UserError(f"no data set in {text!r}: name one, for example --data fashion")
    values: dict[str, Any] = {}
    texts: dict[str, str] = {}
    items = list(filter(None, query.split("&")))
    # A plus sign is itself here, not a space as in forms.
    pairs = parse_qsl("&".join(items).replace("+", "%2B"), keep_blank_values=True)
    for item, (key, value) in zip(items, pairs, strict=True):
        if what and key in OPTIONS.keys() - options.keys():
            raise UserError(f"data {source!r}: the option {key!r} does not apply to {what}")
        if "=" not in item or key not in options:
            hint = did_you_mean(key, options)
            raise UserError(f"data {source!r}: no option {item!r}; options are written ?name=value&name=value.{hint}")
        if key in values:
            raise UserError(f"data {source!r}: the option {key!r} is given twice")
        parse, expected = options[key]
        if key == "root":
            value = _absolute(value)
        try:
            values[key] = parse(value)
        except ValueError:
            raise UserError(f"data {source!r}: {key}={value} is not {expected}") from None
        texts[key] = value
    spec = Spec(source, values, texts)
    if spec.kind is not None:
        prefix, _, rest = source.partition("/")
        local = spec.kind.startswith("hf") and Path(rest).expanduser().is_dir()
        return replace(spec, source=f"{prefix}/{_absolute(rest)}") if local else spec
    return spec if is_name(spec) else replace(spec, source=_absolute(source))


def _absolute(path: str) -> str:
    """UserError for what no path can be: a name that is too long, a home of nobody, a null byte."""
    try:
        full = os.path.abspath(Path(path).expanduser())
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            os.lstat(full)
        return full
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"data {path[:60]!r}: {getattr(error, 'strerror', None) or error}.") from None
