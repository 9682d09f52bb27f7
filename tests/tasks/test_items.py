"""What becomes of each item: by it two networks are compared on the same images, so it must add up to the score."""

import numpy as np
import pytest
import torch

from mgic_nas.tasks import JudgesItems, load_data
from mgic_nas.tasks.segmentation.task import class_iou


class Guess(torch.nn.Module):
    """Scores that depend on the input, so that some items are right and some are not."""

    def __init__(self, channels: int, classes: int, pixels: bool) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer = torch.nn.Conv2d(channels, classes, 1)
        self.pixels = pixels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.layer(x if x.ndim == 4 else x.unsqueeze(3))
        return scores if self.pixels else scores.mean((2, 3))


@pytest.mark.parametrize(
    "spec",
    ["fashion?train=40&val=60", "segmentation:shapes?train=4&val=7&size=16", "functions:waves?train=4&val=50&test=9"],
)
def test_items_add_up_to_the_score(spec: str) -> None:
    data = load_data(spec)
    task = data.task
    assert isinstance(task, JudgesItems)
    net = Guess(data.info.in_chans, data.info.num_classes, spec.startswith("segmentation"))
    items = task.evaluate_items(net, data.val, batch_size=16)
    scores = data.task.evaluate(net, data.val, batch_size=16)
    assert items.scores == pytest.approx(scores)
    assert items.without.shape == (len(data.val),)
    # A jackknife's mean is close to the statistic, and its values differ between items.
    assert np.mean(items.without) == pytest.approx(scores["val_acc"], abs=2)
    assert np.ptp(items.without) > 0
    if items.right is not None:
        assert 100 * items.right.mean() == pytest.approx(scores["val_acc"])
        assert items.without == pytest.approx([100 * np.delete(items.right, i).mean() for i in range(len(data.val))])
    if items.confusion is not None and items.by_class is not None:
        assert items.confusion.shape == (data.info.num_classes,) * 2
        assert items.by_class.shape == (data.info.num_classes,)


def test_left_out_image_of_a_segmentation() -> None:
    data = load_data("segmentation:shapes?train=4&val=3&size=16")
    net = Guess(3, data.info.num_classes, True)
    assert isinstance(data.task, JudgesItems)
    items = data.task.evaluate_items(net, data.val)
    x, y = next(data.val.batches(3))
    with torch.no_grad():
        found = net(x).argmax(1)
    rest = [0, 2]
    classes = data.info.num_classes
    labelled = y[rest] != 255
    index = (y[rest] * classes + found[rest])[labelled]
    counts = torch.bincount(index, minlength=classes**2).view(classes, classes)
    assert items.without[1] == pytest.approx(float(class_iou(counts).nanmean()))
