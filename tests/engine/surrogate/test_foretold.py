"""What an earlier search foretells: believed where it proves true, and no harm where it does not."""

import numpy as np
import pytest

from mgic_nas.engine.surrogate.foretold import ForetoldProcess, accuracy_model
from mgic_nas.engine.surrogate.gaussian_process import GaussianProcess, TrainingData

GROUPS = tuple((column,) for column in range(4))


def world(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, 4), and accuracies that no line or smooth surface foretells well from few of them."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n, 4))
    return x, 80 + 3 * np.sin(5 * x[:, 0]) * np.cos(4 * x[:, 1]) + 2 * np.sign(x[:, 2] * x[:, 3])


def data(x: np.ndarray, y: np.ndarray, told: np.ndarray, sure: float = 0.1) -> TrainingData:
    features = np.column_stack([x, told, np.full(len(told), sure)])
    return TrainingData(features, y, np.zeros(len(y)), GROUPS)


def errors(seed: int, told_of: str, n: int = 16) -> tuple[float, float]:
    """Root mean square errors on 200 unseen ones: (with what is foretold, without)."""
    x, y = world(seed, n + 200)
    rng = np.random.default_rng(seed + 1)
    right = (y - 80) / 3 + rng.normal(0, 0.1, len(y))  # another scale, and another level
    told = {"right": right, "shuffled": rng.permutation(right), "negated": -right}[told_of]
    both = ForetoldProcess(data(x[:n], y[:n], told[:n]))
    alone = GaussianProcess(TrainingData(x[:n], y[:n], np.zeros(n), GROUPS))
    new = np.column_stack([x[n:], told[n:], np.full(200, 0.1)])
    found = both.predict(new)[0], alone.predict(x[n:])[0]
    return tuple(float(np.sqrt(np.mean((f - y[n:]) ** 2))) for f in found)  # type: ignore[return-value]


@pytest.mark.parametrize("told_of", ["right", "negated"])
def test_what_proves_true_is_believed_whatever_its_scale(told_of: str) -> None:
    found = np.array([errors(seed, told_of) for seed in range(5)])
    assert np.median(found[:, 0]) < 0.35 * np.median(found[:, 1])


def test_what_misleads_does_little_harm() -> None:
    found = np.array([errors(seed, "shuffled") for seed in range(8)])
    assert np.mean(found[:, 0]) < 1.1 * np.mean(found[:, 1])


def test_an_unsure_word_leaves_the_prediction_unsure() -> None:
    x, y = world(0, 20)
    told = (y - 80) / 3
    model = ForetoldProcess(data(x, y, told))
    sure, unsure = (model.predict(np.column_stack([x[:1], told[:1], [s]]))[1][0] for s in (0.01, 2.0))
    assert unsure > 2 * sure


def test_without_an_earlier_search_the_model_is_the_usual_one() -> None:
    x, y = world(0, 12)
    assert isinstance(accuracy_model(TrainingData(x, y, np.zeros(12), GROUPS)), GaussianProcess)
    assert isinstance(accuracy_model(TrainingData(x, y, np.zeros(12))), GaussianProcess)
    assert isinstance(accuracy_model(data(x, y, y)), ForetoldProcess)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_observations_are_enough(n: int) -> None:
    x, y = world(4, n)
    mean, deviation = ForetoldProcess(data(x, y, y)).predict(data(x, y, y).features)
    assert np.isfinite(mean).all()
    assert (deviation > 0).all()
