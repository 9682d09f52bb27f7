"""The ``where`` conditions of a search space: a small part of Python's expressions, parsed and never evaluated by it.

A condition is compiled once to closures over the tuple of a setting's values, because it is asked a million times.
"""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any, NoReturn

from ..errors import UserError, did_you_mean

Scalar = str | int | float | bool | None
Values = Sequence[Scalar]  # of one setting, by column
Run = Callable[[Values], Any]

_MOST_CHARACTERS = 1000
_MOST_BITS = 4096  # of a power: a condition must not be able to fill the memory

NUMBER, TEXT, TRUTH, NOTHING, LIST = "a number", "text", "true or false", "none", "a list"
_NUMBERS = frozenset({NUMBER, TRUTH})  # True counts as 1, as in Python
_TRUTHS = frozenset({TRUTH})


@dataclass(frozen=True)
class Names:
    """What a condition may speak of.

    Attributes:
        columns: parameter -> its column, or its columns where it has one value per stage.
        grids: the values that each column can take.
        constants: the fixed arguments of the model.
        arguments: everything the model takes, for messages.
    """

    columns: Mapping[str, int | tuple[int, ...]]
    grids: Sequence[Sequence[Scalar]]
    constants: Mapping[str, Any]
    arguments: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Condition:
    """A compiled condition. Calling it on the values of a setting gives True or False.

    It may raise ArithmeticError (a division by zero) or TypeError (4 < "basic", where choices are mixed).
    """

    text: str
    run: Run

    def __call__(self, values: Values) -> bool:
        return self.run(values)


