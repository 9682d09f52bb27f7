"""``mgic-nas tables``: the paper's numbers as printed, ours as counted, and the differences computed."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mgic_nas
from mgic_nas.cli import main
from mgic_nas.errors import UserError
from mgic_nas.paper import ComparedTable, page, text, to_json
from mgic_nas.paper.compare import compare, quantity
from mgic_nas.paper.notes import NOTES
from mgic_nas.paper.tables import TABLES
from mgic_nas.paper.write import percent

# (table, params, MACs) that the reading of the paper gives, exact to one; where it states only params, MACs are None.
EXACT = [
    ("1", 3_328, None),
    ("1", 1_792, None),
    ("1", 896, None),
    ("1", 448, None),
    ("3", 102_010, 22_524_544),
    ("3", 301_690, 66_466_432),
    ("3", 77_770, 15_483_520),
    ("3", 228_970, 45_343_360),
    ("3", 14_098, 2_974_336),
    ("3", 37_954, 7_815_808),
    ("5", 6_190_760, 1_445_711_872),
    ("5", 9_198_248, 2_283_550_720),
    ("5", 15_213_224, 3_959_228_416),
    ("5", 4_610_984, 1_409_428_992),
    ("5", 8_510_376, 2_551_836_160),
    ("7", 2_245_714, 49_740_280),
    ("7", 5_046_188, 160_167_240),
    ("7", 7_773_023, 250_002_430),
    ("7", 2_483_328, 47_344_656),
    ("12", 301_690, 66_466_432),
    ("12", 512_506, 88_437_376),
    ("12", 476_794, 86_078_080),
    ("12", 651_898, 97_284_736),
    ("12", 203_194, 45_453_952),
    ("12", 304_570, 52_015_744),
    ("12", 687_610, 99_644_032),
    ("13", 4_534_540, 106_171_592),
    ("13", 4_586_956, 110_941_448),
    ("13", 4_816_684, 132_824_456),
    ("13", 4_417_417, 64_758_997),
    ("13", 4_605_519, 100_200_746),
    ("13", 4_798_558, 127_901_524),
]
TRANSFERS = {
    "5": {406_224_896, 812_449_792, 1_624_899_584},
    "7": {1_583_680, 6_378_624, 8_363_712},
}


@pytest.fixture(scope="module")
def tables() -> dict[str, ComparedTable]:
    return {table.table.number: table for table in compare(runs="no such folder")}


@pytest.fixture(scope="module")
def rows(tables: dict[str, ComparedTable]) -> dict[str, dict[str, dict]]:
    """Table -> row's name -> the row as JSON gives it."""
    return {t["table"]: {row["name"]: row for row in t["rows"]} for t in to_json(list(tables.values()))}


def test_every_table_is_there(tables: dict[str, ComparedTable]) -> None:
    assert list(tables) == ["1", "3", "5", "7", "9", "11", "12", "13"] == list(TABLES)
    assert set(NOTES) == set(TABLES)


@pytest.mark.parametrize(("number", "params", "macs"), EXACT)
def test_exact_counts_are_shown(tables: dict[str, ComparedTable], number: str, params: int, macs: int | None) -> None:
    shown = text([tables[number]])
    assert re.search(rf" {params:,}( .*)?{f' {macs:,}' if macs else ''}\b", shown), shown


@pytest.mark.parametrize("number", TRANSFERS)
def test_share_of_the_transfer_operators(tables: dict[str, ComparedTable], number: str) -> None:
    costs = [row.cost for _, lines in tables[number].groups for row in lines if row.cost]
    assert TRANSFERS[number] <= {cost.macs - cost.macs_without_transfers for cost in costs}


def test_segmentation_is_near_the_stated_reading(rows: dict[str, dict[str, dict]]) -> None:
    ours = [(row["ours"]["params"], row["ours"]["macs"]) for name, row in rows["9"].items() if name.startswith("MGIC")]
    assert ours == [(495_494, 2_537_669_632), (1_452_826, 6_662_448_000), (1_632_410, 8_133_600_128)]


