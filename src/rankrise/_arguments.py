"""Numbers of settings as arguments of compiled programs, not as constants in them."""

import functools as ft
import types
from collections.abc import Hashable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

# What is raised where Python asks for the value of an argument while compiling.
VALUE_NEEDED = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
)


def as_arguments(tree: Any, dtype: Any) -> Any:
    """The tree with its floats as arrays, also those that its functions close over.

    Trees that differ in these numbers alone share their compiled programs, and so do
    those that are built anew. Functions compare by their code and what they close over.
    """
    return jax.tree.map(ft.partial(_as_argument, dtype=dtype), tree)


def _as_argument(leaf: Any, dtype: Any) -> Any:
    if isinstance(leaf, float):
        return jnp.asarray(leaf, dtype)
    if isinstance(leaf, ft.partial):
        parts = as_arguments((leaf.func, leaf.args, leaf.keywords), dtype)
        return _Partial(*parts)
    if not isinstance(leaf, types.FunctionType):
        return leaf
    try:
        cells = tuple(cell.cell_contents for cell in leaf.__closure__ or ())
    except ValueError:  # a name that has no value yet
        return leaf
    if any(cell is leaf for cell in cells):  # it calls itself
        return leaf
    parts = as_arguments((cells, leaf.__defaults__, leaf.__kwdefaults__), dtype)
    rest = jax.tree.leaves(eqx.filter(parts, eqx.is_array, inverse=True))
    if not all(isinstance(each, Hashable) for each in rest):
        return leaf
    return _Function(_Code(leaf), *parts)


class _Code:
    """What a function does, whatever it closes over."""

    def __init__(self, function: types.FunctionType) -> None:
        self.code, self.names = function.__code__, function.__globals__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Code) or self.names is not other.names:
            return False
        return self.code == other.code

    def __hash__(self) -> int:
        return hash(self.code)


class _Function(eqx.Module):
    """A function whose closure and defaults are arguments of compiled programs."""

    code: _Code = eqx.field(static=True)
    closure: tuple[Any, ...]
    defaults: tuple[Any, ...] | None
    keyword_defaults: dict[str, Any] | None

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        function = types.FunctionType(
            self.code.code,
            self.code.names,
            argdefs=self.defaults,
            closure=tuple(map(types.CellType, self.closure)),
        )
        function.__kwdefaults__ = self.keyword_defaults
        return function(*arguments, **keywords)


class _Partial(eqx.Module):
    function: Any
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self.function(*self.arguments, *arguments, **self.keywords | keywords)
