"""The file of a table as rows and columns: csv, also compressed, or parquet; what a cell is."""

from __future__ import annotations

import math
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from ..errors import UserError

SUFFIXES = (".csv", ".csv.gz", ".csv.xz", ".csv.bz2", ".csv.zst", ".parquet")
MISSING = ("", "nan", "NaN", "-nan", "-NaN")  # of a csv, in every column
WORDS = ("NA", "N/A", "n/a", "#N/A", "<NA>", "NULL", "null", "None")  # in numbers: missing; of a setting: a choice
IDS = ("arch_id", "arch_hash", "arch_index", "model_id", "net_id", "id", "uid", "uuid", "hash", "index", "unnamed: 0")
_MOST_ROWS = 1_000_000
_SEPARATORS = {";": "';'", "\t": "tabs", "|": "'|'"}  # of other files, and how messages call them


def read_frame(path: Path) -> pd.DataFrame:
    """A file's rows, numbered from 0, and its columns, whose names are texts and differ.

    Raises:
        UserError: no such file, no table, another separator than a comma, rows that are longer than the header, or
            settings in the index.
    """
    try:
        frame = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"there is no file {path}: name a recorded table's folder, a csv or a YAML of one.") from None
    except Exception as error:  # pandas, pyarrow and every decompressor have errors of their own
        reason = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
        hint = "." if isinstance(error, ImportError) else "; is the file whole, and what its name says?"
        raise UserError(f"{path} cannot be read as a table: {reason}{hint}") from None
    frame.columns = pd.Index(map(str, frame.columns))
    if twice := frame.columns[frame.columns.duplicated()].tolist():
        raise UserError(f"{path} has two columns {twice[0]!r}: rename one.")
    if not 1 < len(frame) <= _MOST_ROWS:
        raise UserError(f"{path} has {len(frame):,} rows: a table has 2 to {_MOST_ROWS:,}, one an architecture.")
    return frame.reset_index(drop=True)


def _csv(path: Path) -> pd.DataFrame:
    """Of rows that are longer than the header pandas would make the first columns an index, and shift the others."""
    _refuse_separator(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", pd.errors.ParserWarning)
        frame = _read_csv(path, index_col=False)  # without the fields beyond the header, if they are empty
    if any(issubclass(warning.category, pd.errors.ParserWarning) for warning in caught):
        shifted = _read_csv(path, index_col=None)
        more = min(shifted.index.nlevels, shifted.shape[1])
        if not shifted.iloc[:, -more:].isna().all(axis=None):
            raise UserError(f"{path}: its rows have more fields than the header has names: name every column there.")
    return frame


def _refuse_separator(path: Path) -> None:
    """UserError for a header of one field that other signs than commas divide.

    Of such a file every row would be one field, or be torn at the commas of its decimals.
    """
    names = pd.read_csv(path, nrows=0, index_col=False).columns.tolist()
    sign = next((sign for sign in _SEPARATORS if len(names) == 1 and sign in names[0]), None)
    if sign is not None:
        raise UserError(
            f"{path}: its columns seem to be separated by {_SEPARATORS[sign]}: save it with ',' between them and '.' "
            "in numbers."
        )


def _read_csv(path: Path, index_col: Literal[False] | None) -> pd.DataFrame:
    return pd.read_csv(path, index_col=index_col, keep_default_na=False, na_values=list(MISSING), low_memory=False)


def _parquet(path: Path) -> pd.DataFrame:
    frame = pd.read_parquet(path)
    names = [str(name) for name in frame.index.names if name is not None and str(name).lower() not in IDS]
    if names:
        raise UserError(
            f"{path}: the index of its rows holds {', '.join(names)}, and only columns are read: write it again after "
            "frame.reset_index()."
        )
    return frame


def is_missing(cell: Any) -> bool:
    """None, NaN, pd.NA, NaT, a NaN of Decimal."""
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return True
    return isinstance(cell, float | np.floating | Decimal) and math.isnan(cell)


def number(cell: Any) -> float | None:
    """A finite number as a float, also one that is written as a text; else None."""
    if isinstance(cell, bool | np.bool_):
        return None
    if isinstance(cell, str) and "_" not in cell:
        try:
            cell = float(cell)
        except ValueError:
            return None
    if not isinstance(cell, int | float | Decimal | np.number) or isinstance(cell, np.complexfloating):
        return None
    return float(cell) if math.isfinite(cell) else None
