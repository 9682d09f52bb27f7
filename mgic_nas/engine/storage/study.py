"""The Optuna study of a run: one sqlite file, written by one driver at a time and read by anyone.

It is the only truth about a run. Everything that must survive is in it before anything that depends on it happens.
"""

from __future__ import annotations

import contextlib
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import optuna
import sqlalchemy
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.trial import TrialState

from ..._signals import uninterrupted
from ...errors import UserError
from .trial import COMPLETE, FAILED, JOB, RESULT, STOPPED, Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

__all__ = [
    "ENDED",
    "JOB",
    "OVER",
    "REJECTED",
    "RESULT",
    "STUDY_DB",
    "VIOLATION",
    "StudyStore",
    "count_trials",
    "read_study",
]

Read = TypeVar("Read")

STUDY_DB = "study.db"
REJECTED = "rejected"  # user attribute of a proposal that was never trained: why
OVER = "over"  # study attribute: the run was closed with nothing left to train, nor paused and worth it
ENDED = "ended"  # study attribute: why no further architecture is proposed; empty while there may be more
VIOLATION = "violation"  # constraint: by how much a proposal is over a limit, relative to the limit
METRICS = ("val_acc", "macs")
TIMEOUT = 60.0  # seconds to wait for another process's transaction
_FOREIGN = (RuntimeError, ValueError, LookupError, TypeError, AttributeError)  # what Optuna makes of a foreign file
_TABLES = ("trials", "trial_params", "trial_values", "trial_user_attributes", "trial_system_attributes", "version_info")
_OPTUNAS = ("stud", "trial", "version_info", "alembic_version", "sqlite_")  # how the names of all its tables begin
_PASSING = ("is locked", "is full", "I/O error", "readonly")  # what sqlite says of a disk, not of a file
_FINAL = {COMPLETE: TrialState.COMPLETE, STOPPED: TrialState.PRUNED, FAILED: TrialState.FAIL}


