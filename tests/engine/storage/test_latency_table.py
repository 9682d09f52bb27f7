"""Latencies of another device, from a csv: what is trained then, and what a wrong csv says."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes.engine import FakeSpace, make_config

from mgic_nas.engine import read_record
from mgic_nas.engine.proposals.candidate import SearchProblem
from mgic_nas.engine.storage.config import RunConfig
from mgic_nas.engine.storage.latency_table import check_csv_names, read_table
from mgic_nas.engine.storage.measuring import try_out
from mgic_nas.errors import UserError

KIND = "latency-jetson"


def csv(folder: Path, text: str, name: str = "jetson.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def table(folder: Path, ms: dict[str, float]) -> str:
    return str(csv(folder, "arch_id,latency_ms\n" + "".join(f"{arch},{value}\n" for arch, value in ms.items())))


def test_networks_by_parameters_as_they_stand_in_trials_csv_too(tmp_path: Path) -> None:
    """Two settings of one architecture are two measurements of it; rows of a larger space are left out."""
    space = FakeSpace()
    rows = [("1", "2", "0", 3), ("1", "2", "1", 5), ("2.0", "4", "0", 7), ("9", "1", "0", 1), ("1", "8", "0", 1)]
    for prefix in ("", "p."):
        text = f"{prefix}alias,note,{prefix}b,latency_ms,{prefix}a\n"
        text += "".join(f"{alias},x,{b},{ms},{a}\n" for a, b, alias, ms in rows)
        found = read_table(csv(tmp_path, text), space)
        assert found.seconds == {"a1b2": 0.004, "a2b4": 0.007}
        assert found.settings["a2b4"] == {"a": 2, "b": 4, "alias": 0}
        assert found.strangers == 2  # no a = 9; and a + b = 9 is against `where`
        assert found.kind == KIND
        assert found.note == (
            "jetson.csv: 2 rows of networks that are not in the space left out; rows of one network differ by up to "
            "1.67 times: the median counts"
        )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["holds no measurements"]),
        ("arch_id,latency_ms\n", ["holds no measurements"]),
        ("arch_id,ms\na1b1,3\n", ["no column latency_ms"]),
        ("a,b,latency_ms\n1,1,3\n", ["neither a column arch_id", "lacks alias"]),
        ("arch_id,latency_ms\na1b1,3\na1b2,fast\n", ["line 3", "latency_ms must be a number above zero", "'fast'"]),
        ("arch_id,latency_ms\na1b1,0\n", ["line 2"]),
        ("arch_id,latency_ms\na1b1,nan\n", ["line 2"]),
        ("arch_id,latency_ms\na1b1,1\na1b2\n", ["line 3", "''"]),
        ("a,b,alias,latency_ms\n77,1,0,3\n", ["no measurement of a network of fake space"]),
        ('arch_id,latency_ms\n"a1b1,3\n', ["no column latency_ms"]),
    ],
)
def test_wrong_csv_is_one_line(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        read_table(csv(tmp_path, text), FakeSpace())
    assert "jetson.csv" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words)


def test_csv_that_is_none_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not there"):
        read_table(tmp_path / "jetson.csv", FakeSpace())
    (tmp_path / "jetson.csv").mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        read_table(tmp_path / "jetson.csv", FakeSpace())
    (tmp_path / "nano.csv").write_bytes(b"arch_id,latency_ms\n\xff,1\n")
    with pytest.raises(UserError, match="cannot be read"):
        read_table(tmp_path / "nano.csv", FakeSpace())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Jetson Nano.csv", "such as jetson-nano.csv"),
        ("onnxruntime-b8.csv", "a runtime's; rename it .* such as my-onnxruntime-b8.csv"),
        ("openvino-x.csv", "openvino-x"),
        ("jetson.xlsx", "is no csv"),
        ("-.csv", "such as device.csv"),
    ],
)
def test_name_that_gives_no_budget_is_refused_with_a_better_one(name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_csv_names([name])


def test_two_csvs_of_one_name_are_refused() -> None:
    assert check_csv_names(["a/jetson.csv", "a/jetson.csv"]) == (Path("a/jetson.csv").absolute(),)
    with pytest.raises(UserError, match="both named jetson"):
        check_csv_names(["a/jetson.csv", "b/jetson.csv"])


def test_run_yaml_names_the_csv_and_old_ones_stay_as_they_are(tmp_path: Path) -> None:
    assert "latencies" not in make_config().to_yaml()
    config = make_config(budgets=["20k", f"{KIND}=5ms"], latencies=[str(tmp_path / "jetson.csv")])
    config.save(tmp_path)
    assert RunConfig.load(tmp_path) == config
    with pytest.raises(UserError, match=r"Unknown budget 'latency-jetson'.*--latencies jetson.csv"):
        make_config(budgets=[f"{KIND}=5ms"])
    with pytest.raises(UserError, match=r"no budget is on jetson.csv: .* latency-jetson=5ms"):
        make_config(latencies=[str(tmp_path / "jetson.csv")])


@pytest.mark.parametrize("sampler", ["random", "tpe", "cost"])
def test_only_what_the_csv_measured_and_is_fast_is_trained(run: Any, tmp_path: Path, sampler: str) -> None:
    """And what it lacks is counted, not guessed."""
    known = {"a1b1": 1.0, "a2b2": 2.0, "a3b1": 3.0, "a4b1": 9.0, "a8b8": 1.0, "zz": 1.0}
    options = {"budgets": ["20k", f"{KIND}=5ms"], "latencies": [table(tmp_path, known)], "sampler": sampler}
    with run.open(trials=100, **options) as controller:
        run.finish(controller)
        assert "jetson.csv has no measurement of" in controller.ended
    record = read_record(run.folder)
    assert {t.arch_id: t.latencies for t in record.entries} == {
        arch: {KIND: known[arch] / 1e3} for arch in ("a1b1", "a2b2", "a3b1")
    }
    assert record.timed == {KIND: "as in jetson.csv, images of 1x8x8"}
    assert list(record.rows[0]).index("latency-jetson_ms") == list(record.rows[0]).index("activations") + 1
    if sampler != "cost":  # which knows what is lacking, and does not propose it
        assert record.rejected["not in jetson.csv"] > 0
    # Who is sent the folder alone still sees the milliseconds; who goes on needs the csv.
    (tmp_path / "jetson.csv").unlink()
    assert read_record(run.folder).entries == record.entries
    with pytest.raises(UserError, match="is not there"), run.open(trials=101, **options):
        pass


def test_csv_that_changed_is_read_again(run: Any, tmp_path: Path) -> None:
    options = {"budgets": ["20k", f"{KIND}=5ms"], "trials": 100}
    with run.open(latencies=[table(tmp_path, {"a1b1": 1.0, "a2b2": 2.0})], **options) as controller:
        run.finish(controller)
    with run.open(latencies=[table(tmp_path, {"a1b1": 4.0, "a2b2": 2.0, "a3b1": 3.0})], **options) as controller:
        run.finish(controller)
    found = {t.arch_id: t.latencies[KIND] for t in read_record(run.folder).entries}
    assert found == {"a1b1": 0.004, "a2b2": 0.002, "a3b1": 0.003}


def test_large_space_is_searched_among_what_the_csv_names(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random settings of a large space would hardly ever meet one."""
    monkeypatch.setattr("mgic_nas.space.feasible.EAGER_SIZE", 10)
    large = FakeSpace(a=400, bs=(1, 2), aliases=1)
    text = "a,b,alias,latency_ms\n" + "".join(f"{a},1,0,{a % 7}.5\n" for a in range(1, 12))
    options = {"budgets": ["9k", f"{KIND}=4ms"], "latencies": [str(csv(tmp_path, text))], "trials": 100}
    with run.open(space=large, sampler="random", **options) as controller:
        run.finish(controller)
        assert controller.ended
    fast = {f"a{a}b1" for a in range(1, 10) if a % 7 + 0.5 <= 4 and a + 1 != 9}
    assert {t.arch_id for t in read_record(run.folder).entries} == fast


def test_csv_of_none_that_fits_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    config = make_config(budgets=["5k", f"{KIND}=5ms"], latencies=[table(tmp_path, {"a8b8": 1.0})])
    feasible = SearchProblem.of_run(config, FakeSpace()).feasible
    with pytest.raises(UserError, match=r"measures none of the .* networks of fake space within the other budgets"):
        try_out(config, feasible)
    table(tmp_path, {"a1b1": 6.0, "a8b8": 1.0})
    with pytest.raises(UserError, match=r"=5ms: of the networks in jetson.csv .* the fastest takes 6 ms"):
        try_out(config, feasible)
    table(tmp_path, {"a1b1": 1.0, "a8b8": 1.0})
    assert try_out(config, feasible) == [
        f"{KIND}: jetson.csv has measurements of 1 of {len(feasible.candidates)} networks that fit"
    ]


def test_configuration_of_a_run_loads_nothing_heavy() -> None:
    """Every worker process of a search reads it first: with torch it would start three seconds later."""
    code = "import sys, mgic_nas.engine.storage.config; print(sorted({'torch', 'timm', 'numpy'} & sys.modules.keys()))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