def test_differences_are_computed(rows: dict[str, dict[str, dict]]) -> None:
    """From what is printed and what is counted; by hand for one row."""
    row = rows["5"]["MGIC-ResNet-50 (s_g = 64)"]
    assert row["difference"]["params"] == pytest.approx(15_213_224 / 15.1e6 - 1)
    assert row["difference"]["macs"] == pytest.approx(3_959_228_416 / 2.5e9 - 1)
    assert row["difference"]["macs_without_transfers"] == pytest.approx((3_959_228_416 - 1_624_899_584) / 2.5e9 - 1)
    for table in rows.values():
        for entry in table.values():
            known = {k for k in ("params", "macs") if entry["paper"][k] and entry["ours"]}
            assert set(entry["difference"]) - {"macs_without_transfers"} == known
            for key in known:
                expected = entry["ours"][key] / quantity(entry["paper"][key]) - 1
                assert entry["difference"][key] == pytest.approx(expected)


def test_counts_follow_the_code_and_not_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    from mgic_nas.paper import count as _count

    real = _count.profile
    monkeypatch.setattr(_count, "profile", lambda *a, **k: mgic_nas.Cost(1, 1, 310_000, 1) if k else real(*a))
    (table,) = compare(["12"], runs="no such folder")
    assert "-24.4 %" in text([table])


def test_published_networks_show_that_the_counter_is_the_papers(rows: dict[str, dict[str, dict]]) -> None:
    """What the notes on Tables 3, 5 and 7 say of the counter."""
    for number, count in (("3", 1), ("5", 2), ("7", 12)):
        published = {n: r for n, r in rows[number].items() if r["ours"] and "MGIC" not in n and "h-swish" not in n}
        published.pop("Ghost-ResNet-56", None)  # built here: in no library
        assert len(published) == count
        assert all(abs(r["difference"]["macs"]) < 0.02 for r in published.values())
        off = [n for n, r in published.items() if abs(r["difference"]["params"]) > 0.03]
        assert off == (["MobileNetV3-S 0.75x"] if number == "7" else [])


def test_what_the_notes_claim(rows: dict[str, dict[str, dict]]) -> None:
    def differ(number: str, name: str, key: str) -> float:
        return abs(rows[number][name]["difference"][key])

    assert all(0 < differ("3", "Ghost-ResNet-56", key) < 0.04 for key in ("params", "macs"))

    # The rows as Table 6 prints them: more of everything, at every width.
    readings = {"": "MGIC-MobileNetV3-L {}", "printed": "MGIC-L {}, Table 6", "disjoint": "MGIC-L {}, disjoint"}
    widths = ("0.6x", "1.0x", "1.2x")
    for width in widths:
        ours, printed = (rows["7"][readings[which].format(width)]["ours"] for which in ("", "printed"))
        assert all(printed[key] > ours[key] for key in ("params", "macs", "macs_without_transfers"))
    without = {
        which: sum(differ("7", name.format(width), "macs_without_transfers") for width in widths)
        for which, name in readings.items()
    }
    assert min(without, key=lambda which: without[which]) == "disjoint"

    resnet50 = [name for name in rows["5"] if name.startswith("MGIC-ResNet-50 ")]
    assert len(resnet50) == 3
    assert all(differ("5", n, "params") < 0.03 for n in resnet50)
    assert all(differ("5", n, "macs") > 0.4 > 0.082 > differ("5", n, "macs_without_transfers") for n in resnet50)

    plain, large = rows["9"]["MobileNetV3-L"], "MGIC-MobileNetV3-L (s_g = {})"
    assert plain["difference"]["params"] > 0
    assert rows["9"]["MobileNetV3-S"]["difference"]["params"] > 0
    fall = {
        whose: [
            quantity(rows["9"][large.format(64)][whose][k]) / quantity(rows["9"][large.format(32)][whose][k])
            if whose == "paper"
            else rows["9"][large.format(64)][whose][k] / rows["9"][large.format(32)][whose][k]
            for k in ("params", "macs")
        ]
        for whose in ("paper", "ours")
    }
    assert fall["paper"][0] > fall["ours"][0]
    assert fall["paper"][1] < fall["ours"][1]

    nearer_params, nearer_macs = [], []
    for s_g, again in ((32, ""), (16, " (again)"), (8, ""), (4, "")):
        printed, other = f"s_c = 16, s_g = {s_g}{again}", f"s_c = 64, s_g = {s_g}"
        nearer_params.append(differ("12", other, "params") < differ("12", printed, "params"))
        nearer_macs.append(differ("12", printed, "macs") < differ("12", other, "macs"))
    assert all(nearer_params)
    assert sum(nearer_macs) == 3
    assert rows["12"]["s_c = 32, s_g = 16"]["ours"] == rows["12"]["s_c = 64, s_g = 16"]["ours"]

    first, last = (rows["13"][f"s_c = 64, s_g = {s_g}"]["difference"]["params"] for s_g in (2, 32))
    assert first > last


