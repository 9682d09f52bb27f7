"""What the cells of somebody's table hold: accuracies, costs and settings, or what is wrong with one of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import UserError
from ..space.conditions import Scalar
from .columns import Description
from .frames import MISSING, WORDS, is_missing, number
from .guesses import some

Array = NDArray[np.float64]

LARGEST = 2.0**53  # of a cost: whole numbers up to it are exact


def accuracies(frame: pd.DataFrame, description: Description) -> Array:
    """float64 (rows, trainings, epochs), percent; NaN where there is none."""
    cells = [
        [_curve(cell, f"{description.file}: row {row}", column) for row, cell in enumerate(frame[column])]
        for column in description.accuracies
    ]
    epochs = max(len(curve) for column in cells for curve in column)
    if not epochs:
        raise UserError(f"{description.file} has no accuracy in {some(description.accuracies)}: no cell holds one.")
    found: Array = np.full((len(frame), len(cells), epochs), np.nan)
    for seed, column in enumerate(cells):
        for row, curve in enumerate(column):
            if curve and len(curve) != epochs:
                where = f"row {row} of {description.file} has {len(curve)} epochs in {description.accuracies[seed]}"
                raise UserError(f"{where}, others have {epochs}: give all curves one length.")
            found[row, seed, : len(curve)] = curve
    _check_unit(found, description)
    return found * 100 if description.share else found


def _check_unit(found: Array, description: Description) -> None:
    """UserError for accuracies out of range, and for columns that seem to be of two units."""
    most = 1.0 if description.share else 100.0
    for seed, column in enumerate(description.accuracies):
        wrong = np.argwhere((found[:, seed] < 0) | (found[:, seed] > most))
        if len(wrong):
            row, epoch = wrong[0]
            raise UserError(
                f"{description.file}: row {row} has {column} {found[row, seed, epoch]:g}: accuracies must be 0 to "
                + (
                    "1 with unit: share (0 to 100 with unit: percent)."
                    if description.share
                    else "100 percent (unit: share for 0 to 1)."
                )
            )
    if description.unit is not None:
        return
    if np.nanmax(found, initial=0.0) <= 1.0:
        raise UserError(
            f"{description.file}: no accuracy is above 1; they are percent here, so say unit: share in a YAML if they "
            "go from 0 to 1."
        )
    for seed, column in enumerate(description.accuracies):
        known = ~np.isnan(found[:, seed, -1])
        others = np.delete(found[known], seed, axis=1)
        if np.nanmax(found[:, seed], initial=0.0) <= 1.0 < np.nanmax(others, initial=0.0):
            raise UserError(
                f"{description.file}: no accuracy of {column} is above 1, others of the same rows are: give all "
                "columns one unit, percent (unit: percent in a YAML if they have it)."
            )


def _curve(cell: Any, where: str, column: str) -> list[float]:
    """One training: a number, or a list of them, one an epoch; empty where there is none."""
    given = cell
    if isinstance(cell, str):
        if cell.strip() in (*MISSING, *WORDS):
            return []
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            cell = None
    elif is_missing(cell):
        return []
    curve = list(cell) if isinstance(cell, list | tuple | np.ndarray) else [cell]
    found = [number(value) for value in curve if not isinstance(value, str)]
    if len(found) != len(curve) or None in found:
        raise UserError(f"{where} has {column} {shown(given)}, which is no accuracy: write {_mend(given)}.")
    return [float(value) for value in found if value is not None]


def _mend(given: Any) -> str:
    """What to write in place of something that is no accuracy."""
    if isinstance(given, str) and number(given.strip().removesuffix("%")) is not None:
        return "the number alone, without a sign"
    if isinstance(given, str) and number(given.strip().replace(",", ".")) is not None:
        return "its decimals behind a '.', not a ','"
    return "a number of percent, or nothing"


def costs(frame: pd.DataFrame, rows: Iterable[int], description: Description) -> dict[str, Array]:
    """Kind -> float64 (n,) of some rows."""
    rows = list(rows)
    return {
        kind: np.array([_cost(frame[column].iloc[row], row, column, description) for row in rows])
        for kind, column in description.costs.items()
    }


def _cost(cell: Any, row: int, column: str, description: Description) -> float:
    value = number(cell)
    if value is not None and 1 <= value <= LARGEST:
        return value
    where = f"{description.file}: row {row} has"
    if is_missing(cell) or (isinstance(cell, str) and cell.strip() in (*MISSING, *WORDS)):
        raise UserError(f"{where} an accuracy but no {column}: fill it in, or leave the row out.")
    if value is None:
        plain = isinstance(cell, str) and number(cell.replace(",", "").replace(" ", "").replace("_", "")) is not None
        hint = "write it without separators of thousands" if plain else "a cost is 1 or more, written as a number"
        raise UserError(f"{where} {column} {shown(cell)}, which is no number: {hint}.")
    if value <= 0:
        raise UserError(f"{where} {column} {value:g}, but a cost must be positive: correct it, or leave the row out.")
    unit = "a smaller unit (multiply the column)" if value < 1 else "a larger unit (divide the column)"
    raise UserError(f"{where} {column} {value:g}: a cost is 1 or more, up to {LARGEST:.0e}; give the column {unit}.")


def settings(
    frame: pd.DataFrame, rows: list[int], description: Description
) -> tuple[list[tuple[Scalar, ...]], dict[str, tuple[Scalar, ...]], list[str]]:
    """The values of each of some rows, the choices of each parameter in their order, and notes.

    Without an order the choices are texts.
    """
    columns: list[list[Scalar]] = []
    notes = []
    for name in description.settings:
        cells = frame[name].iloc[rows].tolist()
        empty = next((row for row, cell in zip(rows, cells) if is_missing(cell)), None)
        if empty is not None:
            raise UserError(f"{description.file}: the setting {name} is empty in row {empty}: fill it in.")
        if name in description.ordered:
            columns.append(_numbers(cells, rows, name, description))
            continue
        columns.append([str(cell) for cell in cells])
        if words := sorted({str(cell) for cell in cells} & {*WORDS}):
            notes.append(f"{', '.join(words)} in {name} is read as a choice of its own, not as a missing value")
    params: Mapping[str, tuple[Scalar, ...]] = {
        name: tuple(sorted(set(column)))  # type: ignore[type-var]
        for name, column in zip(description.settings, columns)
    }
    return list(zip(*columns)), dict(params), notes


def _numbers(cells: list[Any], rows: list[int], name: str, description: Description) -> list[Scalar]:
    for row, cell in zip(rows, cells):
        if isinstance(cell, str) or number(cell) is None:
            raise UserError(
                f"{description.file}: {name} is ordered but holds other things than numbers: {shown(cell)} in row "
                f"{row}."
            )
    return [float(cell) if isinstance(cell, Decimal) else cell for cell in cells]


def shown(cell: Any) -> str:
    """A cell as a message names it."""
    text = str(cell)
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
