"""``pip install .`` alone: networks, profiles and winners work; everything else says in one line what to install."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes.table import make_table
from fakes.wrong import check_line, search, unpack

from mgic_nas.cli import EXTRA

MISSING = sorted(EXTRA - {"tqdm", "filelock", "jinja2"})  # those come with torch and timm too

# In a process of its own, because here everything is imported already.
PROCESS = """
import contextlib, io, json, sys
sys.modules |= dict.fromkeys(json.loads(sys.argv[1]))  # importing them fails from now on
found = []
for what in json.loads(sys.argv[2]):
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            if isinstance(what, list):
                from mgic_nas.cli import main
                code = main(what)
            else:
                exec(what, {})
        except SystemExit as stopped:
            code = stopped.code
        except BaseException as error:
            code, err = f"{type(error).__name__}", io.StringIO(str(error))
    found.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(found))
"""


def without(packages: list[str], *what: Any) -> list[tuple[Any, str, str]]:
    """(exit code or exception, stdout, stderr) of commands and Python lines where ``packages`` are not installed."""
    argv = [sys.executable, "-c", PROCESS, json.dumps(packages), json.dumps(what)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return [tuple(result) for result in json.loads(done.stdout)]


def test_what_needs_no_extra_works_and_the_rest_says_what_to_install() -> None:
    unpack(Path.cwd())
    make_table(Path("table"), seeds=1)
    Path("images").mkdir()
    Path("images/train.parquet").write_bytes(b"PAR1")
    works: list[Any] = [
        ["models"],
        ["profile", "mgic_resnet20"],
        ["profile", "space.yaml", "--budget=1M"],
        ["profile", "space.yaml", "--data=fashion", "--json"],
        ["profile", "mgicify:resnet18", "--set=s_g=8", "--set=s_c=16"],
        ["tables", "5"],
        "import mgic_nas; mgic_nas.create_model('mgic_resnet20')",
        "import mgic_nas; mgic_nas.create_model('mgic_diffgcn')",
        "import mgic_nas; mgic_nas.fuse(mgic_nas.mgicify('resnet18', 8, 16).eval())",
        "import mgic_nas; print(mgic_nas.profile('mgic_resnet56', s_g=8))",
        "import mgic_nas; mgic_nas.load_winner('run/winners/0.3M')",
        "import timm, mgic_nas; timm.create_model('local-dir:run/winners/0.3M', pretrained=True)",
        "import mgic_nas; mgic_nas.SearchSpace.from_yaml('quickstart')",
    ]
    does_not: list[list[str]] = [
        search("--out", "new"),
        ["report", "run"],
        ["replay", "table", "--seeds=1"],
        ["record", "space.yaml", "--data=fashion", "--budget=1M", "--epochs=1", "--out=new"],
        ["profile", "space.yaml", "--data=images"],
    ]
    before = {p.name for p in Path.cwd().iterdir()}
    found = without(MISSING, *works, *does_not)
    for asked, (code, _, err) in zip(works, found[: len(works)], strict=True):
        assert code == 0, (asked, code, err)
    for asked, (code, out, err) in zip(does_not, found[len(works) :], strict=True):
        assert (code, out) == (2, ""), (asked, code, err)
        check_line(err, ["pip install", "'.[search]'", "'mgic_nas[search]'"])
    assert {p.name for p in Path.cwd().iterdir()} == before


@pytest.mark.slow
@pytest.mark.parametrize("package", MISSING)
def test_one_missing_package_is_named(package: str) -> None:
    """An installation that is half there: whatever misses the package says so; nothing ends with a traceback."""
    unpack(Path.cwd())
    make_table(Path("table"), seeds=1)
    commands = [["models"], ["profile", "space.yaml"], ["report", "run"], ["replay", "table", "--seeds=1"]]
    for asked, (code, _, err) in zip(commands, without([package], *commands), strict=True):
        assert code in (0, 2), (asked, code, err)
        if code == 2:
            check_line(err.splitlines()[-1], [package, "pip install"])
