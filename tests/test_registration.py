"""Names are there whichever package is imported first, and a light command stays light."""

import subprocess
import sys

import pytest


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "imports",
    [
        "import mgic_nas, timm",
        "import timm, mgic_nas",
        "import mgic_nas; from timm.models import create_model; import timm",
        "import mgic_nas; import timm.layers; import timm",
        "import timm.layers; import mgic_nas; import timm",
        "import mgic_nas, importlib.util; importlib.util.find_spec('timm'); import timm",
        "import mgic_nas.cost; import timm",
        "from mgic_nas.models import mgic_resnet; import timm",
    ],
)
def test_either_order_registers_once(imports: str) -> None:
    check = "; print(len(timm.list_models('mgic_*')), type(timm.create_model('mgic_resnet20')).__module__)"
    count, module = run(f"import warnings; warnings.simplefilter('error', UserWarning); {imports}{check}").split()
    assert int(count) >= 13
    assert module == "mgic_nas.models.mgic_resnet"


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = ["torch", "timm", "ray", "pandas", "plotly", "optuna", "numpy", "matplotlib"]
    assert run(f"import sys, mgic_nas; print([m for m in {heavy} if m in sys.modules])") == "[]"


def test_help_imports_nothing_heavy() -> None:
    """`mgic-nas --help` answers at once: what is imported decides that, not this machine's clock."""
    heavy = ["torch", "timm", "ray", "pandas", "plotly", "optuna", "numpy", "matplotlib"]
    code = (
        "import sys\nfrom mgic_nas.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as e:\n    assert e.code in (0, None)\n"
        f"print([m for m in {heavy} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "[]"
    assert "search" in done.stdout
