"""What of a space a recorded table holds, where that is not everything which a search might propose."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from ..cost import Cost
from ..space.conditions import Scalar, Values
from ..space.feasible import FeasibleSet, Space
from ..space.listed import ListedSpace
from ..space.search_space import SearchSpace
from .table import Architecture
from .tables import AnyTable


class Part(ListedSpace):
    """Some architectures of a space, each by one setting; parameters, names and configurations are the space's."""

    def __init__(self, space: SearchSpace, architectures: Sequence[Architecture]) -> None:
        rows = [tuple(a.setting[name] for name in space.params) for a in architectures]
        costs = [Cost(**{kind: int(count) for kind, count in a.cost.items()}) for a in architectures]
        super().__init__(space.model, space.params, rows, costs)
        self._space = space

    def is_range(self, name: str) -> bool:
        return self._space.is_range(name)

    def bounds(self, name: str) -> tuple[float, float, float]:
        return self._space.bounds(name)

    def config(self, setting: Mapping[str, Scalar]) -> dict[str, Any]:
        return self._space.config(setting)

    def canonical_values(self, values: Values) -> Hashable:
        return self._space.canonical_values(values)

    def arch_id_values(self, values: Values) -> str:
        return self._space.arch_id_values(values)


def searchable(table: AnyTable, limit: float) -> Space:
    """What searches within so many MACs choose from: the table's space, or only what the table holds of it.

    A table holds less where its recording was interrupted, where it was made within a budget on something else than
    MACs, or within a smaller one.
    """
    space = table.space
    if not isinstance(space, SearchSpace):
        return space
    found = FeasibleSet(space, table.config.input_size, table.config.num_classes, {"macs": limit}).candidates
    return space if all(c.arch_id in table.index for c in found) else Part(space, table.architectures)
