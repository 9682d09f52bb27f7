"""The house stands on its floors: nothing imports upwards, so that each package can be read without those above it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mgic_nas"
FLOORS = [
    {"errors", "_figure", "_files", "_machine", "pareto", "_registration", "timm_scripts"},
    {"models", "tasks"},
    {"cost"},
    {"train", "space"},
    {"engine"},
    {
        "report",
        "run",
        "results",
        "progress",
        "profiling",
        "conversion",
        "loading",
        "tables",
        "replays",
        "experiments",
        "testing",
    },
    {"cli"},
]
FLOOR = {name: i for i, names in enumerate(FLOORS) for name in names}


def top_level(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The package's own top-level names that a file imports, lazily or not; type checking aside."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    names: set[str] = set()
    here = path.relative_to(PACKAGE.parent).with_suffix("").parts
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level] if node.level else ()
            full = (*base, *(node.module.split(".") if node.module else ()))
            if full[:1] == ("mgic_nas",):
                names |= {full[1]} if len(full) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {a.name.split(".")[1] for a in node.names if a.name.startswith("mgic_nas.")}
    return names & FLOOR.keys()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_imports_upwards(path: Path) -> None:
    name = top_level(path)
    if name == "__init__":
        return  # the door of the house: it names what every floor offers
    assert name in FLOOR, f"say on which floor {name} is"
    above = {other for other in imported(path) if FLOOR[other] > FLOOR[name]}
    assert not above, f"{path.name} on floor {FLOOR[name]} imports {above}"
