"""A family from outside the package: one class, and one call that registers it."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import mgic_nas
from mgic_nas import _registry
from mgic_nas.errors import UserError
from mgic_nas.families import FAMILIES, create_model_line, family, in_timm
from mgic_nas.families.counted import CountedFamily


class PlainFamily(CountedFamily):
    """Convolutions of equal width."""

    arguments = frozenset({"width"})
    input_size, num_classes = (3, 8, 8), 10

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def canonical(self, config: dict[str, Any]) -> Any:
        self.refuse_unknown(config)
        return self.name, config.get("width", 4)

    def build(self, config: dict[str, Any], num_classes: int, in_chans: int, **kwargs: Any) -> nn.Module:
        _, width = self.canonical(config)
        return nn.Sequential(
            nn.Conv2d(in_chans, width, 3, padding=1, **kwargs),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, num_classes, **kwargs),
        )


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(FAMILIES, "_entries", dict(FAMILIES._entries))
    monkeypatch.setattr(_registry, "_REGISTRATIONS", dict(_registry._REGISTRATIONS))
    FAMILIES.register("plain_net", PlainFamily)
    family.cache_clear()
    yield "plain_net"
    family.cache_clear()


def test_it_is_costed_built_and_searched_like_any_other(plain: str) -> None:
    assert mgic_nas.profile(plain, width=6).macs == 6 * 3 * 9 * 64 + 60
    assert mgic_nas.create_model(plain, width=6)(torch.zeros(2, 3, 8, 8)).shape == (2, 10)
    space = mgic_nas.SearchSpace.from_dict({"model": plain, "params": {"width": {"choices": [4, 8]}}})
    assert len({space.arch_id({"width": width}) for width in (4, 8)}) == 2
    assert not in_timm(plain)
    assert create_model_line(plain, {"width": 4}, 10, 3).startswith('mgic_nas.create_model("plain_net"')
    with pytest.raises(UserError, match="Did you mean plain_net"):
        family("plain_nets")


def test_names_that_are_taken_are_refused(plain: str) -> None:
    with pytest.raises(UserError, match="there is a model named 'dgcnn' already"):
        FAMILIES.register("dgcnn", PlainFamily)
    FAMILIES.register(plain, PlainFamily)  # again: nothing changes


def test_another_process_registers_it_again(tmp_path: Path) -> None:
    """What a worker does with the registrations that come with its job."""
    (tmp_path / "outside.py").write_text(
        "from mgic_nas.families import FAMILIES\nfrom mgic_nas.families.counted import TimmFamily\n"
        "class Named(TimmFamily):\n"
        "    def __init__(self, name):\n        super().__init__('test_resnet')\n"
        "FAMILIES.register('outside', Named)\n"
    )
    driver = "import outside, pickle, sys; from mgic_nas._registry import registrations as r; "
    driver += "sys.stdout.buffer.write(pickle.dumps(r()))"
    run = {"cwd": tmp_path, "capture_output": True, "check": True}
    found = subprocess.run([sys.executable, "-c", driver], **run).stdout
    assert pickle.loads(found) == (("mgic_nas.families.names:FAMILIES", "outside", "outside:Named"),)
    worker = "import pickle, sys; from mgic_nas._registry import register_again; "
    worker += "register_again(pickle.loads(sys.stdin.buffer.read())); "
    worker += "from mgic_nas.families import family; print(type(family('outside')).__name__)"
    assert subprocess.run([sys.executable, "-c", worker], input=found, **run).stdout.split() == [b"Named"]
