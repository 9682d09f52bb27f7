"""The page that people show each other: one file, no network, nothing from outside taken for markup."""

import json
import re
import shutil
from html.parser import HTMLParser

import pytest
from fakes import report as fakes

from mgic_nas.report.figures import figures, hover_texts
from mgic_nas.report.markdown import markdown
from mgic_nas.report.page import page
from mgic_nas.report.picture import front_png
from mgic_nas.report.reference import ReferencePoint

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&`|*_"
STATES = {
    "finished": {},
    "nothing started": {"table": ([], {})},
    "one trial": {"table": fakes.rows(1)},
    "running": {"table": fakes.rows(14, running=(12, 13), failed=(3,), stopped=(5,))},
    "all failed": {"table": fakes.rows(3, failed=(0, 1, 2)), "trials": 3},
    "no budgets": {"budgets": []},
    "every kind of budget": {"budgets": ["0.1M", "1M", "params=30k", "activations=50k", "latency=5ms"]},
    "one epoch": {"table": fakes.rows(epochs=1), "epochs": 1},
}
VOID = {"meta", "link", "input", "img", "br"}


class Reader(HTMLParser):
    """Checks that tags close, collects attributes and the text of every block."""

    def __init__(self):
        super().__init__()
        self.open, self.attributes, self.blocks, self.scripts = [], [], [], []
        self.ids = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag in {"p", "h1", "h2", "h3", "td", "th", "dt", "dd", "figcaption", "div", "label", "option", "pre"}:
            self.blocks.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.blocks and "style" not in self.open:
            self.blocks[-1] += data


def read(html):
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.mark.parametrize("state", STATES)
def test_the_page_is_whole_and_needs_no_network(state):
    summary = fakes.summary(**STATES[state])
    reader = read(page(summary, {}, b"picture"))
    for tag, name, value in reader.attributes:
        if name in {"src", "href", "srcset", "action"}:
            assert value.startswith(("#", "data:")), f"<{tag} {name}={value[:60]}>"
            if value.startswith("#"):
                assert value[1:] in reader.ids, f"the contents link to {value}, which is not there"
    assert ("meta", "http-equiv", "Content-Security-Policy") in reader.attributes
    assert len(set(reader.ids)) == len(reader.ids)
    drawn = json.loads(reader.scripts[0])
    places = {value for _, name, value in reader.attributes if name == "data-figure"}
    assert places <= set(drawn["figures"])


def test_the_page_of_24_networks_can_be_sent_by_mail():
    assert len(page(fakes.summary(), {}, front_png(fakes.summary())).encode()) < 1.5e6


@pytest.mark.parametrize("state", STATES)
def test_no_count_of_macs_stands_without_its_input_size(state):
    summary = fakes.summary(**STATES[state])
    texts = [*read(page(summary, {})).blocks, *hover_texts(summary).values()]
    texts += markdown(summary, {}).splitlines()
    for figure in figures(summary).values():
        texts += [figure["layout"][axis].get("title", "") for axis in ("xaxis", "yaxis")]
    counted = re.compile(r"(\d\s?[kMGT]? MACs|^MACs|\| MACs|More MACs|MACs per image)")
    for text in texts:
        if counted.search(text) and text.strip() != "MACs":
            assert "1×14×14" in text, text


def test_what_comes_from_outside_is_text():
    """An error message, a class, a choice or a reference's name with markup in it must not become part of the page."""
    table, curves = fakes.rows(4)
    table[0] |= {"state": "failed", "error": f"Traceback\nValueError: {HOSTILE}"}
    for line in table:
        line["p.block"] = HOSTILE
    summary = fakes.summary(
        folder=f"runs/{HOSTILE.replace('/', '')}",
        table=(table, curves),
        reference=(ReferencePoint(HOSTILE, 5e5, 80.0, HOSTILE),),
        rejected={HOSTILE: 3},
        recipe={"name": HOSTILE},
        data={**fakes.DATA, "name": HOSTILE, "spec": HOSTILE},
    )
    html = page(summary, {"0.5M": HOSTILE})
    reader = read(html)
    assert not [name for _, name, _ in reader.attributes if name.startswith("on")]
    assert "<script>alert" not in html
    assert sum(HOSTILE in block for block in reader.blocks) > 5, "it is shown, as text"
    assert "innerHTML" not in html, "hover texts and labels are set as text, never read as markup"
    text = markdown(summary, {"0.5M": HOSTILE})
    fenced = re.sub(r"```.*?```", "", text, flags=re.S)
    assert "<img" not in re.sub(r"(?<!\\)`[^`]*`", "", fenced), "outside of code spans"
    assert front_png(summary).startswith(b"\x89PNG")


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
@pytest.mark.parametrize("state", STATES)
def test_every_figure_is_drawn(state, tmp_path):
    """A misspelt property, or a range without width, would show as an empty figure, in the browser only."""
    reference = (ReferencePoint("LeNet-5", 4.2e5, 79.0, "28"), ReferencePoint("other", 5e5, 81.0, apart=True))
    summary = fakes.summary(**STATES[state], reference=reference)
    found = fakes.drawn(page(summary, {}), tmp_path)
    assert len(found) > 2 or not summary.complete
    for one in found:
        assert one["attributes"] == [], one["figure"]
        assert one["points"], one["figure"]
        assert len(one["texts"]) > 2, one["figure"]


def test_every_colour_of_a_figure_is_in_the_style_sheet():
    from importlib import resources

    style = resources.files("mgic_nas.report").joinpath("style.css").read_text()
    light, dark = style.split("prefers-color-scheme: dark", 1)
    used = set(re.findall(r"var\((--[\w-]+)\)", json.dumps(figures(fakes.summary(table=fakes.rows(stopped=(3,)))))))
    used |= set(re.findall(r"var\((--[\w-]+)\)", style))
    for name in used:
        assert f"{name}:" in light, name
        assert f"{name}:" in dark or name in {"--sans", "--serif", "--mono"}, name


def test_pictures_have_the_colours_of_the_page():
    from importlib import resources

    from mgic_nas import _figure

    light = resources.files("mgic_nas.report").joinpath("style.css").read_text().split("}", 1)[0]
    for name, colour in (("ink", _figure.INK), ("muted", _figure.MUTED), ("accent", _figure.TEAL)):
        assert f"--{name}: {colour};" in light
    for name, colour in (("budget", _figure.ORANGE), ("reference", _figure.PURPLE), ("faint", _figure.GREY)):
        assert f"--{name}: {colour};" in light


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(scheme):
    """WCAG AA: 4.5 to 1 for text on paper, on cards and on code, in both schemes."""
    from importlib import resources

    style = resources.files("mgic_nas.report").joinpath("style.css").read_text()
    part = style.split("prefers-color-scheme: dark", 1)[scheme == "dark"]
    colours = dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", part.split("}", 1)[0]))

    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    for ink in ("--ink", "--muted", "--accent", "--budget", "--bad", "--reference"):
        for paper in ("--paper", "--card", "--code"):
            bright, dim = sorted((luminance(colours[ink]), luminance(colours[paper])), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, (ink, paper)


def test_a_network_that_failed_to_learn_does_not_squash_the_figure():
    table, curves = fakes.rows()
    table[3]["val_acc"] = 10.0
    summary = fakes.summary(table=(table, curves))
    low, _ = figures(summary)["front-macs"]["layout"]["yaxis"]["range"]
    assert low > 40
    assert "1 network lies below the view" in page(summary, {})


def test_missing_weights_are_said_in_place_of_the_winner():
    html = page(fakes.summary(), {"1M": "its weights are no longer there"})
    assert "No trained weights: its weights are no longer there." in html
    assert html.count("local-dir:winners/") == 2
    assert html.count("create_model(&#34;mgic_resnet20&#34;") == 3, "the architecture can still be made"


@pytest.mark.parametrize("state", STATES)
def test_markdown_tables_are_tables(state):
    """A cell with a bar in it would shift every column after it."""
    text = markdown(fakes.summary(**STATES[state]), {})
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.M):
        lines = table.splitlines()
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
        assert re.fullmatch(r"\|( -+:? \|)+", lines[1])
    assert "(front.png)" in text


@pytest.mark.parametrize("state", STATES)
def test_the_picture_is_twice_the_size_it_is_shown_at(state):
    png = front_png(fakes.summary(**STATES[state]))
    width, height = (int.from_bytes(png[at : at + 4]) for at in (16, 20))
    assert (width, height) == (1680, 1000)


def test_a_parameter_of_mixed_numbers_has_one_column_a_value():
    """1 and 1.0 are the same width, whichever way a table spells it; True is not 1."""
    table, curves = fakes.rows()
    for number, line in enumerate(table):
        line["p.width_mult"] = (1, 1.0, 0.5)[number % 3]
        line["p.block"] = (True, 1, "1")[number % 3]
    drawn = figures(fakes.summary(table=(table, curves)))
    ticks = {tuple(text.split("\n")[0] for text in f["layout"]["xaxis"].get("ticktext", ())) for f in drawn.values()}
    assert ("0.5", "1") in ticks
    assert ("True", "1", "1") in ticks
    texts = [f["layout"]["xaxis"].get("ticktext", ()) for f in drawn.values()]
    assert ("True\nn=8", "1\nn=8", "1\nn=8") in [tuple(t) for t in texts]
