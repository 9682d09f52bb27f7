"""What the names and the cells of columns say of them, where nobody wrote it down: guesses, told or refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from .._text import listed
from ..errors import UserError
from .frames import IDS, is_missing, number

COST_COLUMNS = {"macs": ("macs", "flops"), "params": ("params", "parameters"), "activations": ("activations",)}
REPEATS = ("seed", "run", "repeat", "repetition", "replicate", "fold", "trial", "epoch")  # of a table of many rows each
_ACCURACY = re.compile(r"(?P<of>val_|valid_|test_)?acc(uracy)?(?P<number>[._-]?\d+)?", re.IGNORECASE)
_ERRORS = {"error", "err", "loss", "perplexity", "ppl"}
_METRICS = _ERRORS | {
    *("acc", "accuracy", "top", "auc", "auroc", "f1", "recall", "miou", "bleu", "score", "metric"),
    *("latency", "time", "seconds", "runtime", "throughput", "energy", "fps", "memory"),
    *(name for names in COST_COLUMNS.values() for name in names),
}
_AFTER = {
    *("mean", "std", "avg", "median", "min", "max", "best", "final", "last", "train", "val", "valid", "test"),
    *("ms", "us", "s", "mb", "kb", "gb", "m", "k", "g", "mean", "pct", "percent"),
}
_TEXTS_ONLY_FROM = 8  # rows: in fewer, texts that all differ may be choices


def accuracy_columns(path: Path, columns: Sequence[str]) -> list[str]:
    """By their names: the trainings of one thing. UserError for several kinds, or for none."""
    found = {column: match for column in columns if (match := _ACCURACY.fullmatch(column))}
    if not found:
        wrong = next((column for column in columns if is_error(column)), None)
        hint = f"; {wrong} is lower-is-better: make a column acc of 100 - {wrong}" if wrong else ""
        raise UserError(f"{path} has no column acc; its columns are {some(columns)}: say accuracies: [COLUMN]{hint}.")
    kinds: dict[str, list[str]] = {}
    for column, match in found.items():
        kinds.setdefault((match["of"] or "").lower().replace("valid", "val"), []).append(column)
    numbers = {re.sub(r"\D", "", match["number"] or "") for match in found.values()}
    if len(kinds) > 1:
        one, other, *_ = (several[0] for several in kinds.values())
        what = f"accuracies of {len(kinds)} kinds, such as {one} and {other}"
    elif numbers == {"1", "5"}:
        one, what = next(iter(found)), f"{listed(found)}, which may be top-1 and top-5"
    elif {"", "0"} <= numbers:
        one, what = next(iter(found)), f"{some([*found])}, of which the first may be a mean of the others"
    else:
        return [*found]
    raise UserError(
        f"{path} has {what}, and each column would be a training of the same: say in a YAML which they are, "
        f"accuracies: [{one}]."
    )


def is_accuracy(column: str) -> bool:
    """Whether a name is that of a training's accuracy."""
    return _ACCURACY.fullmatch(column) is not None


def is_error(column: str) -> bool:
    """Whether a name is that of something of which less is better."""
    return _kind(column) in _ERRORS


def _kind(column: str) -> str:
    """The last word of a name that says what is measured: ``loss`` of ``valLoss``, ``train_loss.0``, ``loss_mean``."""
    words = re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column).lower())
    while len(words) > 1 and (words[-1] in _AFTER or words[-1].isdigit() or not words[-1]):
        words.pop()
    return words[-1] if words[-1] in _METRICS else words[-1].rstrip("0123456789")


def setting_columns(
    path: Path, frame: pd.DataFrame, taken: Sequence[str], keep: Sequence[str] = ()
) -> tuple[list[str], dict[str, list[str]]]:
    """Which columns are settings, and what was left out: why -> columns.

    Args:
        path: for messages.
        frame: of the table.
        taken: columns that are something else.
        keep: columns that somebody said are settings.

    Raises:
        UserError: the table has several rows an architecture, or none of its columns is a setting.
    """
    left: dict[str, list[str]] = {}
    found = []
    for column in (column for column in frame.columns if column not in taken):
        if column not in keep and (why := _no_setting(column, frame[column])):
            left.setdefault(why, []).append(column)
        else:
            found.append(column)
    repeats = [column for column in found if column.lower() in REPEATS and column not in keep]
    settings = [column for column in found if column not in repeats]
    names = [column for column in settings if _all_differ(frame[column])]
    if names and len(names) == len(settings):
        raise UserError(
            f"{path}: the only setting {names[0]} is another text in every row, so that one says nothing of the next: "
            f"give each choice in it a column (or say settings: [{names[0]}] in a YAML)."
        )
    settings = [column for column in settings if column not in names]
    if not settings:
        raise UserError(f"{path} has no columns of settings beside its costs and accuracies{_beside(left)}.")
    if repeats:
        _refuse_long(path, frame, settings, repeats[0])
        left["that does not change the architecture"] = repeats
    if names:
        left.setdefault("a name of each row", []).extend(names)
    return settings, left


def _no_setting(column: str, cells: pd.Series) -> str | None:
    """Why a column is none; None where it may be one."""
    name = column.lower()
    if name in IDS or name.startswith("unnamed: "):
        return "a name of each row" if cells.notna().any() else "empty"
    if cells.isna().all():
        return "empty"
    if _kind(column) in _METRICS and all(
        is_missing(c) or not isinstance(c, str) or number(c) is not None for c in cells
    ):
        return "a result or a cost, not a setting"
    return None


def _all_differ(cells: pd.Series) -> bool:
    """Whether texts name the rows: another one in each."""
    texts = [cell for cell in cells if isinstance(cell, str) and number(cell) is None]
    return len(texts) == len(cells) == len(set(texts)) and len(texts) > _TEXTS_ONLY_FROM


def _refuse_long(path: Path, frame: pd.DataFrame, settings: Sequence[str], repeat: str) -> None:
    if frame[list(settings)].astype(str).duplicated().any():
        raise UserError(
            f"{path} has several rows of the same settings, which differ in {repeat}: a table has one row an "
            f"architecture, so give each {repeat} a column of accuracies (frame.pivot with columns={repeat!r}): "
            f"acc.0, acc.1 (if {repeat} is a setting, list it in settings: [...] in a YAML)."
        )


def left_out(left: Mapping[str, Sequence[str]]) -> str:
    """``left out: val_loss (a result or a cost, not a setting)``."""
    return "left out: " + "; ".join(f"{some(columns)} ({why})" for why, columns in left.items()) if left else ""


def _beside(left: Mapping[str, Sequence[str]]) -> str:
    return f"; {left_out(left)}" if left else ""


def some(names: Sequence[str], most: int = 8) -> str:
    """The first of some names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