class StudyStore:
    """The study of one run, open for writing.

    Args:
        folder: the run, which must exist; None keeps the study in memory.
        name: the study's name where it is made anew.

    Raises:
        UserError: the file is no database that can be opened.
        sqlalchemy.exc.OperationalError: the disk is full, the file locked, ...
    """

    def __init__(self, folder: Path | None, name: str) -> None:
        self._storage: BaseStorage
        self._folder = folder
        with _ours(folder):
            if folder is None:
                self._storage = InMemoryStorage()
            else:
                self._storage = _Storage("sqlite://", engine_kwargs=_engine(folder / STUDY_DB, "rwc"))
            names = optuna.get_all_study_names(self._storage)
            with _quiet():
                # A folder that was renamed since keeps its study's name.
                self._study = optuna.create_study(
                    storage=self._storage,
                    study_name=names[0] if names else name,
                    directions=["maximize", "minimize"],
                    load_if_exists=True,
                )
                if self._study.metric_names is None:  # also where a driver was killed before it had set them
                    self._study.set_metric_names(list(METRICS))
        self._study_id = self._storage.get_study_id_from_name(self._study.study_name)
        self._ended = str(self._study.user_attrs.get(ENDED, ""))
        self._over = bool(self._study.user_attrs.get(OVER, False))

    def set_sampler(self, sampler: BaseSampler) -> None:
        self._study.sampler = sampler

    def trials(self) -> list[FrozenTrial]:
        """Every trial there is. A scan: for opening a run, not for each trial of it."""
        with _ours(self._folder), _quiet():
            return self._study.get_trials(deepcopy=False)

    def ask(self, distributions: Mapping[str, BaseDistribution]) -> optuna.Trial:
        """A new RUNNING trial with the sampler's proposal."""
        with _quiet():
            return self._study.ask(dict(distributions))

    def ask_fixed(self, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> optuna.Trial:
        """A new RUNNING trial with these parameters instead of a proposal."""
        with _quiet():
            self._study.enqueue_trial(dict(params))
            return self.ask(distributions)

    def constrain(self, proposal: optuna.Trial, violation: float) -> None:
        """Notes by how much a proposal is over a limit, relative to it; negative within all."""
        with _quiet():
            proposal.set_constraint(VIOLATION, float(violation))

    def reject(self, proposal: optuna.Trial, reason: str, violation: float) -> None:
        """A proposal that will not be trained: PRUNED, so that samplers learn from it (FAIL they ignore)."""
        with _quiet():
            proposal.set_user_attr(REJECTED, reason)
            self.constrain(proposal, violation)
            self._study.tell(proposal.number, state=TrialState.PRUNED)

    def drop(self, number: int, reason: str) -> None:
        """A proposal that a killed driver left half made: FAIL, because samplers must not see missing parameters."""
        self.write(number, REJECTED, reason)
        # Study.tell refuses an enqueued proposal that nobody asked for yet.
        with _quiet():
            self._storage.set_trial_state_values(self._trial_id(number), TrialState.FAIL)

    def write(self, number: int, key: str, value: Any) -> None:
        """Sets a user attribute of an unfinished trial: one commit."""
        with _quiet():
            self._storage.set_trial_user_attr(self._trial_id(number), key, value)

    def finish(self, trial: Trial) -> None:
        """Sets the final state of a trial, and of a complete one its objectives."""
        values = [float(trial.cost(name) if name == "macs" else trial.val_acc or 0.0) for name in METRICS]
        with _quiet():
            self._study.tell(trial.number, values if trial.state == COMPLETE else None, state=_FINAL[trial.state])

    @property
    def ended(self) -> str:
        """Why no further architecture is proposed; empty while there may be more. Kept with the study."""
        return self._ended

    @ended.setter
    def ended(self, reason: str) -> None:
        if reason != self._ended:
            with _quiet():
                self._study.set_user_attr(ENDED, reason)
            self._ended = reason

    @property
    def over(self) -> bool:
        """Whether the run came to its end: paused trials were not worth more. Kept with the study."""
        return self._over

    @over.setter
    def over(self, value: bool) -> None:
        if value != self._over:
            with _quiet():
                self._study.set_user_attr(OVER, value)
            self._over = value

    def close(self) -> None:
        """Closes the file; sqlite then folds the write-ahead log into it."""
        if isinstance(self._storage, RDBStorage):
            self._storage.remove_session()
            self._storage.engine.dispose()

    def _trial_id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)


class _Storage(RDBStorage):
    """Optuna's storage, which makes a new distribution for each parameter of each trial that it reads.

    Equal ones are one object here: else they are a third of what a trial takes in memory, and three quarters of a
    rejected one.
    """

    def __init__(self, url: str, engine_kwargs: dict[str, Any]) -> None:
        super().__init__(url, engine_kwargs)
        self._shared: dict[str, BaseDistribution] = {}  # by the parameter's name

    def _build_frozen_trial_from_trial_model(self, trial: Any) -> FrozenTrial:
        built = super()._build_frozen_trial_from_trial_model(trial)
        for name, own in built.distributions.items():
            shared = self._shared.setdefault(name, own)
            if shared == own:
                built.distributions[name] = shared
        return built


def read_study(folder: Path) -> tuple[list[FrozenTrial], dict[str, Any]]:
    """The trials and the study's user attributes, without writing anything: also while a driver is at work.

    UserError where there is no study or it cannot be read. A study that is not filled yet has no trials.
    """

    def everything(storage: RDBStorage, name: str) -> tuple[list[FrozenTrial], dict[str, Any]]:
        study = optuna.load_study(study_name=name, storage=storage)
        return study.get_trials(deepcopy=False), dict(study.user_attrs)

    return _read(folder, everything) or ([], {})


def count_trials(folder: Path) -> int:
    """How many trials :func:`read_study` would find, which takes one query instead of a scan."""
    return _read(folder, lambda storage, name: storage.get_n_trials(storage.get_study_id_from_name(name))) or 0


