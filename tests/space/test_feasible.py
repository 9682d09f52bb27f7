"""What is left to train: the engine trusts this when every proposal was rejected, and to know when it is done."""

import math
import random

import pytest
from fakes.engine import FakeSpace

from mgic_nas.errors import UserError
from mgic_nas.space import FeasibleSet, Space, hard_limits, parse_budgets, within
from mgic_nas.space import feasible as feasible_module
from mgic_nas.space.survey import impossible

IMAGE = (1, 8, 8)
GRID = {"low": 1, "high": 8}
LARGE = {name: {"low": 1, "high": 200} for name in ("group", "coarse", "depth")}


@pytest.fixture
def space(space_of):
    return space_of({"group": GRID, "coarse": GRID, "twin": {"choices": [1, 2]}}, where=["group <= coarse"])


def test_every_distinct_architecture_comes_once_by_its_first_setting(space):
    found = FeasibleSet(space, IMAGE, 10).candidates
    settings = list(space.settings())
    assert len(found) == len(settings) // 2 == 36
    assert [c.setting for c in found] == settings[::2]
    assert len({c.arch_id for c in found}) == 36
    assert all(c.cost == space.cost(c.setting, IMAGE, 10) and c.arch_id == space.arch_id(c.setting) for c in found)
    assert found.macs.tolist() == [c.cost.macs for c in found]
    assert found.params.tolist() == [c.cost.params for c in found]
    assert found.activations.tolist() == [c.cost.activations for c in found]


def test_limits_leave_exactly_what_fits(space):
    limits = hard_limits(parse_budgets([100_000, "params=2500", "latency=1ms"]))
    everything, found = FeasibleSet(space, IMAGE, 10).candidates, FeasibleSet(space, IMAGE, 10, limits).candidates
    assert [c.arch_id for c in found] == [c.arch_id for c in everything if within(c.cost, limits)]
    assert 0 < len(found) < len(everything)
    assert len(FeasibleSet(space, IMAGE, 10, {"macs": 1}).candidates) == 0


def test_costs_belong_to_their_image_size(space):
    """A cache that forgot the size would let over-budget networks be trained."""
    small, large = FeasibleSet(space, (1, 8, 8), 10).candidates, FeasibleSet(space, (1, 16, 16), 10).candidates
    assert (large.macs == 4 * small.macs).all()
    assert (FeasibleSet(space, IMAGE, 100).candidates.params == small.params + 90).all()


def test_it_is_a_sequence_and_computed_once(space, monkeypatch):
    feasible = FeasibleSet(space, IMAGE, 10)
    found = feasible.candidates
    assert feasible.candidates is found
    monkeypatch.setattr(space, "canonical_values", None)
    monkeypatch.setattr(space, "cost_values", None)
    assert len(FeasibleSet(space, list(IMAGE), 10, {"macs": 100_000}).candidates) < len(found)
    monkeypatch.undo()
    assert found[-1] == found[len(found) - 1]
    assert found[2:4] == [found[2], found[3]]
    with pytest.raises(IndexError):
        found[len(found)]


def test_equal_hashes_are_not_equal_architectures(space_of, fake_family, monkeypatch):
    """Python hashes -1 and -2 alike: forms are compared, never their hashes alone."""

    class Clash(tuple):
        def __hash__(self):
            return 1

    space = space_of({"group": {"low": 1, "high": 20}, "twin": {"choices": [1, 2]}})
    monkeypatch.setattr(feasible_module, "_KEPT_KEYS", 5)  # and most forms are computed again
    real = space.canonical_values
    monkeypatch.setattr(space, "canonical_values", lambda values: Clash(real(values)))
    assert len(FeasibleSet(space, IMAGE, 10).candidates) == 20


def test_draws_are_uniform_over_what_is_left_and_end_exactly(space):
    limits = {"macs": 100_000}
    feasible = {c.arch_id for c in FeasibleSet(space, IMAGE, 10, limits).candidates}
    rng, tried = random.Random(0), set()
    while candidate := FeasibleSet(space, IMAGE, 10, limits).draw(rng, tried):
        assert candidate.arch_id not in tried
        assert within(candidate.cost, limits)
        tried.add(candidate.arch_id)
    assert tried == feasible
    assert FeasibleSet(space, IMAGE, 10, {"macs": 1}).draw(rng) is None


def test_untried_lists_what_is_left(space):
    found = FeasibleSet(space, IMAGE, 10).candidates
    tried = {found[3].arch_id, found[5].arch_id}
    assert found.untried(tried) == [i for i in range(36) if i not in (3, 5)]


def test_a_large_space_is_drawn_from_and_never_enumerated(space_of):
    space = space_of(LARGE)
    assert space.size == 8_000_000
    assert not space.enumerable
    with pytest.raises(UserError, match="8,000,000 settings"):
        len(FeasibleSet(space, IMAGE, 10).candidates)
    limits, tried = {"macs": 10**9}, set()
    rng = random.Random(0)
    for _ in range(20):
        candidate = FeasibleSet(space, IMAGE, 10, limits).draw(rng, tried)
        assert within(candidate.cost, limits)
        assert candidate.arch_id == space.arch_id(candidate.setting) not in tried
        tried.add(candidate.arch_id)


def test_a_tiny_feasible_part_of_a_large_space_is_reached_by_descent(space_of):
    """About one setting in a million fits: random draws alone would say that nothing is left."""
    space = space_of(LARGE, where=["group <= coarse"])
    limits = {"macs": 64 * 100 * 3 * 4 * 4}
    tried = set()
    for seed in range(12):
        candidate = FeasibleSet(space, IMAGE, 10, limits).draw(random.Random(seed), tried, tries=50)
        assert candidate is not None
        assert within(candidate.cost, limits)
        assert space.allows(candidate.setting)
        tried.add(candidate.arch_id)
    assert len(tried) == 12
    assert FeasibleSet(space, IMAGE, 10, {"macs": 1}).draw(random.Random(0), tries=50) is None


