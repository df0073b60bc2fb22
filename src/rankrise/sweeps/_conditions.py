"""Conditions on settings, such as `target_rank <= mode_dim`, without running code."""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from rankrise._errors import InputError, shown

_LONGEST = 1000
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda value, among: value in among,
    ast.NotIn: lambda value, among: value not in among,
}
# No powers, whose numbers could fill the memory.
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}


class Condition:
    """A condition in Python's notation: names, numbers, texts, comparisons, and/or/not.

    It is parsed, never run: whatever else it holds is refused.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > _LONGEST:
            raise InputError(f"A condition has {len(text)} characters; make it short.")
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        # Brackets within brackets without end are no SyntaxError.
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise self._refused("cannot be read") from error
        for node in ast.walk(self._tree):
            self._check(node)

    @property
    def names(self) -> set[str]:
        """Settings that it speaks of."""
        nodes = ast.walk(self._tree)
        return {node.id for node in nodes if isinstance(node, ast.Name)}

    def holds(self, settings: Mapping[str, Any]) -> bool:
        """Whether it holds for a run with these settings."""
        try:
            return bool(self._value(self._tree, settings))
        except (TypeError, ArithmeticError) as error:
            values = ", ".join(f"{n} = {settings[n]!r}" for n in sorted(self.names))
            raise self._refused(f"cannot be told for {values} ({error})") from error

    def _check(self, node: ast.AST) -> None:
        allowed = (
            *(ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub),
            *(ast.Compare, ast.cmpop, ast.BinOp, ast.operator),
            *(ast.Name, ast.Load, ast.Constant, ast.List, ast.Tuple),
        )
        fits = isinstance(node, allowed)
        if isinstance(node, ast.BinOp):
            fits = type(node.op) in _ARITHMETIC
        elif isinstance(node, ast.Compare):
            fits = all(type(op) in _COMPARISONS for op in node.ops)
        elif isinstance(node, ast.Constant):
            fits = isinstance(node.value, int | float | str)
        if not fits:
            raise self._refused(f"holds a {type(node).__name__}")

    def _value(self, node: ast.AST, settings: Mapping[str, Any]) -> Any:
        value = self._value
        match node:
            case ast.BoolOp(op=ast.And(), values=parts):
                return all(value(part, settings) for part in parts)
            case ast.BoolOp(values=parts):
                return any(value(part, settings) for part in parts)
            case ast.UnaryOp(op=ast.Not(), operand=part):
                return not value(part, settings)
            case ast.UnaryOp(operand=part):
                return -value(part, settings)
            case ast.BinOp(left=left, op=op, right=right):
                numbers = value(left, settings), value(right, settings)
                if any(isinstance(number, str | list) for number in numbers):
                    raise TypeError("only numbers are added and multiplied")
                return _ARITHMETIC[type(op)](*numbers)
            case ast.Compare(left=left, ops=ops, comparators=others):
                values = [value(each, settings) for each in (left, *others)]
                pairs = zip(ops, values, values[1:], strict=False)
                return all(_COMPARISONS[type(op)](a, b) for op, a, b in pairs)
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                return [value(part, settings) for part in parts]
            case ast.Name(id=name):
                return settings[name]
            case ast.Constant(value=constant):
                return constant
        raise AssertionError(node)

    def _refused(self, why: str) -> InputError:
        return InputError(
            f"The condition {shown(self.text)} {why}; give a comparison of settings, "
            'such as "target_rank <= mode_dim".'
        )
