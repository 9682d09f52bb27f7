"""The text that names a data set: ``source?option=value&option=value``."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from ..errors import UserError, did_you_mean

#: Prefixes that timm's create_dataset knows; what follows is a name, not a path.
NAMED = ("torch", "hfds", "hfids", "tfds", "wds")


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _part(text: str) -> int | float:
    """A number of images, or a fraction of them."""
    if "." not in text:
        return _count(text)
    value = float(text)
    if not 0 < value < 1:
        raise ValueError
    return value


def _size(text: str) -> tuple[int, int]:
    sides = [_count(side) for side in text.lower().split("x")]
    if len(sides) not in (1, 2):
        raise ValueError
    return sides[0], sides[-1]


def _chans(text: str) -> int:
    return {"1": 1, "3": 3}[text]


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**32:
        raise ValueError
    return value


def _text(text: str) -> str:
    if not text:
        raise ValueError
    return text


#: Option -> (parser, what its value must be). :mod:`mgic_nas.tasks.images.classification` says what each one does.
OPTIONS: dict[str, tuple[Callable[[str], Any], str]] = {
    "train": (_part, "a number of images, or a fraction such as 0.5"),
    "val": (_part, "a number of images, or a fraction such as 0.1"),
    "test": (_part, "a number of images, or a fraction such as 0.5"),
    "size": (_size, "pixels such as 32, or HEIGHTxWIDTH such as 32x48"),
    "chans": (_chans, "1 (grey) or 3 (colour)"),
    "pool": (_count, "a whole number of pixels such as 2"),
    "seed": (_seed, "a whole number from 0 to 4294967295"),
    "image": (_text, "a column's name"),
    "label": (_text, "a column's name"),
    "root": (_text, "a folder"),
    "train_split": (_text, "a split's name"),
    "val_split": (_text, "a split's name, or none"),
    "test_split": (_text, "a split's name, or none"),
}


@dataclass(frozen=True)
class Spec:
    """A parsed spec. ``source`` is an embedded name, an absolute path or a ``prefix/name`` of timm's."""

    source: str
    options: dict[str, Any]
    texts: dict[str, str]

    @property
    def kind(self) -> str | None:
        """timm's prefix ("torch", "hfds", ...), or None for an embedded set or a path."""
        prefix, slash, _ = self.source.partition("/")
        return prefix.lower() if slash and prefix.lower() in NAMED else None

    def get(self, option: str, default: Any = None) -> Any:
        return self.options.get(option, default)

    def only(self, *options: str) -> None:
        """Refuses options other than these and the ones that suit every data set.

        Raises:
            UserError: naming the first option that does not apply.
        """
        common = {"train", "val", "test", "size", "chans", "seed", *options}
        for option in self.options:
            if option not in common:
                raise UserError(f"data {self.source!r}: the option {option!r} does not apply to this kind of data set")

    def __str__(self) -> str:
        if not self.texts:
            return self.source
        safe = "/[]:,.{}|+"
        return self.source + "?" + "&".join(f"{key}={quote(value, safe)}" for key, value in sorted(self.texts.items()))


def parse_spec(text: str, embedded: tuple[str, ...]) -> Spec:
    """The spec in ``text``, its paths made absolute.

    Raises:
        UserError: an empty source, an unknown or twice-given option, or a value that does not fit.
    """
    source, _, query = text.strip().partition("?")
    if not source:
        raise UserError(f"no data set in {text!r}: name one, for example --data fashion")
    options: dict[str, Any] = {}
    texts: dict[str, str] = {}
    for item in query.split("&") if query else ():
        key, equals, raw = item.partition("=")
        value = unquote(raw)
        if not equals or key not in OPTIONS:
            known = did_you_mean(key, OPTIONS)
            raise UserError(f"data {source!r}: no option {item!r}; options are written ?name=value&name=value.{known}")
        if key in options:
            raise UserError(f"data {source!r}: the option {key!r} is given twice")
        parse, expected = OPTIONS[key]
        if key == "root":
            value = _absolute(value)
        try:
            options[key] = parse(value)
        except (ValueError, KeyError):
            raise UserError(f"data {source!r}: {key}={value} is not {expected}") from None
        texts[key] = value
    spec = Spec(source, options, texts)
    if source in embedded:
        return spec
    if spec.kind is not None:
        prefix, _, rest = source.partition("/")
        local = spec.kind.startswith("hf") and Path(rest).expanduser().is_dir()
        return Spec(f"{prefix}/{_absolute(rest)}", options, texts) if local else spec
    return Spec(_absolute(source), options, texts)


def _absolute(path: str) -> str:
    return os.path.abspath(Path(path).expanduser())
