"""The compared tables as text, as JSON and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .compare import Compared, ComparedTable, Measured

#: (what, whose) of every column after the first, the network; a column that stays empty is left out.
COLUMNS = (
    ("params", "paper"),
    ("params", "ours"),
    ("params", "differ"),
    ("MACs", "paper"),
    ("MACs", "ours"),
    ("MACs", "differ"),
    ("without R, P", "ours"),
    ("without R, P", "differ"),
    ("", "paper"),  # the table's score
    ("", "ours"),
)
GAP = "  "
INTRODUCTION = """\
# The paper's tables

What the paper prints beside what this code counts. `mgic-nas tables` prints it, `mgic-nas tables --json` for a program,
and `mgic-nas tables --markdown` made this page.

- **Parameters** are all that is trained, BatchNorm included. **MACs** are multiply-accumulates of convolution and
  linear layers, for one input of the stated size. **Without R, P** leaves out the transfer operators between channel
  levels; it stands only where there are any.
- **Differ** is ours against the printed, rounded number. Published networks are counted by the same counter, where timm
  or torchvision has them.
- Accuracies are the paper's. Ours stand beside them where a training is recorded in [`runs/`](..), with the number of
  trainings that they are the mean of; those of smaller networks or data, which are no target for the paper's, below.

`published.csv` beside this page holds ImageNet results that timm publishes, with exact counts at 3x224x224: points for
`mgic-nas report RUN --reference runs/tables/published.csv`.
"""


def text(tables: Sequence[ComparedTable]) -> str:
    """The tables for a terminal."""
    last = "Differ: ours against the printed number. `mgic-nas tables --markdown` says why."
    return "\n\n".join([*("\n".join([_title(t), "", *_aligned(t), *_smaller(t)]) for t in tables), last])


def page(tables: Sequence[ComparedTable]) -> str:
    """The tables as Markdown, with what explains their differences."""
    parts = [INTRODUCTION]
    for table in tables:
        parts += [f"## {_title(table)}\n", "\n".join(_markdown(table)) + "\n", table.table.note + "\n"]
        parts += ["\n".join(_smaller(table, "- ")) + "\n"] if table.smaller else []
    return "\n".join(parts)


def to_json(tables: Sequence[ComparedTable]) -> list[dict[str, Any]]:
    """Plain data: one entry a table, with the same numbers and more arguments."""
    return [
        {
            "table": t.table.number,
            "title": t.table.title,
            "input_size": list(t.table.input_size),
            "num_classes": t.table.num_classes,
            "score": t.table.score,
            "rows": [_entry(heading, row) for heading, rows in t.groups for row in rows],
            "note": " ".join(t.table.note.split()),
            "trained_smaller": _trained(t),
        }
        for t in tables
    ]


def _trained(table: ComparedTable) -> dict[str, Any] | None:
    if not table.smaller or table.table.trained is None:
        return None
    rows = [{"name": name, **asdict(measured)} for name, measured in table.smaller.items()]
    return {"about": table.table.trained.about, "rows": rows}


def percent(difference: float) -> str:
    """A relative difference: "+1.2 %", or "exact"."""
    if difference == 0:
        return "exact"
    rounded = f"{100 * difference:+.1f} %"
    return "0.0 %" if float(rounded.split()[0]) == 0 else rounded


def _entry(heading: str, row: Compared) -> dict[str, Any]:
    line = row.line
    return {
        "name": line.name.strip(),
        "group": heading,
        "network": line.network or None,
        "config": dict(line.config),
        "paper": {"params": line.params or None, "macs": line.macs or None, "score": line.score or None},
        "ours": asdict(row.cost) if row.cost else None,
        "difference": row.differences,
        "measured": asdict(row.measured) if row.measured else None,
    }


def _title(table: ComparedTable) -> str:
    t = table.table
    classes = f", {t.num_classes:,} classes" if t.num_classes else ""
    return f"Table {t.number}. {t.title}; input {'x'.join(map(str, t.input_size))}{classes}"


def _cells(row: Compared) -> tuple[str, ...]:
    """The texts of a row, one for each of :data:`COLUMNS`."""
    line, cost, measured = row.line, row.cost, row.measured
    differ = {name: percent(value) for name, value in row.differences.items()}
    reduced = cost if cost and 0 < cost.macs_without_transfers < cost.macs else None
    return (
        line.params,
        f"{cost.params:,}" if cost else "",
        differ.get("params", ""),
        line.macs,
        f"{cost.macs:,}" if cost else "",
        differ.get("macs", ""),
        f"{reduced.macs_without_transfers:,}" if reduced else "",
        differ.get("macs_without_transfers", "") if reduced else "",
        line.score,
        _score(measured) if measured else "",
    )


def _columns(table: ComparedTable) -> list[int]:
    """The columns that hold anything."""
    rows = [_cells(row) for _, rows in table.groups for row in rows]
    return [i for i in range(len(COLUMNS)) if any(row[i] for row in rows)]


def _aligned(table: ComparedTable) -> list[str]:
    used = _columns(table)
    heads = [COLUMNS[i] for i in used]
    body = [_cells(row) for _, rows in table.groups for row in rows]
    widths = [max(len(head[1]), *(len(row[i]) for row in body)) for i, head in zip(used, heads)]
    first = max(len(row.line.name) for _, rows in table.groups for row in rows)

    # What several columns share stands over them, flush right with the last of them.
    above, start = " " * first, 0
    while start < len(used):
        end = start
        while end + 1 < len(used) and heads[end + 1][0] == heads[start][0]:
            end += 1
        span = sum(widths[start : end + 1]) + len(GAP) * (end - start)
        what = heads[start][0] or table.table.score
        widths[end] += max(0, len(what) - span)
        above += GAP + what.rjust(span)
        start = end + 1

    def line(name: str, texts: Sequence[str]) -> str:
        return GAP.join([name.ljust(first), *(t.rjust(w) for t, w in zip(texts, widths))]).rstrip()

    lines = [above, line("", [head[1] for head in heads])]
    for heading, rows in table.groups:
        lines += [f"- {heading}"] if heading else []
        lines += [line(row.line.name, [_cells(row)[i] for i in used]) for row in rows]
    return lines


def _smaller(table: ComparedTable, mark: str = "") -> list[str]:
    """What smaller trainings gave: a line that says what they are, and one for each network."""
    if not table.smaller or table.table.trained is None:
        return []
    trained, width = table.table.trained, 0 if mark else max(map(len, table.smaller))
    lines = [f"{name}:".ljust(width + 1) + f" {_score(measured)}" for name, measured in table.smaller.items()]
    head = f"Trained here: {trained.about} (runs/{Path(trained.file).parent}). Mean {table.table.score} (trainings):"
    return [head, "", *(mark + line for line in lines)] if mark else ["", head, *lines]


def _score(measured: Measured) -> str:
    """The mean score, and of how many trainings."""
    return f"{measured.value:.4g} ({measured.runs})"


def _markdown(table: ComparedTable) -> list[str]:
    used = _columns(table)
    heads = [f"{COLUMNS[i][0] or table.table.score}: {COLUMNS[i][1]}" for i in used]
    lines = [f"| network | {' | '.join(heads)} |", f"|---|{'---:|' * len(used)}"]
    for heading, rows in table.groups:
        lines += [f"| *{heading}* |{' |' * len(used)}"] if heading else []
        lines += [f"| {row.line.name.strip()} | {' | '.join(_cells(row)[i] for i in used)} |" for row in rows]
    return lines
