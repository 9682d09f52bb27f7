"""Conditions of ``where`` as people write them wrongly, and as nobody should: one line with what to write instead."""

from pathlib import Path

import pytest
from fakes.wrong import one_line

from mgic_nas.errors import UserError
from mgic_nas.space import SearchSpace

SPACE = """\
model: mgic_resnet20
kwargs: {depths: 1}
params:
  s_g: {choices: [2, 4, 8]}
  s_c: {choices: [8, 16]}
  width_mult: {low: 0.25, high: 1.0, step: 0.25, per_stage: 3}
  block: {choices: [basic, bottleneck]}
where:
  - s_c >= s_g
"""
WRONG: list[tuple[str, ...]] = [
    ("s_c >= s_h", "s_h"),
    ("s_c => s_g", "not an expression"),
    ("s_c = s_g", "== compares"),
    ("s_c >= ", "not an expression"),
    ("'s_c' >= s_g", "no order"),
    ("s_c & s_g", "and"),
    ("not s_c", "true or false"),
    ("s_c", "true or false"),
    ("'x'", "true or false"),
    ("s_c if s_g else 4", "not allowed"),
    ("[x for x in s_g]", "not allowed"),
    ("(lambda: True)()", "calls"),
    ("__import__('os').system('id')", "calls"),
    ("s_g.__class__ == 4", "not allowed"),
    ("().__class__.__bases__[0]", "no values"),
    ("s_g.bit_length() > 1", "calls"),
    ("open('x')", "calls"),
    ("eval('1') == 1", "calls"),
    ("True == f'{s_g}'", "not allowed"),
    ("s_g := 4", "not"),
    ("s_c in s_g", "list"),
    ("s_c[0] > 1", "per stage"),
    ("width_mult > 1", "per stage"),
    ("width_mult[3] > 1", "0 to 2"),
    ("width_mult[-4] > 1", "0 to 2"),
    ("width_mult[0:2] == 1", "whole number"),
    ("width_mult[True] == 1", "whole number"),
    ("width_mult['a'] == 1", "whole number"),
    ("block == 'basik'", "basic"),
    ("block == basic", "quotes"),
    ("block > 4", "no order"),
    ("max() > 1", "max"),
    ("max(s_g) > 1", "list"),
    ("sum(block) > 1", "list"),
    ("sum([]) > 1", "nothing"),
    ("abs(1, 2) > 1", "one number"),
    ("max(*width_mult) > 1", "values alone"),
    ("s_g / 0 > 1", "zero"),
    ("s_g % 0 == 1", "zero"),
    ("0 ** -1 > s_g", "negative power"),
    ("(0 - s_g) ** 0.5 > 1", "root"),
    ("s_g ** s_g ** s_g ** s_g > 1", "too large"),
    ("10 ** 10 ** 10 > s_g", "too large"),
    ("s_g > 1e400 * 0", "no setting"),
    ("s_g == 1" + " or s_g == 1" * 200, "too long"),
    ("(" * 300 + "s_g" + ")" * 300 + " > 1", "not an expression"),
    ("-" * 900 + "s_g > 1", "not an expression"),
    ("not " * 201 + "s_g > 1", "no setting"),
    ("s_g > 1 1", "not an expression"),
    ("s_g > 1\\u0000", "not an expression"),
    ("s_g > 1; s_c > 1", "not an expression"),
    ("import os", "not an expression"),
    ("s_g > 1j", "not a number"),
    ("s_g > b'x'", "not a number"),
    ("s_g is 4", "=="),
    ("s_g <> 4", "not an expression"),
    ("s_g > 4L", "not an expression"),
    ("s_g > 010", "not an expression"),
    ("true", "True"),
    ("num_classes > 4", "num_classes"),
    ("'\\\\d' == block", "never"),
    ("s_g ==\\n 4 4", "not an expression"),
]


@pytest.mark.filterwarnings("error")  # a second line
@pytest.mark.parametrize("case", WRONG, ids=lambda case: f"{case[0][:50]!r}")
def test_a_wrong_condition(case: tuple[str, ...]) -> None:
    condition, *words = case
    quoted = f'"{condition}"' if "\\" in condition else f"'{condition.replace(chr(39), chr(39) * 2)}'"
    Path("mine.yaml").write_text(SPACE.replace("s_c >= s_g", quoted))
    with pytest.raises(UserError) as caught:
        SearchSpace.from_yaml("mine.yaml")
    one_line(caught.value, "mine.yaml", *words)
