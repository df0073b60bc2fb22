"""Losses as trees of JAX, whose numbers are leaves."""

import functools as ft
from typing import Any

import jax

from rankrise.losses import AbstractLoss

_KNOWN: set[type] = set()


def as_tree(loss: AbstractLoss) -> AbstractLoss:
    """The loss, of a kind that JAX takes apart: into its floats and the rest.

    Losses work without JAX, so none is made known to it before a problem has it.
    """
    kind = type(loss)
    if kind not in _KNOWN:
        fields: Any = getattr(loss, "__dataclass_fields__", {}).values()
        numbers = tuple(f.name for f in fields if f.type in (float, "float"))
        rest = tuple(f.name for f in fields if f.name not in numbers)
        whole = ft.partial(_flatten, numbers, rest) if numbers else _as_it_is
        jax.tree_util.register_pytree_node(kind, whole, _unflatten)
        _KNOWN.add(kind)
    return loss


def _as_it_is(loss: AbstractLoss) -> tuple[tuple[Any, ...], Any]:
    return (), loss


def _flatten(
    numbers: tuple[str, ...], rest: tuple[str, ...], loss: AbstractLoss
) -> tuple[tuple[Any, ...], Any]:
    fixed = tuple((name, getattr(loss, name)) for name in rest)
    leaves = tuple(getattr(loss, name) for name in numbers)
    return leaves, (type(loss), numbers, fixed)


def _unflatten(rest: Any, leaves: Any) -> AbstractLoss:
    if isinstance(rest, AbstractLoss):
        return rest
    kind, names, fixed = rest
    # Without its checks: while a tree is taken apart, its leaves may be anything.
    loss: AbstractLoss = object.__new__(kind)
    for name, value in (*zip(names, leaves, strict=True), *fixed):
        object.__setattr__(loss, name, value)
    return loss
