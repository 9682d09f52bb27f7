"""Names are there whichever package is imported first, and a light command stays light."""

import json
import subprocess
import sys
from typing import Any

import pytest

ORDERS = [
    "import mgic_nas, timm",
    "import timm, mgic_nas",
    "import mgic_nas; from timm.models import create_model; import timm",
    "import mgic_nas; import timm.layers; import timm",
    "import timm.layers; import mgic_nas; import timm",
    "import mgic_nas, importlib.util; importlib.util.find_spec('timm'); import timm",
    "import mgic_nas.cost; import timm",
    "from mgic_nas.models import mgic_resnet; import timm",
]
HEAVY = ["torch", "timm", "ray", "pandas", "plotly", "optuna", "numpy", "matplotlib"]

# Each order of imports in a process of its own, forked from one that has imported what takes most of the time.
FORKS = """
import json, os, sys, warnings
import torch, torchvision

assert not [name for name in sys.modules if name.partition(".")[0] in ("timm", "mgic_nas")]
warnings.simplefilter("error", UserWarning)
for code in json.loads(sys.argv[1]):
    sys.stdout.flush()
    if child := os.fork():
        status = os.waitpid(child, 0)[1]
        print(json.dumps([code, "exit", status]))
        continue
    names = {}
    try:
        exec(code, names)
        timm = names["timm"]
        found = len(timm.list_models("mgic_*")), type(timm.create_model("mgic_resnet20")).__module__
        print(json.dumps([code, "found", found]), flush=True)
    except BaseException as error:
        print(json.dumps([code, "error", repr(error)]), flush=True)
    os._exit(0)
"""


def run(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def outcomes() -> dict[str, list[list[Any]]]:
    """Imports -> what came of them: ["found", [number of names, module of mgic_resnet20]], ["exit", 0]."""
    found: dict[str, list[list[Any]]] = {code: [] for code in ORDERS}
    for line in run(FORKS, json.dumps(ORDERS)).splitlines():
        code, kind, value = json.loads(line)
        found[code].append([kind, value])
    return found


@pytest.mark.parametrize("imports", ORDERS)
def test_either_order_registers_once(outcomes: dict[str, list[list[Any]]], imports: str) -> None:
    (kind, found), ended = outcomes[imports]
    assert kind == "found", found
    assert ended == ["exit", 0]
    count, module = found
    assert count >= 13
    assert module == "mgic_nas.models.mgic_resnet"


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert run(f"import sys, mgic_nas; print([m for m in {HEAVY} if m in sys.modules])") == "[]"


def test_help_imports_nothing_heavy() -> None:
    """`mgic-nas --help` answers at once: what is imported decides that, not this machine's clock."""
    code = (
        "import sys\nfrom mgic_nas.cli import main\n"
        "for argv in (['--help'], ['search', '--help'], ['--version']):\n"
        "    try:\n        main(argv)\n    except SystemExit as e:\n        assert e.code in (0, None)\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    out = run(code)
    assert out.splitlines()[-1] == "[]"
    assert "search" in out
