"""A winner that loads but sees other pixels than it was trained on is worse than none; these load it as users would."""

import json
import os
import shutil
from pathlib import Path

import pytest
from fakes import report as fakes

from mgic_nas.report.tables import budgets_csv
from mgic_nas.report.winners import create_model, export_winners, imports, local_dir

pytest.importorskip("torch")
CONFIGS = (
    {"depths": 1, "s_g": 4, "s_c": 8, "width_mult": 0.25, "block": "basic"},
    {"depths": 1, "s_g": 8, "s_c": 8, "width_mult": [0.25, 0.25, 0.5], "block": "inverted_residual"},
)


def network(config, seed):
    import timm
    import torch

    import mgic_nas  # noqa: F401

    torch.manual_seed(seed)
    return timm.create_model("mgic_resnet20", **config, num_classes=10, in_chans=1).eval()


def row(number, macs, acc, config):
    setting = {}
    for name, value in config.items():
        if isinstance(value, list):
            setting |= {f"p.{name}.{i}": v for i, v in enumerate(value)}
        elif name != "depths":
            setting[f"p.{name}"] = value
    return {"number": number, "arch_id": f"arch{number}", "state": "complete", "macs": macs, "val_acc": acc, **setting}


@pytest.fixture
def run(tmp_path):
    """A made-up run with two networks, whose weights are real files; ``run(accs)`` summarises it."""
    from safetensors.torch import save_file

    weights = {}
    for number, config in enumerate(CONFIGS):
        weights[number] = tmp_path / "trials" / str(number) / "attempt-1" / "weights.safetensors"
        weights[number].parent.mkdir(parents=True)
        save_file(network(config, number).state_dict(), weights[number])

    def summary(accs=(70.0, 80.0), **changes):
        table = [row(i, m, a, c) for i, (m, a, c) in enumerate(zip((3e5, 8e5), accs, CONFIGS, strict=True))]
        return fakes.summary(tmp_path, table=(table, {}), **{"budgets": ["0.5M", "1M"], **changes})

    summary.weights = weights
    return summary


def test_timm_gives_the_winner_back(run, monkeypatch):
    """The line in the report, pasted, gives the trained network with the preprocessing of its data."""
    import timm
    import torch

    summary = run()
    assert export_winners(summary) == {}
    images = torch.randn(2, 1, 14, 14)
    monkeypatch.chdir(summary.folder)
    for winner, config, number in zip(summary.winners, CONFIGS, (0, 1), strict=True):
        net = eval(local_dir(summary, winner), {"timm": timm}).eval()
        assert torch.equal(net(images), network(config, number)(images))
        data = timm.data.resolve_model_data_config(net)
        assert data["mean"] == (0.29,) or data["mean"] == [0.29]
        assert tuple(data["std"]) == (0.32,)
        assert tuple(data["input_size"]) == (1, 14, 14)
        assert (data["crop_pct"], data["interpolation"], data["crop_mode"]) == (1.0, "bilinear", "center")
        assert net.num_classes == 10
        content = json.loads((summary.folder / "winners" / winner.budget.label / "config.json").read_text())
        assert content["model_args"]["width_mult"] == config["width_mult"]
        assert content["label_names"] == fakes.DATA["classes"]


def test_the_untrained_line_makes_the_same_architecture(run):
    import timm

    summary = run()
    line = create_model(summary, summary.winners[1].trial)
    net = eval(line, {"timm": timm})
    assert {k: v.shape for k, v in net.state_dict().items()} == {
        k: v.shape for k, v in network(CONFIGS[1], 1).state_dict().items()
    }


def test_an_unchanged_winner_is_not_written_again(run):
    """A report after every trial of a large search must not copy the same weights each time."""
    summary = run()
    export_winners(summary)
    folder = summary.folder / "winners" / "1M"
    before = {p.name: p.stat().st_ino for p in folder.iterdir()}
    export_winners(run())
    assert {p.name: p.stat().st_ino for p in folder.iterdir()} == before
    os.unlink(folder / "config.json")
    export_winners(run())
    assert (folder / "config.json").exists(), "half an export is made again"


def test_a_new_winner_replaces_the_old_one_and_stale_ones_go(run):
    import timm
    import torch

    export_winners(run())
    (run().folder / "winners" / ".new-abc").mkdir()
    summary = run(accs=(90.0, 80.0), budgets=["1M"])
    assert export_winners(summary) == {}
    assert [p.name for p in (summary.folder / "winners").iterdir()] == ["1M"]
    images = torch.randn(1, 1, 14, 14)
    net = timm.create_model(f"local-dir:{summary.folder / 'winners' / '1M'}", pretrained=True).eval()
    assert torch.equal(net(images), network(CONFIGS[0], 0)(images))


def test_missing_and_torn_weights_are_told_and_do_not_stop_the_others(run):
    run.weights[0].write_bytes(run.weights[0].read_bytes()[:1000])
    summary = run()
    problems = export_winners(summary)
    assert set(problems) == {"0.5M"}
    assert [p.name for p in (summary.folder / "winners").iterdir()] == ["1M"], "no half-written folder is left"
    table = budgets_csv(summary, problems)
    assert "no weights: " in table.splitlines()[1]
    assert "local-dir" not in table.splitlines()[1]
    assert "local-dir" in table.splitlines()[2]
    os.unlink(run.weights[0])
    assert export_winners(run(budgets=["0.5M"])) == {"0.5M": "its weights are no longer there"}


def test_winners_outlive_the_trials_they_were_made_from(run):
    """Somebody who clears trials/ to save space and builds the report again keeps the winners."""
    export_winners(run())
    shutil.rmtree(run().folder / "trials")
    assert export_winners(run()) == {}
    assert sorted(p.name for p in (run().folder / "winners").iterdir()) == ["0.5M", "1M"]


def test_exporting_leaves_the_callers_random_numbers_alone(run):
    import torch

    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    export_winners(run())
    assert torch.equal(torch.rand(1), expected)


def test_lines_are_valid_wherever_the_run_lies(tmp_path):
    """A report that is committed, moved or sent carries nobody's home folder, and its lines still load the winners."""
    for folder in (Path("runs") / "demo", tmp_path.parent / "elsewhere"):
        summary = fakes.summary(folder)
        assert local_dir(summary, summary.winners[0]) == (
            'timm.create_model("local-dir:winners/0.5M", pretrained=True)'
        )
        assert imports(summary) == "import timm, mgic_nas"
