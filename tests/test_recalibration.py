"""BatchNorm statistics that are estimated anew, and what that brings after a conversion."""

import copy

import pytest
import timm
import torch

import mgic_nas
from mgic_nas import UserError
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
