"""Whose weights stay on disk: whoever asks for a winner must get it with its weights, whatever the limits."""

from pathlib import Path
from typing import Any

import pytest
from fakes.engine import make_config
from hypothesis import given
from hypothesis import strategies as st

from mgic_nas.engine.storage.record import Record
from mgic_nas.engine.storage.trial import COMPLETE, Trial
from mgic_nas.engine.storage.weights import Weights
from mgic_nas.errors import UserError
from mgic_nas.results import Run

KINDS = ("macs", "params", "activations", "latency")
# Few values, so that ties are many.
NETWORK = st.tuples(st.integers(0, 5), *[st.integers(1, 4)] * 4)


def entry(number: int, acc: int, macs: int, params: int, activations: int, latency: int | None) -> Trial:
    cost = {"macs": macs, "macs_without_transfers": macs, "params": params, "activations": activations}
    trial = Trial(number, f"arch{number}", {}, {}, **cost, latencies={} if latency is None else {"latency": latency})
    return trial.with_result({"attempt": 1, "val_acc": float(acc)}, COMPLETE)


@given(st.lists(NETWORK, min_size=1, max_size=12), st.lists(st.none() | st.integers(1, 4), min_size=4, max_size=4))
def test_winner_within_any_limits_has_its_weights(networks: Any, limits: Any) -> None:
    """``best(macs=1e6, params=5e4)``: the winner within both may be on neither's own front."""
    entries = [entry(number, *values) for number, values in enumerate(networks)]
    weights = Weights(Path("/nowhere"), "front")
    for one in entries:
        weights.finished(one)
    record = Record(tuple(entries), {}, 0, "", Path("/nowhere"), timed={"latency": "here"})
    given = {kind: limit for kind, limit in zip(KINDS, limits) if limit is not None}
    run = Run(Path("/nowhere"), make_config())
    run._record = lambda: record  # type: ignore[method-assign]
    try:
        winner = run.best(**given)
    except UserError:
        assert not any(all(e.cost(kind) <= limit for kind, limit in given.items()) for e in entries)
        return
    assert winner.row["number"] in weights._kept
    again = Weights(Path("/nowhere"), "front")
    again.sweep(entries)
    assert again._kept.keys() == weights._kept.keys()  # a resumed run keeps the same ones


def test_dominated_networks_lose_their_weights() -> None:
    """Or a search of a thousand networks fills the disk."""
    weights = Weights(Path("/nowhere"), "front")
    for number, values in enumerate([(5, 2, 2, 2), (4, 3, 2, 2), (4, 1, 1, 1)]):
        weights.finished(entry(number, *values, latency=None))
    assert set(weights._kept) == {0, 2}


def test_limit_on_latency_without_one_measured_is_a_clear_line() -> None:
    run = Run(Path("runs/demo"), make_config())
    run._record = lambda: Record((entry(0, 5, 1, 1, 1, None),), {}, 0, "", Path("."))  # type: ignore[method-assign]
    with pytest.raises(UserError, match="within latency=5ms; none was measured in this run"):
        run.best(latency="5ms")
    with pytest.raises(UserError, match="within latency=5ms"):
        run.best(latency=0.005)
