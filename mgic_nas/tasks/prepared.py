"""Data as a trained network wants it, whatever the data's own preprocessing would be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from .._text import listed, size_text
from ..errors import UserError
from .base import Data, Split
from .registry import DEFAULT, load_data, task_of

_SAME = 1e-6  # by which two means may differ that were written and read again

#: Task -> the options of a spec that give inputs of a size (C, H, W).
_SIZES: dict[str, Callable[[tuple[int, int, int]], dict[str, str]]] = {
    DEFAULT: lambda size: {"size": f"{size[1]}x{size[2]}", "chans": str(size[0])},
    "segmentation": lambda size: {"size": f"{size[1]}x{size[2]}"},
    "points": lambda size: {"points": str(size[1])},
}


@dataclass(frozen=True)
class Prepared:
    """Data whose items are as a network wants them.

    Attributes:
        data: the data, to be evaluated on and not to be trained on.
        notes: in what it differs from what the spec alone would give, a line each.
    """

    data: Data
    notes: tuple[str, ...]


def load_prepared(spec: str, config: Mapping[str, Any]) -> Prepared:
    """The data of a spec with a network's input size, mean, std and way to resize.

    Args:
        spec: as :func:`mgic_nas.tasks.load_data` takes it.
        config: the keys of timm's ``pretrained_cfg``: ``input_size``, ``mean``, ``std``, ``interpolation``,
            ``crop_pct`` and ``crop_mode``.

    Raises:
        UserError: the spec is wrong, or data of its kind cannot be prepared so.
    """
    sized, replaced = _sized(spec, config["input_size"])
    data = load_data(sized)
    own = data.info.data_config()
    differing = [key for key, value in config.items() if not _same(value, own[key])]
    notes = [f"{old} is replaced by the network's {new}" for old, new in replaced]
    if not differing:
        return Prepared(data, tuple(notes))
    if tuple(own["input_size"]) != tuple(config["input_size"]):
        sizes = size_text(own["input_size"]), size_text(config["input_size"])
        raise UserError(f"data {spec!r} has inputs {sizes[0]}, and the network takes {sizes[1]}.")
    if not all(hasattr(split, "prepared") for split in (data.train, data.val)):
        raise UserError(f"data {spec!r} cannot be prepared with the network's own {listed(differing)}.")
    notes.append(f"with the network's own {listed(differing)}, not those of the data")

    def prepared(split: Any) -> Split:
        try:
            found: Split = split.prepared(config)
        except UserError as error:
            raise UserError(f"data {spec!r} has another {listed(differing)} than the network: {error}.") from None
        return found

    train, val = prepared(data.train), prepared(data.val)
    changed = replace(data, train=train, val=val, load_test=partial(_test, data, prepared))
    return Prepared(changed, tuple(notes))


def _test(data: Data, prepared: Callable[[Any], Split]) -> Split | None:
    return None if data.test is None else prepared(data.test)


def _sized(spec: str, size: tuple[int, int, int]) -> tuple[str, list[tuple[str, str]]]:
    """The spec with the options that give inputs of a size, and those of other values that they replaced."""
    options = _SIZES.get(task_of(spec), lambda size: {})(size)
    source, _, query = spec.strip().partition("?")
    given = dict(parse_qsl(query.replace("+", "%2B"), keep_blank_values=True))
    if len(given) != len([item for item in query.split("&") if item]):
        return spec, []  # given twice, or malformed: refused where it is read
    side = {"size": lambda text: text if "x" in text else f"{text}x{text}"}
    replaced = [
        (f"?{key}={given[key]}", f"{key}={value}")
        for key, value in options.items()
        if key in given and side.get(key, str)(given[key].lower()) != value
    ]
    return f"{source}?{urlencode({**given, **options}, safe='/[]:,.{}|+', quote_via=quote)}", replaced


def _same(value: Any, own: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) == len(own) and all(map(_same, value, own))
    if isinstance(value, float) or isinstance(own, float):
        return abs(value - own) <= _SAME
    return bool(value == own)
