"""Whatever is thrown at a search space: either a space or one line, never another exception, never without an end.

A few hundred examples here; for as long as one likes, in pieces:

    FUZZ_SECONDS=900 .venv/bin/python -m pytest -m slow tests/wrong_inputs/test_fuzz.py
"""

import contextlib
import os
import random
import string
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from fakes.wrong import WHOLE_SPACE, one_line
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from mgic_nas.errors import UserError
from mgic_nas.space import SearchSpace
from mgic_nas.space.conditions import Names, compile_condition
from mgic_nas.space.document import Kind, read_yaml
from mgic_nas.space.reader import read_definition

SHORT = settings(
    max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)

# --- conditions ------------------------------------------------------------------------------------------------------

NAMES = Names(
    {"s_g": 0, "s_c": 1, "w": (2, 3, 4), "block": 5, "flag": 6, "mixed": 7},
    [(2, 4, 8), (4, 8), *[(0.25, 0.5, 1.0)] * 3, ("basic", "bottleneck"), (True, False), (None, 4, "off", 2**900)],
    {"depths": 1, "widths": [16, 32, 64], "act": "relu", "nested": [[1], [2]], "none": None},
    frozenset({"s_g", "stem"}),
)
ATOMS = ["s_g", "s_c", "w", "w[0]", "w[-1]", "w[9]", "block", "flag", "mixed", "depths", "widths", "widths[1]", "act"]
ATOMS += ["nested", "nested[0]", "none", "stem", "x", "'basic'", "'x'", "0", "1", "-1", "4.5", "1e308", "10**9", "True"]
ATOMS += ["None", "()", "(1, 2)", "[s_g, 4]", "{1}", "1j", "b'x'", "...", "2**4096", "'\\\\d'", "f'{s_g}'", "lambda: 1"]
BINARY = ["+", "-", "*", "/", "//", "%", "**", "<", "<=", ">", ">=", "==", "!=", "in", "not in", "is", "and", "or", "&"]
FORMS = ["not {}", "-{}", "+{}", "~{}", "({})", "abs({})", "min({})", "max({}, 1)", "sum({})", "len({})", "{}[0]"]
FORMS += ["{}.real", "{}()", "print({})", "{} if s_g else 1", "[{} for s_g in w]", "*{}", "({}, {})", "{} < {} < {}"]

expressions = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.builds("{} {} {}".format, inner, st.sampled_from(BINARY), inner),
        st.builds("({}) {} ({})".format, inner, st.sampled_from(BINARY), inner),
        st.builds(lambda form, a, b, c: form.format(a, b, c), st.sampled_from(FORMS), inner, inner, inner),
    ),
    max_leaves=12,
)
tokens = st.lists(st.sampled_from([*ATOMS, *BINARY, *"()[]{},:.=@'\"#\\\n\t;", " ", "if", "else", "for"]), max_size=20)
conditions = st.one_of(expressions, tokens.map(" ".join), tokens.map("".join), st.text(max_size=60))


def try_condition(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it would be a second line
        try:
            condition = compile_condition(text, NAMES)
        except UserError as error:
            one_line(error)
            return
        rng = random.Random(text)
        for _ in range(8):
            values = [rng.choice(grid) for grid in NAMES.grids]
            with contextlib.suppress(ArithmeticError, TypeError):  # what a Condition may raise
                assert condition(values) in (True, False)


@SHORT
@given(conditions)
def test_any_condition(text: str) -> None:
    try_condition(text)


# --- YAML ------------------------------------------------------------------------------------------------------------

PIECES = ["&a ", "*a", "<<: ", "!!int ", "!!str ", "!!bool ", "!!set ", "!!binary ", "!x ", "---\n", "...\n"]
PIECES += ["? ", ": "]
PIECES += ["- ", "[", "]", "{", "}", ",", "'", '"', "|\n", ">\n", "#", "%YAML 1.1\n", "\t", "\r", "\x85"]
PIECES += ["\u2028", "\x00"]
PIECES += ["010", "0o7", "1e3", "1:30", "yes", "off", "~", "null", ".nan", ".inf", "2024-01-01", "=", "1_000", "0x10"]
PIECES += ["9" * 400, "1" * 5000, "-1", "1e400", "''", "s_g", "choices", "low", "per_stage", "model", "params", "where"]
PIECES += ["\ufeff", "\U0001f600", "é", "resnet18", "mgicify:resnet18", "dgcnn", "1000000", "true", "\n", "  "]
PIECES += ["k: v\n"]


def mutated(edits: list[tuple[int, int, str]]) -> str:
    text = WHOLE_SPACE
    for at, length, piece in edits:
        at %= len(text) + 1
        text = text[:at] + piece + text[at + length :]
    return text


edits = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 12), st.one_of(st.sampled_from(PIECES), st.text(max_size=4))),
    min_size=1,
    max_size=4,
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-4, 40),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(PIECES),
)
names = st.one_of(st.sampled_from(["s_g", "s_c", "width_mult", "block", "depths", "choices", "low", "high", "step"]))
words = st.sampled_from(["model", "kwargs", "params", "where", "per_stage", "description"])
keys = st.one_of(names, words, st.text(max_size=4))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(keys, inner, max_size=5)),
    max_leaves=15,
)
parameters = st.one_of(
    st.fixed_dictionaries({"choices": st.lists(scalars, max_size=4)}, optional={"per_stage": scalars}),
    st.fixed_dictionaries({"low": scalars, "high": scalars}, optional={"step": scalars, "per_stage": scalars}),
    values,
)
spaces = st.fixed_dictionaries(
    {"model": st.sampled_from(["mgic_resnet20", "mgic_mobilenetv3_small", "mgic_diffgcn"])},
    optional={
        "kwargs": st.dictionaries(names, values, max_size=2),
        "params": st.dictionaries(names, parameters, max_size=3),
        "where": st.one_of(conditions, st.lists(conditions, max_size=2), values),
        "description": scalars,
    },
)
MOST = Kind(characters=20_000, nodes=5_000)


