"""``score()``: what a trained network is worth, wherever it is: in a run, in a folder or in a file that ships."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ._text import aligned, percent, size_text
from .deploy.files import READERS, open_file
from .engine.storage.config import RUN_YAML
from .errors import UserError
from .evaluation import Evaluation, Paired, Subject, compare, evaluate
from .exporting.source import run_above
from .networks import CONFIG, open_folder
from .results import Winner
from .run import load_run
from .space import parse_budget
from .tasks import resolve_spec

MOST_CLASSES = 20  # whose confusions are printed as a matrix; of more, the most frequent ones
MOST_PAIRS = 10


@dataclass(frozen=True)
class Score:
    """A network's score, and another one's on the same items.

    Attributes:
        evaluation: of the network.
        against: of the other; None without one.
        paired: their difference; None without another.
    """

    evaluation: Evaluation
    against: Evaluation | None = None
    paired: Paired | None = None

    @property
    def value(self) -> float:
        """In percent."""
        return self.evaluation.score

    @property
    def error(self) -> float:
        """The standard error of :attr:`value`, in points."""
        return self.evaluation.error

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        found = self.evaluation.to_dict()
        if self.against is not None and self.paired is not None:
            found |= {"against": self.against.to_dict(), "paired": self.paired.to_dict()}
        return found

    def __str__(self) -> str:
        return "\n".join([*_lines(self.evaluation), *self._comparison()])

    def _comparison(self) -> list[str]:
        if self.against is None or self.paired is None:
            return []
        pair, metric = self.paired, self.evaluation.metric
        lines = [
            f"  against {self.against.subject}, in {self.against.runtime}: {_score(self.against)}",
            f"  difference {round(pair.difference, 2) + 0.0:+.2f} ± {pair.error:.2f} points on the same "
            f"{self.evaluation.count:,} {metric.items} (paired standard error)",
        ]
        if pair.p_value is not None:
            lines.append(
                f"  {pair.only_first:,} {metric.items} only the first has right, {pair.only_second:,} only the second: "
                f"McNemar's exact p = {pair.p_value:.3g}"
            )
        return lines + [
            f"  note on the second: {note}" for note in self.against.notes if note not in self.evaluation.notes
        ]


def score(
    what: str | Path | Winner,
    data: str | None = None,
    split: str = "test",
    budget: str | float | None = None,
    against: str | Path | Winner | None = None,
) -> Score:
    """Scores a trained network on a part of some data, with the network's own preprocessing and classes.

    Args:
        what: a run's folder, a folder that ``timm.create_model("local-dir:...")`` loads, or a file (ONNX, pt2,
            OpenVINO), which its own runtime runs; or a :class:`Winner`.
        data: a spec, as a search takes it; by default the run's own.
        split: ``"test"``, ``"val"`` or ``"train"``.
        budget: which winner of a run; by default the most accurate one of all.
        against: another network, to be scored on the same items.

    Raises:
        UserError: there is no such network or part of the data, or the network is of other classes.
    """
    if budget is not None and not (_is_run(what) or _is_run(against)):
        raise UserError(f"{what} is no run: a budget chooses among the winners of a run; leave it out.")
    subject, own = _subject(what, budget)
    spec = data if data is not None else own and own[0]
    if spec is None:
        raise UserError(f"{subject.name} does not say which data it is of: name some, for example --data fashion.")
    found = _evaluated(subject, own, spec, split, said=data is None)
    if against is None:
        return Score(found)
    other = _evaluated(*_subject(against, budget), spec, split)
    return Score(found, other, compare(found, other))


def _evaluated(subject: Subject, own: tuple[str, str] | None, spec: str, split: str, said: bool = False) -> Evaluation:
    """The evaluation, with what a run says of its data: (spec, fingerprint)."""
    found = evaluate(subject, spec, split)
    notes = [f"on the run's own data, {spec}"] if said else []
    cut = split != "test" or "test=" in spec  # a test part of the data's own was never trained on
    if own is not None and cut and found.fingerprint != own[1] and _source(spec) == _source(own[0]):
        notes.append(
            f"the run was trained on another cut of this data ({own[0]}): some of these items may have been in training"
        )
    return replace(found, notes=(*notes, *found.notes))


def _source(spec: str) -> str:
    return resolve_spec(spec).partition("?")[0]


def _is_run(what: object) -> bool:
    return isinstance(what, str | os.PathLike) and os.path.isfile(Path(what) / RUN_YAML)  # False for what is no path


def _subject(what: object, budget: str | float | None) -> tuple[Subject, tuple[str, str] | None]:
    """The network, and of a run's winner the data that it was trained on: (spec, fingerprint)."""
    if isinstance(what, Winner):
        return _of_winner(what, "the winner")
    if not isinstance(what, str | os.PathLike):
        raise UserError(f"a network is named by the path of a run, a folder or a file, not by {what!r}.")
    path = Path(what)
    if _is_run(path):
        return _of_run(path, budget)
    if os.path.isdir(path):
        return _of_folder(path)
    if path.suffix.lower() not in READERS and not os.path.exists(path):
        raise UserError(f"{path} is not there: name a run, a folder with {CONFIG}, or a file ({', '.join(READERS)}).")
    opened = open_file(path)
    return Subject(str(path), opened.net, opened.carried, opened.runtime), None


