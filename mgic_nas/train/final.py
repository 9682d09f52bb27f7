"""The score of a finished training on the test split."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from .stages import DATA, Watched, during

if TYPE_CHECKING:
    from .loop import Training


def score_on_test(training: Training) -> dict[str, Any] | None:
    """The score on the test split of the weights that a finished training leaves; None where the data have none.

    ``{"acc": percent, "loss": mean, "items": N}``, and of tasks with one class an item ``"right"``, a bit an item in
    the split's order (see :func:`right_items`), with ``"labels"``, a hash of the true classes: two networks can be
    compared item by item where it is the same.
    """
    with during(DATA):
        split = training.data.test
    if split is None:
        return None
    net, task = training.scored, training.data.task
    net.load_state_dict(training.chosen_weights())
    given: dict[str, Any] = {"device": training.device, "batch_size": 2 * training.recipe.batch_size}
    if not hasattr(task, "answers"):
        scores = task.evaluate(net, Watched(split), **given)
        return {"acc": scores["val_acc"], "loss": scores["val_loss"], "items": len(split)}
    answers = task.answers(net, Watched(split), **given)
    return {
        "acc": answers.accuracy,
        "loss": answers.loss,
        "items": len(split),
        "right": base64.b64encode(np.packbits(answers.right).tobytes()).decode(),
        "labels": hashlib.sha256(answers.labels.astype("<i8").tobytes()).hexdigest()[:16],
    }


def right_items(scores: dict[str, Any]) -> np.ndarray | None:
    """bool (N,), which test items were right, from what :func:`score_on_test` gave; None where it is not known."""
    if not scores.get("right"):
        return None
    bits = np.frombuffer(base64.b64decode(scores["right"]), dtype=np.uint8)
    return np.unpackbits(bits, count=scores["items"]).astype(bool)
