"""Csv files that were exported, edited or torn: reference points, trials.csv, latency.csv, tables, and formulas."""

import csv
import io
import re
from pathlib import Path

import pytest
from fakes.table import make_table
from fakes.wrong import one_line, refused, unpack
from hypothesis import given, settings
from hypothesis import strategies as st

from mgic_nas._files import csv_rows, csv_text, read_csv, write_csv
from mgic_nas.errors import UserError
from mgic_nas.report import build

REFERENCE: list[tuple[bytes, list[str]]] = [
    (b"", ["name", "none"]),
    (b"\n\n", ["name"]),
    (b"name,macs\na,1\n", ["top1"]),
    (b"who,what\na,b\n", ["name or model", "macs or gmacs", "top1 or val_acc", "who"]),
    (b"name;macs;val_acc\na;1e6;80\n", ["commas"]),
    (b"name\tmacs\tval_acc\na\t1e6\t80\n", ["commas", "tabs"]),
    (b"a,1e6,80\nb,2e6,81\n", ["lacks"]),
    (b"name,macs,val_acc\na,many,80\n", ["line 2", "macs", "many"]),
    (b"name,macs,val_acc\na,1M,80\n", ["line 2", "1M"]),
    (b"name,macs,val_acc\na,1e6,80%\n", ["line 2", "80%"]),
    (b'name,macs,val_acc\na,"1,000,000",80\n', ["line 2"]),
    (b"name,macs,val_acc\na,nan,80\n", ["line 2", "nan"]),
    (b"name,macs,val_acc\na,inf,80\n", ["line 2", "inf"]),
    (b"name,macs,val_acc\na,1e999,80\n", ["line 2"]),
    (b"name,macs,val_acc\na,-1e6,80\n", ["line 2", "positive"]),
    (b"name,macs,val_acc\na,0,80\n", ["line 2", "positive"]),
    (b"name,macs,val_acc\na,1e6,101\n", ["line 2", "percent"]),
    (b"name,macs,val_acc\na,1e6,-1\n", ["line 2", "percent"]),
    (b"name,macs,val_acc\nok,1e6,80\n\nb,x,80\n", ["line 4"]),
    (b"name,macs,val_acc\na,0x10,80\n", ["line 2"]),
    (b"\xff\xfen\x00a\x00m\x00e\x00", ["UTF-8"]),
    (b"name,macs,val_acc\n\xe9,1e6,80\n", ["UTF-8"]),
    (b"PK\x03\x04\x14\x00\x06\x00", ["reference.csv"]),
    (b"\x00" * 1000, ["reference.csv"]),
    (b"name,macs,val_acc\na\x00b,x,80\n", ["reference.csv"]),
    (b'name,macs,val_acc\n"a,1e6,80\n', ["reference.csv"]),
    (b'name,macs,val_acc\n"' + b"x" * 200_000 + b'",1e6,80\n', ["no csv"]),
    (b"name,macs,val_acc\n" + b"a,1e6,80\n" * 30_000, ["more than 20,000"]),
    (b"name,macs,val_acc\n" + b"a" * 11_000_000, ["more than 10,000,000"]),
    (b"<html><body>404</body></html>", ["lacks"]),
    (b'{"name": "a", "macs": 1}', ["lacks"]),
]


@pytest.mark.parametrize(("content", "words"), REFERENCE, ids=lambda value: repr(value[:40]) if value else None)
def test_a_wrong_reference(content: bytes, words: list[str]) -> None:
    unpack(Path.cwd())
    Path("reference.csv").write_bytes(content)
    refused(["report", "run", "--reference=reference.csv"], "reference.csv", *words)


@pytest.mark.parametrize("path", ["nothing.csv", ".", "run/run.yaml/x", "/dev/zero", "x" * 300, ""])
def test_a_reference_that_is_no_file(path: str) -> None:
    unpack(Path.cwd())
    refused(["report", "run", f"--reference={path}"], "reference csv")


TRIALS: list[tuple[bytes, list[str]]] = [
    (b"state,macs\ncomplete,1\n", ["number"]),
    (b"number,state\nx,complete\n", ["number"]),
    (b"number,state\n,complete\n", ["number"]),
    (b"number,state\n1e400,complete\n", ["number"]),
    (b"\xff\xfe\x00", ["trials.csv"]),
    (b'number,error\n1,"' + b"x" * 200_000, ["trials.csv"]),
    (b"number;state\n1;complete\n", ["number"]),
]


@pytest.mark.parametrize(("content", "words"), TRIALS, ids=lambda value: repr(value[:30]))
def test_a_wrong_table_of_trials(content: bytes, words: list[str]) -> None:
    run = unpack(Path.cwd())
    (run / "study.db").unlink()
    (run / "trials.csv").write_bytes(content)
    refused(["report", "run"], "trials.csv", *words)


ODD = [
    b"",
    b"number\n",
    b"number,state,val_acc,macs\n0,complete,nan,1\n1,complete,inf,1\n2,complete,80,0\n3,complete,80,-5\n4,complete,-1,9\n",
    b"number,state,val_acc,macs\n0,complete,80\n1\n2,complete,80,1000,extra,extra\n",
    b"number,state,val_acc,macs\n0,complete,80,1000\n0,complete,81,1000\n0,complete,81,1000\n",
    b"number,state,val_acc,macs,epochs,seconds\n0,finished,x,y,z,w\n-5,complete,80,1e3,1e9,-1\n",
    b"number,state,val_acc,macs,params,activations\n0,complete,80,1e300,1e300,1e300\n1,complete,1e300,1,1,1\n",
    b"number,state,p.s_g,p.s_g.0,p.,p..,p.x.9999999999,val_acc,macs\n0,complete,1,2,3,4,5,80,1000\n",
    "number,state,val_acc,macs,error\n0,failed,,,\u2028\u2029\u202e\x85\n".encode(),
]


