"""The training of a network that is to be used: which weights count, and what a recipe's settings do to them."""

import json
from typing import Any

import pytest
import torch
from fakes.tasks import refused
from safetensors.torch import load_file

from mgic_nas.tasks import load_data
from mgic_nas.train import Setup, attempt_folder, get_recipe, loop, read_result, work, worker
from mgic_nas.train.final import right_items
from mgic_nas.train.job import Final, latest_checkpoint
from mgic_nas.train.loop import Training
from mgic_nas.train.making import check_recipe


def recipe(**changes: Any) -> Any:
    return get_recipe({"name": "quick", **changes})


def trained(bench: Any, epochs: int = 1, **changes: Any) -> Training:
    training = Training(bench.job(last_epoch=epochs), bench.setup(epochs=epochs, **changes))
    list(training.epochs())
    return training


def test_best_weights_are_those_of_the_best_epoch_also_from_before_a_checkpoint(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    accs = {1: 50.0, 2: 70.0, 3: 60.0, 4: 70.0}
    now = lambda self, split: {"val_acc": accs[len(self.curve) + 1], "val_loss": 1.0}  # noqa: E731
    monkeypatch.setattr(Training, "_evaluate", now)
    monkeypatch.setattr(worker, "SHARE", 1.0)  # a checkpoint after every epoch
    given = {"data": "fashion?train=64&val=20&test=30", "recipe": recipe(sched="constant")}
    second = trained(bench, 2, final=Final(), **given)
    setup = bench.setup(epochs=4, final=Final(weights="best"), **given)
    assert Setup.from_dict(json.loads(json.dumps(setup.to_dict()))) == setup  # as it travels to a Ray worker
    going = work(bench.job(last_epoch=4), setup)
    for _ in range(3):
        next(going)
    going.close()
    epochs, path = latest_checkpoint(setup.folder, 0) or (0, None)
    assert epochs == 3
    list(work(bench.job(attempt=1, first_epoch=epochs, last_epoch=4, checkpoint=str(path)), setup))
    result = read_result(setup.folder, 0, 1)
    assert result is not None
    assert (result["val_acc"], result["weights_epoch"], result["epochs"]) == (70.0, 2, 4)
    saved = load_file(attempt_folder(setup.folder, 0, 1) / "weights.safetensors")
    assert all(torch.equal(saved[k], v) for k, v in second.chosen_weights().items())


def test_test_score_is_of_the_kept_weights_with_a_bit_an_image(bench: Any) -> None:
    setup = bench.setup(epochs=1, final=Final(), data="fashion?train=64&val=20&test=30")
    list(work(bench.job(last_epoch=1), setup))
    result = read_result(setup.folder, 0, 0)
    assert result is not None
    right = right_items(result["test"])
    assert right is not None
    assert (len(right), result["test"]["items"]) == (30, 30)
    assert result["test"]["acc"] == pytest.approx(100 * right.mean())
    net = loop.build_network("tiny", bench.job().config, 10, 1)
    net.load_state_dict(load_file(attempt_folder(setup.folder, 0, 0) / "weights.safetensors"))
    net.to(memory_format=torch.channels_last)
    data = load_data(setup.data)
    assert data.test is not None
    assert data.task.evaluate(net, data.test)["val_acc"] == result["test"]["acc"]


def test_with_validation_images_there_is_no_accuracy_on_them_and_more_is_trained_on(bench: Any) -> None:
    data = "fashion?train=64&val=64"
    both = trained(bench, data=data, final=Final(with_val=True))
    assert both.curve[-1]["val_acc"] is None
    assert (both.steps, trained(bench, data=data).steps) == (2, 1)
    assert len(loop.cached_data(data).train) == 64  # others still train on what they did


def test_gradients_of_two_half_batches_make_the_update_of_one_whole(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plain(model: str, config: Any, classes: int, chans: int) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(14 * 14 * chans, classes))

    monkeypatch.setattr(loop, "build_network", plain)
    whole = trained(bench, recipe=recipe(batch_size=64))
    halves = trained(bench, recipe=recipe(batch_size=32, grad_accum_steps=2))
    assert whole.steps == halves.steps == 5
    for one, other in zip(whole.net.parameters(), halves.net.parameters()):
        assert torch.allclose(one, other, atol=1e-6)
    odd = trained(bench, recipe=recipe(batch_size=64, grad_accum_steps=2))  # 5 batches: the last update has one
    assert odd.steps == 3


def test_average_of_the_weights_is_what_is_scored_and_kept(bench: Any) -> None:
    plain, averaged = trained(bench), trained(bench, recipe=recipe(ema_decay=0.5, ema_warmup=False))
    assert averaged.curve[-1]["train_loss"] == plain.curve[-1]["train_loss"]  # the training itself is the same
    assert averaged.curve[-1]["val_loss"] != plain.curve[-1]["val_loss"]
    kept = averaged.chosen_weights()
    assert all(torch.equal(kept[k], v) for k, v in averaged.scored.state_dict().items())
    assert not torch.equal(kept["0.weight"], averaged.net.state_dict()["0.weight"])


def test_half_precision_on_the_cpu_is_for_those_who_ask(bench: Any) -> None:
    plain, auto, half = (trained(bench, recipe=recipe(amp=amp)) for amp in ("off", "auto", "bfloat16"))
    assert plain.curve[0]["train_loss"] == auto.curve[0]["train_loss"]
    assert half.curve[0]["train_loss"] == pytest.approx(plain.curve[0]["train_loss"], rel=0.1)
    assert half.curve[0]["train_loss"] != plain.curve[0]["train_loss"]
    assert all(tensor.dtype != torch.bfloat16 for tensor in half.chosen_weights().values())


def test_mixing_ends_with_its_epoch_and_is_for_pairs_of_images(bench: Any) -> None:
    never = trained(bench, 2, recipe=recipe(mixup=0.5, mixup_prob=1e-9))
    late = trained(bench, 2, recipe=recipe(mixup=0.5, mixup_off_epoch=1))
    mixed = trained(bench, 2, recipe=recipe(mixup=0.5))
    assert late.curve[0]["train_loss"] == mixed.curve[0]["train_loss"] != never.curve[0]["train_loss"]
    assert late.curve[1]["train_loss"] != mixed.curve[1]["train_loss"]
    data = load_data("fashion?train=64&val=20")
    assert "even" in refused(check_recipe, recipe(batch_size=33, cutmix=1.0), data)
    waves = load_data("functions:waves?train=100&val=10&test=10")
    assert "not of functions" in refused(check_recipe, recipe(mixup=1.0), waves)


def test_warm_up_that_never_ends_is_refused() -> None:
    data = load_data("fashion?train=64&val=20")
    assert "warm-up of 5 epochs does not end within 3" in refused(check_recipe, get_recipe("full"), data, 3)
    check_recipe(get_recipe("full"), data, 6)
