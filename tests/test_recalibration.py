"""BatchNorm statistics that are estimated anew, and what that brings after a conversion."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import timm
import torch

import mgic_nas
from mgic_nas import UserError
from mgic_nas.recalibration import BATCH
from mgic_nas.train.job import Job, Setup
from mgic_nas.train.loop import Training
from mgic_nas.train.recipes import get_recipe


def test_statistics_are_those_of_the_images_and_weights_stay() -> None:
    torch.manual_seed(0)
    net = timm.create_model("mgic_resnet20", depths=1).eval()
    weights = copy.deepcopy(dict(net.named_parameters()))
    images = 3 + 2 * torch.randn(300, 3, 8, 8)  # more than one batch
    assert mgic_nas.recalibrate(net, images) is net
    assert not net.training
    assert all(torch.equal(p, weights[name]) for name, p in net.named_parameters())
    first = net.stem[0].conv(images)
    assert torch.allclose(net.stem[0].bn.running_mean, first.mean((0, 2, 3)), atol=0.1)
    assert net.stem[0].bn.momentum == 0.1
    batches = [(images[:150], torch.zeros(150)), (images[150:], torch.zeros(150))]  # as a loader gives them
    again = mgic_nas.recalibrate(copy.deepcopy(net).train(), iter(batches))
    assert again.training
    assert torch.allclose(again.stem[0].bn.running_mean, net.stem[0].bn.running_mean, atol=0.1)
    for nothing in (images[:0], []):
        with pytest.raises(UserError, match="needs images"):
            mgic_nas.recalibrate(net, nothing)


def wrong_batches() -> list[tuple[str, Any, str]]:
    good = torch.randn(4, 3, 32, 32)
    nan = good.clone()
    nan[2, 0, 3, 3] = float("nan")
    return [
        ("channels", [good, good[:, :1]], "does not take batch 2, (4, 1, 32, 32)"),
        ("uint8", good.to(torch.uint8), "torch.uint8"),
        ("one value a channel", torch.randn(1, 3, 32, 32), "does not take batch 1"),
        ("no batch", good[0], "does not take batch 1"),
        ("nan", [good, (nan, torch.zeros(4))], "batch 2 has values that are not finite"),
        ("overflow", good * 3e38, "not finite"),
        ("dtype", good.double(), "does not take batch 1"),
        ("arrays", [good.numpy()], "ndarray"),
        ("an empty one", [good, good[:0]], "batch 2 has no images"),
        ("no images", 7, "needs images"),
    ]


@pytest.mark.parametrize(
    ("images", "words"), [case[1:] for case in wrong_batches()], ids=[c[0] for c in wrong_batches()]
)
@pytest.mark.parametrize("training", [False, True])
def test_images_that_it_does_not_take_leave_the_network_as_it_was(images: Any, words: str, training: bool) -> None:
    net = mgic_nas.recalibrate(timm.create_model("resnet18", num_classes=3), torch.randn(8, 3, 64, 64)).train(training)
    net.bn1.eval()  # frozen, say
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(UserError) as caught:
        mgic_nas.recalibrate(net, images)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert (net.bn1.momentum, net.layer1[0].bn1.momentum) == (0.1, 0.1)
    assert (net.training, net.layer1.training, net.bn1.training) == (training, training, False)


def test_an_error_of_the_users_own_batches_is_passed_on_and_leaves_the_network_as_it_was() -> None:
    net = timm.create_model("mgic_resnet20", depths=1).eval()
    before = copy.deepcopy(net.state_dict())

    def batches() -> Iterator[torch.Tensor]:
        yield torch.randn(4, 3, 8, 8)
        raise OSError("the disk")

    with pytest.raises(OSError, match="the disk"):
        mgic_nas.recalibrate(net, batches())
    assert not net.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_one_image_that_is_over_goes_with_the_last_batch() -> None:
    net = timm.create_model("resnet18", num_classes=3)  # at 32 pixels its last maps are 1x1
    mgic_nas.recalibrate(net, torch.randn(BATCH + 1, 3, 32, 32))
    assert net.bn1.num_batches_tracked == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_trained_network_that_is_converted_keeps_more_of_its_accuracy() -> None:
    """With the correction at zero and statistics of a few batches."""
    setup = Setup("resnet18", "fashion?size=32", 3, get_recipe("quick"), "")
    training = Training(Job(0, 1, {}, 0, 3), setup)
    list(training.epochs())
    net, data = training.net.eval(), training.data

    def accuracy(network: torch.nn.Module) -> float:
        return data.task.evaluate(network, data.val)["val_acc"]

    batches = [x for x, _ in data.train.batches(256, augment=True)][:8]  # in random order
    as_before = mgic_nas.mgicify(net, 32, 64, init="weights", zero_init_correction=False)
    converted = mgic_nas.mgicify(net, 32, 64, init="weights")
    assert converted.mgic_report.replaced
    found = {"original": accuracy(net), "before": accuracy(as_before), "converted": accuracy(converted)}
    found["recalibrated"] = accuracy(mgic_nas.recalibrate(converted, batches))
    print(found)
    assert found["recalibrated"] > found["before"]
    assert found["recalibrated"] > found["converted"] - 1
