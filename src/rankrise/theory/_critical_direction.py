"""Directions a constant gradient leaves alone: critical points of its pull."""

import functools as ft
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rankrise._errors import InputError
from rankrise.factorizations import CPFactorization

_MOST_SWEEPS = 5_000
# How far the unit vectors may turn in a sweep that changes nothing any more.
_AT_REST = 1e-15


def critical_direction(
    tensor: Float[Array, "..."], start: CPFactorization
) -> CPFactorization:
    r"""Unit vectors at which $\langle G, \otimes_n \hat w^n \rangle > 0$ is critical.

    By the higher-order power method (De Lathauwer, De Moor and Vandewalle 2000) from
    the directions of the first component of `start`. A component in this direction
    keeps it under the constant gradient $-G$.
    """
    if not bool(jnp.any(tensor != 0)):
        raise InputError(
            "The loss gradient at zero is zero, so nothing is pulled anywhere; the "
            "observed values may all be zero."
        )
    _, columns = start.normalized()
    return CPFactorization(tuple(u[:, None] for u in _sweeps(tensor, columns)))


@jax.jit
def _sweeps(tensor: Array, columns: tuple[Array, ...]) -> tuple[Array, ...]:
    def unfinished(state: Any) -> Array:
        _, turned, sweeps = state
        return (turned > _AT_REST) & (sweeps < _MOST_SWEEPS)

    def sweep(state: Any) -> Any:
        vectors, _, sweeps = state
        new = list(vectors)
        for mode in range(len(new)):
            new[mode] = _normalized(contract_all_but(tensor, new, mode))
        turned = ft.reduce(
            jnp.maximum,
            [jnp.max(jnp.abs(a - b)) for a, b in zip(new, vectors, strict=True)],
        )
        return tuple(new), turned, sweeps + 1

    vectors = tuple(column[:, 0] for column in columns)
    state = (vectors, jnp.asarray(jnp.inf, tensor.dtype), jnp.zeros((), int))
    return jax.lax.while_loop(unfinished, sweep, state)[0]


def contract_all_but(
    tensor: Float[Array, "..."], vectors: list[Array], mode: int
) -> Float[Array, " d"]:
    """The tensor contracted with a vector in every mode but one."""
    for other in reversed(range(len(vectors))):
        if other != mode:
            tensor = jnp.tensordot(tensor, vectors[other], axes=(other, 0))
    return tensor


def _normalized(vector: Array) -> Array:
    return vector / jnp.sqrt(jnp.sum(vector * vector))
