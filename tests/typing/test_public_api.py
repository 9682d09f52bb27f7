"""The file that mypy checks covers what a user can import, and every lazy facade is typed as it behaves."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import mgic_nas

HERE = Path(__file__).parent
PACKAGE = Path(mgic_nas.__file__).parent
LAZY = sorted(path for path in PACKAGE.rglob("__init__.py") if "lazy_exports" in path.read_text())


def test_every_public_name_has_its_type_asserted() -> None:
    asserted = {
        node.attr
        for call in ast.walk(ast.parse((HERE / "public_api.py").read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "assert_type"
        for node in ast.walk(call.args[0])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "mgic_nas"
    }
    assert set(mgic_nas.__all__) <= asserted


@pytest.mark.parametrize("path", LAZY, ids=lambda path: str(path.parent.relative_to(PACKAGE.parent)))
def test_a_lazy_facade_gives_what_it_is_typed_as(path: Path) -> None:
    """What type checkers see is what a user gets: the same names, from the same modules, and each can be imported."""
    tree = ast.parse(path.read_text())
    typed: dict[str, str] = {}
    lazy: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            typed = {
                a.asname or a.name: f".{i.module}" for i in node.body if isinstance(i, ast.ImportFrom) for a in i.names
            }
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy_exports":
            lazy = ast.literal_eval(node.args[1])
    module = importlib.import_module(".".join(path.parent.relative_to(PACKAGE.parent).parts))
    assert lazy == {name: typed.get(name) for name in lazy}
    assert set(module.__all__) >= lazy.keys()
    assert all(getattr(module, name) is not None and name in dir(module) for name in module.__all__)
