"""One trial: an architecture whose training started, and its result."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from ...cost.runtimes.kinds import is_latency
from ...errors import UserError

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

RUNNING, PAUSED, COMPLETE, STOPPED, FAILED = "running", "paused", "complete", "stopped", "failed"
FINISHED = (COMPLETE, STOPPED, FAILED)  # final states
COSTS = ("macs", "macs_without_transfers", "params", "activations")
JOB = "job"  # user attribute in the study: all that is needed to start a trial's next job
RESULT = "result"  # user attribute: its result
_STATES = {"COMPLETE": COMPLETE, "PRUNED": STOPPED, "FAIL": FAILED}  # of Optuna; its RUNNING is running or paused

Row = dict[str, Any]
_MS = "_ms"
_CHECKPOINT = re.compile(r"[0-9]+/attempt-[0-9]+/checkpoint\.pt")


@dataclass(frozen=True)
class Trial:
    """One architecture whose training started. A new state is a new object (:func:`dataclasses.replace`).

    Read from the study (:meth:`from_frozen`) or from a row of trials.csv (:meth:`from_row`, which knows neither
    attempts nor epochs). What was not measured is None. Accuracies are percent.

    Attributes:
        number: of the trial in the study.
        arch_id: of its architecture.
        setting: its parameters by flat name, ``{"width_mult.0": 0.5, ...}``.
        config: the keyword arguments of the model.
        macs, macs_without_transfers, params, activations: its cost at the run's input size.
        latencies: kind -> seconds (of a whole batch), of the kinds of latency that a budget of the run is on.
        state: as in trials.csv, one of the constants of this module.
        seed: of its training.
        drawn: how it was proposed, ``sampler`` or ``uniform``.
        attempt: the latest; every time that the trial is handed to a worker is one, counted from 1.
        retries: how often it was queued again because its worker died.
        first_epoch, last_epoch: of the latest job; see :class:`mgic_nas.train.Job`.
        checkpoint: what the next job continues from, relative to the trials folder.
        result_attempt: the attempt whose result counts.
        val_acc, val_loss: after the last epoch; None until the trial is finished.
        epochs, seconds: trained so far, once the trial is paused or finished.
        peak_memory_mb: MiB of the finished training; see :mod:`mgic_nas.train._memory`.
        device: that it was trained on.
        error: why it failed, one line; empty where it did not.
        curve: the reported epochs, ``{"epoch": 1, "val_acc": ..., ...}`` each.
        started, ended: seconds since 1970.
        supersedes: the number of the failed trial in whose place this one is; that one counts no more.
    """

    number: int
    arch_id: str
    setting: dict[str, Any] = field(hash=False)
    config: dict[str, Any] = field(hash=False)
    macs: int | None
    macs_without_transfers: int | None = None
    params: int | None = None
    activations: int | None = None
    latencies: dict[str, float] = field(default_factory=dict, hash=False)
    state: str = RUNNING
    seed: int | None = None
    drawn: str = ""
    attempt: int = 0
    retries: int = 0
    first_epoch: int = 0
    last_epoch: int = 0
    checkpoint: str | None = None
    result_attempt: int | None = None
    val_acc: float | None = None
    val_loss: float | None = None
    epochs: int | None = None
    seconds: float | None = None
    peak_memory_mb: float | None = None
    device: str = ""
    error: str = ""
    curve: tuple[dict[str, Any], ...] = field(default=(), hash=False)
    started: float | None = None
    ended: float | None = None
    supersedes: int | None = None

    def cost(self, kind: str) -> float:
        """Its cost of a budget's kind, one of :data:`COSTS` or a latency (seconds). NaN where it is not known."""
        value: float | None = self.latencies.get(kind) if is_latency(kind) else getattr(self, kind)
        return math.nan if value is None else value

    def milliseconds(self, kind: str) -> float | None:
        """Its latency of a kind; None where it is not known."""
        seconds = self.latencies.get(kind)
        return None if seconds is None else round(seconds * 1e3, 6)

    @property
    def points(self) -> tuple[tuple[int, float], ...]:
        """(epoch, val_acc) of the reported epochs that have an accuracy, by epoch."""
        return curve_points(self.curve)

    def attempts_folder(self, trials_folder: Path) -> Path:
        return trials_folder / str(self.number)

    def weights(self, trials_folder: Path) -> Path | None:
        """The file of its trained weights (kept or not); None unless the trial is complete."""
        if self.state != COMPLETE:
            return None
        return self.attempts_folder(trials_folder) / f"attempt-{self.result_attempt}" / "weights.safetensors"

    # ---- the study ----

    @classmethod
    def from_frozen(cls, frozen: FrozenTrial) -> Trial | None:
        """From the study; None for a proposal that was never trained.

        Raises:
            UserError: what the study says of it is not what this package writes. Numbers and the place of the
                checkpoint are checked, because files are written, deleted and loaded by them.
        """
        job = frozen.user_attrs.get(JOB)
        if job is None:
            return None
        try:
            return cls._from_job(frozen, job)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise UserError(f"trial {frozen.number} of the study is not as mgic_nas writes it: {reason}.") from None

    @classmethod
    def _from_job(cls, frozen: FrozenTrial, job: Mapping[str, Any]) -> Trial:
        _check_job(frozen.number, job)
        trial = cls(
            number=frozen.number,
            arch_id=str(job["arch_id"]),
            setting=job["setting"],
            config=job["config"],
            **{kind: job["cost"][kind] for kind in COSTS},
            seed=job["seed"],
            drawn=job.get("drawn", ""),
            attempt=job["attempt"],
            retries=job["deaths"],
            first_epoch=job["first_epoch"],
            last_epoch=job["last_epoch"],
            checkpoint=_relative(job["checkpoint"]),
            curve=tuple(job.get("curve") or ()),
            supersedes=job.get("supersedes"),
            started=frozen.datetime_start.timestamp() if frozen.datetime_start else None,
            ended=frozen.datetime_complete.timestamp() if frozen.datetime_complete else None,
        )
        state = _STATES.get(frozen.state.name, PAUSED if job.get("paused") else RUNNING)
        if result := frozen.user_attrs.get(RESULT):
            check_result(result)
            return trial.with_result(result, state)
        return trial.pause() if state == PAUSED else replace(trial, state=state)

    def job(self) -> dict[str, Any]:
        """The user attribute :data:`JOB`: all that is needed to start the trial's next job."""
        paused = self.state == PAUSED
        job = {
            "arch_id": self.arch_id,
            "setting": self.setting,
            "config": self.config,
            "cost": {kind: getattr(self, kind) for kind in COSTS},
            "seed": self.seed,
            "attempt": self.attempt,
            "deaths": self.retries,
            "first_epoch": self.first_epoch,
            "checkpoint": self.checkpoint,
            "paused": paused,
            "drawn": self.drawn,
            "last_epoch": self.last_epoch,
        }
        if self.supersedes is not None:
            job["supersedes"] = self.supersedes
        # After a pause the curve goes with the job: scheduler and sampler need it, also after a restart.
        return plain(job | ({"curve": self.curve} if paused or self.first_epoch else {}))

    def pause(self) -> Trial:
        """The trial at the end of a job that was not its last."""
        seconds = sum(epoch.get("seconds") or 0.0 for epoch in self.curve)
        return replace(self, state=PAUSED, epochs=len(self.curve), seconds=seconds)

    def with_result(self, result: Mapping[str, Any], state: str) -> Trial:
        """The trial in a (final) state, with what its user attribute :data:`RESULT` says."""
        return replace(
            self,
            state=state,
            result_attempt=result.get("attempt"),
            val_acc=_finite(result.get("val_acc")),
            val_loss=_finite(result.get("val_loss")),
            epochs=result.get("epochs"),
            seconds=_finite(result.get("seconds")),
            peak_memory_mb=_finite(result.get("peak_memory_mb")),
            device=str(result.get("device") or ""),
            error=str(result.get("error") or ""),
            curve=tuple(result.get("curve") or self.curve),
        )

    # ---- trials.csv ----

    def to_row(self, names: Sequence[str], on_front: bool = False, timed: Sequence[str] = ()) -> Row:
        """A row of trials.csv.

        Args:
            names: of the searched parameters, in the order of their columns.
            on_front: whether no other complete trial dominates it.
            timed: kinds of latency, each with a column: ``latency_ms``, ``latency-onnxruntime_ms``.
        """
        return {
            "number": self.number,
            "arch_id": self.arch_id,
            "state": self.state,
            **{f"p.{name}": self.setting.get(name) for name in names},
            **{kind: getattr(self, kind) for kind in COSTS},
            **{latency_column(kind): self.milliseconds(kind) for kind in timed},
            "val_acc": self.val_acc if self.state in FINISHED else None,
            "epochs": self.epochs,
            "seconds": self.seconds,
            "peak_memory_mb": self.peak_memory_mb,
            "seed": self.seed,
            "on_front": on_front,
            "error": self.error or None,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any], fixed: Mapping[str, Any] | None = None) -> Trial:
        """From a row of trials.csv, whose cells may be texts; None, NaN and empty texts are not known.

        Args:
            row: of which every ``p.`` cell has its parameter's type already.
            fixed: the arguments that the space gives every network.

        Raises:
            ValueError: the row has no trial number.
        """
        number = _number(row["number"])
        if number is None:
            raise ValueError(f"a row without a trial number: {dict(row)!r}")
        # None may be a value that was chosen; NaN and the empty text are what tables put for "does not apply".
        setting = {k[2:]: plain(v) for k, v in row.items() if k.startswith("p.") and (v is None or not _empty(v))}
        error = row.get("error")
        milliseconds = {name.removesuffix(_MS): _number(row[name]) for name in row if _is_latency_column(name)}
        costs: dict[str, Any] = {kind: _positive(_whole(row.get(kind))) for kind in COSTS}
        return cls(
            number=int(number),
            arch_id=str(row.get("arch_id") or ""),
            setting=setting,
            config=gathered({**(fixed or {}), **setting}),
            **costs,
            latencies={kind: ms / 1e3 for kind, ms in milliseconds.items() if ms is not None},
            state=str(row.get("state") or ""),
            seed=_whole(row.get("seed")),
            val_acc=_score(_number(row.get("val_acc"))),
            epochs=_whole(row.get("epochs")),
            seconds=_number(row.get("seconds")),
            peak_memory_mb=_number(row.get("peak_memory_mb")),
            error="" if _empty(error) else str(error),
        )


