"""The acquisition function, against reference values, against sampling, and in what it must rank above what."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mgic_nas.engine.surrogate.expected_gain import (
    ExpectedGain,
    Objective,
    Observation,
    log_expected_gain,
    log_expected_improvement,
)
from mgic_nas.pareto import hypervolume, non_dominated
from mgic_nas.space import Budget

EPOCHS = 4
OBJECTIVE = Objective(6e4, 2.5e6, EPOCHS, (Budget("macs", 1e6), Budget("params", 6e3)))
FEATURES = np.sin(np.arange(1.0, 61)).reshape(20, 3)
ACCS = 75 + 2 * FEATURES[:, 0] + np.cos(3 * FEATURES[:, 1])


def observations() -> list[Observation]:
    """Twenty: of four one after another two are finished, one is paused after two epochs, one in its second."""
    found = []
    for i, (features, acc) in enumerate(zip(FEATURES, ACCS, strict=True)):
        epochs = (4, 4, 2, 1)[i % 4]
        curve = [
            {"val_acc": acc - 2 * (EPOCHS - e), "train_loss": 2 - acc / 50 + (EPOCHS - e) / 20}
            for e in range(1, epochs + 1)
        ]
        costs = np.exp([11 + 0.2 * i, 8 + 0.1 * i, 9.0])
        found.append(Observation(costs, features, curve, acc if epochs == EPOCHS else None, waiting=epochs == 2))
    return found


# log(density(z) + z * ndtr(z)), computed with 40 digits
@pytest.mark.parametrize(
    ("z", "expected"),
    [
        (-5.0, -16.74430116266099),
        (-10.0, -55.553122036122356),
        (-20.0, -206.9178385094251),
        (-37.0, -692.64296016327041),
        (-50.0, -1258.7441828684609),
        (-999.0, -499015.23245109650),
        (-1001.0, -501015.23645108583),
        (-1e5, -5000000023.9447895),
    ],
)
def test_the_left_tail_is_right(z: float, expected: float) -> None:
    """Late in a search everything is there: what was 0 in linear form could not be ranked."""
    found = log_expected_improvement(np.array([70 + 2 * z]), np.array([2.0]), 70.0)[0]
    assert found == pytest.approx(expected + math.log(2), rel=1e-12)


def test_the_middle_is_the_textbooks() -> None:
    z = np.linspace(-4, 4, 801)
    ndtr = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in z])
    improvement = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi) + z * ndtr
    assert np.exp(log_expected_improvement(z, np.ones(801), 0.0)) == pytest.approx(improvement, abs=1e-12)


def test_it_falls_without_end_and_without_a_jump() -> None:
    z = -np.geomspace(0.5, 1e7, 5000)
    logs = log_expected_improvement(z, np.ones(5000), 0.0)
    assert np.isfinite(logs).all()
    assert (np.diff(logs) < 0).all()


@given(st.integers(0, 10_000))
def test_the_expected_gain_is_what_sampling_gives(seed: int) -> None:
    """The mean of the hypervolume gained over many draws of the candidate's accuracy."""
    rng = np.random.default_rng(seed)
    macs, accs = rng.uniform(1e5, 2e6, 6), rng.uniform(70, 80, 6)
    keep = np.flatnonzero(non_dominated(accs, macs))
    keep = keep[np.argsort(macs[keep])]
    reference = (69.0, 2.5e6)
    candidate, mean, deviation = rng.uniform(1e5, 2.4e6), rng.uniform(68, 82), rng.uniform(0.2, 2)
    exact = log_expected_gain(
        np.array([candidate]), np.array([mean]), np.array([deviation]), (macs[keep], accs[keep]), reference
    )[0]
    # Quantiles of the normal distribution stand for draws: the comparison is then not left to luck.
    draws = mean + deviation * np.sqrt(2) * np.array([_inverse_erf(q) for q in np.linspace(-0.999, 0.999, 401)])
    before = hypervolume(accs, macs, reference)
    gains = [hypervolume([*accs, a], [*macs, candidate], reference) - before for a in draws]
    assert math.exp(exact) == pytest.approx(np.mean(gains), rel=0.03, abs=3e-3)


def _inverse_erf(q: float) -> float:
    low, high = -6.0, 6.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < q else (low, middle)
    return low


