"""The score of a finished training on the test split."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from ..tasks.base import JudgesItems
from .right import packed, unpacked
from .stages import DATA, Watched, during

if TYPE_CHECKING:
    from .loop import Training


def score_on_test(training: Training) -> dict[str, Any] | None:
    """The score on the test split of the weights that a finished training leaves; None where the data have none.

    ``{"acc": percent, "loss": mean, "items": N}``, and of tasks in which an item is right or wrong ``"right"``, a
    bit an item in the split's order (see :func:`right_items`), with ``"labels"``, a hash of the true classes: two
    networks can be compared item by item where it is the same.
    """
    with during(DATA):
        split = training.data.test
    if split is None:
        return None
    net, task = training.scored, training.data.task
    net.load_state_dict(training.chosen_weights())
    given: dict[str, Any] = {"device": training.device, "batch_size": 2 * training.recipe.batch_size}
    if not isinstance(task, JudgesItems):
        scores, right = task.evaluate(net, Watched(split), **given), None
    else:
        items = task.evaluate_items(net, Watched(split), **given)
        scores, right = items.scores, items.right
    found: dict[str, Any] = {"acc": scores["val_acc"], "loss": scores["val_loss"], "items": len(split)}
    if right is not None:
        found["right"] = base64.b64encode(packed(right)).decode()
        found["labels"] = hashlib.sha256(np.asarray(split.labels).astype("<i8").tobytes()).hexdigest()[:16]
    return found


def right_items(scores: dict[str, Any]) -> np.ndarray | None:
    """bool (N,), which test items were right, from what :func:`score_on_test` gave; None where it is not known."""
    if not scores.get("right"):
        return None
    return unpacked(base64.b64decode(scores["right"]), scores["items"])