def test_recorded_accuracies_stand_beside_the_papers(tmp_path: Path) -> None:
    (tmp_path / "points").mkdir()
    with open(tmp_path / "points" / "results.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows([["network", "seed", "test_acc"], ["dgcnn", 0, 88.0], ["dgcnn", 1, 89.0], ["diffgcn", 0, ""]])
    (table,) = compare(["11"], runs=tmp_path)
    assert "88.5 (2)" in text([table])
    first, *others = to_json([table])[0]["rows"]
    assert first["measured"] == {"value": 88.5, "runs": 2, "file": "points/results.csv"}
    assert [row["measured"] for row in others] == [None, None]
    assert "ours" not in text(compare(["11"], runs="no such folder")).splitlines()[3].split("  ")[-1]


def test_smaller_trainings_stand_below_and_in_no_row(tmp_path: Path) -> None:
    (tmp_path / "cifar_rows").mkdir()
    with open(tmp_path / "cifar_rows" / "results.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows([["row", "test_acc"], ["plain", 60.0], ["plain", 61.0], ["MGIC s_c=16 s_g=8", 62.5]])
    (table,) = compare(["3"], runs=tmp_path)
    *_, head, plain, mgic, _, _ = text([table]).splitlines()
    assert "ResNet-20" in head
    assert plain.split() == ["ResNet-56:", "60.5", "(2)"]
    assert mgic.endswith("62.5 (1)")
    assert "- ResNet-56: 60.5 (2)\n" in page([table])
    (written,) = to_json([table])
    assert [row["value"] for row in written["trained_smaller"]["rows"]] == [60.5, 62.5]
    assert all(row["measured"] is None for row in written["rows"])
    (none,) = to_json(compare(["3"], runs="no such folder"))
    assert none["trained_smaller"] is None


def test_trainings_are_named_as_their_folders_name_them() -> None:
    """A line or a row that is misspelt in tables.yaml would be left out in silence."""
    runs = Path(__file__).parents[2] / "runs"
    for table in TABLES.values():
        if table.trained is None:
            continue
        lines = {line.name for _, lines in table.groups for line in lines}
        assert set(table.trained.rows) <= lines, table.number
        with open(runs / table.trained.file, newline="") as stream:
            recorded = {row[table.trained.by] for row in csv.DictReader(stream)}
        assert set(table.trained.rows.values()) <= recorded, table.number


def test_columns_line_up(tables: dict[str, ComparedTable]) -> None:
    for table in tables.values():
        lines = [line for line in text([table]).split("\n\n")[1].splitlines() if not line.startswith("- ")]
        assert max(map(len, lines)) <= 132
        end = lines[1].rindex("paper") + len("paper")  # the last column: each row's score ends there
        assert all(len(line) <= end for line in lines)
        assert sum(len(line) == end for line in lines[2:]) >= len(
            [r for _, g in table.groups for r in g if r.line.score]
        )


def test_input_size_is_always_said(tables: dict[str, ComparedTable]) -> None:
    for number, size in (
        ("1", "64x1x1"),
        ("3", "3x32x32"),
        ("9", "3x1024x2048"),
        ("11", "3x1024"),
        ("13", "3x224x224"),
    ):
        assert f"input {size}" in text([tables[number]])
        assert f"input {size}" in page([tables[number]])
    assert all(entry["input_size"] for entry in to_json(list(tables.values())))


def test_page_explains_every_table(tables: dict[str, ComparedTable]) -> None:
    written = page(list(tables.values()))
    for number, note in NOTES.items():
        assert f"## Table {number}. " in written
        assert note in written
    blocks = [block.splitlines() for block in written.split("\n\n") if block.startswith("| network")]
    assert len(blocks) == len(TABLES)
    for block in blocks:
        assert len({line.count("|") for line in block}) == 1


def test_recorded_page_is_what_the_command_writes() -> None:
    runs = Path(__file__).parents[2] / "runs"
    written = page(compare(runs=runs)).rstrip()
    assert (runs / "tables" / "README.md").read_text().rstrip() == written, (
        "mgic-nas tables --markdown > runs/tables/README.md"
    )


def test_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tables", "1", "--json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)
    assert [row["ours"]["params"] for row in table["rows"]] == [3328, 1792, 896, 448]
    assert main(["tables", "12", "1", "12"]) == 0
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line.startswith("Table")] == sorted(
        line for line in out.splitlines() if line.startswith("Table")
    )[::-1]
    assert main(["tables", "1", "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("# The paper's tables")


@pytest.mark.parametrize("number", ["2", "six", "-1"])
def test_wrong_number_names_those_that_exist(number: str) -> None:
    with pytest.raises(UserError, match=rf"no table {number} here; there are 1, 3, 5, 7, 9, 11, 12, 13\."):
        compare([number])


def test_wrong_number_ends_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tables", "4"]) == 2
    assert capsys.readouterr().err == (
        "mgic-nas tables: error: There is no table 4 here; there are 1, 3, 5, 7, 9, 11, 12, 13.\n"
    )


def test_wrong_number_is_refused_before_anything_is_imported() -> None:
    code = "import sys; from mgic_nas.cli import main; main(['tables', '4']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False"


def test_quantities_and_percentages() -> None:
    assert [quantity(t) for t in ("15.1 M", "2.73 G", "3,328", "")] == [15.1e6, 2.73e9, 3328, None]
    assert [percent(v) for v in (0.0, 0.123, -0.0004)] == ["exact", "+12.3 %", "0.0 %"]


def test_published_points_can_be_laid_over_a_front() -> None:
    from mgic_nas.report.reference import read_reference

    path = Path(__file__).parents[2] / "runs" / "tables" / "published.csv"
    points = {point.name: point for point in read_reference(path)}
    assert 20 < len(points) < 60
    assert points["resnet50"].macs == pytest.approx(4_089_184_256, rel=1e-3)  # timm's own counter sees as we do
    assert {point.input_size for point in points.values()} == {"224"}


def test_published_points_are_the_best_and_those_compared_with(tmp_path: Path) -> None:
    from mgic_nas.experiments import published

    columns = ["model", "tag", "top1", "param_count_m", "img_size", "plain_in1k", "gmacs_conv_linear"]
    columns += ["reparam_gmacs_conv_linear", "reparam_params_m", "source"]
    source = "top1,params: results/results-imagenet.csv@1 (2025); gmacs: results/b.csv"
    rows = [
        ("a", "x", "70", "1.5", "224", "yes", "0.2", "", "", source),
        ("a", "y", "71", "1.5", "224", "yes", "0.2", "", "", source),  # a better recipe
        ("beaten", "", "70.5", "1.5", "224", "yes", "0.3", "", "", source),
        ("resnet18", "", "60", "11.7", "224", "yes", "1.8", "", "", source),
        ("folded", "", "72", "5.0", "224", "yes", "0.9", "0.25", "2.0", source),
        ("large", "", "90", "5", "288", "yes", "1", "", "", source),
        ("more data", "", "90", "5", "224", "no", "1", "", "", source),
        ("heavy", "", "90", "5", "224", "yes", "5.1", "", "", source),
        ("no result", "", "", "5", "224", "yes", "1", "", "", source),
    ]
    with open(tmp_path / "in.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])
    assert published.main(["--data", str(tmp_path / "in.csv"), "--out", str(tmp_path)]) == 0
    assert (tmp_path / "published.csv").read_text().splitlines() == [
        "name,params,macs,top1,img_size,recipe,source",
        "a,1500000,200000000,71,224,y,timm results-imagenet.csv@1 (2025)",
        "folded,2000000,250000000,72,224,,timm results-imagenet.csv@1 (2025)",
        "resnet18,11700000,1800000000,60,224,,timm results-imagenet.csv@1 (2025)",
    ]
    assert published.main(["--data", str(tmp_path / "none.csv"), "--out", str(tmp_path)]) == 2
