"""What stands in a stranger's run or csv is text in the page, in Markdown and in the tables: no script, no formula."""

import csv
import json
import re
import sqlite3
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from fakes.wrong import unpack

from mgic_nas._files import read_csv
from mgic_nas.report import build

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</style><svg onload=alert(1)>",
    "\"' onmouseover=alert(1) x=\"'",
    "javascript:alert(1)",
    '<a href="javascript:alert(1)">x</a>',
    "<!--<script>",
    "{{ 7 * 7 }}{% set x = 1 %}",
    "]]></script>\u2028\u2029",
    "${alert(1)}`${alert(1)}`",
    '<img src=x onerror="alert(1)">',
    "data:text/html,<script>alert(1)</script>",
]
FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3+cmd|' /C calc'!A0", "@SUM(1)", '=HYPERLINK("http://x","y")', "\t=1"]


class Page(HTMLParser):
    """The scripts of a page and every attribute that could run or fetch something."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.bad: list[str] = []
        self.inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag == "script"
        if self.inside:
            self.scripts.append("")
        if tag in ("iframe", "object", "embed", "base", "form") and dict(attrs).get("class") != "filters no-print":
            self.bad.append(tag)
        for name, value in attrs:
            target = name in ("href", "src", "action", "formaction", "xlink:href", "srcdoc", "data")
            if name.startswith("on") or (target and not (value or "").startswith(("#", "data:image", "data:,"))):
                self.bad.append(f"<{tag} {name}={value!r}>")

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "script"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.scripts[-1] += data


def poisoned(run: Path, text: str) -> None:
    """A run in which ``text`` is everything that may be a text: names, choices, errors, devices, reasons, versions."""
    values = yaml.safe_load((run / "run.yaml").read_text())
    values |= {"name": text, "sampler": text, "executor": text, "space_source": text, "created": text, "rungs": text}
    values["space"] |= {"model": text, "description": text, "where": [text]}
    values["space"]["params"][text] = {"choices": [text, text + "2"]}
    values["data"] |= {"name": text, "classes": [text] * 10, "spec": f"fashion?{text}", "notes": [text], "sized": text}
    values["recipe"] = {text: text, "name": text}
    values["versions"] = {text: text, "mgic_nas": text}
    (run / "run.yaml").write_text(yaml.safe_dump(values))
    with sqlite3.connect(run / "study.db") as connection:
        rows = list(connection.execute("SELECT trial_user_attribute_id, key, value_json FROM trial_user_attributes"))
        for at, key, value in rows:
            found = json.loads(value)
            if key == "job":
                found["setting"] |= {"block": f"{text}{at % 2}", text: text}
                found |= {"arch_id": text, "drawn": text}
            else:
                found |= {"device": text, "error": f"{text}\n{text}"}
            where = "WHERE trial_user_attribute_id = ?"
            connection.execute(f"UPDATE trial_user_attributes SET value_json = ? {where}", (json.dumps(found), at))
        ended = (1, "ended", json.dumps(text))
        connection.execute("INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (?, ?, ?)", ended)
    connection.close()
    Path("reference.csv").write_text("")
    with open("reference.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows([["name", "macs", "val_acc", "input_size"], [text, "1e5", "50", text]])


@pytest.mark.parametrize(
    "text", [" ".join(HOSTILE[0::3]), " ".join(HOSTILE[1::3]), " ".join(HOSTILE[2::3]), HOSTILE[1]]
)
def test_no_script_gets_into_the_page(text: str) -> None:
    run = unpack(Path.cwd())
    build("run")
    own = len(Page((run / "report.html").read_text()).scripts)
    poisoned(run, text)
    build("run", reference="reference.csv", apart=True)
    html = (run / "report.html").read_text()
    page = Page(html)
    assert page.bad == []
    assert len(page.scripts) == own
    for script in page.scripts[:1]:
        assert not re.search(r"<|>|&", script), "the data of the page holds markup"
    assert text[:9] in json.dumps(json.loads(page.scripts[0])), "the reference's name is in the data, as text"
    assert "49" not in re.findall(r"<title>(.*?)</title>", html, re.DOTALL)[0], "a template in a name was filled in"
    markdown = (run / "report.md").read_text()
    outside_code = re.sub(r"```.*?\n```|`[^`\n]*`", "", markdown, flags=re.DOTALL)
    assert not re.search(r"<(script|img|svg|a|!--)", outside_code, re.IGNORECASE), outside_code
    assert len(re.findall(r"^```", markdown, re.MULTILINE)) % 2 == 0


BLOCKS = ["```\n<script>alert(1)</script>\n```", "a\n\n# Heading\n\n<img src=x>", "| a | b |\n|---|"]


@pytest.mark.parametrize("text", BLOCKS)
def test_no_text_leaves_its_place_in_markdown(text: str) -> None:
    run = unpack(Path.cwd())
    block = re.compile(r"^(`{3,}).*?^\1$", re.DOTALL | re.MULTILINE)

    def headings() -> list[str]:
        return re.findall(r"^#.*$", block.sub("", (run / "report.md").read_text()), re.MULTILINE)[1:]

    build("run")
    before = headings()
    poisoned(run, text)
    build("run")
    after = [line for line in headings() if line not in before]
    assert all("What went wrong" in line or "buys" in line for line in after), after
    outside_code = re.sub(r"`[^`\n]*`", "", block.sub("", (run / "report.md").read_text()))
    assert not re.search(r"<(script|img)", outside_code)


@pytest.mark.parametrize("text", FORMULAS[::2])
def test_no_formula_gets_into_a_table(text: str) -> None:
    run = unpack(Path.cwd())
    poisoned(run, text)
    build("run", reference="reference.csv", apart=True)
    for name in ("trials.csv", "front.csv", "budgets.csv"):
        with open(run / name, newline="") as stream:
            cells = [cell for row in csv.reader(stream) for cell in row if cell]
        assert not [c for c in cells if c[0] in "=+-@\t\r\n" and not re.fullmatch(r"-?[\d.]+(e-?\d+)?", c)], name
        assert any(text in cell for cell in cells) or name == "budgets.csv"
    rows = read_csv(run / "trials.csv")
    assert {row["arch_id"] for row in rows} == {text}
    assert all(isinstance(float(row["val_acc"]), float) for row in rows)
    # And a program reads them back: the same report without the study.
    (run / "study.db").unlink()
    build("run")
    assert {row["arch_id"] for row in read_csv(run / "front.csv")} == {text}
