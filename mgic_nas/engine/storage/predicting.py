"""Whether a search measures the latency of every network or predicts it, and how a predictor is made.

Up to :data:`PATIENCE` whatever is proposed may be measured: that is exact. Where all networks of a space would take
longer, the rows of which they are made are timed, far fewer than networks, and a few whole networks on which a
:class:`Predictor` is fitted and tested. What it says may be fast enough is still measured before it is trained.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ... import families  # its functions load torch when they are called
from ..._text import rough_duration
from ...cost.runtimes.cache import LatencyCache
from ...cost.runtimes.kinds import csv_stem, is_latency, runtime_kind
from ...cost.runtimes.registry import RUNTIMES
from ...errors import UserError
from .latencies import here
from .measuring import cache_of_networks, key_of, timed_net

if TYPE_CHECKING:
    from ...models.parts import Part
    from ...space.feasible import Candidate, FeasibleSet
    from .config import RunConfig
    from .predictor import Network, Predictor

PATIENCE = 600.0  # seconds that measuring may take in all: a small part of any search's trainings
FITTED, HELD_OUT = 16, 16  # networks that are measured for a predictor
FEWEST = 8  # of each, where some cannot be timed
DRAWN = 4_096  # settings: their rows are timed, and of these networks a predictor's are chosen
TRIES = 64  # draws of a network each, where random settings hardly ever fit


@dataclass(frozen=True)
class Outlook:
    """What it would take to measure every network of a space, and to predict them.

    Attributes:
        kind: of latency.
        networks: how many there are, about.
        exact: whether that is known; else they are settings.
        each: seconds that it takes to measure one: to build, export and run it.
        parts: of all networks that were drawn, each once; none where they are no lists of rows.
        seconds: that timing what is not timed yet takes, and the networks to fit on; infinite without parts.
    """

    kind: str
    networks: int
    exact: bool
    each: float
    parts: tuple[Part, ...]
    seconds: float

    @property
    def predicted(self) -> bool:
        """Whether a predictor is made."""
        return self.seconds <= min(PATIENCE, self.networks * self.each)

    def __str__(self) -> str:
        many = f"all {self.networks:,} networks" if self.exact else f"the networks of about {self.networks:,} settings"
        text = (
            f"{self.kind}: to measure {many} would take {rough_duration(self.networks * self.each)} "
            f"({self.each:.2g} s each), more than {rough_duration(PATIENCE)}"
        )
        if self.predicted:
            return (
                f"{text}, so it is predicted from the times of {len(self.parts):,} rows (about "
                f"{rough_duration(self.seconds)}, once on this machine); what may be fast enough is measured before it "
                "is trained"
            )
        why = "so would timing their rows" if self.parts else "and they are no lists of rows from which to predict it"
        return f"{text}, {why}: each candidate is measured before it is trained"


class Timer:
    """Measures networks and their parts in one way on this machine, each once.

    Args:
        config: of the run.
        kind: of latency, one that is measured here.
        keep: what was timed, in the user's cache.
    """

    def __init__(self, config: RunConfig, kind: str, keep: bool) -> None:
        self._config = config
        self._runtime = runtime_kind(kind)
        place, self._device = here(config.input_size, config.gpus_per_trial, self._runtime)
        if self._runtime is None:
            place = replace(place, runtime=f"as trained ({RUNTIMES.load('torch').version()})")
        self._networks = cache_of_networks(config, place)
        self._parts = LatencyCache({**key_of(place), "of": "parts"})
        self._keep = keep

    def network(self, candidate: Candidate, arguments: Mapping[str, Any], *, again: bool = False) -> float | None:
        """Seconds; None where it cannot be timed. ``again``: also where it is known."""
        seconds = None if again else self._networks.get(candidate.arch_id)
        if seconds is None:
            config = self._config
            try:
                net = families.family(config.model).build(dict(arguments), config.num_classes, config.input_size[0])
                seconds = timed_net(net, config.input_size, self._runtime, self._device)
            except UserError:
                return None
            if self._keep and self._networks.get(candidate.arch_id) is None:
                self._networks.put(candidate.arch_id, seconds)
        return seconds

    def knows(self, part: Part) -> bool:
        """Whether it was timed before."""
        return self._parts.get(part.digest) is not None

    def part(self, part: Part) -> float | None:
        """Seconds; None where it cannot be timed."""
        seconds = self._parts.get(part.digest)
        if seconds is None:
            try:
                seconds = timed_net(part.timed(), part.timed_size, self._runtime, self._device)
            except UserError:
                return None
            if self._keep:
                self._parts.put(part.digest, seconds)
        return seconds


@dataclass(frozen=True)
class _Drawn:
    """Networks of a space, and about how many there are."""

    candidates: Sequence[Candidate]
    networks: int
    exact: bool


class Prediction:
    """Decides for a run, and makes its predictors.

    Args:
        config: of the run.
        feasible: the architectures that are within the budgets on counts.
        keep: what is timed, in the user's cache.

    Attributes:
        outlooks: of the kinds of latency for which to measure every network would take longer than :data:`PATIENCE`.
    """

    def __init__(self, config: RunConfig, feasible: FeasibleSet, keep: bool = True) -> None:
        self._config = config
        self._feasible = feasible
        self._timers: dict[str, Timer] = {}
        self.outlooks: dict[str, Outlook] = {}
        kinds = [kind for kind in config.limits() if is_latency(kind) and csv_stem(kind) is None]
        self._network = _network(config)
        self._drawn = _draw(feasible, DRAWN if self._network else 1) if kinds else _Drawn((), 0, True)
        if self._drawn.networks <= FITTED + HELD_OUT or not self._drawn.candidates:
            return
        for kind in kinds:
            self._timers[kind] = Timer(config, kind, keep)
            if outlook := self._outlook(kind):
                self.outlooks[kind] = outlook

    def _outlook(self, kind: str) -> Outlook | None:
        timer, drawn = self._timers[kind], self._drawn
        begin = time.perf_counter()
        first = drawn.candidates[0]
        if timer.network(first, self._arguments(first), again=True) is None:
            return None
        each = time.perf_counter() - begin
        if drawn.networks * each <= PATIENCE:
            return None
        if self._network is None:
            return Outlook(kind, drawn.networks, drawn.exact, each, (), float("inf"))
        network = self._network
        parts = tuple(dict.fromkeys(p for c in drawn.candidates for p in network.parts(self._arguments(c))))
        new = [part for part in network.parts(self._arguments(first)) if not timer.knows(part)]
        begin = time.perf_counter()
        for part in new:
            timer.part(part)
        each_part = (time.perf_counter() - begin) / len(new) if new else each
        left = sum(not timer.knows(part) for part in parts)
        seconds = left * each_part + (FITTED + HELD_OUT) * each
        return Outlook(kind, drawn.networks, drawn.exact, each, parts, seconds)

    def predictors(self) -> dict[str, Predictor]:
        """By kind, of those whose outlook says so. A kind is missing where too few networks could be timed."""
        found = ((kind, self._make(outlook)) for kind, outlook in self.outlooks.items() if outlook.predicted)
        return {kind: predictor for kind, predictor in found if predictor is not None}

    def _make(self, outlook: Outlook) -> Predictor | None:
        from .predictor import Measured, Predictor  # loads torch, which who only reads a run does without

        assert self._network is not None
        timer = self._timers[outlook.kind]
        timed = {part: timer.part(part) for part in outlook.parts}
        times = {part: seconds for part, seconds in timed.items() if seconds is not None}
        sums = []
        for candidate in self._drawn.candidates:
            parts = self._network.parts(self._arguments(candidate))
            if all(part in times for part in parts):
                sums.append((sum(times[part] for part in parts), candidate))
        sums.sort(key=lambda pair: pair[0])
        # From the fastest to the slowest, every second one held out.
        chosen = [sums[round(i)][1] for i in _evenly(len(sums), FITTED + HELD_OUT)]
        measured = []
        for candidate in chosen:
            seconds = timer.network(candidate, arguments := self._arguments(candidate))
            if seconds is not None:
                measured.append(Measured(arguments, seconds))
        if len(measured) < 2 * FEWEST:
            return None
        return Predictor(self._network, times, measured[::2], measured[1::2])

    def _arguments(self, candidate: Candidate) -> dict[str, Any]:
        return self._feasible.space.config(candidate.setting)


def _network(config: RunConfig) -> Network | None:
    """What the networks of a run are made of; None where they are no lists of rows."""
    from ...families.rows import RowFamily  # loads torch
    from .predictor import Network

    family = families.family(config.model)
    return Network(family, config.input_size, config.num_classes) if isinstance(family, RowFamily) else None


def _draw(feasible: FeasibleSet, number: int) -> _Drawn:
    """Random networks, ``number`` of them or all that there are; in a space that is not small as many settings."""
    rng = random.Random(0)
    if feasible.small:
        try:
            candidates = feasible.candidates
        except UserError:  # the model refuses some setting
            return _Drawn((), 0, True)
        chosen = rng.sample(range(len(candidates)), min(number, len(candidates)))
        return _Drawn([candidates[i] for i in chosen], len(candidates), True)
    space = feasible.space
    found: dict[str, Candidate] = {}
    hits = 0
    for _ in range(number):
        values = space.values_at(rng.randrange(space.size))
        try:
            candidate = feasible.candidate(values) if space.allows_values(values) else None
        except UserError:
            continue
        if candidate is not None:
            hits += 1
            found.setdefault(candidate.arch_id, candidate)
    enough = min(TRIES, number)
    for _ in range(enough if len(found) < enough else 0):
        if candidate := feasible.draw(rng, found.keys()):
            found[candidate.arch_id] = candidate
    return _Drawn(list(found.values()), round(space.size * max(1, hits) / number), False)


def _evenly(length: int, number: int) -> list[float]:
    """``number`` positions in a list of ``length``, from the first to the last; all where there are no more."""
    if length <= number:
        return list(range(length))
    return [i * (length - 1) / (number - 1) for i in range(number)]