@pytest.mark.parametrize("content", ODD, ids=lambda value: repr(value[:60]))
def test_an_odd_table_of_trials_gives_a_report(content: bytes) -> None:
    """What is no number is not known, and the rest of the report is still worth having."""
    run = unpack(Path.cwd())
    (run / "study.db").unlink()
    (run / "trials.csv").write_bytes(content)
    if b"p.s_g.0" in content:
        with pytest.raises(UserError) as caught:
            build("run")
        one_line(caught.value, "s_g")
    else:
        assert build("run").stat().st_size > 1000


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("table.yaml", b"", ["table"]),
        ("table.yaml", b"\xff", ["UTF-8"]),
        ("table.yaml", b"- a", ["does not describe"]),
        ("table.yaml", b"space: {}", ["missing"]),
        ("table.yaml", b"epochs: 5", ["missing"]),
        ("table.yaml", b"[" * 9000, ["deep"]),
        ("architectures.csv", b"", ["no training"]),
        ("architectures.csv", b"\xff\xfe", ["architectures.csv"]),
        ("architectures.csv", b"arch_id\nx\n", ["architectures.csv"]),
        ("architectures.csv", b"arch_id,p.s_g,p.s_c,p.width_mult,p.block\n1,2,3,4,5\n", ["architectures.csv"]),
        ("curves.csv", b"", ["no training"]),
        ("curves.csv", b"arch_id,seed\n1,2\n", ["no training"]),
        ("curves.csv", b"\xff\xfe", ["curves.csv"]),
        ("curves.csv", b"arch_id,seed,epoch,device\na,x,1,cpu\n", ["curves.csv"]),
        ("curves.csv", b"arch_id,seed,epoch,device\na,-1,1,cpu\n", ["curves.csv"]),
        ("curves.csv", b"arch_id,seed,epoch,device\na,999999999999,1,cpu\n", ["curves.csv"]),
        ("curves.csv", b"arch_id,device\na,cpu\n", ["curves.csv"]),
    ],
)
def test_a_wrong_recorded_table(file: str, content: bytes, words: list[str]) -> None:
    make_table(Path("table"), seeds=1)
    (Path("table") / file).write_bytes(content)
    refused(["replay", "table", "--seeds=1", "--sampler=random"], "table", *words)


@pytest.mark.parametrize(
    ("column", "value"),
    [("val_acc", "x"), ("val_acc", "nan"), ("val_loss", "inf"), ("seed", "1.5"), ("epoch", "x"), ("cpu_seconds", "-")],
)
def test_a_wrong_cell_of_a_recorded_table(column: str, value: str) -> None:
    table = make_table(Path("table"), seeds=1)
    rows = read_csv(table / "curves.csv")
    rows[0][column] = value
    write_csv(table / "curves.csv", list(rows[0]), rows)
    refused(["replay", "table", "--seeds=1", "--sampler=random"], "curves.csv")


@pytest.mark.parametrize("field", ["space", "data", "budgets", "epochs", "recipe"])
@pytest.mark.parametrize("value", ["null", "4.5", "x", "[1, 2]"])
def test_a_wrong_field_of_a_recorded_table(field: str, value: str) -> None:
    table = make_table(Path("table"), seeds=1)
    text = (table / "table.yaml").read_text()
    before, _, rest = text.partition(f"\n{field}:") if not text.startswith(f"{field}:") else ("", "", text)
    after = re.split(r"\n(?=[a-z])", rest, maxsplit=1)[-1]
    (table / "table.yaml").write_text(f"{before}\n{field}: {value}\n{after}")
    refused(["replay", "table", "--seeds=1", "--sampler=random"], "table.yaml", field)


# --- formulas --------------------------------------------------------------------------------------------------------

FORMULAS = [
    *("=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=", "-", "+x", '=HYPERLINK("http://x","y")'),
    *(
        "-2+3+cmd|' /C calc'!A0",
        "＝1+1",
        "'=1",
        "''=1",
        "'-1.5",
        "=cmd|'/c calc'!A1,=2",
        "--1",
        "-1_000",
        "-inf",
        "+nan",
    ),
]
NUMBERS = ["-1.5", "+1", "-1e-5", "-.5", "1", "-0"]


@pytest.mark.parametrize("text", [*FORMULAS, *NUMBERS, "'", "'a", "plain", "", "a,b", 'a"b', "a\nb", "a=b", " =1"])
def test_a_text_comes_back_as_it_was(text: str) -> None:
    written = csv_text([text or "x", "b"], [{text or "x": text, "b": "end"}])
    assert csv_rows(io.StringIO(written, newline="")) == [{text or "x": text, "b": "end"}]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text: str) -> None:
    """As a spreadsheet reads the file: without taking anything away."""
    for row in csv.reader(io.StringIO(csv_text([text], [{text: text}]), newline="")):
        for cell in row:
            assert cell[0] not in "=+-@\t\r\n＝＋－＠", cell


@pytest.mark.parametrize("number", [-1.5, -1, 0.25, -1e-9, *NUMBERS])
def test_numbers_stay_numbers(number: float | str) -> None:
    assert csv_text(["a"], [{"a": number}]) == f"a\n{number}\n"


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=12), min_size=1, max_size=3))
def test_any_text_comes_back_as_it_was(texts: list[str]) -> None:
    columns = [f"c{i}" for i in range(len(texts))] + ["end"]
    row = dict(zip(columns, [*texts, "."], strict=True))
    assert csv_rows(io.StringIO(csv_text(columns, [row]), newline="")) == [row]
