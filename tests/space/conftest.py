"""A small family that needs no network, so that what is tested here is the space alone."""

import json
from dataclasses import dataclass

import pytest

from mgic_nas.cost import Cost
from mgic_nas.errors import UserError
from mgic_nas.space import SearchSpace, reader


@dataclass(frozen=True)
class FakeFamily:
    """Cost grows with every number. ``twin`` is accepted and changes nothing, so settings share architectures."""

    name: str = "fake"
    arguments: frozenset = frozenset({"width", "group", "coarse", "mode", "depth", "twin", "flag"})

    def canonical(self, config):
        for key, value in config.items():
            if key not in self.arguments:
                raise UserError(f"fake takes no argument {key!r}.")
            numbers = value if isinstance(value, (list, tuple)) else [value]
            if key in ("width", "group", "coarse", "depth") and not all(
                isinstance(n, (int, float)) and 0 < n < 1000 for n in numbers
            ):
                raise UserError(f"{key} must be positive and below 1000, not {value!r}.")
            if isinstance(value, (list, tuple)) and len(value) not in (2, 3):
                raise UserError(f"{key} takes 2 or 3 values, not {len(value)}.")
        if config.get("mode") == "bad":
            raise UserError("no mode 'bad'.")
        if config.get("mode") == "picky" and config.get("group") == 8:
            raise UserError("picky does not go with group 8.")
        return tuple(
            sorted((k, tuple(v) if isinstance(v, (list, tuple)) else v) for k, v in config.items() if k != "twin")
        )

    def arch_id(self, config):
        digest = hash(json.dumps(self.canonical(config))) & 0xFFFFFFFFFFFF
        return f"{digest:012x}"

    def cost(self, config, input_size, num_classes):
        total = 1.0
        for key, value in self.canonical(config):
            numbers = value if isinstance(value, tuple) else (value,)
            for n in numbers:
                total *= 1 + n if isinstance(n, (int, float)) else 1 + len(str(n)) + (key == "mode")
        macs = int(100 * total) * input_size[1] * input_size[2]
        return Cost(macs, macs // 2, int(100 * total) + num_classes, 10 * int(total))


@pytest.fixture(autouse=True)
def fake_family(monkeypatch):
    """``model: fake`` is the small family; every other name is what it always is."""
    real = reader.family
    fake = FakeFamily()
    monkeypatch.setattr(reader, "family", lambda name: fake if name == "fake" else real(name))
    return fake


@pytest.fixture
def space_of():
    """space_of(params, where=..., kwargs=...) of the small family."""

    def make(params, **other):
        return SearchSpace.from_dict({"model": "fake", "params": params, **other})

    return make
