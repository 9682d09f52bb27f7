"""``fuse`` for a target: what is measured to be faster there is returned, and nothing else."""

import importlib.util
from collections.abc import Mapping

import pytest
import timm
import torch
from torch import nn

import mgic_nas
from mgic_nas.cost import fused
from mgic_nas.cost.runtimes import prepare
from mgic_nas.errors import UserError
from mgic_nas.models.merging import FoldedBlock

SIZE = (3, 16, 16)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    made: nn.Module = timm.create_model("mgic_resnet20", s_g=4, s_c=8, depths=1, num_classes=10)
    return made


def clock(monkeypatch: pytest.MonkeyPatch, faster: Mapping[str, float]) -> list[list[str]]:
    """Forms take 1 s, or what is said of them by name; gives the names that were measured, by step."""
    asked: list[list[str]] = []

    def times(contestants: Mapping[str, tuple[str, nn.Module]], *_: object, **__: object) -> dict[str, float]:
        asked.append(list(contestants))
        return {name: faster.get(name, 1.0) for name in contestants}

    monkeypatch.setattr(fused, "times_in_turns", times)
    return asked


def groups(net: nn.Module) -> list[int]:
    return [m.groups for m in net.modules() if isinstance(m, nn.Conv2d)]


def test_the_fastest_form_of_each_step_is_taken(net: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = clock(monkeypatch, {"3x3 to 16": 0.5, "3x3 to 8": 0.8, "corrections folded": 0.9})
    form = mgic_nas.fuse(net, "torch", input_size=SIZE)
    assert [names[0] for names in asked] == ["as it is"] * 4
    assert any(isinstance(m, FoldedBlock) for m in form.modules())
    narrow = [m for m in form.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) and m.in_channels > 3]
    assert all(m.in_channels // m.groups >= 16 or m.groups in (1, m.in_channels) for m in narrow)
    x = torch.randn(2, *SIZE)
    with torch.no_grad():
        torch.testing.assert_close(form(x), mgic_nas.fuse(net)(x), rtol=1e-4, atol=1e-5)


def test_what_is_hardly_faster_is_not_taken(net: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    clock(monkeypatch, {"3x3 to 16": 0.98, "corrections folded": 1.2, "1x1 to 8": 0.99})
    form = mgic_nas.fuse(net, "torch", input_size=SIZE)
    assert str(form) == str(mgic_nas.fuse(net))


def test_without_a_target_nothing_is_measured(net: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = clock(monkeypatch, {"3x3 to 16": 0.1})
    assert groups(mgic_nas.fuse(net)) == groups(net)
    assert not asked


def test_a_network_without_narrow_groups_has_one_form(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = clock(monkeypatch, {})
    plain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, groups=8))
    assert isinstance(mgic_nas.fuse(plain, "openvino", input_size=SIZE), nn.Sequential)
    assert not asked
    mgic_nas.fuse(plain, "torch", input_size=SIZE)
    assert asked == [["as it is", "channels last"]]


@pytest.mark.parametrize("target", ["torch", "onnxruntime", "openvino"])
def test_the_chosen_form_runs_in_its_runtime(net: nn.Module, target: str) -> None:
    if target != "torch" and (importlib.util.find_spec(target) is None or importlib.util.find_spec("onnx") is None):
        pytest.skip(f"{target} is not installed")
    form = mgic_nas.fuse(net, target, input_size=SIZE)
    x = torch.randn(1, *SIZE)
    prepared = prepare(target, form, SIZE)
    with torch.no_grad(), prepared.active():
        torch.testing.assert_close(prepared.outputs(x), mgic_nas.fuse(net)(x), rtol=1e-3, atol=1e-4)


def test_wrong_targets_are_refused(net: nn.Module) -> None:
    with pytest.raises(UserError, match="onnxruntim"):
        mgic_nas.fuse(net, "onnxruntim")
    with pytest.raises(UserError, match="input_size"):
        mgic_nas.fuse(nn.Sequential(nn.Conv2d(3, 8, 3)), "torch")
