"""The report says what is expected of the winners, by what they were chosen, and stays as it was where that is new."""

import csv
import dataclasses
import io

import pytest
from fakes import report as fakes

import mgic_nas
from mgic_nas.errors import UserError
from mgic_nas.report import story
from mgic_nas.report.expected import how, line
from mgic_nas.report.headline import headline
from mgic_nas.report.markdown import markdown
from mgic_nas.report.page import page
from mgic_nas.report.tables import BUDGET_COLUMNS, budgets_csv
from mgic_nas.results import Run

NEW = ("expected_acc", "sd", "p_best", "chosen_by")


def lucky(n=16, luck=6.0, **changes):
    """Accuracies that rise with the MACs, and a small network that is far above the others like it."""
    table = [
        {
            "number": i,
            "arch_id": f"arch{i}",
            "state": "complete",
            "macs": 400_000 + 20_000 * i,
            "params": 4_000 + 100 * i,
            "activations": 9_000 + 300 * i,
            "val_acc": 70.0 + 0.5 * i + luck * (i == 3),
            "p.width_mult": round(0.25 + 0.05 * i, 2),
            "seconds": 30.0,
        }
        for i in range(n)
    ]
    data = {**fakes.DATA, "sizes": {"train": 1000, "val": 100, "test": 100}}
    return fakes.summary(table=(table, {}), **{"budgets": ["0.5M", "1M"], "trials": n, "data": data, **changes})


def rows(summary):
    return {row["budget"]: row for row in csv.DictReader(io.StringIO(budgets_csv(summary, {})))}


def test_budgets_csv_gains_four_columns_at_its_end():
    assert BUDGET_COLUMNS[-4:] == NEW
    within = rows(lucky(winner="expected"))["0.5M"]
    assert (within["number"], within["chosen_by"], within["val_acc"]) == ("5", "expected", "72.5")
    assert 71 < float(within["expected_acc"]) < 75
    assert 0 < float(within["sd"]) < 3
    assert 0 < float(within["p_best"]) < 1


def test_a_run_from_before_there_was_a_choice_stays_as_it_was():
    summary = lucky()
    assert summary.config.winner == "measured"
    row = rows(summary)["0.5M"]
    assert (row["number"], row["chosen_by"]) == ("3", "measured")
    assert row["expected_acc"], "it is said all the same"
    assert "best of 16 networks reaches 77.5" in headline(summary)
    assert how(summary) == "measured accuracy"
    assert "--winner expected chooses by the other" in page(summary, {})


def test_page_and_markdown_show_both_accuracies_and_which_one_decided():
    summary = lucky(winner="expected")
    small = summary.winners[0]
    assert small.measured.number == 3
    said = line(summary, small)
    assert "trial 3 measured 77" in said
    assert "probability" in said
    for text in (page(summary, {}), markdown(summary, {})):
        assert "Winners were chosen by their expected accuracy" in text
        assert "expected accuracy (--winner expected)" in text
    assert "| Expected | P(best) |" in markdown(summary, {})
    assert said in page(summary, {})
    assert "what is expected to be the best of 6" in headline(lucky(winner="expected", budgets=["0.5M"]))


def test_front_and_its_csv_stay_measured():
    assert 3 in lucky(winner="expected").front_numbers


def test_too_few_networks_are_chosen_by_what_was_measured_and_it_says_so():
    summary = lucky(n=6, winner="expected")
    row = rows(summary)["0.5M"]
    assert (row["number"], row["chosen_by"], row["expected_acc"], row["p_best"]) == ("3", "measured", "", "")
    assert how(summary) == (
        "measured accuracy; not by what is expected, since 6 of the 8 networks that it needs are complete"
    )
    assert "6 of the 8 networks that it needs are complete" in page(summary, {})
    assert "Expected" not in markdown(summary, {})


def test_scores_that_are_no_accuracy_and_trials_that_failed():
    summary = lucky(winner="expected", data={**fakes.DATA, "spec": "functions:waves"})
    assert rows(summary)["1M"]["expected_acc"]
    assert "luck of" not in page(summary, {})
    torn = fakes.summary(table=fakes.rows(trials=30, failed=(1, 4), stopped=(2, 5)), winner="expected")
    assert torn.choice.expected.keys() == {t.number for t in torn.complete}
    assert page(torn, {})


def test_smaller_budgets_never_cost_a_negative_number_of_points():
    text = headline(lucky(winner="expected"))
    assert "is expected to cost" in text
    assert "−" not in text
    assert "-" not in text


def test_another_choice_is_kept_in_run_yaml(tmp_path):
    fakes.summary(tmp_path)
    config = fakes.config()
    config.save(tmp_path)
    run = Run(tmp_path, config).chosen_by("expected")
    assert run.config.winner == "expected"
    assert mgic_nas.load_run(tmp_path).config.winner == "expected"
    assert run.chosen_by("measured").config.winner == "measured"
    with pytest.raises(UserError, match="winner must be expected or measured"):
        run.chosen_by("best")


def test_what_another_hour_buys_is_said():
    summary = lucky(n=20)
    entries = tuple(dataclasses.replace(t, ended=30.0 * (t.number + 1)) for t in summary.trials)
    summary = dataclasses.replace(summary, record=dataclasses.replace(summary.record, entries=entries))
    for text in (page(summary, {}), markdown(summary, {})):
        assert "Another 20 trainings (about 10 min): +" in text
    assert "Another" not in story.status(lucky(n=12))
