"""The models of the cost-aware sampler: the Gaussian process and the learning curves."""

import math

import numpy as np
import pytest
import torch

from mgic_nas.engine.surrogate.gaussian_process import GaussianProcess, TrainingData
from mgic_nas.engine.surrogate.learning_curves import LearningCurves
from mgic_nas.engine.surrogate.marginal_likelihood import _Likelihood


def test_a_surrogate_learns_a_smooth_function_and_knows_what_it_does_not_know() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (60, 4))
    y = 75 + 3 * x[:, 0] + 2 * np.sin(2 * x[:, 1]) + rng.normal(0, 0.1, 60)
    model = GaussianProcess(TrainingData(x[:40], y[:40], np.zeros(40)))
    mean, deviation = model.predict(x[40:])
    assert np.sqrt(np.mean((mean - y[40:]) ** 2)) < 0.4 * y.std()
    far = model.predict(3 * np.ones((1, 4)))[1][0]
    assert far > deviation.max()


def test_what_is_unsure_weighs_less() -> None:
    x = np.array([[0.0], [0.0], [1.0]])
    y = np.array([70.0, 80.0, 75.0])
    sure_of_second = GaussianProcess(TrainingData(x, y, np.array([25.0, 0.0, 0.0]))).predict(x[:1])[0][0]
    sure_of_first = GaussianProcess(TrainingData(x, y, np.array([0.0, 25.0, 0.0]))).predict(x[:1])[0][0]
    assert sure_of_first < 75 < sure_of_second


def test_one_observation_is_enough_and_a_thousand_are_not_too_many() -> None:
    one = GaussianProcess(TrainingData(np.zeros((1, 3)), np.array([71.0]), np.zeros(1)))
    assert one.predict(np.zeros((1, 3)))[0][0] == pytest.approx(71)
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (1000, 3))
    mean, _ = GaussianProcess(TrainingData(x, 70 + x[:, 0], np.zeros(1000))).predict(x[:5])
    assert np.allclose(mean, 70 + x[:5, 0], atol=0.3)


def curve(losses: list[float], accs: list[float]) -> list[dict[str, float]]:
    return [{"train_loss": loss, "val_acc": acc} for loss, acc in zip(losses, accs, strict=True)]


def test_before_anything_has_ended_a_lower_loss_promises_more() -> None:
    started = [curve([loss], [acc]) for loss, acc in ((1.0, 20), (0.8, 50), (0.9, 10))]
    ends, variances = LearningCurves(started, epochs=4).predict(started)
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
        ends, variances = curves.predict([better, worse, whole[0]])
        assert ends[0] > ends[1] + 1.5
        assert ends[2] == whole[0][-1]["val_acc"]
        assert variances[2] == 0
        assert variances[0] < 1.5


def test_a_task_without_a_training_loss_is_judged_by_its_accuracy() -> None:
    whole = [[{"val_acc": 50.0 + i}, {"val_acc": 70.0 + i}] for i in range(10)]
    ends, _ = LearningCurves(whole, epochs=2).predict([[{"val_acc": 52.0}], [{"val_acc": 58.0}]])
    assert ends[1] > ends[0] + 3


def sample(n: int, seed: int = 0) -> TrainingData:
    """Accuracies that depend on the first column and on a choice of three, whose one-hot columns are the last."""
    rng = np.random.default_rng(seed)
    numbers = rng.uniform(-1, 1, (n, 4))
    choice = rng.integers(0, 3, n)
    y = 75 + 2 * np.sin(3 * numbers[:, 0]) + np.array([0.0, 1.5, 3.0])[choice] + rng.normal(0, 0.2, n)
    features = np.concatenate([numbers, np.eye(3)[choice]], axis=1)
    return TrainingData(features, y, np.zeros(n), ((0,), (1,), (2,), (3,), (4, 5, 6)))


def test_a_parameter_without_influence_does_not_blur_the_others() -> None:
    model = GaussianProcess(sample(60))
    lengths = np.exp(model.hyperparameters.lengths)
    assert len(lengths) == 5  # the columns of a choice share one
    assert lengths[0] < 0.5 * lengths[1:4].min()
    unseen = sample(200, seed=1)
    mean, _ = model.predict(unseen.features)
    assert np.sqrt(np.mean((mean - unseen.values) ** 2)) < 0.45


