"""What limits the worth of a result is said, and only where it does."""

from typing import Any

import pytest

from mgic_nas.tasks import cautions
from mgic_nas.tasks.metrics import EXPLAINED, MIOU, TOP1, Metric


@pytest.mark.parametrize(
    ("metric", "data", "texts"),
    [
        (TOP1, {"sizes": {"val": 2_000}, "smallest_class": ("cat", 50)}, []),
        (TOP1, {"sizes": {"val": 625}}, []),  # exactly 2 points at 50 %
        (TOP1, {"sizes": {"val": 400}}, ["up to 2.5 points; 625 would make it 2"]),
        (TOP1, {"sizes": {"val": 2_000}, "smallest_class": ["cat", 4]}, ["the class 'cat' has 4 training images"]),
        (TOP1, {"sizes": {"val": 2_000}, "smallest_class": ["cat", 1]}, ["'cat' has 1 training image, too few"]),
        (TOP1, {"sizes": {"val": 9}, "smallest_class": ["cat", 2]}, ["9 validation images", "'cat'"]),
        (MIOU, {"sizes": {"val": 9}}, []),  # no share of right answers
        (TOP1, {}, []),  # an old run
    ],
)
def test_data(metric: Metric, data: dict[str, Any], texts: list[str]) -> None:
    found = cautions.of_data(metric, data)
    assert len(found) == len(texts)
    for line, text in zip(found, texts, strict=True):
        assert text in line


@pytest.mark.parametrize(
    ("metric", "data", "score", "lucky"),
    [
        (TOP1, {"sizes": {"val": 2_000}}, 50.0, False),
        (TOP1, {"sizes": {"val": 2_000}}, 10.5, True),  # within two standard errors of guessing
        (TOP1, {"sizes": {"val": 2_000}, "blind": 60.0}, 61.0, True),  # the most frequent class has as much
        (TOP1, {"sizes": {"val": 2_000}, "blind": 60.0}, 70.0, False),
        (EXPLAINED, {"sizes": {"val": 2_000}}, 0.0, True),
        (EXPLAINED, {"sizes": {"val": 2_000}}, 5.0, False),
        (TOP1, {}, None, False),
    ],
)
def test_winners(metric: Metric, data: dict[str, Any], score: float | None, lucky: bool) -> None:
    found = cautions.of_winners(metric, data, 10, {"1M": score, "2M": 99.0})
    assert bool(found) is lucky
    if lucky:
        assert "the winner within 1M is not measurably better than" in found[0]
        assert "2M" not in found[0]
