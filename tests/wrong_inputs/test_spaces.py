"""Search-space files as people write them wrongly, and as nobody should: one line, quickly, whatever stands in them."""

from pathlib import Path
from typing import Any

import pytest
from fakes.wrong import WHOLE_SPACE, one_line, refused, search

from mgic_nas.errors import UserError
from mgic_nas.space import SearchSpace

S_G = "{choices: [2, 4, 8]}"


def load(text: str | bytes) -> SearchSpace:
    Path("mine.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return SearchSpace.from_yaml("mine.yaml")


def check(text: str | bytes, *words: str) -> None:
    with pytest.raises(UserError) as caught:
        load(text)
    one_line(caught.value, "mine.yaml", *words)


def test_the_good_one_is_good() -> None:
    assert load(WHOLE_SPACE).size == 3 * 2 * 4**3 * 2


REPLACED = [
    # what YAML 1.1 reads in its own way
    (S_G, "{choices: [02, 4]}", "octal", "write 2"),
    (S_G, "{choices: [010, 16]}", "octal", "write 10"),
    (S_G, "{choices: [08, 16]}", "octal", "write 8"),
    (S_G, "{choices: [0o10, 16]}", "octal", "write 10"),
    (S_G, "{choices: [-010]}", "octal", "write -10"),
    (S_G, "{choices: [1,000, 2,000]}", "octal"),
    (S_G, "{choices: [1:30, 2]}", "base 60"),
    (S_G, "{choices: [1:30.5, 2]}", "base 60"),
    (S_G, "{choices: [2024-01-01]}", "s_g"),
    (S_G, "{choices: [2024-13-41]}", "not a value"),
    (S_G, "{choices: [NaN]}", "nan"),
    (S_G, "{choices: [.nan]}", "finite"),
    (S_G, "{choices: [-.inf]}", "finite"),
    (S_G, "{choices: [1e999]}", "finite"),
    (S_G, "{choices: [off, low]}", "off is false", "'off'"),
    (S_G, "{choices: [ON, low]}", "on is true"),
    (S_G, "{choices: [on]}", "s_g"),
    (S_G, "{choices: [~, ~]}", "twice"),
    (S_G, "{choices: ['4', 8]}", "'4'"),
    (S_G, "{choices: [4.5]}", "4.5"),
    (S_G, "{choices: [1e-3]}", "0.001"),
    (S_G, "{choices: [4, =]}", "not valid"),
    (S_G, "{choices: [4, <<]}", "not valid"),
    (S_G, "{choices: [!!int four]}", "not a value"),
    (S_G, "{choices: [!!int '']}", "not a value"),
    (S_G, "{choices: [!!bool maybe]}", "not a value"),
    (S_G, "{choices: [!!float x]}", "not a value"),
    (S_G, "{choices: [!!timestamp soon]}", "not a value"),
    (S_G, "{choices: [!!binary '%%%']}", "mine.yaml"),
    (S_G, "{choices: [!!binary aGk=]}", "s_g"),
    (S_G, "{choices: !!set {2, 4}}", "tag"),
    (S_G, "{choices: !!omap [a: 1]}", "tag"),
    (S_G, "{choices: [!mine 4]}", "not valid"),
    (S_G, "{choices: [!!python/object/apply:os.system [id]]}", "tag"),
    (S_G, "!!python/object/new:os.system [id]", "tag"),
    (S_G, "{!!bool maybe : 4}", "not a value"),
    (S_G, "{on: 4}", "a name"),
    (S_G, "{yes: [4]}", "in quotes"),
    (S_G, "{1: 4}", "a name"),
    (S_G, "{~: 4}", "a name"),
    (S_G, "{<<: 4}", "<<"),
    (S_G, "{<<: [4]}", "<<"),
    (S_G, "{choices: }", "nothing"),
    (S_G, "\n    choices:\n      - 4\n      -", "nothing"),
    (S_G, "{choices: [], <<: {choices: [4]}}", "empty"),
    ("description: a test", "on: a test", "a name"),
    ("kwargs: {depths: 1}", "kwargs: {depths: }", "nothing"),
    ("kwargs: {depths: 1}", "kwargs: {depths: 01}", "octal"),
    ("kwargs: {depths: 1}", "kwargs: {depths: '1'}", "depths"),
    ("kwargs: {depths: 1}", "kwargs: {depths: 1000000000}", "depths"),
    ("kwargs: {depths: 1}", "kwargs: {depths: [1, [2]]}", "depths"),
    ("kwargs: {depths: 1}", "kwargs: {depths: {a: 1}}", "depths"),
    ("kwargs: {depths: 1}", "kwargs: {depths: 1, checkpoint_path: evil.pth}", "checkpoint_path"),
    ("kwargs: {depths: 1}", "kwargs: {depths: 1, pretrained: true}", "pretrained"),
    ("model: mgic_resnet20", "model: no", "model"),
    ("model: mgic_resnet20", "model: 20", "model"),
    ("model: mgic_resnet20", "model: 'mgic_resnet20\n\n x'", "unknown model"),
    ("model: mgic_resnet20", "model: local-dir:/tmp", "unknown model"),
    ("model: mgic_resnet20", "model: hf-hub:evil/net", "unknown model"),
    ("model: mgic_resnet20", "model: mgicify:local-dir:/tmp", "unknown model"),
    ("model: mgic_resnet20", "model: mgic_resnet20 # \x00", "not valid"),
    # ranges
    ("low: 0.25", "low: 00.25x", "low"),
    ("low: 0.25", "low: '0.25'", "low"),
    ("low: 0.25", "low: -0.25", "width_mult"),
    ("low: 0.25", "low: [0.25]", "low"),
    ("low: 0.25", "low: 1e999", "low"),
    ("high: 1.0", "high: 1,0", "a name"),
    ("high: 1.0", "high: 1e300", "10,000"),
    ("high: 1.0", f"high: 1{'0' * 5000}", "not a value"),
    ("step: 0.25", "step: 1e-300", "10,000"),
    ("step: 0.25", "step: nan", "step"),
    ("per_stage: 3", "per_stage: 03", "octal"),
    ("per_stage: 3", "per_stage: 100000000", "per_stage"),
    ("per_stage: 3", "per_stage: 999", "width_mult"),
    ("per_stage: 3", "per_stage: '3'", "per_stage"),
]


@pytest.mark.parametrize("case", REPLACED, ids=lambda case: f"{case[1][:50]!r}")
def test_a_wrong_line(case: tuple[Any, ...]) -> None:
    old, new, *words = case
    assert old in WHOLE_SPACE
    check(WHOLE_SPACE.replace(old, new, 1), *words)


BOMB = "a: &a [x]\n" + "\n".join(f"{c}: &{c} [{', '.join([f'*{b}'] * 10)}]" for b, c in zip("abcdefgh", "bcdefghi"))
MERGED = "a: &a {x: 1}\n" + "\n".join(
    f"{c}: &{c} {{<<: [{', '.join([f'*{b}'] * 10)}]}}" for b, c in zip("abcdefghij", "bcdefghijk")
)
WHOLE = [
    (b"\x00", ["not valid"]),
    (b"\xff\xfe" + WHOLE_SPACE.encode("utf-16-le"), ["utf-8"]),
    (WHOLE_SPACE.encode("utf-16"), ["utf-8"]),
    (WHOLE_SPACE.replace("a test", "ein Fläschchen").encode("latin-1"), ["utf-8"]),
    (b"\x89PNG\r\n\x1a\n", ["utf-8"]),
    (b"PK\x03\x04" * 20, ["not valid"]),
    (b"{" * 100_000, ["deep"]),
    (b"- " * 20_000, ["deep"]),
    (b"? " * 20_000, ["deep"]),
    (b"[" * 900_000, ["deep"]),
    (b"a: " * 2_000, ["mine.yaml"]),
    (b"a:\n" * 20_000, ["second time"]),
    (b"&a [*a]", ["deep"]),
    (b"a: &a {<<: *a}", ["deep"]),
    (b"a: &a {b: *a}", ["deep"]),
    (BOMB.encode(), ["too many"]),
    (MERGED.encode(), ["too many"]),
    (
        f"a: &a {{{', '.join(f'k{i}: 1' for i in range(5000))}}}\nb: {{<<: [{', '.join(['*a'] * 5000)}]}}".encode(),
        ["many"],
    ),
    (b"a: 1\n---\nb: 2", ["not valid"]),
    (b"%YAML 1.2\n---\nmodel: mgic_resnet20\n", ["params"]),
    (b"%YAML 3.0\n---\nmodel: mgic_resnet20\n", ["mine.yaml"]),
    (b"%TAG ! tag:evil,2000:\n---\n!x {}", ["tag"]),
    (b"model: mgic_resnet20\nparams: {s_g: {choices: [4]}}\nparams: {}", ["second time"]),
    (b"model: mgic_resnet20\nparams: {}", ["nothing to search"]),
    (b"model: mgic_resnet20\nparams: null", ["nothing to search"]),
    (b"model: mgic_resnet20\nparams: 4", ["mapping"]),
    (b"model: mgic_resnet20\nparams: {s_g: {choices: [4]}}\nwhere: 4", ["list"]),
    (b"model: mgic_resnet20\nparams: {s_g: {choices: [4]}}\nwhere: [4]", ["not text"]),
    (b"model: mgic_resnet20\nparams: {s_g: {choices: [4]}}\nwhere: [[s_g > 1]]", ["not text"]),
    (b"model: mgic_resnet20\nparams: {s_g: {choices: [4]}}\nwhere: {a: b}", ["list"]),
    (b"model: mgic_resnet20\nparams: {s_g: {choices: [4]}}\nwhere: ''", ["not an expression"]),
    (b"model: mgic_resnet20\nparams: {s_g: {choices: [" + b"4, " * 10_001 + b"]}}", ["most"]),
    (b'{"model": "mgic_resnet20", "params": {"s_g": [4]}}', ["choices"]),
    (b"name: run\ntrials: 4", ["unknown key"]),
    (b"model = mgic_resnet20", ["model:"]),
    (b"[space]\nmodel = 'mgic_resnet20'", ["not valid"]),
]


@pytest.mark.timeout(60)  # a bomb would take for ever
@pytest.mark.parametrize(("content", "words"), WHOLE, ids=lambda value: repr(value[:30]) if value else None)
def test_a_wrong_file(content: bytes, words: list[str]) -> None:
    check(content, *words)


def test_a_file_that_is_too_large_is_not_even_read() -> None:
    with open("mine.yaml", "wb") as stream:
        stream.truncate(50 << 30)  # a sparse file of 50 GB
    with pytest.raises(UserError, match="too large"):
        SearchSpace.from_yaml("mine.yaml")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("{choices: [0x4, 8]}", (4, 8)),
        ("{choices: [0b100, 8]}", (4, 8)),
        ("{choices: [4, 1_6]}", (4, 16)),
        ("{choices: [+4, 8]}", (4, 8)),
        ("{low: 4, high: 12, step: 4}", (4, 8, 12)),
    ],
)
def test_whole_numbers_are_read_as_meant(written: str, read: tuple[int, ...]) -> None:
    assert load(WHOLE_SPACE.replace(S_G, written)).params["s_g"] == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("{choices: [5e-1, 1e0, 1.5E+0]}", (0.5, 1.0, 1.5)),
        ("{choices: [.5, 1.]}", (0.5, 1.0)),
        ("{choices: [2.5e-1]}", (0.25,)),
        ("{low: 2.5e-1, high: 1e0, step: 2.5e-1}", (0.25, 0.5, 0.75, 1.0)),
    ],
)
def test_numbers_are_read_as_meant(written: str, read: tuple[float, ...]) -> None:
    space = load(f"model: mgic_resnet20\nparams: {{width_mult: {written}}}")
    assert repr(space.params["width_mult"]) == repr(read)


