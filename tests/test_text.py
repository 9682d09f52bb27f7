"""Numbers as people write them: a reader must not count zeros, nor read more digits than were measured."""

import math

import pytest

from mgic_nas import _text as words


def plain(text):
    return text.replace(words.THIN, " ")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (0, "0"),
        (999, "999"),
        (12_800, "12.8 k"),
        (99_960, "0.100 M"),
        (260_352, "0.260 M"),
        (999_999, "1.00 M"),
        (41_100_000, "41.1 M"),
        (123_456_789, "123 M"),
        (7_800_000_000, "7.80 G"),
        (0.0071, "0.00710"),
    ],
)
def test_counts_have_three_digits(number, text):
    assert plain(words.count(number)) == text


def test_budgets_are_printed_as_they_were_typed():
    assert [plain(words.count(n, strip=True)) for n in (5e5, 1e6, 2.5e6, 6e7)] == ["0.5 M", "1 M", "2.5 M", "60 M"]


def test_accuracies():
    assert plain(words.measured(81.26, 0.976)) == "81.3 ± 1.0 %"
    assert plain(words.measured(81.26, None)) == "81.3 %"
    assert plain(words.measured(76.543, 0.06, decimals=2)) == "76.54 ± 0.06 %"
    assert words.measured(None, None) == "–"


def test_the_binomial_standard_error():
    assert words.standard_error(80.0, 1600) == pytest.approx(1.0)
    assert words.standard_error(99.9, 1600) == pytest.approx(100 * (0.999 * 0.001 / 1600) ** 0.5)
    assert words.standard_error(100.0, 6) == words.standard_error(0.0, 6) == pytest.approx(100 * (7 / 8 / 8 / 8) ** 0.5)
    assert words.standard_error(100.0, 1600) == pytest.approx(0.0624, abs=1e-4)  # never as if it were certain
    assert words.standard_error(80.0, None) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (1.53, "1.5 s"),
        (48, "48 s"),
        (312, "5.2 min"),
        (4000, "67 min"),
        (7200, "2 h"),
        (12_000, "3 h 20 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_durations(seconds, text):
    assert plain(words.duration(seconds)) == text


def test_small_words():
    assert words.plural(0, "network") == "no network"
    assert words.plural(1, "network") == "1 network"
    assert words.plural(1500, "network") == "1,500 networks"
    assert words.listed([]) == ""
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.size_text((1, 14, 14), "×") == "1×14×14"
    assert words.scalar([0.5, 1.0]) == "[0.5, 1]"
    assert words.one_line("Traceback\n  ...\nValueError: no\n\n") == "ValueError: no"
    assert len(words.one_line("x" * 500)) == 160
    assert words.unit_name(words.round_unit(2.1e6)) == "million"
    assert words.unit_name(words.round_unit(5.5e7)) == "10 million"
    assert words.unit_name(words.round_unit(6e5)) == "100 thousand"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (41.3, "41 s"), (59.6, "1 min"), (3540, "59 min"), (12_000, "3 h 20 min")],
)
def test_estimates_of_durations(seconds: float, text: str) -> None:
    assert words.rough_duration(seconds) == text


def test_counts_in_millions() -> None:
    assert [words.mega(n) for n in (268_312, 1_051_744, 41_132_000, 4_100_000_000)] == ["0.268", "1.05", "41.1", "4100"]