def latency_column(kind: str) -> str:
    """Of a kind of latency in trials.csv and budgets.csv."""
    return kind + _MS


def _is_latency_column(name: str) -> bool:
    return name.endswith(_MS) and is_latency(name.removesuffix(_MS))


def _check_job(number: Any, job: Mapping[str, Any]) -> None:
    """ValueError, TypeError or KeyError where a job is not what :meth:`Trial.job` gives."""
    _check_whole("number", number)
    for name in ("attempt", "deaths", "first_epoch", "last_epoch"):
        _check_whole(name, job[name])
    for name in ("seed", "supersedes"):
        if job.get(name) is not None:
            _check_whole(name, job[name])
    for name in ("setting", "config", "cost"):
        if not isinstance(job[name], dict):
            raise TypeError(f"{name} is no mapping")
    for kind in COSTS:
        if job["cost"][kind] is not None:
            _check_whole(kind, job["cost"][kind])
    checkpoint = _relative(job["checkpoint"])
    if checkpoint is not None and not _CHECKPOINT.fullmatch(checkpoint):
        raise ValueError(f"{checkpoint!r} is no checkpoint")
    _check_curve(job.get("curve"))


def _check_whole(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name} is {str(value)[:40]!r}")


def check_result(result: Any) -> None:
    """ValueError where a ``result.json``, or the user attribute :data:`RESULT`, is not what a worker writes."""
    if not isinstance(result, Mapping):
        raise ValueError("its result is no mapping")
    if result.get("attempt") is not None:
        _check_whole("attempt", result["attempt"])
    for name in ("val_acc", "val_loss", "seconds", "peak_memory_mb"):
        if not isinstance(result.get(name, 0) or 0, Real):
            raise ValueError(f"{name} is {str(result[name])[:40]!r}")
    _check_curve(result.get("curve"))


