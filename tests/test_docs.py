"""What people read is true: the pages build without a network, and their commands and lines are those that exist."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
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