def outcome(make: Callable[[], Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            space = make()
        except UserError as error:
            one_line(error)
            return
        if isinstance(space, SearchSpace):
            assert SearchSpace.from_dict(yaml.safe_load(yaml.safe_dump(space.to_dict(), sort_keys=False))) == space
            repr(space)
            with contextlib.suppress(UserError):
                setting = space.sample(random.Random(0))
                space.arch_id(setting)
                space.create_model_line(setting, 10, 3)


def try_yaml(text: str) -> None:
    outcome(lambda: SearchSpace._of(read_definition(*read_yaml(text, "mine.yaml", MOST))))


@SHORT
@given(edits)
def test_any_change_of_a_good_file(changes: list[tuple[int, int, str]]) -> None:
    try_yaml(mutated(changes))


@SHORT
@given(st.one_of(st.text(max_size=80), st.lists(st.sampled_from(PIECES), max_size=15).map("".join)))
def test_any_text(text: str) -> None:
    try_yaml(text)


@SHORT
@given(st.one_of(spaces, values))
def test_any_values(written: Any) -> None:
    outcome(lambda: SearchSpace.from_dict(written))
    try_yaml(yaml.safe_dump(written, allow_unicode=True))


@SHORT
@given(st.one_of(st.text(string.printable, max_size=12), st.sampled_from(PIECES)), st.booleans())
def test_any_scalar_means_the_same_to_every_reader(text: str, recorded: bool) -> None:
    """What is read is what PyYAML reads, or a number that it takes for text, or it is refused."""
    with contextlib.suppress(UserError, yaml.YAMLError, ValueError, KeyError, AttributeError, IndexError, TypeError):
        found, _ = read_yaml(f"a: [{text}]", "mine.yaml", Kind(recorded=recorded))
        expected = yaml.safe_load(f"a: [{text}]")
        if repr(found) != repr(expected):
            assert not recorded
            numbers = [float(v) if isinstance(v, str) and "e" in v.lower() else v for v in expected["a"]]
            assert repr(found["a"]) == repr(numbers)


# --- for as long as one likes -----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_for_a_long_time() -> None:
    """Everything above with other examples, until FUZZ_SECONDS (default: 60) are over."""
    until = time.monotonic() + float(os.environ.get("FUZZ_SECONDS", "60"))
    begin = int(os.environ.get("FUZZ_SEED", "1"))
    counts = dict.fromkeys(("condition", "change", "text", "values"), 0)
    tries: dict[str, tuple[Any, Callable[[Any], None]]] = {
        "condition": (conditions, try_condition),
        "change": (edits, lambda changes: try_yaml(mutated(changes))),
        "text": (st.lists(st.sampled_from(PIECES), max_size=15).map("".join), try_yaml),
        "values": (st.one_of(spaces, values), lambda written: outcome(lambda: SearchSpace.from_dict(written))),
    }
    many = settings(SHORT, max_examples=500, derandomize=False)

    def counted(name: str, work: Callable[[Any], None]) -> Callable[[Any], None]:
        def once(example: Any) -> None:
            counts[name] += 1
            work(example)

        return once

    while time.monotonic() < until:
        for name, (strategy, work) in tries.items():
            begin += 1
            seed(begin)(many(given(strategy)(counted(name, work))))()
    print(f"seeds to {begin}: {counts}")
