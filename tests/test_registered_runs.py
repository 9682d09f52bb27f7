"""A run's winners as timm names: with their weights, and never in the place of something else."""

import shutil
from pathlib import Path

import pytest
import timm
import torch
from fakes.wrong import one_line, unpack
from timm.data import resolve_model_data_config
from timm.models import save_for_hf

import mgic_nas
from mgic_nas import UserError


def a_run(folder: Path, name: str) -> Path:
    """The finished run in a folder of a name, which no other test may register."""
    target = folder / name
    shutil.move(unpack(folder), target)
    return target


def test_winners_are_timm_names_with_weights(tmp_path: Path) -> None:
    run = a_run(tmp_path, "Small-Nets.v2")
    names = mgic_nas.register_run(run)
    assert names == ["mgicrun_small_nets_v2_0p2m", "mgicrun_small_nets_v2_0p3m"]
    assert timm.list_models("mgicrun_small_nets*", pretrained=True) == names
    x = torch.randn(2, 1, 14, 14)
    for name, budget in zip(names, ("0.2M", "0.3M")):
        net = timm.create_model(name, pretrained=True).eval()
        with torch.no_grad():
            assert torch.equal(net(x), mgic_nas.load_run(run).within(budget).create_model()(x))
        config = resolve_model_data_config(net)
        assert (config["input_size"], config["mean"], config["std"]) == ((1, 14, 14), (0.2852,), (0.3294,))
        cfg = timm.get_pretrained_cfg(name)
        assert cfg.label_names[0] == "T-shirt/top"
        assert cfg.num_classes == 10


def test_other_heads_and_colours_are_as_with_any_timm_network(tmp_path: Path) -> None:
    name = mgic_nas.register_run(a_run(tmp_path, "heads"))[0]
    net = timm.create_model(name, pretrained=True, num_classes=3, in_chans=3)
    assert net(torch.zeros(1, 3, 14, 14)).shape == (1, 3)


def test_saved_by_timm_it_comes_back_without_the_name(tmp_path: Path) -> None:
    name = mgic_nas.register_run(a_run(tmp_path, "saved"))[0]
    net = timm.create_model(name, pretrained=True).eval()
    save_for_hf(net, str(tmp_path / "net"), safe_serialization=True)
    assert name not in (tmp_path / "net/config.json").read_text()
    again = timm.create_model(f"local-dir:{tmp_path / 'net'}", pretrained=True).eval()
    x = torch.randn(1, 1, 14, 14)
    with torch.no_grad():
        assert torch.equal(net(x), again(x))


def test_the_same_run_again_is_fine_and_another_of_its_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    run, other = a_run(tmp_path / "a", "twice"), a_run(tmp_path / "b", "twice")
    names = mgic_nas.register_run(run)
    assert mgic_nas.register_run(str(run)) == names
    weights = timm.get_pretrained_cfg(names[0]).file
    with pytest.raises(UserError) as error:
        mgic_nas.register_run(other)
    one_line(error.value, "is taken by the run", "rename the folder")
    assert timm.get_pretrained_cfg(names[0]).file == weights


def test_no_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        mgic_nas.register_run(tmp_path)
    one_line(error.value, "not a run")


def test_a_run_without_trials_has_the_weights_of_its_winners(tmp_path: Path) -> None:
    run = a_run(tmp_path, "cleared")
    before = mgic_nas.load_run(run).within("0.2M").create_model().state_dict()
    shutil.rmtree(run / "trials")
    after = mgic_nas.load_run(run).within("0.2M").create_model().state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_winner_prints_in_three_lines(tmp_path: Path) -> None:
    winner = mgic_nas.load_run(a_run(tmp_path, "printed")).within("0.2M")
    first, second, third = str(winner).splitlines()
    assert f"top-1 {winner.trial.val_acc:.2f}" in first
    assert f"{winner.trial.macs:,} MACs at 1x14x14" in first
    assert second.strip() == winner.line
    assert str(winner.weights) in third
