"""What becomes of trials whose training failed, while nobody knows yet whether the network or the machine is to blame.

:func:`mgic_nas.engine.faults.classify` judges one fault by itself; here it is judged by what happened before and
beside it, and by what happens next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, replace

from .faults import CROWDED, EVERYWHERE, LOST, MACHINE, NETWORK, RESTART, WORKER, Fault, classify
from .storage.trial import Trial

MAX_RETRIES = 2  # of a trial whose worker died
SUSPECTS_ALIKE = 3  # trials in a row with the same kind of a fault that nobody recognises: it is the machine's
FAILING_ALIKE = 6  # trials with the same kind of a network's fault before any succeeds: likewise

AGAIN = "again"  # to be started again, from the front
ALONE = "alone"  # to be tried again beside no other, once there is nothing else to do
HELD = "held"  # stays to be trained: the machine is at fault, or nobody knows
CONDEMNED = "condemned"  # failed, by its own fault


@dataclass(frozen=True)
class Verdict:
    """What becomes of a trial after a fault.

    Attributes:
        what: :data:`AGAIN`, :data:`ALONE`, :data:`HELD` or :data:`CONDEMNED`.
        trial: as it goes on.
        text: why, for people.
    """

    what: str
    trial: Trial
    text: str


class Doubts:
    """The trials in doubt. Nothing is booked on a network before others have shown that the machine works.

    Attributes:
        halt: the machine's fault that ends the search; None while there is none.
    """

    def __init__(self) -> None:
        self.halt: Fault | None = None
        self._suspects: dict[int, Fault] = {}  # held back: nobody knows yet whose fault it was
        self._doubted: set[int] = set()  # trials that were suspects, and are tried once more
        self._later: deque[int] = deque()  # trials to be tried alone, once there is nothing else to do
        self._accompanied: set[int] = set()  # trials beside whose present attempt others were trained
        self._alike: tuple[tuple[str, str], set[int]] = ("", ""), set()  # kind of the latest faults -> their trials

    @property
    def waiting(self) -> int:
        """How many trials are to be tried again once there is nothing else to do."""
        return len(self._later) + len(self._suspects)

    def started(self, number: int, beside: Collection[int]) -> None:
        """An attempt of a trial begins beside those of others."""
        self._accompanied.discard(number)
        if beside:
            self._accompanied |= {number, *beside}

    def judge(self, trial: Trial, fault: Fault, succeeded: bool) -> Verdict:
        """What becomes of a trial whose attempt failed. ``succeeded``: any trial of the run has."""
        alone = trial.number not in self._accompanied
        verdict = classify(fault, alone)
        if verdict == RESTART and trial.first_epoch:
            return Verdict(AGAIN, replace(trial, first_epoch=0, checkpoint=None, curve=()), fault.text)
        if verdict == MACHINE:
            return self._stop(trial, fault)
        if verdict == LOST and trial.retries < MAX_RETRIES:
            return Verdict(AGAIN, replace(trial, retries=trial.retries + 1), fault.text)
        if verdict in (CROWDED, LOST) and not alone:
            self._later.append(trial.number)
            return Verdict(ALONE, replace(trial, retries=trial.retries + (verdict == LOST)), fault.text)
        if verdict == LOST:
            text = f"{fault.text} (in each of {trial.retries + 1} attempts)"
            return self._suspect(trial, replace(fault, text=text, where=WORKER), succeeded)
        if verdict == NETWORK:
            if self._count_alike(trial, fault) >= FAILING_ALIKE and not succeeded:
                many = f"{FAILING_ALIKE} trials failed alike and none succeeded: {fault.text}"
                self.halt = replace(fault, text=many, where=EVERYWHERE)
            return Verdict(CONDEMNED, trial, fault.text)
        return self._suspect(trial, fault, succeeded)  # unknown, or out of memory alone, beside another program

    def succeeded(self) -> tuple[dict[int, Fault], list[int]]:
        """A training came to its end, so the machine works: (suspects that have failed, those to be tried again)."""
        self._alike = ("", ""), set()
        suspects, self._suspects = self._suspects, {}
        failed = {number: fault for number, fault in suspects.items() if fault.where == WORKER}
        again = [number for number in suspects if number not in failed]
        self._doubted.update(again)
        return failed, again

    def last_resort(self) -> int | None:
        """The trial to be tried once there is nothing else to do: one that is to be tried alone, or a suspect."""
        if not self._later and self._suspects:
            suspects, self._suspects = self._suspects, {}
            if hopeless := [f for n, f in suspects.items() if f.where == WORKER or n in self._doubted]:
                self.halt = hopeless[0]  # nothing has succeeded that would say that it is the network's
                return None
            self._doubted |= suspects.keys()
            self._later.extend(suspects)
        return self._later.popleft() if self._later else None

    def _stop(self, trial: Trial, fault: Fault) -> Verdict:
        """Nothing more is handed out, because of the machine."""
        self.halt = self.halt or fault
        return Verdict(HELD, trial, fault.text)

    def _suspect(self, trial: Trial, fault: Fault, succeeded: bool) -> Verdict:
        """The trial's fault if others succeed: before (its worker died, or it had another try) or after.

        Where several trials in a row are hit alike it is the machine's.
        """
        if self._count_alike(trial, fault) >= SUSPECTS_ALIKE:
            return self._stop(trial, fault)
        if succeeded and (fault.where == WORKER or trial.number in self._doubted):
            return Verdict(CONDEMNED, trial, fault.text)
        self._suspects[trial.number] = fault
        return Verdict(HELD, trial, fault.text)

    def _count_alike(self, trial: Trial, fault: Fault) -> int:
        """How many trials in a row failed with a fault of this kind, none of them completed in between."""
        kind, numbers = self._alike
        self._alike = fault.kind, ({*numbers, trial.number} if kind == fault.kind else {trial.number})
        return len(self._alike[1])
