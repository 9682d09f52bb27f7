"""YAML with line numbers, read safely, and errors that say where in the file they belong.

PyYAML reads YAML 1.1, which hardly anybody has in mind. What it would read otherwise than a person means is refused,
with what to write instead: a number with a leading zero (``010`` is octal), ``12:30`` (base 60, 750), an empty item or
value, ``on`` or ``no`` beside texts. Read as meant are ``1e3`` and ``2.5e-1`` (numbers; texts in YAML 1.1), ``.5``,
``1_000``, ``0x10``, ``0b11``, ``yes``, ``no``, ``on``, ``off`` (true and false), ``~`` (null). What is quoted is text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from ..errors import UserError

Path = tuple[str | int, ...]  # ("params", "s_g", "choices", 2)

_MOST_NODES = 100_000  # a file is written by a person: more is an alias bomb or not a search space
_MOST_CHARACTERS = 1_000_000
_TAG = "tag:yaml.org,2002:"
_PLAIN = (f"{_TAG}map", f"{_TAG}seq")
_MERGE = f"{_TAG}merge"
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_LEADING_ZERO = re.compile(r"[-+]?0(o[0-7]+|[0-9_]+)")
_EXPONENT = re.compile(r"[-+]?([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9][0-9_]*)[eE][-+]?[0-9]+")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_WORDS = ("yes", "no", "on", "off")


@dataclass(frozen=True)
class Place:
    """Where a value came from: a file or a caller, and the line of every path in it (none for a Python dict)."""

    source: str
    lines: Mapping[Path, int] = field(default_factory=dict)

    def error(self, path: Path, message: str) -> UserError:
        """A UserError that begins with the source, and with the line of ``path`` or its nearest parent."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.at(self.lines.get(path), message)

    def at(self, line: int | None, message: str) -> UserError:
        """A UserError that begins with the source and ``line``; line breaks in ``message`` become spaces."""
        where = f"{self.source}, line {line}" if line else self.source
        return UserError(f"{where}: {' '.join(message.split())}")


@dataclass(frozen=True)
class Kind:
    """What a document is.

    Attributes:
        name: for messages.
        characters, nodes: as large as it may be; a value counts once for every place that refers to it.
        recorded: written by PyYAML, which leaves texts such as ``1e3`` and ``08`` without quotes: they stay texts.
    """

    name: str = "a search space"
    characters: int = _MOST_CHARACTERS
    nodes: int = _MOST_NODES
    recorded: bool = False


SPACE = Kind()


def read_yaml(text: str, source: str, kind: Kind = SPACE) -> tuple[Any, Place]:
    """The value of one YAML document and where its parts stand.

    Only plain data is built (PyYAML's safe constructor); UserError with the line for malformed YAML, duplicate
    keys, keys that are not text, unknown tags, and what this module's head says of YAML 1.1.
    """
    if len(text) > kind.characters:
        raise UserError(f"{source}: {len(text):,} characters are too many for {kind.name}.")
    reader = _Reader(text, Place(source), kind)
    return reader.read(), Place(source, reader.lines)


