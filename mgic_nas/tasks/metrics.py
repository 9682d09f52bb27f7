"""What ``val_acc`` is for each task, in words. No torch here: progress lines and reports name it."""

from __future__ import annotations

from dataclasses import dataclass

from .._text import fixed


@dataclass(frozen=True)
class Metric:
    """The score of a task, in percent, higher is better.

    Attributes:
        name: as a heading says it.
        short: in front of a number.
        score: what several networks are compared by, in the middle of a sentence.
        item: what one input is called.
        items: several of them.
        of_items: whether it is the share of inputs that are right, and so has a binomial standard error.
        of_classes: whether there are classes to guess among.
        blind: what gives :meth:`floor` without looking at an input.
        loss: what ``val_loss`` is where people quote it too; "" where they do not.
    """

    name: str
    short: str
    score: str
    item: str
    items: str
    of_items: bool
    of_classes: bool
    blind: str
    loss: str = ""

    def floor(self, num_classes: int) -> float:
        """What is reached at most without looking at an input, in percent.

        One class for every pixel has an intersection over union of at most one for that class and none for the
        others, so that their mean is at most that of guessing; a constant explains no variance.
        """
        return 100 / max(num_classes, 1) if self.of_classes else 0.0

    def text(self, value: float, decimals: int = 2) -> str:
        """``top-1 81.30 %``."""
        return f"{self.short} {fixed(value, decimals)} %"


TOP1 = Metric("top-1 accuracy", "top-1", "accuracy", "image", "images", True, True, "guessing")
CLOUDS = Metric("top-1 accuracy", "top-1", "accuracy", "point cloud", "point clouds", True, True, "guessing")
MIOU = Metric("mIoU", "mIoU", "mIoU", "image", "images", False, True, "one class for every pixel")
_VARIANCE = "explained variance"
EXPLAINED = Metric(_VARIANCE, _VARIANCE, _VARIANCE, "sample", "samples", False, False, "a constant", loss="MSE")
OWN = Metric("accuracy", "accuracy", "accuracy", "item", "items", False, False, "a constant")