def test_yes_no_and_null_are_read_as_meant() -> None:
    space = load("model: dgcnn\nparams: {k: {choices: [20]}}\ndescription:\nkwargs: ~\nwhere:\n")
    assert space.kwargs == {}
    with pytest.raises(UserError, match="True"):
        load(WHOLE_SPACE.replace("[basic, bottleneck]", "[yes]"))
    with pytest.raises(UserError, match="'yes'"):
        load(WHOLE_SPACE.replace("[basic, bottleneck]", "['yes']"))


@pytest.mark.parametrize(
    "content", [WHOLE_SPACE.encode("utf-8-sig"), WHOLE_SPACE.replace("\n", "\r\n").encode(), WHOLE_SPACE.encode()]
)
def test_what_editors_add_does_no_harm(content: bytes) -> None:
    assert load(content) == load(WHOLE_SPACE)


def test_a_wrong_space_stops_every_command() -> None:
    Path("mine.yaml").write_text(WHOLE_SPACE.replace(S_G, "{choices: [010]}"))
    for argv in (
        search(space="mine.yaml"),
        ["profile", "mine.yaml"],
        ["record", "mine.yaml", "--data=fashion", "--budget=1M", "--epochs=1", "--out=table"],
    ):
        refused(argv, "mine.yaml, line 5", "octal")
