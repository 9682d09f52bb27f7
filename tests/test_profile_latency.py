"""`mgic-nas profile` with a budget on latency: one network is measured, a space is not."""

import json
from pathlib import Path

import pytest

from mgic_nas.cli import main
from mgic_nas.families import family, start_of

NETWORK = ["profile", "mgic_resnet20", "--input-size", "1,14,14", "--set", "depths=1", "--set", "s_g=4"]


def test_one_network_is_measured_and_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*NETWORK, "--budget", "latency=1us", "--budget", "latency=60s"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["budget", "latency=0.001ms", "does", "not", "fit"] in lines
    assert ["budget", "latency=60000ms", "fits"] in lines
    latency = next(line for line in lines if line[:1] == ["latency"])
    assert float(latency[1]) > 0
    assert "one image of 1x14x14 at a time on" in " ".join(latency)


def test_programs_get_milliseconds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*NETWORK, "--budget", "latency=60s", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["latency_ms"] > 0
    assert found["fits"] == {"latency=60000ms": True}


def test_a_space_measures_nothing_and_says_when_it_is_decided(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million candidates of half a second each would take a week."""
    monkeypatch.setattr("mgic_nas.cost.latency.image_latency", lambda *_, **__: pytest.fail("measured"))
    assert main(["profile", "quickstart", "--input-size", "1,14,14", "--budget", "1M", "--budget", "latency=5ms"]) == 0
    text = capsys.readouterr().out
    assert "measured in the search" in text
    assert "what fits every other budget is measured there, once, before it is trained" in text


SMALL = ["profile", "quickstart", "--input-size", "1,14,14"]
SETTINGS = "s_g,s_c,width_mult,block,min_levels,latency_ms\n4,8,0.25,basic,0,2\n4,8,0.5,basic,0,4\n8,8,0.5,basic,0,9\n"


def test_a_space_by_the_measurements_of_a_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it costs there, and how many of the measured networks a budget leaves, before anything is searched."""
    (tmp_path / "jetson.csv").write_text(SETTINGS)
    csv = ["--latencies", str(tmp_path / "jetson.csv")]
    budgets = [f"--budget=latency-jetson={limit}" for limit in ("1ms", "5ms")]
    assert main([*SMALL, *csv, *budgets, "--budget=1M"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "latency-jetson, ms 2 4 9" in lines
    assert "latency-jetson=5ms 2 of 3 measured 66.7 %" in lines
    assert "latency-jetson=1ms 0 of 3 measured 0 %" in lines
    assert "(latency-jetson: the csv has measurements of 3 of the 96 networks; what it lacks is not trained)" in lines
    assert main([*SMALL, *csv, *budgets, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["costs"]["latency-jetson"] == {"min": 0.002, "median": 0.004, "max": 0.009}
    assert [(b["verdict"], b["fits"]) for b in found["budgets"]] == [("none measured", 0), ("fits", 2)]
    assert found["measured"] == {"latency-jetson": 3}


def test_a_space_too_large_to_enumerate_is_counted_by_what_was_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    widths = {"low": 0.25, "high": 2.0, "step": 0.01, "per_stage": 3}
    (tmp_path / "large.yaml").write_text(json.dumps({"model": "mgic_resnet20", "params": {"width_mult": widths}}))
    heading = "width_mult.0,width_mult.1,width_mult.2,latency_ms"
    (tmp_path / "jetson.csv").write_text(f"{heading}\n0.25,0.25,0.25,2\n0.25,0.5,1.0,3\n7,7,7,1\n")
    arguments = ["--input-size", "1,14,14", "--budget", "latency-jetson=2ms"]
    assert main(["profile", str(tmp_path / "large.yaml"), *arguments, "--latencies", str(tmp_path / "jetson.csv")]) == 0
    text = capsys.readouterr().out
    assert "the csv has measurements of 2 networks" in text
    assert "1 of 2 measured" in text


def test_a_network_by_the_measurements_of_a_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Under the name that a search gives it, which says how it began, and under its own."""
    config = {"depths": 1, "s_g": 4}
    path = tmp_path / "jetson.csv"
    for start in ({}, start_of("mgic_resnet20").now):
        path.write_text(f"arch_id,latency_ms\n{family('mgic_resnet20').arch_id({**start, **config})},3\n")
        assert main([*NETWORK, "--latencies", str(path), "--budget", "latency-jetson=2ms", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["latency-jetson_ms"] == 3
        assert found["fits"] == {"latency-jetson=2ms": False}


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        (SETTINGS, NETWORK, "profile the space, or give the csv a column arch_id"),
        ("arch_id,latency_ms\nabc,3\n", NETWORK, "has no measurement of this mgic_resnet20 (arch_id "),
        ("arch_id,latency_ms\nabc,3\n", SMALL, "the csv measures none of the 96 networks of quickstart"),
        (SETTINGS, [*SMALL, "--budget", "latency-nano=5ms"], "Unknown budget 'latency-nano'"),
        (None, SMALL, "jetson.csv is not there: name a csv of measurements"),
    ],
)
def test_measurements_that_say_nothing_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, arguments: list[str], said: str
) -> None:
    path = tmp_path / "jetson.csv"
    if content is not None:
        path.write_text(content)
    assert main([*arguments, "--latencies", str(path)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