def test_gains_are_those_of_the_first_version() -> None:
    """Numbers of bb2c7bb, whose normal distribution was right to 1e-7."""
    macs, mean, deviation = np.array([1e5, 3e5, 1e6, 2.4e6]), np.array([71.0, 74, 76, 80]), np.array([0.5, 1, 2, 0.7])
    front = np.array([2e5, 8e5, 2e6]), np.array([72.0, 75, 77])
    gains = np.exp(log_expected_gain(macs, mean, deviation, front, (70.0, 2.5e6)))
    assert gains == pytest.approx(
        [0.30486399307850337, 0.8887458692648461, 0.4584523257910384, 0.05318632461179375], abs=1e-6
    )


def test_paused_trials_are_candidates_and_not_on_the_front() -> None:
    seen = observations()
    positions, logs = ExpectedGain(seen, OBJECTIVE).of_waiting()
    assert positions.tolist() == [2, 6, 10, 14, 18]
    assert logs.shape == (5,)
    best = max(range(20), key=lambda i: ACCS[i] - 0.01 * i)
    candidate = seen[best].costs[None], seen[best].features[None]
    held = ExpectedGain(seen, OBJECTIVE).of_candidates(*candidate)
    for observation in seen:
        observation.waiting = True
    assert ExpectedGain(seen, OBJECTIVE).of_candidates(*candidate) > held + 1


def test_an_unfinished_training_is_less_certain_than_a_finished_one() -> None:
    deviation = ExpectedGain(observations(), OBJECTIVE).deviation
    assert deviation[3::4].min() > 0
    finished, begun = deviation[[i for i in range(20) if i % 4 < 2]].mean(), deviation[3::4].mean()
    assert begun > finished


def test_the_winner_within_a_budget_counts() -> None:
    """Of two candidates alike but for their parameters, the one within the budget on parameters gains more."""
    costs = np.exp([[13.0, 8.6, 9.0], [13.0, 8.8, 9.0]])  # 5,432 and 6,634 parameters
    logs = ExpectedGain(observations(), OBJECTIVE).of_candidates(costs, np.tile(FEATURES[:1] * 1.2, (2, 1)))
    assert logs[0] > logs[1]
    free = ExpectedGain(observations(), Objective(6e4, 2.5e6, EPOCHS)).of_candidates(
        costs, np.tile(FEATURES[:1], (2, 1))
    )
    assert free[0] == pytest.approx(free[1])


def test_beyond_the_largest_macs_nothing_is_gained() -> None:
    far = ExpectedGain(observations(), Objective(6e4, 2.5e6, EPOCHS)).of_candidates(
        np.array([[5e6, 1e4, 1e4]]), FEATURES[:1]
    )
    assert far[0] == -math.inf


def test_where_every_gain_underflows_candidates_are_still_ordered() -> None:
    """A front far above all candidates: in linear form each of their gains would be 0."""
    macs, mean = np.full(5, 1e5), np.array([20.0, 30, 40, 50, 60])
    logs = log_expected_gain(macs, mean, np.full(5, 0.01), (np.array([1e4]), np.array([99.0])), (10.0, 1e6))
    assert (np.exp(logs) == 0).all()
    assert (np.diff(logs) > 0).all()


def under_way(running: int) -> tuple[list[Observation], Observation]:
    """Finished trainings, with the best design of all begun ``running`` times (without a curve); and that design."""
    seen = [Observation(o.costs, o.features, (), float(acc)) for o, acc in zip(observations(), ACCS, strict=True)]
    best = max(range(20), key=lambda i: ACCS[i] - 0.1 * i)
    candidate = Observation(seen[best].costs * 0.99, seen[best].features * 1.1)
    return seen + [candidate] * running, candidate


def test_what_is_in_training_leaves_little_to_gain_beside_it_however_it_ends() -> None:
    """Else eight workers would train eight designs that are nearly the same."""
    gains = []
    for running in (0, 1):
        seen, near = under_way(running)
        far = seen[3]
        gain = ExpectedGain(seen, OBJECTIVE)
        costs, features = np.array([near.costs * 1.001, far.costs]), np.array([near.features, far.features + 0.5])
        gains.append(gain.of_candidates(costs, features))
    assert gains[1][0] < gains[0][0] - 0.7
    assert gains[1][1] == pytest.approx(gains[0][1], abs=0.7)


def test_gains_beside_trainings_under_way_are_the_same_at_each_call() -> None:
    seen, near = under_way(3)
    costs, features = near.costs[None], near.features[None] + 0.1
    first, second = (ExpectedGain(seen, OBJECTIVE).of_candidates(costs, features) for _ in range(2))
    assert first == second
