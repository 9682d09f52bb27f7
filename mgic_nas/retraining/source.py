"""The trainings of some networks as jobs: each goes on from its latest checkpoint, and ends as a folder to load."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from .._files import replaced_folder, write_json
from .._text import rough_duration
from ..engine.batch import Batch
from ..engine.storage.folder import Lock, refuse_links, refuse_links_in
from ..engine.storage.trial import check_result, trial_seed
from ..errors import UserError
from ..families import family
from ..networks import load_weights, save_network
from ..tasks import metric_of
from ..tasks.base import DataInfo
from ..train.job import Job, attempt_folder, attempts, latest_checkpoint, read_result
from .config import TRAINING_YAML, TrainingConfig
from .results import RESULT, Network, Trained, read_one, read_trained, write_table

WORK = ".work"  # where workers write; what is done is moved out of it
SAY_EVERY = 5.0  # seconds between two lines on epochs


class Retraining(Batch):
    """The one writer of a folder of trainings.

    Args:
        folder: of the trainings, ``ROOT/retrain``; the table is ``ROOT/retrain.csv``. Locked until :meth:`close`.
        config: how they are trained; UserError where the folder holds others.
        info: of the data.
        networks: that are to be trained.
        seeds: how many trainings of each.
        say: called with one line for whatever happens.
        work: where workers write, on a disk that all of them share; by default a folder in ``folder``.

    Attributes:
        done_before: how many of them were done already.
    """

    def __init__(
        self,
        folder: Path,
        config: TrainingConfig,
        info: DataInfo,
        networks: Sequence[Network],
        seeds: int,
        say: Callable[[str], object],
        work: Path | None = None,
    ) -> None:
        self.folder = folder.absolute()
        self._work = self.folder / WORK if work is None else work.absolute()
        self.shown = folder
        self.config, self._info = config, info
        self._items = {trial_seed(k, one.arch_id): (one, k) for k in range(seeds) for one in networks}
        if len(self._items) < seeds * len(networks):
            raise UserError("two of these trainings would have the same random numbers: train the networks apart.")
        self._lock = _claim(self.folder, config)
        try:
            refuse_links_in(self._work, levels=2)
            self._work.parent.mkdir(parents=True, exist_ok=True)
            done = [number for number in self._items if self._is_done(number)]
            for number in done:
                self._tidy(number)  # a driver was killed after it had moved the result
            todo = [number for number in self._items if number not in done]
            super().__init__(todo, say)
        except BaseException:
            self._lock.release()
            raise
        self.total, self.done_before = len(self._items), len(done)
        self._epochs = dict.fromkeys(todo, 0)  # trained so far, of what is left
        self._first, self._trained_now, self._said = 0.0, 0, 0.0  # the first epoch's end: workers take long to start

    @property
    def trials_folder(self) -> Path:
        """Where workers write."""
        return self._work

    @property
    def table(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.csv")

    def trained(self) -> list[Trained]:
        """Everything that is finished in the folder, earlier commands' included."""
        return read_trained(self.shown)

    def write_table(self) -> None:
        write_table(self.table, self.trained(), metric_of(self.config.data["spec"]).of_items)

    def close(self) -> None:
        """Unlocks the folder. Checkpoints of what is not done stay."""
        with contextlib.suppress(OSError):
            self.trials_folder.rmdir()  # only where it is empty
        self._lock.release()

    def __enter__(self) -> Retraining:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- what a batch asks ----

    def report(self, job: Job, result: Mapping[str, Any]) -> bool:
        self._epochs[job.number] = int(result["epoch"])
        now = time.monotonic()
        self._first = self._first or now
        self._trained_now += 1
        if now - self._said > SAY_EVERY and result["epoch"] < job.last_epoch:
            self._said = now
            metric, score = metric_of(self.config.data["spec"]), result.get("val_acc")
            told = "" if score is None else f", validation {metric.text(score)}"
            self._say(f"{self._name(job.number)}: epoch {result['epoch']}/{job.last_epoch}{told}{self._left()}")
        return True

    def _left(self) -> str:
        to_go = sum(self.config.epochs - epochs for number, epochs in self._epochs.items() if number not in self.failed)
        if not to_go or self._trained_now < 2:
            return ""
        each = (time.monotonic() - self._first) / (self._trained_now - 1)
        return f"; about {rough_duration(each * to_go)} left"

    def _job(self, number: int) -> Job | None:
        for attempt in attempts(self.trials_folder, number):
            if self._take(number, attempt):  # a worker ended after its driver was killed
                return None
        one, _ = self._items[number]
        attempt = max(attempts(self.trials_folder, number), default=0) + 1
        epochs, path = latest_checkpoint(self.trials_folder, number) or (0, None)
        self._epochs[number] = epochs
        if epochs:
            self._say(f"{self._name(number)}: goes on after epoch {epochs}")
        checkpoint = None if path is None else str(path)
        return Job(number, attempt, one.config, epochs, self.config.epochs, checkpoint, seed=number)

    def _forget(self, number: int) -> None:
        shutil.rmtree(self.trials_folder / str(number), ignore_errors=True)

    def _finished(self, job: Job) -> bool:
        return self._take(job.number, job.attempt)

    def _name(self, number: int) -> str:
        one, seed = self._items[number]
        return f"{one.name}, seed {seed}"

    # ---- one step of a training's life each ----

    def _target(self, number: int) -> Path:
        one, seed = self._items[number]
        return self.folder / one.name / f"seed-{seed}"

    def _is_done(self, number: int) -> bool:
        one, _ = self._items[number]
        found = read_one(self._target(number))
        return found is not None and found.result.get("arch_id") == one.arch_id

    def _take(self, number: int, attempt: int) -> bool:
        """Makes the folder of a training from what its worker left; False where it left no result."""
        try:
            result = read_result(self.trials_folder, number, attempt)
            if result is None:
                return False
            check_result(result)
        except (OSError, TypeError, ValueError):
            return False
        if result.get("epochs") != self.config.epochs:
            return False
        one, seed = self._items[number]
        source, info = attempt_folder(self.trials_folder, number, attempt), self._info
        with torch.random.fork_rng(devices=[]):
            net = family(one.model).build(one.config, info.num_classes, info.in_chans)
        load_weights(net, source / "weights.safetensors")
        target = self._target(number)
        with replaced_folder(target) as folder:
            save_network(
                folder,
                net,
                one.model,
                one.config,
                num_classes=info.num_classes,
                in_chans=info.in_chans,
                data_config=info.data_config(),
                label_names=info.classes,
            )
            shutil.copyfile(source / "epochs.csv", folder / "epochs.csv")
            write_json(folder / RESULT, {**result, **one.about(), "seed": seed})
        self._tidy(number)
        self.write_table()
        self._tell(number, result)
        return True

    def _tidy(self, number: int) -> None:
        shutil.rmtree(self.trials_folder / str(number), ignore_errors=True)

    def _tell(self, number: int, result: Mapping[str, Any]) -> None:
        metric = metric_of(self.config.data["spec"])
        self._epochs.pop(number, None)
        parts = [] if result["val_acc"] is None else [f"validation {metric.text(result['val_acc'])}"]
        if result.get("test"):
            parts.append(f"test {metric.text(result['test']['acc'])}")
        done = sum(map(self._is_done, self._items))
        told = ", ".join([*parts, f"trained in {rough_duration(result['seconds'])}"])
        self._say(f"[{done}/{self.total}] {self._name(number)}: {told}{self._left()}")


def _claim(folder: Path, config: TrainingConfig) -> Lock:
    """The folder, made, locked, and with this training.yaml in it."""
    old = TrainingConfig.load(folder)
    try:
        if old is None and folder.is_dir() and (others := _others(folder)):
            raise UserError(
                f"{folder} holds no trainings, and other things ({others[0]}, ...): name another with --out."
            )
        folder.mkdir(parents=True, exist_ok=True)
        refuse_links(folder.parent, [folder.name, f"{folder.name}.csv"])
        refuse_links(folder, [".lock", TRAINING_YAML, ".tune"])
        refuse_links_in(folder, levels=1)
        lock = Lock(folder)
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{folder} cannot be made: {getattr(error, 'strerror', None) or error}.") from None
    try:
        old = TrainingConfig.load(folder)  # again: another driver may just have made it
        if old is None:
            config.save(folder)
        else:
            old.refuse_other(config, folder)
    except BaseException:
        lock.release()
        raise
    return lock


def _others(folder: Path) -> list[str]:
    """What is in a folder beside what a driver leaves that was killed before it had written training.yaml."""
    names = (path.name for path in folder.iterdir())
    return sorted(name for name in names if name != ".lock" and not name.startswith(f".{TRAINING_YAML}."))