def _read(folder: Path, read: Callable[[RDBStorage, str], Read]) -> Read | None:
    """What ``read`` makes of the storage and the study's name; None where the study is not filled yet."""
    path = folder / STUDY_DB
    if not path.exists():
        raise UserError(f"{folder} has no {STUDY_DB}: nothing was searched there.")
    problem: Exception | None = None
    # Without a log nobody is writing. With one sqlite needs an index of it, which it cannot make in a folder that
    # cannot be written, where again nobody is.
    logged = path.with_name(f"{STUDY_DB}-wal").exists()
    for mode in ("ro", "ro&immutable=1") if logged else ("ro&immutable=1", "ro"):
        if mode == "ro" and not path.with_name(f"{STUDY_DB}-wal").exists():
            continue  # sqlite would make a log, and leave it
        storage = None
        try:
            engine = _engine(path, mode)
            if _is_unfilled(engine["creator"]):
                return None
            with _quiet():
                storage = _Storage("sqlite://", engine_kwargs=engine)
                names = optuna.get_all_study_names(storage)
                return read(storage, names[0]) if names else None
        except UserError:
            raise
        except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, optuna.exceptions.OptunaError, *_FOREIGN) as error:
            problem = error
        finally:
            if storage is not None:
                storage.remove_session()
                storage.engine.dispose()
    raise _unreadable(folder, problem)


def _is_unfilled(connect: Callable[[], sqlite3.Connection]) -> bool:
    """Whether a database has some of a study's tables and no other: its driver was killed while it made them."""
    with contextlib.closing(connect()) as connection:
        found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    own = all(name.startswith(_OPTUNAS) for name in found)
    return own and not found.issuperset(_TABLES)


def _unreadable(folder: Path | None, error: BaseException | None) -> UserError:
    path = STUDY_DB if folder is None else folder / STUDY_DB
    return UserError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}.")


def _engine(path: Path, mode: str) -> dict[str, Any]:
    """Arguments of SQLAlchemy's engine. Connecting is done here because its URLs cannot hold every path."""
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(uri, uri=True, timeout=TIMEOUT, check_same_thread=False)
        try:
            _refuse_foreign(connection)
        except UserError:
            connection.close()
            raise
        if mode == "rwc":
            # WAL lets others read while the driver writes. NORMAL may lose the last commits at a power cut, never at
            # a kill, and halves the cost of a commit; what a worker finished before the cut is in its result.json.
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    return {"creator": connect, "poolclass": sqlalchemy.pool.QueuePool}


def _refuse_foreign(connection: sqlite3.Connection) -> None:
    """UserError where a database holds statements of its own, or lost a table: Optuna would make it again, empty."""
    connection.execute("PRAGMA trusted_schema=OFF")
    found = {(kind, name) for kind, name in connection.execute("SELECT type, name FROM sqlite_master")}
    if any(kind in ("trigger", "view") for kind, _ in found):
        raise UserError("study.db holds triggers or views, which no study has: it is not read.")
    # Tables are made one by one, the study after all of them.
    lost = [name for name in _TABLES if ("table", name) not in found]
    if lost and ("table", "studies") in found and connection.execute("SELECT 1 FROM studies").fetchone():
        raise UserError(f"study.db has lost the table {lost[0]}: it is not whole.")


@contextlib.contextmanager
def _ours(folder: Path | None) -> Iterator[None]:
    """Around the opening and reading of a study: what is no study of ours is a UserError."""
    try:
        yield
    except UserError:
        raise
    except sqlalchemy.exc.DatabaseError as error:
        if any(text in str(error.orig) for text in _PASSING):
            raise  # of the machine, which may be mended: not a wrong input
        raise _unreadable(folder, error.orig) from None
    except (*_FOREIGN, optuna.exceptions.OptunaError) as error:
        cause = error.__cause__
        if isinstance(cause, sqlalchemy.exc.DatabaseError) and any(text in str(cause.orig) for text in _PASSING):
            raise
        raise _unreadable(folder, error) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Around every use of the study: no messages on experimental features and new studies, no interrupt inside."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with uninterrupted(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
