"""YAML with line numbers, read safely, and errors that say where in the file they belong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from ..errors import UserError

Path = tuple[str | int, ...]  # ("params", "s_g", "choices", 2)

_MOST_NODES = 100_000  # a file is written by a person: more is an alias bomb or not a search space
_MOST_CHARACTERS = 1_000_000
_PLAIN = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


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


def read_yaml(text: str, source: str) -> tuple[Any, Place]:
    """The value of one YAML document and where its parts stand.

    Only plain data is built (PyYAML's safe constructor); UserError with the line for malformed YAML, duplicate
    keys, keys that are not text, and unknown tags.
    """
    if len(text) > _MOST_CHARACTERS:
        raise UserError(f"{source}: {len(text):,} characters are too many for a search space.")
    reader = _Reader(text, Place(source))
    return reader.read(), Place(source, reader.lines)


class _Reader:
    def __init__(self, text: str, place: Place) -> None:
        self.text = text
        self.place = place
        self.lines: dict[Path, int] = {}
        self.nodes = 0
        self.merged: set[int] = set()  # ids of mapping nodes whose << is resolved already: aliases come twice

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
            raise self.place.at(None, "not a search space: nested too deeply.") from None

    def malformed(self, error: yaml.MarkedYAMLError) -> UserError:
        mark, begun, problem = error.problem_mark, error.context_mark, error.problem or "malformed"
        if mark is None or "expected ':'" in problem:
            mark = begun or mark  # a key without its colon: noticed a line too late
        if "\\t" in problem:
            problem += " (indent with spaces, not with tabs)"
        if mark and begun and begun.line < mark.line:
            problem += f" (what is wrong may begin in line {begun.line + 1})"
        return self.place.at(mark.line + 1 if mark else None, f"not valid YAML: {problem}.")

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.nodes += 1
        if self.nodes > _MOST_NODES:
            raise self.fail(node, "not a search space: too many values (are aliases nested?).")
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.CollectionNode) and node.tag not in _PLAIN:
            raise self.fail(node, f"unknown tag {node.tag!r}: a search space is plain values, lists and mappings.")
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        try:
            return self.loader.construct_object(node, deep=True)
        except (ValueError, OverflowError) as error:  # 2024-99-99, 1 with ten thousand zeros
            raise self.fail(node, f"{node.value[:40]!r} is not a value: {error}.") from None

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        if id(node) not in self.merged:
            # Among the keys as written: a key may well override a merged (<<) one.
            self.refuse_duplicates(node)
            self.loader.flatten_mapping(node)
            self.merged.add(id(node))
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.key(key_node)
            self.lines[*path, key] = key_node.start_mark.line + 1
            values[key] = self.value(value_node, (*path, key))
        return values

    def refuse_duplicates(self, node: yaml.MappingNode) -> None:
        written: dict[str, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.key(key_node)
            if key in written:
                first = written[key]
                raise self.fail(key_node, f"{key!r} stands here a second time, first in line {first}: keep one.")
            written[key] = key_node.start_mark.line + 1

    def key(self, node: yaml.Node) -> str:
        key = self.loader.construct_object(node, deep=True) if isinstance(node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            shown = repr(node.value) if isinstance(node, yaml.ScalarNode) else "a list or a mapping"
            raise self.fail(node, f"a key must be a name, not {shown}.")
        return key

    def fail(self, node: yaml.Node, message: str) -> UserError:
        return self.place.at(node.start_mark.line + 1, message)