# --- enumerate, else sample ----------------------------------------------------------------------------------------


class Counted:
    """How often a space was enumerated."""

    def __init__(self, space, monkeypatch):
        self.times = 0
        real = space.enumerate_values

        def enumerate_values():
            self.times += 1
            return real()

        monkeypatch.setattr(space, "enumerate_values", enumerate_values)


def test_the_real_and_the_fake_space_are_what_a_feasible_set_needs(space):
    assert isinstance(space, Space)
    assert isinstance(FakeSpace(), Space)


def test_costliest_is_exact_in_a_small_space_and_near_it_in_a_large_one(space, space_of, monkeypatch):
    found = FeasibleSet(space, IMAGE, 10, {"macs": 100_000})
    assert found.costliest().cost.activations == found.candidates.activations.max()
    assert FeasibleSet(space, IMAGE, 10, {"macs": 1}).costliest() is None
    monkeypatch.setattr(feasible_module, "EXTREME_DRAWS", 50)
    large = FeasibleSet(space_of(LARGE), IMAGE, 10, {"macs": 10**9})
    assert within(large.costliest().cost, {"macs": 10**9})
    assert large.costliest() == large.costliest()


def test_cheapest_is_known_once_draws_have_enumerated(space):
    found = FeasibleSet(space, IMAGE, 10)
    exclude = {found.draw(random.Random(0)).arch_id}
    assert found.cheapest(exclude).cost.activations == min(
        c.cost.activations for c in found.candidates if c.arch_id not in exclude
    )
    assert found.cheapest({c.arch_id for c in found.candidates}) is None


def test_it_is_known_that_nothing_is_left_only_after_a_draw(space):
    """Before it, a run that goes on asks its sampler as it always did."""
    found = FeasibleSet(space, IMAGE, 10)
    everything = {c.arch_id for c in found.candidates}
    assert not found.known_empty(everything)
    assert found.draw(random.Random(0), everything) is None
    assert found.known_empty(everything)
    assert not found.known_empty(everything - {found.candidates[0].arch_id})


def test_a_middling_space_is_enumerated_only_when_draws_find_nothing(space_of, monkeypatch):
    space = space_of({name: {"low": 1, "high": 45} for name in ("group", "coarse", "depth")})
    counted = Counted(space, monkeypatch)
    monkeypatch.setattr(feasible_module, "DRAWS", 20)
    found = FeasibleSet(space, IMAGE, 10)
    assert not found.small
    assert found.exact
    setting = space.sample(random.Random(3))
    assert found.draw(random.Random(3)).setting == setting  # the first random setting that fits
    assert counted.times == 0
    one = FeasibleSet(space, IMAGE, 10, {"macs": 64 * 100 * 8})
    assert one.draw(random.Random(0)).setting == {"group": 1, "coarse": 1, "depth": 1}
    assert counted.times == 1
    assert len(FeasibleSet(space, IMAGE, 10).candidates) == 45**3
    assert counted.times == 1  # all sets of a space share its enumeration


def test_a_space_with_a_refused_combination_is_sampled_and_not_called_exact(space_of, fake_family, monkeypatch):
    space = space_of({name: {"low": 1, "high": 60} for name in LARGE})
    real = space.canonical_values

    def picky(values):
        if values[0] == 7:
            raise UserError("refused")
        return real(values)

    monkeypatch.setattr(space, "canonical_values", picky)
    found = FeasibleSet(space, IMAGE, 10, {"macs": 1})
    monkeypatch.setattr(feasible_module, "DRAWS", 20)
    assert found.exact
    assert found.draw(random.Random(0)) is None
    assert not found.exact
    assert FeasibleSet(space, IMAGE, 10).draw(random.Random(0)) is not None


def test_budgets_that_a_few_random_settings_meet_need_no_survey(space_of):
    space = space_of(LARGE)
    assert FeasibleSet(space, IMAGE, 10).surely_meets(parse_budgets(["1G", "10G"]))
    assert not FeasibleSet(space, IMAGE, 10).surely_meets(parse_budgets(["50k", "10G"]))
    assert impossible(space, IMAGE, 10, parse_budgets(["10G"])) == ""
    assert impossible(space, IMAGE, 10, parse_budgets(["1k"])).startswith("Budget 1k: none found (sampled)")


@pytest.mark.parametrize("grid", [8, 200])
def test_what_is_predicted_too_slow_is_no_part_of_the_set(space_of, grid):
    """Drawn, enumerated and found by descent alike: a limit that one setting in thousands is within."""
    numbers = {"low": 1, "high": grid}
    space = space_of({"group": numbers, "coarse": numbers, "depth": numbers})

    def excess(values):
        return math.log(sum(values) / (3.5 if grid == 8 else 9.0))

    feasible = FeasibleSet(space, IMAGE, 10, {"macs": 1e9}, excess)
    found = feasible.draw(random.Random(0))
    assert found is not None
    assert excess(tuple(found.setting.values())) <= 0
    if grid == 8:
        assert [sum(c.setting.values()) for c in feasible.candidates] == [3]
        assert feasible.draw(random.Random(0), {found.arch_id}) is None
    assert feasible.candidate((grid, grid, grid)) is None
    assert FeasibleSet(space, IMAGE, 10).candidate((grid, grid, grid)) is not None
