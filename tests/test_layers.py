"""The house stands on its floors: no import goes up, and no two files import each other, however indirectly.

Every import counts, at the top of a file, inside a function and under ``TYPE_CHECKING`` alike. The floors are the table
in CONTRIBUTING.md and the arrows its picture, so that what is read there is what holds. ``python tests/test_layers.py``
prints the picture of the imports as they are.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mgic_nas"
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def dotted(path: str) -> str:
    """``engine/samplers/base.py`` as ``engine.samplers.base``; a package's ``__init__.py`` is named as the package."""
    return path.removesuffix(".py").removesuffix("__init__").strip("/").replace("/", ".")


MODULES = {dotted(str(path.relative_to(PACKAGE))): path for path in sorted(PACKAGE.rglob("*.py"))}
DOOR = ""  # mgic_nas/__init__.py, which names every floor
FLOORS = {  # room: a module or a package -> its floor, 0 at the bottom
    dotted(room): int(number)
    for number, cell in re.findall(r"^\| (\d+) \| ([^|]*) \|", CONTRIBUTING, re.MULTILINE)
    for room in re.findall(r"`([\w/.]+)`", cell)
}


@cache
def room(module: str) -> str:
    """The smallest of a module's packages, or itself, that the table of floors names."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if (name := ".".join(parts[:length])) in FLOORS:
            return name
    raise AssertionError(f"the table of floors in CONTRIBUTING.md does not name {module}")


@cache
def imported(module: str) -> frozenset[str]:
    """The modules of the package that a module names in its imports."""
    path = MODULES[module]
    package = path.parent.relative_to(PACKAGE.parent).parts
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join((*package[: len(package) - node.level + 1], *filter(None, [node.module])))
            base = base if node.level else str(node.module)
            for alias in node.names:
                known = f"{base}.{alias.name}".partition(".")[2] in MODULES
                found.add(f"{base}.{alias.name}" if known else base)
    inside = {name.partition(".")[2] for name in found if name.partition(".")[0] == PACKAGE.name}
    return frozenset(inside & MODULES.keys())


def arrows() -> dict[str, set[str]]:
    """Room -> the rooms that it imports."""
    found: dict[str, set[str]] = {name: set() for name in FLOORS}
    for module in MODULES.keys() - {DOOR}:
        found[room(module)] |= {room(other) for other in imported(module)} - {room(module)}
    return found


def picture() -> str:
    """The rooms above the bottom as a mermaid chart, without the arrows that a longer way implies."""
    graph = {name: {other for other in others if FLOORS[other]} for name, others in arrows().items() if FLOORS[name]}
    refuse_circles(graph)

    @cache
    def below(name: str) -> frozenset[str]:
        return frozenset(graph[name]).union(*(below(other) for other in graph[name]))

    lines = ["flowchart TD"]
    for name in sorted(graph, key=lambda name: (-FLOORS[name], name)):
        label = name.replace(".", "/") + ("/" if MODULES[name].name == "__init__.py" else ".py")
        lines.append(f"  {name.replace('.', '_')}[{label}]")
        shown = graph[name] - frozenset().union(*(below(other) for other in graph[name]))
        if shown:
            lines.append(f"  {name.replace('.', '_')} --> {' & '.join(sorted(o.replace('.', '_') for o in shown))}")
    return "\n".join(lines)


def refuse_circles(graph: Mapping[str, Iterable[str]]) -> None:
    TopologicalSorter(graph).prepare()  # its CycleError names the circle


def test_no_two_files_import_each_other() -> None:
    refuse_circles({module: imported(module) for module in MODULES})


def test_no_two_rooms_import_each_other() -> None:
    refuse_circles(arrows())


@pytest.mark.parametrize("module", [module for module in MODULES if module != DOOR])
def test_nothing_imports_upwards(module: str) -> None:
    floor = FLOORS[room(module)]
    above = {other: FLOORS[room(other)] for other in imported(module) if FLOORS[room(other)] > floor}
    assert not above, f"{module} on floor {floor} imports {above}"


def test_the_table_and_the_picture_show_the_house() -> None:
    assert FLOORS.keys() <= MODULES.keys(), "the table of floors names what is not there"
    assert f"```mermaid\n{picture()}\n```" in CONTRIBUTING, "python tests/test_layers.py prints the picture as it is"


def test_few_imports_inside_functions() -> None:
    """They hide what a file needs; those that stay keep ``--help`` fast or belong to an extra that may be missing."""
    inside = {
        f"{module}:{node.lineno}"
        for module, path in MODULES.items()
        if module != "cli"
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert len(inside) <= 30, sorted(inside)


if __name__ == "__main__":
    print(picture())
