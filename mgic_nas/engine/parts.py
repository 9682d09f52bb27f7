"""What a run's configuration names, made: the task, the architectures to choose from, sampler and rungs."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from .config import RunConfig
from .filters import Task
from .pool import CandidatePool
from .rungs import Rungs, make_rungs
from .sampler import Search, make_sampler

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from ..space import SearchSpace
    from .latencies import Latencies


class Parts:
    """The parts of one run that decide.

    Args:
        config: of the run.
        space: what is searched.
        latencies: measures and remembers; None where no budget asks.
    """

    def __init__(self, config: RunConfig, space: SearchSpace, latencies: Latencies | None) -> None:
        self._config = config
        self._budgets = tuple((budget.kind, budget.limit) for budget in config.parsed_budgets())
        self.task = Task(space, config.input_size, config.num_classes, latencies)

    @cached_property
    def pool(self) -> CandidatePool:
        """What our own sampler and rungs choose from; not made where Optuna's do."""
        return CandidatePool(self.task, self._config.limits(), self._config.seed)

    def rungs(self) -> Rungs:
        """Early stopping."""
        return make_rungs(self._config.rungs, self._config.epochs, lambda: self.pool, self._budgets)

    def sampler(self, trials: int) -> BaseSampler:
        """The sampler of a study that has so many trials.

        One that began again with the same seed would propose the same again.
        """
        seed = (self._config.seed * 1_000_003 + trials) % 2**32
        return make_sampler(self._config.sampler, seed, lambda: self.pool, Search(self._config.epochs, self._budgets))
