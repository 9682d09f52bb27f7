"""The two experiments on recorded tables that say what expected accuracies and forecasts are worth."""

from pathlib import Path

import pytest
from fakes.table import make_table

from mgic_nas.engine.surrogate.forecast import FEWEST
from mgic_nas.errors import UserError
from mgic_nas.experiments import handed_over, stopping
from mgic_nas.experiments._traces import items_of
from mgic_nas.tabular.replay import Truth
from mgic_nas.tabular.tables import open_table

ITEMS = 120  # images, with which an accuracy of 95 % has a standard error of 2 points


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """Of a table in which one training differs from another by two points."""
    return Truth(open_table(make_table(tmp_path_factory.mktemp("tables") / "fake", seeds=3, noise=2.0)))


def test_where_luck_is_large_the_expected_winners_are_less_lucky(truth: Truth) -> None:
    [found] = handed_over.compare(truth, "random", range(3), ITEMS, at=(24,))
    measured, expected = found.optimism
    assert measured > 1.0, "the best of many is lucky"
    assert expected < measured - 0.5
    assert found.seeds == 3
    assert 0 <= found.within <= 1
    assert "expected − measured" in handed_over._line(found)


def test_a_search_is_stopped_within_its_trainings(truth: Truth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "items_of", lambda _: ITEMS)
    size = min(30, len(truth.macs))
    never, soon = stopping.measure(truth, "random", range(2), size, worths=(1e-9, 50.0))
    assert soon.stopped == (FEWEST + 4,) * 2
    assert soon.oracle == FEWEST
    assert never.stopped == (size,) * 2
    assert never.left == 0.0 <= soon.left
    assert "the oracle after 16" in stopping._line(soon)


def test_a_table_that_does_not_say_its_images_is_refused(truth: Truth, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"fake does not say on how many inputs .* \(data.sizes.val\)"):
        items_of(truth)
    with pytest.raises(UserError, match="has one training of each"):
        handed_over.main([str(make_table(tmp_path / "once", seeds=1))])
