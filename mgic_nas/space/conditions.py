"""The ``where`` conditions of a search space: a small part of Python's expressions, parsed and never evaluated by it.

A condition is compiled once to closures over the tuple of a setting's values, because it is asked a million times.
"""

from __future__ import annotations

import ast
import operator
import re
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
_ARITHMETIC = frozenset({NUMBER, TRUTH})  # True counts as 1, as in Python


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
        tree = ast.parse(text.strip(), mode="eval")
        part = _Compiler(text, names).truth(tree.body)
    except SyntaxError as error:
        hint = " (== compares)" if re.search(r"(?<![=<>!:])=(?!=)", text) else ""
        raise UserError(f"condition {text!r} is not an expression: {error.msg.rstrip('.')}{hint}.") from None
    except (ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"condition {text[:60]!r} is not an expression that can be read: {error}.") from None
    return Condition(text, part.run)


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


def _both(a: Run, b: Run) -> Run:
    return lambda v: a(v) and b(v)


def _either(a: Run, b: Run) -> Run:
    return lambda v: a(v) or b(v)


_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _bounded_power,
}
_ORDER: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_EQUALITY: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {ast.Eq: operator.eq, ast.NotEq: operator.ne}
_CALLS = ("abs", "len", "max", "min", "sum")
_INSTEAD = {
    ast.Is: "== instead of `is`",
    ast.IsNot: "!= instead of `is not`",
    ast.BitAnd: "`and` instead of &",
    ast.BitOr: "`or` instead of |",
    ast.Invert: "`not` instead of ~",
}


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

    # --- what a place asks for -------------------------------------------------------------------------------

    def truth(self, node: ast.expr) -> _Part:
        return self.wanted(node, frozenset({TRUTH}), "true or false (a comparison such as s_c >= s_g)")

    def number(self, node: ast.expr) -> _Part:
        return self.wanted(node, _ARITHMETIC, "a number")

    def wanted(self, node: ast.expr, kinds: frozenset[str], described: str) -> _Part:
        """A part of one of ``kinds``: known now, or where a parameter mixes kinds, checked at each evaluation."""
        part = self.part(node)
        if part.kinds <= kinds:
            return part
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

        return _Part(checked, part.kinds & kinds)

    def refuse_operator(self, op: ast.AST) -> NoReturn:
        self.refuse(f"write {_INSTEAD.get(type(op), 'comparisons, and, or, not, in, + - * / // % **')}.")

    # --- values --------------------------------------------------------------------------------------------------

    def _Constant(self, node: ast.Constant) -> _Part:
        value: Any = node.value
        if not isinstance(value, (str, int, float, type(None))):
            self.refuse(f"`{ast.unparse(node)}` is not a number or text.")
        return _Part(lambda _: value, frozenset({_kind(value)}))

    def _Name(self, node: ast.Name) -> _Part:
        column = self.names.columns.get(node.id)
        if isinstance(column, int):
            return self.column(column)
        if column is not None:
            return self.gather(self.column(c) for c in column)
        if node.id in self.names.constants:
            return self.fixed(self.names.constants[node.id])
        return self.unknown(node.id)

    def column(self, column: int) -> _Part:
        return _Part(operator.itemgetter(column), frozenset(map(_kind, self.names.grids[column])))

    def fixed(self, value: Any) -> _Part:
        if isinstance(value, (list, tuple)):
            return self.gather(self.fixed(v) for v in value)
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
        if name in ("true", "false", "null"):
            self.refuse(f"write {({'true': 'True', 'false': 'False', 'null': 'None'})[name]} instead of {name}.")
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
        return self.gather(self.part(item) for item in node.elts)

    _List = _Set = _Tuple

    # --- operations ------------------------------------------------------------------------------------------------

    def _BinOp(self, node: ast.BinOp) -> _Part:
        apply = _OPERATORS.get(type(node.op))
        if apply is None:
            self.refuse_operator(node.op)
        left, right = self.number(node.left).run, self.number(node.right).run
        return _Part(lambda v: apply(left(v), right(v)), frozenset({NUMBER}))

    def _UnaryOp(self, node: ast.UnaryOp) -> _Part:
        if isinstance(node.op, ast.Not):
            truth = self.truth(node.operand).run
            return _Part(lambda v: not truth(v), frozenset({TRUTH}))
        if isinstance(node.op, ast.Invert):
            self.refuse_operator(node.op)
        number = self.number(node.operand).run
        apply = operator.neg if isinstance(node.op, ast.USub) else operator.pos
        return _Part(lambda v: apply(number(v)), frozenset({NUMBER}))

    def _BoolOp(self, node: ast.BoolOp) -> _Part:
        runs = [self.truth(value).run for value in node.values]
        return _Part(reduce(_both if isinstance(node.op, ast.And) else _either, runs), frozenset({TRUTH}))

    def _Compare(self, node: ast.Compare) -> _Part:
        operands = [node.left, *node.comparators]
        links = [self.link(op, *pair) for op, pair in zip(node.ops, pairwise(operands))]
        return _Part(reduce(_both, links), frozenset({TRUTH}))

    def link(self, op: ast.cmpop, left_node: ast.expr, right_node: ast.expr) -> Run:
        left, right = self.part(left_node), self.part(right_node)
        if isinstance(op, (ast.In, ast.NotIn)):
            return self.member(op, left, right, right_node)
        for node, part in ((left_node, left), (right_node, right)):
            if LIST in part.kinds:
                self.wanted(node, _ARITHMETIC, "one value")
        if type(op) in _EQUALITY:
            apply = _EQUALITY[type(op)]
            self.choice_exists(left_node, right_node)
            self.choice_exists(right_node, left_node)
        elif type(op) in _ORDER:
            apply = _ORDER[type(op)]
            comparable = (left.kinds & _ARITHMETIC and right.kinds & _ARITHMETIC) or TEXT in left.kinds & right.kinds
            if not comparable:
                shown = f"`{ast.unparse(left_node)}` and `{ast.unparse(right_node)}`"
                self.refuse(f"{shown} have no order: numbers compare with numbers, text with text.")
        else:
            self.refuse_operator(op)
        a, b = left.run, right.run
        return lambda v: apply(a(v), b(v))

    def member(self, op: ast.cmpop, left: _Part, right: _Part, right_node: ast.expr) -> Run:
        if right.kinds != {LIST} or LIST in left.kinds:
            self.refuse(f"what follows `in` must be a list such as (4, 8), not `{ast.unparse(right_node)}`.")
        a, b = left.run, right.run
        if isinstance(right_node, (ast.Tuple, ast.List, ast.Set)) and all(
            isinstance(item, ast.Constant) for item in right_node.elts
        ):
            constant = b(())
            b = lambda _: constant  # noqa: E731
        if isinstance(op, ast.In):
            return lambda v: a(v) in b(v)
        return lambda v: a(v) not in b(v)

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
            number = self.number(node.args[0]).run
            return _Part(lambda v: abs(number(v)), frozenset({NUMBER}))
        if len(node.args) > 1 and name in ("min", "max"):
            part = self.gather(self.part(a) for a in node.args)
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
        if not part.items <= _ARITHMETIC:
            self.refuse(f"{name}() takes numbers alone: `{ast.unparse(node)}`.")
        functions: dict[str, Callable[[Any], Any]] = {"min": min, "max": max, "sum": sum}
        apply = functions[name]
        return _Part(lambda v: apply(run(v)), frozenset({NUMBER}) if name == "sum" else part.items)
