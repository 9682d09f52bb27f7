"""`mgic-nas profile` with a budget on latency: one network is measured, a space is not."""

import json

import pytest

from mgic_nas.cli import main

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