def compile_condition(text: str, names: Names) -> Condition:
    """The closure of an expression. UserError where it is none, or steps outside what is allowed."""
    if len(text) > _MOST_CHARACTERS:
        raise UserError(f"a condition of {len(text):,} characters is too long: split it into several.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of '\\d' and 1if: what is wrong with them is said below, or nothing is
            tree = ast.parse(text.strip(), mode="eval")
        run = _Compiler(text, names).truth(tree.body)
    except SyntaxError as error:
        hint = " (== compares)" if re.search(r"(?<![=<>!:])=(?!=)", text) else ""
        raise UserError(f"condition {text!r} is not an expression: {error.msg.rstrip('.')}{hint}.") from None
    except (ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"condition {text[:60]!r} is not an expression that can be read: {error}.") from None
    return Condition(text, run)


@dataclass(frozen=True)
class _Part:
    """A compiled sub-expression and the kinds of value that it can have."""

    run: Run
    kinds: frozenset[str]
    items: frozenset[str] = frozenset()  # of a list's items
    length: int = 0  # of a list


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return TRUTH
    if isinstance(value, (int, float)):
        return NUMBER
    return TEXT if isinstance(value, str) else NOTHING


def _bounded_power(base: Any, exponent: Any) -> Any:
    if abs(exponent) > _MOST_BITS:
        raise OverflowError("the exponent is too large")
    if isinstance(base, int) and base.bit_length() * abs(exponent) > _MOST_BITS:
        raise OverflowError("the power is too large")
    result = base**exponent
    if isinstance(result, complex):
        raise ArithmeticError("a negative number has no such root")
    return result


_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _bounded_power,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_AGGREGATES: dict[str, Callable[[Any], Any]] = {"max": max, "min": min, "sum": sum}
_CALLS = ("abs", "len", *_AGGREGATES)
_PYTHON = {"true": "True", "false": "False", "null": "None"}
_INSTEAD = {
    ast.Is: "== instead of `is`",
    ast.IsNot: "!= instead of `is not`",
    ast.BitAnd: "`and` instead of &",
    ast.BitOr: "`or` instead of |",
    ast.Invert: "`not` instead of ~",
}


def _joined(runs: Iterable[Run], every: bool) -> Run:
    """All of them (``and``) or any of them (``or``), evaluated from the left as far as needed."""

    def both(a: Run, b: Run) -> Run:
        return (lambda v: a(v) and b(v)) if every else (lambda v: a(v) or b(v))

    return reduce(both, runs)


class _Compiler:
    def __init__(self, text: str, names: Names) -> None:
        self.text = text
        self.names = names

    def refuse(self, message: str) -> NoReturn:
        raise UserError(f"condition {self.text!r}: {message}")

    def part(self, node: ast.expr) -> _Part:
        method = getattr(self, f"_{type(node).__name__}", None)
        if method is None:
            self.refuse(
                f"`{ast.unparse(node)}` is not allowed: write comparisons, and, or, not, in, arithmetic, and the "
                f"functions {', '.join(_CALLS)}."
            )
        return method(node)

    def truth(self, node: ast.expr) -> Run:
        return self.wanted(node, _TRUTHS, "true or false (a comparison such as s_c >= s_g)")

    def wanted(self, node: ast.expr, kinds: frozenset[str] = _NUMBERS, described: str = "a number") -> Run:
        """Gives a value of one of ``kinds``: known now, or where a parameter mixes kinds, checked when it runs."""
        part = self.part(node)
        if part.kinds <= kinds:
            return part.run
        shown = ast.unparse(node)
        if not part.kinds & kinds:
            if LIST in part.kinds and isinstance(node, ast.Name):
                self.refuse(f"{shown} has one value per stage: write {shown}[0], or min({shown}), max({shown}).")
            self.refuse(f"`{shown}` is {' or '.join(sorted(part.kinds))}, but must be {described}.")
        run = part.run

        def checked(values: Values) -> Any:
            value = run(values)
            if _kind(value) not in kinds:
                raise TypeError(f"{shown} is {value!r}, not {described}")
            return value

        return checked

    def refuse_operator(self, op: ast.AST) -> NoReturn:
        self.refuse(f"write {_INSTEAD.get(type(op), 'comparisons, and, or, not, in, + - * / // % **')}.")

    # --- values --------------------------------------------------------------------------------------------------

    def _Constant(self, node: ast.Constant) -> _Part:
        if not isinstance(node.value, (str, int, float, type(None))):
            self.refuse(f"`{ast.unparse(node)}` is not a number or text.")
        return self.fixed(node.value)

    def _Name(self, node: ast.Name) -> _Part:
        column = self.names.columns.get(node.id)
        if isinstance(column, int):
            return self.column(column)
        if column is not None:
            return self.gather(map(self.column, column))
        if node.id in self.names.constants:
            return self.fixed(self.names.constants[node.id])
        return self.unknown(node.id)

    def column(self, column: int) -> _Part:
        return _Part(operator.itemgetter(column), frozenset(map(_kind, self.names.grids[column])))

    def fixed(self, value: Any) -> _Part:
        if isinstance(value, (list, tuple)):
            return self.gather(map(self.fixed, value))
        return _Part(lambda _: value, frozenset({_kind(value)}))

    def gather(self, parts: Iterable[_Part]) -> _Part:
        parts = list(parts)
        runs = [p.run for p in parts]
        items = frozenset[str]().union(*(p.kinds for p in parts))
        return _Part(lambda v: [run(v) for run in runs], frozenset({LIST}), items, len(parts))

    def unknown(self, name: str) -> NoReturn:
        known = [*self.names.columns, *self.names.constants]
        choices = {value for grid in self.names.grids for value in grid}
        if name in choices:
            self.refuse(f"{name} is a choice, not a parameter: write '{name}' in quotes.")
        if name in _PYTHON:
            self.refuse(f"write {_PYTHON[name]} instead of {name}.")
        if name in self.names.arguments:
            self.refuse(f"{name} is an argument of the model, but stands neither in params nor in kwargs here.")
        self.refuse(f"unknown name {name!r}.{did_you_mean(name, known)}")

    def _Subscript(self, node: ast.Subscript) -> _Part:
        shown = ast.unparse(node.value)
        part = self.part(node.value) if isinstance(node.value, ast.Name) else None
        if part is None or part.kinds != {LIST}:
            self.refuse(f"{shown} has no values per stage: write it without [ ].")
        try:
            index = ast.literal_eval(node.slice)
        except ValueError:
            index = None
        if isinstance(index, bool) or not isinstance(index, int):
            self.refuse(f"`{ast.unparse(node)}`: the index must be a whole number, as in {shown}[0].")
        if not -part.length <= index < part.length:
            self.refuse(f"{shown}[{index}] does not exist: {shown} has the values 0 to {part.length - 1}.")
        columns = self.names.columns.get(shown)
        if isinstance(columns, tuple):
            return self.column(columns[index])
        return self.fixed(self.names.constants[shown][index])

    def _Tuple(self, node: ast.Tuple | ast.List | ast.Set) -> _Part:
        return self.gather(map(self.part, node.elts))

    _List = _Set = _Tuple

    # --- operations ------------------------------------------------------------------------------------------------

    def _BinOp(self, node: ast.BinOp) -> _Part:
        apply = _OPERATORS.get(type(node.op)) or self.refuse_operator(node.op)
        left, right = self.wanted(node.left), self.wanted(node.right)
        return _Part(lambda v: apply(left(v), right(v)), frozenset({NUMBER}))

    def _UnaryOp(self, node: ast.UnaryOp) -> _Part:
        if isinstance(node.op, ast.Invert):
            self.refuse_operator(node.op)
        if isinstance(node.op, ast.Not):
            truth = self.truth(node.operand)
            return _Part(lambda v: not truth(v), _TRUTHS)
        number = self.wanted(node.operand)
        apply = operator.neg if isinstance(node.op, ast.USub) else operator.pos
        return _Part(lambda v: apply(number(v)), frozenset({NUMBER}))

    def _BoolOp(self, node: ast.BoolOp) -> _Part:
        return _Part(_joined(map(self.truth, node.values), isinstance(node.op, ast.And)), _TRUTHS)

    def _Compare(self, node: ast.Compare) -> _Part:
        pairs = zip(node.ops, pairwise([node.left, *node.comparators]))
        return _Part(_joined((self.link(op, *pair) for op, pair in pairs), True), _TRUTHS)

    def link(self, op: ast.cmpop, left_node: ast.expr, right_node: ast.expr) -> Run:
        left, right = self.part(left_node), self.part(right_node)
        a, b = left.run, right.run
        if isinstance(op, (ast.In, ast.NotIn)):
            if right.kinds != {LIST} or LIST in left.kinds:
                self.refuse(f"what follows `in` must be a list such as (4, 8), not `{ast.unparse(right_node)}`.")
            if all(isinstance(item, ast.Constant) for item in getattr(right_node, "elts", [None])):
                constant = b(())
                b = lambda _: constant  # noqa: E731
            return (lambda v: a(v) in b(v)) if isinstance(op, ast.In) else (lambda v: a(v) not in b(v))
        for node, part in ((left_node, left), (right_node, right)):
            if LIST in part.kinds:
                self.wanted(node, described="one value")
        apply = _OPERATORS.get(type(op)) or self.refuse_operator(op)
        if isinstance(op, (ast.Eq, ast.NotEq)):
            self.choice_exists(left_node, right_node)
            self.choice_exists(right_node, left_node)
        elif not ((left.kinds & _NUMBERS and right.kinds & _NUMBERS) or TEXT in left.kinds & right.kinds):
            shown = f"`{ast.unparse(left_node)}` and `{ast.unparse(right_node)}`"
            self.refuse(f"{shown} have no order: numbers compare with numbers, text with text.")
        return lambda v: apply(a(v), b(v))

    def choice_exists(self, parameter: ast.expr, constant: ast.expr) -> None:
        """Refuses ``block == 'basci'``: text that the parameter never is."""
        if not (isinstance(constant, ast.Constant) and isinstance(constant.value, str)):
            return
        name = parameter.value if isinstance(parameter, ast.Subscript) else parameter
        columns = self.names.columns.get(name.id) if isinstance(name, ast.Name) else None
        if columns is None:
            return
        grid = self.names.grids[columns if isinstance(columns, int) else columns[0]]
        if constant.value not in grid:
            shown = did_you_mean(constant.value, [v for v in grid if isinstance(v, str)])
            self.refuse(f"{ast.unparse(parameter)} is never {constant.value!r}.{shown}")

    def _Call(self, node: ast.Call) -> _Part:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        shown = ast.unparse(node.func)
        if name not in _CALLS:
            self.refuse(f"it calls {shown}(): a condition may call {', '.join(_CALLS)} and nothing else.")
        if node.keywords or any(isinstance(a, ast.Starred) for a in node.args) or not node.args:
            self.refuse(f"{name}() takes values alone, as in {name}(width_mult).")
        if name == "abs":
            if len(node.args) != 1:
                self.refuse("abs() takes one number.")
            number = self.wanted(node.args[0])
            return _Part(lambda v: abs(number(v)), frozenset({NUMBER}))
        if len(node.args) > 1 and name in ("min", "max"):
            part = self.gather(map(self.part, node.args))
        else:
            part = self.part(node.args[0])
            if len(node.args) > 1 or part.kinds != {LIST}:
                self.refuse(f"{name}() takes a list: the values of all stages, or ( , ).")
        run = part.run
        if name == "len":
            length = part.length
            return _Part(lambda _: length, frozenset({NUMBER}))
        if not part.length:
            self.refuse(f"{name}() of nothing.")
        if not part.items <= _NUMBERS:
            self.refuse(f"{name}() takes numbers alone: `{ast.unparse(node)}`.")
        apply = _AGGREGATES[name]
        return _Part(lambda v: apply(run(v)), frozenset({NUMBER}) if name == "sum" else part.items)