def _of_run(folder: Path, budget: str | float | None) -> tuple[Subject, tuple[str, str]]:
    run = load_run(folder)
    name = f"{folder}, the most accurate" if budget is None else f"{folder} within {parse_budget(budget).label}"
    return _of_winner(run.within(budget), name)


def _of_winner(winner: Winner, name: str) -> tuple[Subject, tuple[str, str]]:
    data = winner.config.data
    subject = Subject(f"{name} (trial {winner.trial.number})", winner.create_model(), winner.carried)
    return subject, (str(data["spec"]), str(data.get("fingerprint")))


def _of_folder(folder: Path) -> tuple[Subject, tuple[str, str] | None]:
    """A folder as timm writes it, below a run with the run's data, or one with a single exported file."""
    if (folder / CONFIG).is_file():
        opened, run = open_folder(folder), run_above(folder)
        subject = Subject(str(folder), opened.net, opened.carried, opened.runtime)
        return subject, None if run is None else (str(run.data["spec"]), str(run.data.get("fingerprint")))
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in READERS)
    if len(files) != 1:
        found = f"several networks ({', '.join(path.name for path in files)}): name one" if files else "no network"
        raise UserError(f"{folder} has {found}: neither {RUN_YAML} of a run nor {CONFIG} is there.")
    opened = open_file(files[0])
    return Subject(str(files[0]), opened.net, opened.carried, opened.runtime), None


def _score(found: Evaluation) -> str:
    loss = found.items.scores.get("val_loss")
    worth = f"{found.metric.short} {found.score:.2f} ± {found.error:.2f} %"
    return worth if loss is None else f"{worth}, loss {loss:.4g}"


def _lines(found: Evaluation) -> list[str]:
    metric = found.metric
    lines = [
        f"{found.subject}, in {found.runtime}",
        f"  {found.spec}, {found.split}: {found.count:,} {metric.items}, {size_text(found.input_size)}",
        f"  {_score(found)}",
    ]
    lines += [f"  {line}" for line in _table(found)]
    return lines + [f"  note: {note}" for note in found.notes]


def _table(found: Evaluation) -> list[str]:
    """By class, with the confusions beside."""
    items = found.items
    if items.by_class is None or items.confusion is None:
        return []
    what = "right" if items.right is not None else "IoU"
    unit = found.metric.items if items.right is not None else "pixels"
    totals = items.confusion.sum(1)
    rows = [["class", unit, what]]
    few = len(found.classes) <= MOST_CLASSES
    if few:
        rows[0] += [f"{i}" for i in range(len(found.classes))]
    chosen = range(len(found.classes)) if few else _worst(items.by_class)
    for i in chosen:
        row = [f"{i} {found.classes[i]}", f"{totals[i]:,}", percent(float(items.by_class[i]))]
        rows.append(row + ([f"{count:,}" if count else "·" for count in items.confusion[i]] if few else []))
    if few:
        return [*aligned(rows), f"on the right: of the {unit} of a class, how many were taken for class 0, 1, ..."]
    return [f"the {len(chosen)} classes with the fewest right:", *aligned(rows), *_confused(found, unit)]


def _worst(by_class: np.ndarray) -> list[int]:
    order = np.argsort(np.where(np.isnan(by_class), np.inf, by_class), kind="stable")
    return [int(i) for i in order[:MOST_CLASSES] if not np.isnan(by_class[i])]


def _confused(found: Evaluation, unit: str) -> list[str]:
    """The most frequent confusions of two classes."""
    assert found.items.confusion is not None
    off = found.items.confusion * (1 - np.eye(len(found.classes), dtype=np.int64))
    order = np.argsort(-off, axis=None, kind="stable")[:MOST_PAIRS]
    pairs = [divmod(int(at), len(found.classes)) for at in order]
    rows = [[f"{found.classes[a]} for {found.classes[b]}", f"{off[a, b]:,}"] for a, b in pairs if off[a, b]]
    return [f"most often taken for another, in {unit}:", *aligned(rows)] if rows else []
