"""Latencies in the report: every kind that was measured has its axis, its column and its rank correlation."""

import dataclasses

import pytest
from fakes import report as fakes

from mgic_nas._text import THIN
from mgic_nas.report import story
from mgic_nas.report.figures import figures
from mgic_nas.report.markdown import markdown
from mgic_nas.report.page import page
from mgic_nas.report.ranks import rank_correlation
from mgic_nas.report.tables import budgets_csv

KIND, OTHER = "latency-onnxruntime-b8", "latency-jetson"


def made(milliseconds):
    """Networks of 0.4, 0.5, ... MMACs, each with its milliseconds in onnxruntime; None: not measured."""
    rows = [
        {
            "number": number,
            "state": "complete",
            "arch_id": f"{number:012x}",
            "macs": 4e5 + 1e5 * number,
            "val_acc": 70.0 + number,
            "params": 1000.0,
            f"{KIND}_ms": ms,
            f"{OTHER}_ms": 3.0,
        }
        for number, ms in enumerate(milliseconds)
    ]
    summary = fakes.summary(
        table=(rows, {}),
        trials=max(1, len(rows)),
        budgets=["1M", f"{KIND}=2ms", f"{OTHER}=5ms"],
        latencies=["/somewhere/jetson.csv"],
    )
    timed = {OTHER: "as in jetson.csv", KIND: "a batch of 8 on a processor"}
    return dataclasses.replace(summary, record=dataclasses.replace(summary.record, timed=timed))


def test_each_latency_is_an_axis_in_milliseconds_with_its_budget():
    summary = made([1.0, 4.0, 1.5])
    drawn = figures(summary)
    figure = drawn[f"front-{KIND}"]
    xs = {x for trace in figure["data"] for x in trace["x"]}
    assert xs == {1.0, 4.0, 1.5}
    (line,) = figure["layout"]["lines"]
    assert (line["x"], line["text"]) == (2.0, "2 ms")
    assert "Latency in onnxruntime, batch 8, ms" in figure["layout"]["xaxis"]["title"]
    assert f"front-{OTHER}" in drawn
    assert {w.budget.kind: w.trial.number for w in summary.winners} == {"macs": 2, KIND: 2, OTHER: 2}


@pytest.mark.parametrize(
    ("milliseconds", "rank"), [([1.0, 2.0, 3.0, 4.0], 1.0), ([4.0, 3.0, 2.0], -1.0), ([1.0, 3.0, 2.0], 0.5)]
)
def test_rank_correlation_of_macs_and_milliseconds(milliseconds, rank):
    networks, found = rank_correlation(made(milliseconds), KIND)
    assert networks == len(milliseconds)
    assert found == pytest.approx(rank)


@pytest.mark.parametrize("milliseconds", [[], [1.0, 2.0], [1.0, 2.0, None], [2.0, 2.0, 2.0, 2.0]])
def test_no_rank_correlation_of_too_few_or_equal_ones(milliseconds):
    """Two networks always agree or disagree wholly; equal milliseconds have no order."""
    assert rank_correlation(made(milliseconds), KIND)[1] is None


def test_page_and_markdown_and_csv_say_them_all():
    summary = made([1.0, 3.0, 1.5])
    sentence = "between MACs and milliseconds (Latency in onnxruntime, batch 8) is 0.50 over 3 networks"
    for text in (page(summary, {}), markdown(summary, {})):
        assert sentence in text
        assert "a batch of 8 on a processor" in text
        assert "Latency by jetson.csv" in text
        assert f"1.5{THIN}ms" in text
    heading, *rows = budgets_csv(summary, {}).splitlines()
    at = heading.split(",").index(f"{KIND}_ms")
    assert heading.split(",")[at - 2 : at] == ["activations", f"{OTHER}_ms"]
    assert [row.split(",")[at] for row in rows] == ["1.5", "1.5", "1.5"]
    assert story.amount(summary.budgets[2]).replace(THIN, " ") == "2 ms in onnxruntime, batch 8"
    assert story.amount(summary.budgets[1]).replace(THIN, " ") == "5 ms by jetson.csv"
