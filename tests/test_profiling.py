"""What `mgic-nas profile NAME` shows before anything is trained: costs, what a conversion did, what fusing gains."""

import json

import pytest

import mgic_nas
from mgic_nas.cli import main

CONVERTED = ["profile", "mgicify:resnet50", "--set", "s_g=32", "--set", "s_c=64"]


def shown(capsys: pytest.CaptureFixture[str], argv: list[str]) -> str:
    capsys.readouterr()
    assert main(argv) == 0
    out: str = capsys.readouterr().out
    return out


def test_a_conversion_shows_its_cost_before_and_after_and_every_block(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, CONVERTED)
    lines = text.splitlines()
    assert lines[0] == 'timm.create_model("mgicified", base="resnet50", s_g=32, s_c=64, num_classes=1000, in_chans=3)'
    assert lines[1] == "resnet50 in MGIC form (s_g=32, s_c=64): 10 of 16 blocks replaced"
    before, after = mgic_nas.profile("resnet50"), mgic_nas.profile("mgicify:resnet50", s_g=32, s_c=64)
    for title, kind in (("params", "params"), ("MACs at 3x224x224", "macs"), ("activations", "activations")):
        line = next(line for line in lines if line.strip().startswith(title))
        assert f"{getattr(before, kind):,} ->" in line
        assert f"{getattr(after, kind):,}  (" in line
    assert "layer3.1 .. layer3.5 (5)      Bottleneck: 1024 > 512 > 256 channels in 8 > 4 > 1 groups" in text
    assert "layer1.0            Bottleneck: it changes the width, 64 to 256" in text
    assert "layer1.1, layer1.2  Bottleneck: no level is added: at 64 channels it is no wider than s_c" in text


def test_it_answers_programs_too(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(shown(capsys, [*CONVERTED, "--json", "--budget", "3G"]))
    assert found["before"]["macs"] > found["macs"]
    assert len(found["replaced"]) == 10
    assert {block["name"] for block in found["left"]} >= {"layer1.0", "layer1.1", "layer4.0"}
    assert all(block["reason"] for block in found["left"])
    assert found["fits"] == {"3G": True}


def test_the_data_decides_about_the_conversions_cost_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    """Before and after at the size and with the classes of the data, or the two could not be compared."""
    argv = ["profile", "mgicify:resnet10t", "--set", "s_c=32", "--set", "s_g=16"]
    text = shown(capsys, [*argv, "--data", "fashion"])
    assert "num_classes=10, in_chans=1)" in text
    before = mgic_nas.profile("resnet10t", input_size=(1, 14, 14), num_classes=10)
    assert f"MACs at 1x14x14      {before.macs:>15,} ->" in text


def test_a_network_that_is_no_timm_name(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, ["profile", "mgic_diffgcn", "--input-size", "3,128,1", "--set", "k=5"])
    assert text.startswith('mgic_nas.create_model("mgic_diffgcn", k=5, num_classes=10, in_chans=3)\n')
    assert "MACs at 3x128x1" in text
    assert main(["profile", "mgic_difgcn"]) == 2
    assert "Did you mean mgic_diffgcn" in capsys.readouterr().err


def test_time_sets_the_forms_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["profile", "mgic_resnet20", "--set", "depths=1", "--set", "width_mult=0.25", "--input-size", "3,8,8"]
    text = shown(capsys, [*small, "--time"])
    rows = {line[4:14]: line.split() for line in text.splitlines() if line.startswith(("    as trained", "    fused "))}
    trained, fused = rows["as trained"], rows["fused     "]
    params, macs = (int(word.replace(",", "")) for word in trained[-3:-1])
    cost = mgic_nas.profile("mgic_resnet20", depths=1, width_mult=0.25, input_size=(3, 8, 8))
    assert (params, macs) == (cost.params, cost.macs)
    assert int(fused[-3].replace(",", "")) < params
    assert float(trained[-1]) > 0
    assert "BatchNorms are folded: the fused form takes " in text
    found = json.loads(shown(capsys, [*small, "--time", "--json"]))["inference"]
    assert [form["name"] for form in found["forms"]] == ["as trained", "fused"]
    assert found["left"] == 0 < found["batch_norms"]


def test_time_of_a_conversion_has_the_original_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["profile", "mgicify:convnext_atto", "--set", "s_g=16", "--set", "s_c=32", "--input-size", "3,32,32"]
    text = shown(capsys, [*argv, "--time"])
    original = mgic_nas.profile("convnext_atto", input_size=(3, 32, 32))
    assert f"    the original {original.params:>15,} {original.macs:>18,} " in text
    assert "no BatchNorm can be folded, so both are the same" in text


def test_time_of_a_space_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "quickstart", "--time"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
