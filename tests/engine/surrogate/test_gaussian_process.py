"""What the cost-aware sampler believes, against what can be worked out otherwise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mgic_nas.engine.surrogate.expected_gain import _normal, expected_gain
from mgic_nas.engine.surrogate.gaussian_process import Surrogate, TrainingData
from mgic_nas.engine.surrogate.learning_curves import LearningCurves
from mgic_nas.pareto import hypervolume, non_dominated


def test_the_normal_distribution_is_right() -> None:
    z = np.linspace(-6, 6, 200)
    assert np.abs(_normal(z) - [0.5 * math.erfc(-v / math.sqrt(2)) for v in z]).max() < 1e-7


@given(st.integers(0, 10_000))
def test_the_expected_gain_is_what_sampling_gives(seed: int) -> None:
    """The mean of the hypervolume gained over many draws of the candidate's accuracy."""
    rng = np.random.default_rng(seed)
    macs, accs = rng.uniform(1e5, 2e6, 6), rng.uniform(70, 80, 6)
    keep = np.flatnonzero(non_dominated(accs, macs))
    keep = keep[np.argsort(macs[keep])]
    reference = (69.0, 2.5e6)
    candidate, mean, deviation = rng.uniform(1e5, 2.4e6), rng.uniform(68, 82), rng.uniform(0.2, 2)
    exact = expected_gain(
        np.array([candidate]), np.array([mean]), np.array([deviation]), (macs[keep], accs[keep]), reference
    )[0]
    # Quantiles of the normal distribution stand for draws: the comparison is then not left to luck.
    draws = mean + deviation * np.sqrt(2) * np.array([_inverse_erf(q) for q in np.linspace(-0.999, 0.999, 401)])
    before = hypervolume(accs, macs, reference)
    gains = [hypervolume([*accs, a], [*macs, candidate], reference) - before for a in draws]
    assert exact == pytest.approx(np.mean(gains), rel=0.03, abs=3e-3)


def _inverse_erf(q: float) -> float:
    low, high = -6.0, 6.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < q else (low, middle)
    return low


def test_a_surrogate_learns_a_smooth_function_and_knows_what_it_does_not_know() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (60, 4))
    y = 75 + 3 * x[:, 0] + 2 * np.sin(2 * x[:, 1]) + rng.normal(0, 0.1, 60)
    model = Surrogate(TrainingData(x[:40], y[:40], np.zeros(40)))
    mean, deviation = model.predict(x[40:])
    assert np.sqrt(np.mean((mean - y[40:]) ** 2)) < 0.4 * y.std()
    far = model.predict(3 * np.ones((1, 4)))[1][0]
    assert far > deviation.max()


def test_what_is_unsure_weighs_less() -> None:
    x = np.array([[0.0], [0.0], [1.0]])
    y = np.array([70.0, 80.0, 75.0])
    sure_of_second = Surrogate(TrainingData(x, y, np.array([25.0, 0.0, 0.0]))).predict(x[:1])[0][0]
    sure_of_first = Surrogate(TrainingData(x, y, np.array([0.0, 25.0, 0.0]))).predict(x[:1])[0][0]
    assert sure_of_first < 75 < sure_of_second


def test_one_observation_is_enough_and_a_thousand_are_not_too_many() -> None:
    one = Surrogate(TrainingData(np.zeros((1, 3)), np.array([71.0]), np.zeros(1)))
    assert one.predict(np.zeros((1, 3)))[0][0] == pytest.approx(71)
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (1000, 3))
    mean, _ = Surrogate(TrainingData(x, 70 + x[:, 0], np.zeros(1000))).predict(x[:5])
    assert np.allclose(mean, 70 + x[:5, 0], atol=0.3)


def curve(losses: list[float], accs: list[float]) -> list[dict[str, float]]:
    return [{"train_loss": loss, "val_acc": acc} for loss, acc in zip(losses, accs, strict=True)]


def test_before_anything_has_ended_a_lower_loss_promises_more() -> None:
    started = [curve([loss], [acc]) for loss, acc in ((1.0, 20), (0.8, 50), (0.9, 10))]
    ends, variances = LearningCurves(started, epochs=4).expect(started)
    assert ends[1] > ends[2] > ends[0]
    assert (variances > 0).all()


def test_finished_trainings_tell_what_early_epochs_are_worth() -> None:
    """Where the accuracy after one epoch decides and the loss is noise, the accuracy is believed, and the reverse."""
    rng = np.random.default_rng(0)
    quality = rng.normal(0, 2, 40)
    noise = rng.normal(0, 1, 40)
    for loss, acc, good in ((noise, quality, "acc"), (-quality, noise, "loss")):
        whole = [curve([math.exp(lo), 0.5], [60 + a, 75 + q]) for lo, a, q in zip(loss, acc, quality, strict=True)]
        curves = LearningCurves(whole, epochs=2)
        better, worse = curve([math.exp(0)], [63.0]), curve([math.exp(0)], [57.0])
        if good == "loss":
            better, worse = curve([math.exp(-2)], [60.0]), curve([math.exp(2)], [60.0])
        ends, variances = curves.expect([better, worse, whole[0]])
        assert ends[0] > ends[1] + 1.5
        assert ends[2] == whole[0][-1]["val_acc"]
        assert variances[2] == 0
        assert variances[0] < 1.5


def test_a_task_without_a_training_loss_is_judged_by_its_accuracy() -> None:
    whole = [[{"val_acc": 50.0 + i}, {"val_acc": 70.0 + i}] for i in range(10)]
    ends, _ = LearningCurves(whole, epochs=2).expect([[{"val_acc": 52.0}], [{"val_acc": 58.0}]])
    assert ends[1] > ends[0] + 3
