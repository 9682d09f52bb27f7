"""Eq. 4.1 as a task: the formula, the ranges, and that the same numbers come back."""

import math

import numpy as np
import pytest
import torch

from mgic_nas.errors import UserError
from mgic_nas.models.implicit import implicit_mobilenetv3
from mgic_nas.tasks import load_data, resolve_spec
from mgic_nas.tasks.functions import RANGES, waves


def test_the_formula_is_eq_4_1() -> None:
    x, y, a, b, c = 1.0, 2.0, 0.5, 1.5, 12.0
    expected = a * math.cos(b * x) * math.sin(c * y)
    assert waves(torch.tensor([[x, y, a, b, c]], dtype=torch.float64)).item() == pytest.approx(expected, rel=1e-12)


def test_inputs_are_uniform_in_their_ranges_and_targets_belong_to_them() -> None:
    data = load_data("functions:waves?val=20000")
    (inputs, target), *rest = data.val.batches(20000)
    assert not rest
    assert (inputs.shape, inputs.dtype) == ((20000, 5, 1, 1), torch.float32)
    assert (target.shape, target.dtype) == ((20000,), torch.float32)
    low, high = torch.tensor(list(RANGES.values()), dtype=torch.float64).unbind(1)
    raw = inputs.view(-1, 5).double() * (high - low) / math.sqrt(12) + (low + high) / 2
    share = (raw - low) / (high - low)
    assert share.min() > -1e-6
    assert share.max() < 1 + 1e-6
    for quantile in (0.1, 0.5, 0.9):  # standard error 0.0035
        torch.testing.assert_close(share.quantile(quantile, 0), torch.full((5,), quantile).double(), rtol=0, atol=0.02)
    torch.testing.assert_close(waves(raw).float(), target, rtol=0, atol=1e-4)


def test_a_network_sees_inputs_of_mean_0_and_deviation_1() -> None:
    inputs, _ = next(iter(load_data("functions:waves?val=20000&y=0..1").val.batches(20000)))
    torch.testing.assert_close(inputs.mean(0).flatten(), torch.zeros(5), rtol=0, atol=0.03)
    torch.testing.assert_close(inputs.std(0).flatten(), torch.ones(5), rtol=0, atol=0.02)


def test_training_batches_depend_on_seed_and_epoch_alone_and_never_repeat() -> None:
    train = load_data("functions:waves?train=512").train

    def epoch(seed: int, number: int) -> torch.Tensor:
        return torch.cat([y for _, y in train.batches(128, seed=seed, epoch=number, augment=True)])

    assert torch.equal(epoch(1, 2), epoch(1, 2))
    drawn = torch.cat([epoch(seed, number) for seed in (0, 1) for number in (0, 1)])
    assert len(drawn) == 4 * 512 == 4 * 128 * train.steps(128)
    assert len(drawn.unique()) > 0.99 * len(drawn)


def test_held_out_samples_are_the_same_whatever_the_batch_size_and_the_caller_drew_before() -> None:
    data = load_data("functions:waves?val=1000&test=1000")
    assert data.test is not None
    whole = next(iter(data.val.batches(1000)))
    torch.manual_seed(5)
    parts = [torch.cat(part) for part in zip(*load_data("functions:waves?val=1000").val.batches(96))]
    assert torch.equal(whole[0], parts[0])
    assert torch.equal(whole[1], parts[1])
    assert not torch.equal(whole[1], next(iter(data.test.batches(1000)))[1])
    assert not torch.equal(whole[1], next(iter(load_data("functions:waves?val=1000&seed=1").val.batches(1000)))[1])
    assert data.info.fingerprint != load_data("functions:waves?val=1000&test=1000&seed=1").info.fingerprint


def test_a_narrower_range_narrows_the_target() -> None:
    target = next(iter(load_data("functions:waves?y=0..0.05&a=0..0.5").val.batches(5000)))[1]
    assert target.abs().max() <= 0.5 * math.sin(1) + 1e-5


def test_the_constant_mean_explains_nothing_and_the_function_itself_everything() -> None:
    data = load_data("functions:waves?val=3000")
    _, target = next(iter(data.val.batches(3000)))
    info = data.info

    class Truth(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            shape = (1, 5, 1, 1)
            raw = x.double() * torch.tensor(info.std).view(shape) + torch.tensor(info.mean).view(shape)
            return waves(raw.flatten(1))

    class Mean(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return target.mean().expand(len(x))

    mean = data.task.evaluate(Mean(), data.val)
    assert mean["val_acc"] == pytest.approx(0, abs=1e-4)
    assert mean["val_loss"] == pytest.approx(float(target.double().var(correction=0)), rel=1e-5)
    assert data.task.evaluate(Truth(), data.val)["val_acc"] > 99.9  # mean and std are rounded to four decimals
    assert np.array_equal(data.val.labels, target.numpy())
    assert data.task.loss(torch.zeros(3000, 1, 1, 1), target).item() == pytest.approx(float(target.square().mean()))


def test_a_network_learns_a_part_of_it() -> None:
    data = load_data("functions:waves?train=12800&val=2000&y=0..0.3")
    torch.manual_seed(0)
    net = implicit_mobilenetv3(32)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    net.train()
    for x, y in data.train.batches(128, seed=0, epoch=0, augment=True):
        optimizer.zero_grad()
        data.task.loss(net(x), y).backward()
        optimizer.step()
    assert data.task.evaluate(net, data.val)["val_acc"] > 50
    assert net.training


def test_info_is_what_a_network_is_built_from() -> None:
    info = load_data("functions:waves").info
    assert (info.num_classes, info.in_chans, info.input_size) == (1, 5, (5, 1, 1))
    assert info.sizes == {"train": 95_000, "val": 5_000, "test": 5_000}


def test_the_spec_is_recorded_in_a_fixed_order_and_opens_the_same_data() -> None:
    spec = resolve_spec("functions:waves?y=0..1&train=100")
    assert spec == "functions:waves?train=100&y=0..1"
    data = load_data(spec)
    assert data.spec == spec
    assert data.info.sizes["train"] == 100


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("functions:sine", "waves"),
        ("functions:waves?yy=0..1", "yy"),
        ("functions:waves?y=1..0", "range LOW..HIGH"),
        ("functions:waves?y=0..9", "within 0..6.28"),
        ("functions:waves?y=nan..1", "range LOW..HIGH"),
        ("functions:waves?train=0", "whole number"),
        ("functions:waves?train=5&train=6", "twice"),
        ("functions:waves?train", "option"),
    ],
)
def test_a_mistake_in_the_spec_is_named(spec: str, message: str) -> None:
    for call in (resolve_spec, load_data):
        with pytest.raises(UserError, match=message):
            call(spec)
