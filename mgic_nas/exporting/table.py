"""What an export is worth: the score on the validation part, the size and the latency of each form, side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .._machine import cpu_model
from .._text import aligned, size_text
from ..cost.runtimes import Prepared, prepare
from ..cost.runtimes.onnx_runtimes import of_onnx, of_openvino
from ..cost.runtimes.torch_runtimes import of_torch
from ..deploy.files import open_file
from ..evaluation import Subject, evaluate_prepared
from ..tasks.prepared import Prepared as PreparedData
from .check import Agreement
from .eight_bits import Tried
from .source import Source
from .timing import latencies

COLUMNS = ("form", "file", "bytes", "val_score", "val_error", "same_class", "difference", "latency_ms")
WORSE = 1.0  # a ratio of sizes or times from which 8 bits are no gain


@dataclass(frozen=True)
class Row:
    """One form of the network: itself, or a file.

    Attributes:
        name: for people.
        to: "torch", "onnx", "pt2" or "openvino".
        net: of the network itself.
        path: of a file.
        agreement: of its outputs with the network's.
    """

    name: str
    to: str
    net: nn.Module | None
    path: Path | None
    agreement: Agreement | None = None


@dataclass(frozen=True)
class Table:
    """What was measured.

    Attributes:
        rows: a mapping with :data:`COLUMNS` for each form; percent, bytes and milliseconds.
        ways: of 8 bits, the chosen one first.
        metric: of the scores.
        measured: on how many items, of which part, and where the latency was measured.
    """

    rows: tuple[dict[str, Any], ...] = ()
    ways: tuple[Tried, ...] = ()
    metric: str = ""
    measured: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        if not self.rows:
            return {}
        ways = [way.to_dict() for way in self.ways]
        return {"measured": self.measured, "rows": [*self.rows], **({"int8_ways": ways} if ways else {})}

    def lines(self) -> list[str]:
        """For a terminal."""
        if not self.rows:
            return []
        tables = [aligned(self._cells()), [self.measured]]
        if self.ways:
            tables.append(aligned(_way_cells(self.ways)))
        return [line for table in tables for line in table]

    def markdown(self) -> list[str]:
        """For the model card."""
        if not self.rows:
            return []
        found = [f"{_markdown(self._cells())}\n{self.measured[0].upper()}{self.measured[1:]}."]
        if self.ways:
            what = "Ways to make 8 bits of it, by onnxruntime's static quantisation; the first one was taken"
            found.append(f"{what}:\n\n{_markdown(_way_cells(self.ways))}")
        return found

    def notes(self) -> tuple[str, ...]:
        """What a reader should not overlook: 8 bits that are no gain here."""
        if not self.ways:
            return ()
        plain, eight = self.rows[-2:]
        slower, larger = eight["latency_ms"] / plain["latency_ms"], eight["bytes"] / plain["bytes"]
        worse = [f"{slower:.1f} times the time"] if slower >= WORSE else []
        worse += [f"{larger:.1f} times the size"] if larger >= WORSE else []
        return (f"8 bits take {' and '.join(worse)} of float32 for this network here",) if worse else ()

    def _cells(self) -> list[list[str]]:
        found = [["form", "file", "kB", f"validation {self.metric}", "same class", "largest difference", "ms"]]
        for row in self.rows:
            same, apart = row["same_class"], row["difference"]
            found.append(
                [
                    row["form"],
                    row["file"] or "–",
                    f"{row['bytes'] / 1e3:.1f}",
                    f"{row['val_score']:.2f} ± {row['val_error']:.2f} %",
                    "–" if same is None else f"{same:.2f} %",
                    "–" if apart is None else f"{apart:.2g}",
                    f"{row['latency_ms']:.3g}",
                ]
            )
        return found


def measure(
    rows: Sequence[Row],
    ways: Sequence[Tried],
    source: Source,
    data: PreparedData,
    spec: str,
    size: tuple[int, ...],
) -> Table:
    """Scores every form on the validation part, and times one input on one thread."""
    prepared = {row.name: _prepared(row, size) for row in rows}
    times = latencies(prepared, size)
    cells = []
    for row in rows:
        net = row.net if row.path is None else open_file(row.path).net
        assert net is not None
        found = evaluate_prepared(Subject(row.name, net, source.carried), data, spec, "val", device="cpu")
        cells.append(
            {
                "form": row.name,
                "file": row.path and row.path.name,
                "bytes": _bytes(row),
                "val_score": found.score,
                "val_error": found.error,
                "same_class": row.agreement and row.agreement.same_class,
                "difference": row.agreement and row.agreement.difference,
                "latency_ms": times[row.name] * 1e3,
            }
        )
    items = f"{found.count:,} validation {found.metric.items}"
    compared = next((row.agreement.inputs for row in rows if row.agreement), 0)
    where = f"one of {size_text(size)} on one thread of {cpu_model()}"
    return Table(
        tuple(cells),
        tuple(ways),
        found.metric.short,
        f"score on {items}; outputs compared with the network's on {compared:,} of them; latency of {where}",
    )


def _prepared(row: Row, size: tuple[int, ...]) -> Prepared:
    if row.path is None:
        assert row.net is not None
        return prepare("torch", row.net, size)
    if row.to == "onnx":
        return of_onnx(row.path.read_bytes(), 1)
    if row.to == "openvino":
        return of_openvino(row.path, 1)
    return of_torch(open_file(row.path).net, torch.device("cpu"), 1)


def _bytes(row: Row) -> int:
    """Of the file, with the weights that OpenVINO puts beside it; of the network its tensors'."""
    if row.path is None:
        assert row.net is not None
        return sum(t.numel() * t.element_size() for t in row.net.state_dict().values())
    beside = row.path.with_suffix(".bin") if row.to == "openvino" else None
    return sum(os.path.getsize(path) for path in (row.path, beside) if path is not None)


def _way_cells(ways: Sequence[Tried]) -> list[list[str]]:
    found = [["8 bits with", "kB", "same class", "squared error / float's outputs", "ms"]]
    for way in ways:
        same = "–" if way.same_class is None else f"{way.same_class:.2f} %"
        found.append([way.name, f"{way.size / 1e3:.1f}", same, f"{way.error:.2g}", f"{way.latency_ms:.3g}"])
    return found


def _markdown(cells: Sequence[Sequence[str]]) -> str:
    heading, *rows = cells
    rule = ["---", *["---:"] * (len(heading) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (heading, rule, *rows))
