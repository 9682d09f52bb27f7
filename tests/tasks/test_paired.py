"""The error of a difference on the same items: that of items on which two networks disagree, and no larger."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mgic_nas.tasks.paired import paired_error


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_it_is_the_standard_error_of_the_mean_difference(pairs):
    first, second = (np.array(side, dtype=bool) for side in zip(*pairs, strict=True))
    expected = 100 * np.std(second.astype(float) - first) / math.sqrt(len(pairs))
    assert paired_error(first, second) == pytest.approx(expected, abs=1e-9)


def test_networks_that_fail_on_the_same_items_are_told_apart():
    """80 and 82 %, the second right wherever the first is: unpaired 1.8 points of error, paired a third of that."""
    first = np.arange(1000) < 800
    second = np.arange(1000) < 820
    assert paired_error(first, second) == pytest.approx(0.4427, abs=1e-4)
    assert paired_error(first, first) == 0


def test_other_items_are_refused():
    with pytest.raises(ValueError, match="same items"):
        paired_error(np.ones(3, bool), np.ones(4, bool))
