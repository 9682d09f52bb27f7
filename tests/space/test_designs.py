"""Known designs: what is trained first must be the network that was meant."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mgic_nas import SearchSpace, UserError
from mgic_nas.space.designs import fitted, written_designs

SPACE = SearchSpace.from_dict(
    {
        "model": "mgic_resnet20",
        "kwargs": {"depths": 1},
        "params": {
            "s_g": {"choices": [4, 8]},
            "s_c": {"choices": [8, 16]},
            "width_mult": {"low": 0.25, "high": 1.0, "step": 0.25, "per_stage": 3},
            "block": {"choices": ["basic", "bottleneck"]},
        },
    }
)
WHOLE = {"s_g": 8, "s_c": 16, "width_mult.0": 0.5, "width_mult.1": 0.5, "width_mult.2": 1.0, "block": "basic"}


def one(given: Any) -> Any:
    (where, written), *others = written_designs(given)
    assert not others
    return fitted(SPACE, written, where)


@pytest.mark.parametrize(
    "given",
    [
        "s_g=8,s_c=16,width_mult=[0.5, 0.5, 1],block=basic",
        "s_g=8, s_c=16, width_mult.0=0.5, width_mult.1=0.5, width_mult.2=1.0, block=basic",
        {"s_g": 8, "s_c": "16", "width_mult": (0.5, 0.5, 1.0), "block": "basic"},
        {**WHOLE, "depths": 1},
        "s_g=8,s_c=16,width_mult=[0.5, 0.5, 1],block=basic,depths=1.0",
    ],
)
def test_settings_as_people_write_them(given: Any) -> None:
    found = one(given)
    assert found == WHOLE
    assert {name: type(value) for name, value in found.items()} == {name: type(v) for name, v in WHOLE.items()}
    assert SPACE.arch_id(found) == SPACE.arch_id(WHOLE)


def test_one_number_is_for_all_stages() -> None:
    found = one("s_g=8,s_c=16,width_mult=0.5,block=basic")
    assert [found[f"width_mult.{i}"] for i in range(3)] == [0.5] * 3


def test_files(tmp_path: Path) -> None:
    (tmp_path / "known.yaml").write_text(
        "- {s_g: 8, s_c: 16, width_mult: [0.5, 0.5, 1.0], block: basic}\n"
        "- {s_g: 4, s_c: 8, width_mult: 1, block: basic}\n"
    )
    names = ",".join(f"p.{name}" for name in WHOLE)
    (tmp_path / "known.csv").write_text(f"number,{names},s_g,val_acc\n0,8,16,0.5,0.5,1.0,basic,99,81.5\n")
    (tmp_path / "plain.csv").write_text("s_g,s_c,width_mult,block\n8,16,0.5,basic\n")
    several = written_designs(tmp_path / "known.yaml")
    assert [fitted(SPACE, written, where)["s_g"] for where, written in several] == [8, 4]
    assert one(tmp_path / "known.csv") == WHOLE  # other columns of trials.csv are no part of the design
    assert one(str(tmp_path / "plain.csv"))["width_mult.2"] == 0.5


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("s_g=8,s_c=16,width_mult=0.5", "does not say block: write block=basic"),
        ("s_g=9,s_c=16,width_mult=0.5,block=basic", "s_g is 9, which is not in the space \\(4, 8\\)"),
        ("s_g=8,s_c=16,width_mult=[0.5, 1.0],block=basic", "width_mult has 2 values; the space has 3 stages"),
        ("sg=8,s_g=8,s_c=16,width_mult=0.5,block=basic", "no parameter 'sg'.*s_g"),
        ("depths=2,s_g=8,s_c=16,width_mult=0.5,block=basic", "depths is 2, and the space fixes it at 1"),
        ("s_g=8,s_g=4", "given twice"),
        ("width_mult=0.5,width_mult.0=1.0,s_g=8,s_c=16,block=basic", "width_mult.0 is given twice"),
        ("s_g=true,s_c=16,width_mult=0.5,block=basic", "s_g is True"),
        ("s_g=,s_c=16", "no value"),
        ("nothing", "neither settings"),
        ("nothing.yaml", "there is no file"),
        (7, "takes settings"),
    ],
)
def test_what_is_no_design_is_one_line(given: Any, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        one(given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.yaml", b"- 3\n", "must be a list of settings"),
        ("a.yaml", b"[]\n", "holds 0 designs"),
        ("a.yaml", b"- {s_g: 8\n", "a.yaml"),
        ("a.yaml", b"\xff\xfe", "UTF-8"),
        ("a.csv", b"", "holds 0 designs"),
        ("a.csv", b"s_g\n8\n", "row 2 does not say s_c"),
        ("a.csv", b'"s_g', "a.csv"),
        ("a.csv", b"\x00" * 100, "a.csv"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        [fitted(SPACE, written, where) for where, written in written_designs(tmp_path / name)]
    assert "\n" not in str(caught.value)


def test_a_design_that_says_which_network_it_was_is_that_network_or_refused(tmp_path: Path) -> None:
    """trials.csv has the searched parameters alone: with other fixed arguments they would be another network."""
    names = ",".join(f"p.{name}" for name in WHOLE)
    (tmp_path / "trials.csv").write_text(f"arch_id,{names}\n{SPACE.arch_id(WHOLE)},8,16,0.5,0.5,1.0,basic\n")
    assert one(tmp_path / "trials.csv") == WHOLE
    deeper = SearchSpace.from_dict({**SPACE.to_dict(), "kwargs": {"depths": 2}})
    ((where, written),) = written_designs(tmp_path / "trials.csv")
    with pytest.raises(UserError, match=r"row 2 is the network .* leave arch_id out") as caught:
        fitted(deeper, written, where)
    assert "\n" not in str(caught.value)


def test_numpy_numbers_are_numbers() -> None:
    given = {**WHOLE, "s_g": np.int64(8), "width_mult.0": np.float32(0.5), "depths": np.int64(1)}
    assert one(given) == WHOLE
    with pytest.raises(UserError, match="s_g is 9, which"):
        one({**given, "s_g": np.int64(9)})
