"""One trial: an architecture whose training started, and what came of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .study import JOB, RESULT

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

RUNNING, PAUSED, COMPLETE, STOPPED, FAILED = "running", "paused", "complete", "stopped", "failed"


@dataclass
class Trial:
    """One architecture whose training started.

    Attributes:
        number: of the trial in the study.
        job: its user attribute: arch_id, setting, config, cost, seed, attempt (the latest), deaths (of workers),
            first_epoch, last_epoch, checkpoint, paused, drawn, curve (at its latest rung).
        state: a word of trials.csv.
        result: what came of it: attempt, val_acc, val_loss, epochs, seconds, peak_memory_mb, curve, device, error.
        curve: the epochs that the driver heard of.
        latency: seconds of one image, where it was measured.
        started, ended: seconds since 1970.
    """

    number: int
    job: dict[str, Any]
    state: str = RUNNING
    result: dict[str, Any] = field(default_factory=dict)
    curve: list[dict[str, Any]] = field(default_factory=list)
    latency: float | None = None
    started: float | None = None
    ended: float | None = None

    @property
    def arch_id(self) -> str:
        return str(self.job["arch_id"])

    @property
    def attempt(self) -> int:
        return int(self.job["attempt"])

    @property
    def val_acc(self) -> float | None:
        """Percent; None while there is none."""
        value = self.result.get("val_acc")
        return None if value is None else float(value)

    def cost(self, kind: str) -> float:
        """One of macs, macs_without_transfers, params, activations, or latency (seconds; NaN where not measured)."""
        if kind == "latency":
            return math.nan if self.latency is None else self.latency
        return int(self.job["cost"][kind])

    def attempts_folder(self, trials_folder: Path) -> Path:
        return trials_folder / str(self.number)

    def weights(self, trials_folder: Path) -> Path | None:
        """The file that the counted attempt's weights were written to; None where none counted."""
        if self.state != COMPLETE:
            return None
        return self.attempts_folder(trials_folder) / f"attempt-{self.result['attempt']}" / "weights.safetensors"

    @classmethod
    def from_trial(cls, trial: FrozenTrial) -> Trial | None:
        """None for a proposal that was never trained."""
        from optuna.trial import TrialState

        job = trial.user_attrs.get(JOB)
        if job is None:
            return None
        states = {TrialState.COMPLETE: COMPLETE, TrialState.PRUNED: STOPPED, TrialState.FAIL: FAILED}
        result = trial.user_attrs.get(RESULT) or {}
        return cls(
            number=trial.number,
            job=dict(job),
            state=states.get(trial.state, PAUSED if job.get("paused") else RUNNING),
            result=dict(result),
            curve=list(result.get("curve") or job.get("curve") or ()),
            started=trial.datetime_start.timestamp() if trial.datetime_start else None,
            ended=trial.datetime_complete.timestamp() if trial.datetime_complete else None,
        )


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