def test_the_noise_of_a_training_has_no_floor() -> None:
    """NAS-Bench-Macro's trainings differ by 0.2 %, its architectures by 3: a fiftieth of that would hide the front."""
    model = GaussianProcess(sample(100))
    assert model.noise == pytest.approx(0.2**2, rel=0.6)
    exact = sample(100)
    smooth = GaussianProcess(
        TrainingData(exact.features, 70 + exact.features[:, 0], exact.noise_variance, exact.groups)
    )
    assert smooth.noise < 0.01 * np.var(exact.features[:, 0])


def test_the_same_observations_give_the_same_model_and_a_fit_can_be_used_again() -> None:
    first, second = GaussianProcess(sample(30)), GaussianProcess(sample(30))
    assert first.hyperparameters == second.hyperparameters
    again = GaussianProcess(sample(30), first.hyperparameters)
    points = sample(5, seed=2).features
    for one, other in zip(first.predict(points), again.predict(points), strict=True):
        assert one == pytest.approx(other, abs=1e-9)


def test_threads_are_as_they_were_before() -> None:
    before = torch.get_num_threads()
    GaussianProcess(sample(10)).predict(sample(3).features)
    assert torch.get_num_threads() == before


def test_what_is_predicted_after_further_trainings_is_what_a_model_with_them_predicts() -> None:
    known, further, points = sample(40), sample(3, seed=1), sample(5, seed=2).features
    model = GaussianProcess(known)
    ends = np.stack([further.values, further.values - 1], axis=1)
    means, deviation = model.predict_after(further.features, ends, points)
    assert means.shape == (5, 2)
    rng = np.random.default_rng(0)
    draws = rng.multivariate_normal(model.predict(further.features)[0], model.covariance(further.features), 20_000)
    averaged, _ = model.predict_after(further.features, draws.T, points)
    assert averaged.mean(1) == pytest.approx(model.predict(points)[0], abs=0.02)  # what is not known changes no mean
    assert (deviation <= model.predict(points)[1] + 1e-9).all()
    at_them = model.predict_after(further.features, ends, further.features)[0]
    before = model.predict(further.features)[0]
    assert np.abs(at_them[:, 0] - further.values).sum() < np.abs(before - further.values).sum()


def test_the_covariance_has_the_variances_on_its_diagonal() -> None:
    model, points = GaussianProcess(sample(40)), sample(6, seed=3).features
    covariance = model.covariance(points)
    assert np.sqrt(np.diag(covariance)) == pytest.approx(model.predict(points)[1], abs=1e-9)
    assert np.linalg.eigvalsh(covariance).min() > -1e-9


def test_the_gradient_of_the_likelihood_is_right() -> None:
    data = sample(25)
    z = torch.from_numpy(data.values - data.values.mean())[:, None]
    likelihood = _Likelihood(torch.from_numpy(data.features), z, torch.full((25,), 0.01).double(), data.groups)
    at = torch.linspace(-1, 1, len(data.groups) + 3, dtype=torch.double)
    steps = 1e-6 * torch.eye(len(at), dtype=torch.double)
    numeric = [(likelihood(at + s)[0] - likelihood(at - s)[0]).item() / 2e-6 for s in steps]
    assert likelihood(at)[1].tolist() == pytest.approx(numeric, rel=1e-5, abs=1e-5)


def test_a_fit_that_cannot_be_factorised_falls_back() -> None:
    """The same design often, with accuracies that differ by 1e-9: the best until there, and finite predictions."""
    features = np.repeat(np.eye(3), 20, axis=0)
    model = GaussianProcess(TrainingData(features, 70 + 1e-9 * np.arange(60.0), np.zeros(60)))
    mean, deviation = model.predict(features[:3])
    assert mean == pytest.approx(np.full(3, 70.0), abs=1e-3)
    assert np.isfinite(deviation).all()


def test_curves_count_before_any_training_is_finished() -> None:
    """That nothing is known of the final level is no reason to take all for alike."""
    curves = [[{"val_acc": 60.0 + 5 * good, "train_loss": 1.0 - 0.4 * good}] for good in (0, 0, 0, 1, 1, 1)]
    ends, variances = LearningCurves(curves, 4).predict(curves)
    assert ends[3] - ends[0] > math.sqrt(variances.max())
