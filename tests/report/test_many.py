"""A page of very many networks stays small: a part of the cloud is drawn and listed, and all of the front."""

import base64
import gzip
import json
import random
import re
import shutil
import statistics

import pytest
from fakes import report as fakes

from mgic_nas.report.figures import figures
from mgic_nas.report.markdown import markdown
from mgic_nas.report.page import page
from mgic_nas.report.thinning import CLOUD, ROWS, panel

MANY = 6_000


def networks(number, acc=None, **more):
    """Made-up trials with 17 parameters; ``acc``: of a row."""
    table, curves = fakes.rows(number, **more)
    draw = random.Random(1)
    for line in table:
        line |= {f"p.width.{i}": draw.randrange(20) / 10 for i in range(13)}
        if acc is not None and line["val_acc"] is not None:
            line["val_acc"] = acc(line)
    return fakes.summary(table=(table, curves), trials=number)


@pytest.fixture(scope="module")
def summary():
    return networks(MANY, failed=range(0, MANY, 20))


@pytest.fixture(scope="module")
def html(summary):
    return page(summary, {}, b"picture")


def unpacked(html, name):
    text = re.search(rf'<script type="application/gzip" id="{name}">(.*?)</script>', html)[1]
    return gzip.decompress(base64.b64decode(text)).decode()


def test_the_page_can_be_sent_by_mail(html):
    assert len(html.encode()) < 3e6


def test_the_front_is_drawn_whole_and_of_the_cloud_a_part(summary, html):
    drawn = json.loads(unpacked(html, "data"))
    for kind in ("macs", "params", "activations"):
        others, front = drawn["figures"][f"front-{kind}"]["data"][:2]
        assert front["ids"] == [t.number for t in summary.front_by(kind)]
        assert CLOUD / 2 < len(others["ids"]) <= CLOUD
    listed = set(map(int, re.findall(r'<td class="n" data-v="(\d+)">', html)))
    assert summary.front_numbers <= listed
    assert set(map(int, drawn["hover"])) >= summary.front_numbers
    assert f"Of {len(summary.complete):,} networks about {CLOUD:,} are drawn" in html
    assert f"Of {len(summary.complete):,} networks about {panel(summary):,} are drawn" in html
    assert f"of {MANY:,} trials: the front and the most accurate others" in html
    assert f"Here are the first {ROWS}; trials.csv has all." in html


def test_medians_are_of_all_networks(summary):
    drawn = figures(summary)
    at = next(i for i, name in enumerate(summary.parameters) if name == "block")
    medians = drawn[f"parameter-{at}-acc"]["data"][2]["y"][::3]
    for value, median in zip(summary.parameters["block"], medians, strict=True):
        assert median == statistics.median(t.val_acc for t in summary.complete if t.setting["block"] == value)


def test_where_every_network_is_on_the_front_the_page_is_still_small():
    """Accuracies that only rise with the MACs: a trainable that somebody made up, say."""
    summary = networks(4_000, acc=lambda line: line["macs"] ** 0.1)
    assert len(summary.front) > 3_500
    html = page(summary, {}, b"picture")
    front = json.loads(unpacked(html, "data"))["figures"]["front-macs"]["data"][1]
    assert len(front["x"]) == len(summary.front)
    assert len(html.encode()) < 3e6
    assert len(markdown(summary, {})) < 100_000


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_the_page_unpacks_itself(html, tmp_path):
    """In the page's own script, with a stand-in for the browser's document."""
    found = {one["figure"]: one for one in fakes.drawn(html, tmp_path)}
    assert found["front-macs"]["points"] > CLOUD / 2
    assert not any(one["attributes"] or one["silent"] for one in found.values())