class _Reader:
    def __init__(self, text: str, place: Place, kind: Kind) -> None:
        self.text = text
        self.place = place
        self.kind = kind
        self.lines: dict[Path, int] = {}
        self.nodes = 0

    def read(self) -> Any:
        try:
            self.loader = yaml.SafeLoader(self.text)
            try:
                node = self.loader.get_single_node()
                return None if node is None else self.value(node, ())
            finally:
                self.loader.dispose()
        except yaml.MarkedYAMLError as error:
            raise self.malformed(error) from None
        except yaml.reader.ReaderError as error:
            line = self.text.count("\n", 0, error.position) + 1
            raise self.place.at(line, f"not valid YAML: {error.reason}.") from None
        except RecursionError:
            raise self.place.at(None, f"not {self.kind.name}: nested too deeply.") from None

    def malformed(self, error: yaml.MarkedYAMLError) -> UserError:
        mark, begun, problem = error.problem_mark, error.context_mark, error.problem or "malformed"
        if mark is None or "expected ':'" in problem:
            mark = begun or mark  # a key without its colon: noticed a line too late
        if "\\t" in problem:
            problem += " (indent with spaces, not with tabs)"
        if mark and begun and begun.line < mark.line:
            problem += f" (what is wrong may begin in line {begun.line + 1})"
        return self.place.at(mark.line + 1 if mark else None, f"not valid YAML: {problem}.")

    def count(self, node: yaml.Node) -> None:
        self.nodes += 1
        if self.nodes > self.kind.nodes:
            raise self.fail(node, f"not {self.kind.name}: too many values (are aliases nested?).")

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.count(node)
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.CollectionNode) and node.tag not in _PLAIN:
            raise self.fail(node, f"unknown tag {node.tag!r}: {self.kind.name} is plain values, lists and mappings.")
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return self.sequence(node, path)
        assert isinstance(node, yaml.ScalarNode)
        if path and not node.value and node.tag == f"{_TAG}null" and (len(path) > 1 or isinstance(path[0], int)):
            raise self.fail(node, "nothing stands here: write a value, or null where none is meant.")
        return self.scalar(node)

    def scalar(self, node: yaml.ScalarNode) -> Any:
        text = node.value
        if node.style is None:  # without quotes
            tag = node.tag.removeprefix(_TAG)
            zero = _OCTAL if self.kind.recorded else _LEADING_ZERO
            if tag in ("int", "str") and zero.fullmatch(text):
                digits = ("-" if text[0] == "-" else "") + (text.lstrip("+-0o_") or "0")
                raise self.fail(node, f"{text} is octal to YAML, or text: write {digits}, or '{text}' for a text.")
            if tag in ("int", "float") and _SEXAGESIMAL.fullmatch(text):
                raise self.fail(node, f"{text} is a number of base 60 to YAML: write it in decimal, or in quotes.")
            if tag == "str" and not self.kind.recorded and _EXPONENT.fullmatch(text):
                return float(text.replace("_", ""))
        try:
            return self.loader.construct_object(node, deep=True)
        except (ValueError, OverflowError, LookupError, TypeError, AttributeError) as error:
            # 2024-99-99, 1 with ten thousand zeros, !!bool maybe, !!timestamp soon, !!int ''
            raise self.fail(node, f"{text[:40]!r} is not a value of its type: {error}.") from None

    def sequence(self, node: yaml.SequenceNode, path: Path) -> list[Any]:
        texts = any(isinstance(item, yaml.ScalarNode) and item.tag == f"{_TAG}str" for item in node.value)
        for item in node.value:
            plain = isinstance(item, yaml.ScalarNode) and item.style is None
            if texts and plain and item.value.lower() in _WORDS and item.tag == f"{_TAG}bool":
                meant = "true" if item.value.lower() in ("yes", "on") else "false"
                raise self.fail(item, f"{item.value} is {meant} to YAML: write '{item.value}' in quotes, or {meant}.")
        return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, (key_node, value_node) in self.pairs(node).items():
            self.lines[*path, key] = key_node.start_mark.line + 1
            values[key] = self.value(value_node, (*path, key))
        return values

    def pairs(self, node: yaml.MappingNode) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Key -> its nodes: what is merged (``<<``) first, the earlier of two before the later, then the own keys."""
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key_node, value_node in node.value:
            self.count(key_node)
            if key_node.tag == _MERGE:
                sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for source in sources:
                    self.count(key_node)
                    if not isinstance(source, yaml.MappingNode):
                        raise self.fail(key_node, "<< takes a mapping or a list of mappings, such as <<: *other.")
                    for key, nodes in self.pairs(source).items():
                        merged.setdefault(key, nodes)
                continue
            key = self.key(key_node)
            if key in own:
                first = own[key][0].start_mark.line + 1
                raise self.fail(key_node, f"{key!r} stands here a second time, first in line {first}: keep one.")
            own[key] = key_node, value_node
        return {**merged, **own}

    def key(self, node: yaml.Node) -> str:
        key = self.scalar(node) if isinstance(node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            shown = repr(node.value) if isinstance(node, yaml.ScalarNode) else "a list or a mapping"
            quote = f" (in quotes it is one: '{node.value}')" if isinstance(key, bool) else ""
            raise self.fail(node, f"a key must be a name, not {shown}{quote}.")
        return key

    def fail(self, node: yaml.Node, message: str) -> UserError:
        return self.place.at(node.start_mark.line + 1, message)
