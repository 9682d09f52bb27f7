"""What people read is true: the pages build without a network, and their commands and lines are those that exist."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import mgic_nas
from mgic_nas._arguments import parser

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> Iterator[str]:
    yield from re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(text: str) -> Iterator[list[str]]:
    """The arguments of each ``mgic-nas`` command in a shell block or console session."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        for at, word in enumerate(words):
            if word == "mgic-nas" or word.endswith("/mgic-nas"):
                rest = words[at + 1 :]
                end = next((i for i, w in enumerate(rest) if w in ("&&", "|", ";")), len(rest))
                yield [word for word in rest[:end] if word != "..."]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_is_one_that_the_command_line_takes(page: Path) -> None:
    for block in (b for language in ("bash", "console") for b in blocks(page, language)):
        for command in commands(block):
            parser().parse_args(command)
    [subparsers] = parser()._subparsers._group_actions  # type: ignore[union-attr]
    for inline in re.findall(r"`(mgic-nas [a-z]+[^`]*)`", page.read_text()):  # perhaps without what is required
        for name, *rest in commands(inline):
            known = subparsers.choices[name]._option_string_actions  # type: ignore[index, union-attr]
            assert not [word for word in rest if word.startswith("--") and word not in known], inline


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_python_line_names_what_exists(page: Path) -> None:
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "mgic_nas":
                assert hasattr(mgic_nas, node.attr), f"{page.name}: mgic_nas.{node.attr}"


def test_the_pages_build_strictly_and_offline(tmp_path: Path) -> None:
    build = f"-m sphinx -W --keep-going -q -b html {ROOT / 'docs'} {tmp_path}"
    done = subprocess.run([sys.executable, *build.split()], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    reference = (tmp_path / "api.html").read_text()
    for name in ("search", "load_run", "profile", "mgicify", "fuse", "recalibrate", "load_winner", "create_model"):
        assert f'id="mgic_nas.{name}"' in reference, f"{name} has no entry in the reference"


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if not target.startswith(("http:", "https:")):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_notebook_runs(tmp_path: Path) -> None:
    """With fewer images and trainings than it has for a reader."""
    book = json.loads((ROOT / "docs" / "images_to_onnx.ipynb").read_text())
    code = "\n".join("".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code")
    smaller = {
        "len(images), 2": "len(images), 8",
        "trials=8": "trials=2",
        "epochs=3": "epochs=1",
        "epochs=12": "epochs=2",
    }
    for usual, fewer in smaller.items():
        assert usual in code
        code = code.replace(usual, fewer)
    script = tmp_path / "notebook.py"
    script.write_text("def main():\n" + textwrap.indent(code, "    ") + "\n\nif __name__ == '__main__':\n    main()\n")
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert "Ankle boot" in done.stdout
    assert "test top-1" in done.stdout
    assert "model.onnx, in onnxruntime" in done.stdout
