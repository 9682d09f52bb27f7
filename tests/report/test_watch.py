"""A watched page reloads itself while the run is under way, and no longer once the watching has ended."""

import pytest
from fakes import report as fakes

from mgic_nas.errors import UserError
from mgic_nas.report import _watch, build, watch
from mgic_nas.report.watched import is_watched, watched


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of 3 trials of which two are over."""
    monkeypatch.setattr(_watch, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(_watch, "REST", 0.0)
    return fakes.folder(tmp_path / "run", fakes.rows(2)[0], trials=3)


def live(run):
    return "data-reload=" in (run / "report.html").read_text()


def test_the_page_is_fresh_until_the_run_is_complete(run):
    looks = []

    def sleep(seconds):
        looks.append(live(run))
        assert len(looks) < 5
        if len(looks) == 2:
            fakes.folder(run, fakes.rows(3)[0], trials=3)

    said = []
    assert watch(run, echo=said.append, sleep=sleep) == run / "report.html"
    assert looks == [True, True]
    assert not live(run)
    assert said[-1].endswith("is complete")
    assert len(said) == len(set(said)), "nothing is said twice, however often the page is built"


def test_ctrl_c_leaves_a_page_that_does_not_reload(run):
    def sleep(seconds):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(run, sleep=sleep)
    assert not live(run)
    assert not is_watched(run)


def test_a_run_is_watched_once(run):
    with watched(run):
        assert is_watched(run)
        with pytest.raises(UserError, match="watched by another process"):
            watch(run)
        build(run)
        assert live(run), "whoever builds it meanwhile: the search itself does, too"
    assert not is_watched(run)


def test_what_is_no_run_is_not_watched(tmp_path):
    with pytest.raises(UserError, match="not a run"):
        watch(tmp_path)
    assert list(tmp_path.iterdir()) == []
