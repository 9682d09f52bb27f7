"""The drawing of a winner is of that network: its levels, its groups, and every one of its MACs."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from fakes import report as fakes

from mgic_nas._files import write_csv
from mgic_nas._text import THIN
from mgic_nas.engine.storage import row_latencies
from mgic_nas.families import family
from mgic_nas.models.parts import parts_of
from mgic_nas.report import diagram
from mgic_nas.report.page import page

SMALL = {"s_g": 4, "s_c": 8, "width_mult": 0.5, "block": "basic"}
LARGE = {"s_g": 4, "s_c": 8, "width_mult": 1.0, "block": "basic"}


def summary(*settings, model="mgic_resnet20", lie=0):
    table = []
    for number, setting in enumerate(settings):
        cost = family(model).cost({"depths": 1, **setting}, (1, 14, 14), 10)
        names = {f"p.{name}": value for name, value in setting.items()}
        macs = cost.macs + lie
        table.append({"number": number, "state": "complete", "macs": macs, "val_acc": 70.0 + number, **names})
    space = {**fakes.SPACE, "model": model}
    return fakes.summary(table=(table, {}), space=space, budgets=[str(table[0]["macs"]), "99M"])


@pytest.mark.parametrize("model", ["mgic_resnet20", "mgic_resnet56"])
def test_the_blocks_cost_what_the_network_costs(model):
    made = summary(SMALL, LARGE, model=model)
    for trial in made.complete:
        found = diagram.blocks(made, trial)
        assert sum(b.macs for b in found) == trial.macs
        assert [b.place for b in found if b.row is None] == ["classifier"]
        assert all(0 <= b.transfers <= b.macs for b in found)
        levelled = [b for b in found if b.row and len(b.row.levels) > 1]
        assert levelled, "an MGIC block is shown with its levels"
        assert all(
            a.channels >= b.channels for block in levelled for a, b in zip(block.row.levels, block.row.levels[1:])
        )


def test_a_network_whose_cost_is_not_as_recorded_is_not_drawn():
    """Drawn from today's rows it would be another one than was trained."""
    made = summary(SMALL, lie=1)
    assert diagram.blocks(made, made.complete[0]) == []
    assert "Inside the winners" not in page(made, {})


def test_what_differs_from_the_smaller_winner_is_marked():
    made = summary(SMALL, LARGE)
    small, large = made.complete
    assert not any(b.other for b in diagram.blocks(made, small))
    assert any(b.other for b in diagram.blocks(made, large, small))
    assert not any(b.other for b in diagram.blocks(made, large, large))
    text = diagram.compared(made, small, large)
    assert text.startswith("Trial 1 has width_mult 1 instead of 0.5; most of the difference in MACs is in ")
    html = page(made, {})
    assert html.count('<svg class="network"') == 2
    assert text.endswith("MACs at 1×14×14).")


def test_the_drawing_is_whole_and_within_its_width():
    made = summary(SMALL, LARGE)
    drawn = [diagram.blocks(made, t) for t in made.complete]
    scale, most = diagram.widest(drawn), diagram.most_macs(drawn)
    for found in drawn:
        root = ET.fromstring(str(diagram.drawing(found, scale, most)))
        rects = [r.attrib for r in root.iter() if r.tag.endswith("rect")]
        assert sum(r["class"] == "level" for r in rects) == sum(
            max(1, len(b.row.levels)) if b.row else 1 for b in found
        )
        assert all(float(r["x"]) >= 0 and float(r["x"]) + float(r["width"]) <= diagram.WIDTH + 0.1 for r in rects)


def test_a_family_without_rows_has_no_drawing():
    space = {**fakes.SPACE, "model": "resnet18"}
    made = fakes.summary(space=space)
    assert diagram.blocks(made, made.complete[0]) == []


def test_milliseconds_stand_where_rows_were_timed(tmp_path):
    """Of each block the sum over its rows; a network of which a row is missing shows none there, and nothing breaks."""
    made = summary(SMALL, LARGE)
    rows = family("mgic_resnet20").rows({"depths": 1, **SMALL}, 1)
    *parts, tail = parts_of(rows, (1, 14, 14), 10)
    times = {part.digest: 0.001 for part in parts} | {tail.digest: 0.002}
    timed = replace(made, row_latencies={"latency-onnxruntime": times})
    small, large = timed.complete
    found = diagram.blocks(timed, small)
    assert sum(b.seconds for b in found) == pytest.approx(0.001 * len(parts) + 0.002)
    assert [b.seconds for b in found if b.row is None] == [0.002]
    assert any(b.seconds is None for b in diagram.blocks(timed, large))
    html = page(timed, {})
    assert f"2{THIN}ms" in html
    assert "of each row timed by itself" in html
    assert "timed by itself" not in page(made, {})


def test_the_parts_of_the_winners_that_a_run_hands_over_are_timed(tmp_path, monkeypatch):
    """Not those of the measured winner, where that is another network."""

    class Timer:
        def __init__(self, *_: object, **__: object) -> None: ...

        def knows(self, part: object) -> bool:
            return True

        def part(self, part: object) -> float:
            return 0.001

    monkeypatch.setattr(row_latencies, "Timer", Timer)
    made = summary(SMALL, LARGE)
    small, _ = made.complete
    run = fakes.config(budgets=["2M", "latency=10s"])
    row_latencies.write_row_latencies(tmp_path, run, [small, small])
    rows = family("mgic_resnet20").rows({"depths": 1, **SMALL}, 1)
    expected = {part.digest for part in parts_of(rows, run.input_size, run.num_classes)}
    assert row_latencies.read_row_latencies(tmp_path)["latency"].keys() == expected


def test_row_latencies_of_a_run_are_read_as_written_and_a_broken_file_is_none(tmp_path):
    path = tmp_path / row_latencies.FILE
    write_csv(path, row_latencies.COLUMNS, [{"kind": "latency", "part": "ab", "latency_ms": "1.5"}])
    assert row_latencies.read_row_latencies(tmp_path) == {"latency": {"ab": 0.0015}}
    for text in ("kind,part\nlatency,ab\n", "kind,part,latency_ms\nlatency,ab,fast\n", "\0"):
        path.write_text(text)
        assert row_latencies.read_row_latencies(tmp_path) == {}
