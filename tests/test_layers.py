"""The house stands on its floors: no import goes up, and no two files import each other, however indirectly.

Every import counts, at the top of a file, inside a function and under ``TYPE_CHECKING`` alike. The floors are the table
in CONTRIBUTING.md, so that what is read there is what holds.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mgic_nas"
FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    """``engine.samplers.base``; a package's ``__init__.py`` is named as the package."""
    return ".".join(path.with_suffix("").parts).removesuffix("__init__").rstrip(".")


MODULES = {module_name(path): path for path in FILES}


@cache
def floors() -> dict[str, int]:
    """Module or package (dotted, inside mgic_nas) -> floor, 0 at the bottom, from the table in CONTRIBUTING.md."""
    rows = re.findall(r"^\| (\d+) \| ([^|]*) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    found: dict[str, int] = {}
    for number, cell in rows:
        for name in re.findall(r"`([\w/.]+)`", cell):
            found[name.removesuffix(".py").strip("/").replace("/", ".")] = int(number)
    return found


def floor(module: str) -> int:
    """The floor of a module: that of the longest of its packages that the table names."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        known = floors().get(".".join(parts[:length]))
        if known is not None:
            return known
    raise AssertionError(f"the table of floors in CONTRIBUTING.md does not name {module}")


@cache
def imported(module: str) -> frozenset[str]:
    """The modules of the package that a module names in its imports."""
    path = MODULES[module]
    package = path.parent.parts if path.name == "__init__.py" else path.parts[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / path).read_text())):
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names if a.name.startswith("mgic_nas.")]
            found |= {name.removeprefix("mgic_nas.") for name in names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = ".".join((*package[: len(package) - node.level + 1], *filter(None, [node.module])))
            elif node.module and node.module.split(".")[0] == "mgic_nas":
                base = node.module.removeprefix("mgic_nas").lstrip(".")
            else:
                continue
            for alias in node.names:
                submodule = f"{base}.{alias.name}".lstrip(".")
                found.add(submodule if submodule in MODULES else base)
    return frozenset(found & MODULES.keys())


def circles() -> list[list[str]]:
    """Every circle of imports, by Tarjan's strongly connected components."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in sorted(imported(module)):
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            component = []
            while not component or component[-1] != module:
                component.append(stack.pop())
            if len(component) > 1 or module in imported(module):
                found.append(sorted(component))

    for module in MODULES:
        if module not in index:
            visit(module)
    return found


def test_no_two_files_import_each_other() -> None:
    assert circles() == []


@pytest.mark.parametrize("module", [m for m in MODULES if m], ids=str)
def test_nothing_imports_upwards(module: str) -> None:
    """A package's ``__init__.py`` stands on its package's floor; mgic_nas's own is the door and names every floor."""
    above = {other: floor(other) for other in imported(module) if other and floor(other) > floor(module)}
    assert not above, f"{module} on floor {floor(module)} imports {above}"


def test_nothing_but_the_version_is_imported_from_the_door() -> None:
    """``from .. import __version__`` is the one use that files of the package have for the package itself."""
    for module in MODULES:
        if module and "" in imported(module):
            code = (PACKAGE / MODULES[module]).read_text()
            names = re.findall(r"^\s*from \.+ import (.*)$|^from mgic_nas import (.*)$", code, re.MULTILINE)
            assert {a or b for a, b in names} <= {"__version__"}, module


def test_few_imports_inside_functions() -> None:
    """They hide what a file needs; those that stay keep ``--help`` fast or belong to an extra that may be missing."""
    inside = [
        f"{path}:{node.lineno}"
        for path in FILES
        if path.name != "cli.py"
        for function in ast.walk(ast.parse((PACKAGE / path).read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert len(set(inside)) <= 30, sorted(set(inside))
