"""The table that an experiment writes: nothing measured is lost, and nothing else is mixed in."""

import subprocess
import sys
from pathlib import Path

import pytest

from mgic_nas.errors import UserError
from mgic_nas.experiments._record import MACHINE, Table, command, describe, machine


def table(path: Path, lr: float = 0.1) -> Table:
    return Table(path, ("net", "seed", "mse"), ("net", "seed"), {"lr": lr, "data": "a, b"})


def test_a_second_start_finds_what_the_first_one_measured(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "results.csv"
    first = table(path)
    first.append({"net": "ghost", "seed": 0, "mse": 0.25})
    first.append({"net": "ghost", "seed": 1, "mse": "0.50"})
    first.append({"net": "-", "seed": 1, "mse": ""})
    second = table(path)
    assert second.rows == first.rows
    found = second.find(net="ghost", seed=1)
    assert found is not None
    assert (found["mse"], found["lr"], found["data"]) == ("0.50", "0.1", "a, b")
    assert second.find(net="ghost", seed=2) is None
    assert [p.name for p in path.parent.iterdir()] == ["results.csv"]


def test_every_row_says_where_it_was_measured(tmp_path: Path) -> None:
    row = table(tmp_path / "results.csv").append({"net": "a", "seed": 0, "mse": 1})
    assert all(row[name] for name in MACHINE)
    assert row["device"] == "cpu"
    assert describe(row) == describe(machine())


def test_another_recipe_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    table(path).append({"net": "a", "seed": 0, "mse": 1})
    with pytest.raises(UserError, match=r"lr=0\.1, not 0\.2"):
        table(path, lr=0.2)


def test_a_table_of_another_experiment_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("what,ever\n1,2\n")
    with pytest.raises(UserError, match="what, ever"):
        table(path)


def test_one_measurement_is_recorded_once(tmp_path: Path) -> None:
    found = table(tmp_path / "results.csv")
    found.append({"net": "a", "seed": 0, "mse": 1})
    with pytest.raises(ValueError, match="already"):
        found.append({"net": "a", "seed": 0, "mse": 2})
    with pytest.raises(ValueError, match="a row has"):
        found.append({"net": "a", "seed": 1})


def test_processes_beside_each_other_share_the_measurements(tmp_path: Path) -> None:
    """Each is made once, whoever makes it, and what a killed process was at is free again."""
    path = tmp_path / "results.csv"
    first = table(path)
    assert first.claim(net="a", seed=0)
    code = (
        "import os, sys; from pathlib import Path; sys.path[:0] = sys.argv[2:]; from test_record import table;"
        "t = table(Path(sys.argv[1])); found = [t.claim(net='a', seed=s) for s in (0, 1, 2)]; print(found);"
        "t.append({'net': 'a', 'seed': 1, 'mse': 1}); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(Path(__file__).parent)], capture_output=True, text=True, timeout=300
    )
    assert done.stdout.split("\n")[0] == "[False, True, True]", done.stderr
    assert not first.claim(net="a", seed=1)
    assert first.claim(net="a", seed=2)
    for seed in (0, 2):
        first.append({"net": "a", "seed": seed, "mse": 1})
    assert [row["seed"] for row in table(path).rows] == ["1", "0", "2"]
    assert [p.name for p in tmp_path.iterdir()] == ["results.csv"]


def test_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    def wrong() -> None:
        raise UserError("mend this")

    def interrupt() -> None:
        raise KeyboardInterrupt

    assert [command("try", work) for work in (lambda: None, wrong, interrupt)] == [0, 2, 130]
    assert capsys.readouterr().err.splitlines()[0] == "try: error: mend this"
