"""A network's parts, which are timed one by one: nothing is left out, nothing counted twice."""

import itertools
from typing import Any

import pytest
import torch

from mgic_nas import families
from mgic_nas.families.rows import RowFamily
from mgic_nas.models.parts import parts_of

NETWORKS = [
    ("mgic_resnet20", {"depths": 1, "s_g": 4, "s_c": 8}, (1, 14, 14)),
    ("mgic_resnet18", {"s_g": 32}, (3, 64, 64)),
    ("mgic_mobilenetv3_small_100", {"s_g": 8}, (3, 64, 64)),
]


@pytest.mark.parametrize(("name", "config", "size"), NETWORKS)
def test_parts_are_the_network_and_run_at_their_sizes(name: str, config: dict[str, Any], size: Any) -> None:
    """Their parameters are the network's, and each gives what the next one gets."""
    family = families.family(name)
    assert isinstance(family, RowFamily)
    parts = parts_of(family.rows(config, size[0]), size, 7)
    modules = [part.timed().eval() for part in parts]
    own = sum(p.numel() for module in modules for p in module[1:].parameters())  # type: ignore[index]
    assert own == sum(p.numel() for p in family.build(config, 7, size[0]).parameters())
    for part, following in itertools.pairwise(parts):
        assert part.row is not None
        inside = part.timed().eval()[:2]  # type: ignore[index]
        shape = inside(torch.zeros(1, *part.timed_size)).shape
        assert shape[1:] == (following.c_in, following.height, following.width)
    assert modules[-1](torch.zeros(2, *parts[-1].timed_size)).shape == (2, 7)


def test_digest_tells_parts_apart() -> None:
    """Two rows under one name would have one time."""
    family = families.family("mgic_resnet20")
    assert isinstance(family, RowFamily)
    several = [
        part
        for s_g, side, classes in itertools.product((4, 8), (16, 32), (10, 100))
        for part in parts_of(family.rows({"s_g": s_g}), (3, side, side), classes)
    ]
    assert len({part.digest for part in several}) == len(set(several)) > 10