def _check_curve(curve: Any) -> None:
    for epoch in curve or ():
        if not isinstance(epoch, Mapping) or not isinstance(epoch.get("seconds") or 0, Real):
            raise ValueError("its curve is no list of epochs")


def gathered(setting: Mapping[str, Any]) -> dict[str, Any]:
    """``{"w.0": 1, "w.1": 2, "s": 3}`` -> ``{"w": [1, 2], "s": 3}``. ValueError where ``w`` stands there too."""
    config: dict[str, Any] = {}
    for name, value in setting.items():
        stem, dot, index = name.rpartition(".")
        if dot and index.isdigit():
            values = config.setdefault(stem, [])
            if not isinstance(values, list):
                raise ValueError(f"{stem} has one value, and several: {stem}.{index}")
            values.append((int(index), value))
        elif f"{name}.0" in setting:
            raise ValueError(f"{name} has one value, and several: {name}.0")
        else:
            config[name] = value
    return {name: [v for _, v in sorted(value)] if f"{name}.0" in setting else value for name, value in config.items()}


def curve_points(curve: Iterable[Mapping[str, Any]]) -> tuple[tuple[int, float], ...]:
    """(epoch, val_acc) by epoch; cells may be texts, and an epoch whose cells are no numbers is left out."""
    pairs = ((_whole(epoch.get("epoch")), _number(epoch.get("val_acc"))) for epoch in curve)
    return tuple(sorted((epoch, acc) for epoch, acc in pairs if epoch is not None and acc is not None))


def trial_seed(seed: int, arch_id: str) -> int:
    """The seed that an architecture is trained with in a run of this seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{arch_id}".encode()).digest()[:4]) >> 1


def plain(value: Any) -> Any:
    """``value`` as JSON can hold it: numpy's scalars as Python's, NaN and infinities as None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _relative(checkpoint: str | None) -> str | None:
    """``<number>/attempt-<k>/checkpoint.pt``: earlier versions stored it absolute, and a run's folder may move."""
    return None if checkpoint is None else str(PurePath(*PurePath(checkpoint).parts[-3:]))


def _empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _score(value: float | None) -> float | None:
    return value if value is not None and -1e6 < value <= 100 else None


def _positive(value: int | None) -> int | None:
    return value if value is not None and 0 < value < 1 << 62 else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
