"""Numbers of settings as arguments of compiled programs, not as constants in them."""

import functools as ft
import types
from collections.abc import Hashable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

# What is raised where Python asks for the value of an argument while compiling.
VALUE_NEEDED = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
)


def as_arguments(tree: Any, dtype: Any) -> Any:
    """The tree with its floats as arrays, also those that its functions close over.

    Trees that differ in these numbers alone share their compiled programs, and so do
    those that are built anew. Functions compare by their code, what they close over and
    the globals they read.
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
    code = _Code(leaf)
    if not all(isinstance(each, Hashable) for each in [*rest, *code.read.values()]):
        return leaf
    return _Function(code, *parts)


class _Code:
    """What a function does, whatever it closes over, with the globals it now reads."""

    def __init__(self, function: types.FunctionType) -> None:
        self.code, self.names = function.__code__, function.__globals__
        self.read: dict[str, Any] = {}
        self._read(self.code)

    def _read(self, code: types.CodeType) -> None:
        for name in {*code.co_names} & self.names.keys() - self.read.keys():
            value = self.read[name] = self.names[name]
            # Functions beside it are what a change of their own globals reaches too.
            if getattr(value, "__globals__", None) is self.names:
                self._read(value.__code__)
        for inner in code.co_consts:
            if isinstance(inner, types.CodeType):
                self._read(inner)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Code) or self.names is not other.names:
            return False
        if self.code != other.code or self.read.keys() != other.read.keys():
            return False
        pairs = [(value, other.read[name]) for name, value in self.read.items()]
        return all(one is two or _same_constant(one, two) for one, two in pairs)

    def __hash__(self) -> int:
        return hash(self.code)


def _same_constant(one: Any, other: Any) -> bool:
    constants = int | float | complex | str | np.generic
    return type(one) is type(other) and isinstance(one, constants) and one == other


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
