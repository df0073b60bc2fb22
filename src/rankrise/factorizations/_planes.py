r"""Sums over modes of what depends on the value there, as products of matrices.

Where a code is a value is a plane of zeros and ones; a plane a value but one, for what
belongs to value 0 is a difference. Values are counted so that 0 is the most frequent
one of its mode: the difference rounds where few observations are left.
"""

import functools as ft

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

Table = Float[Array, "values modes columns"]

# Planes written out one after another up to this many values; beyond, in a loop.
_WRITTEN_OUT = 4
# Where a factor of value 0 is smaller than this share of another of its mode, the
# difference would round; then what belongs to it is summed for itself.
_CANCELS = 1 / 16
# Bits of a bfloat16's fraction and exponent.
_FRACTION, _EXPONENT = 7, 8


def plane_products(
    codes: UInt8[Array, "samples modes"], table: Table
) -> Float[Array, "samples columns"]:
    r"""$\sum_n T_n[x_{sn}]$ for every sample and column."""
    base = jnp.sum(table[0], axis=0)
    differences = table[1:] - table[0]
    values = len(table)

    def of_value(value: int | Array) -> Array:
        return times_plane(_plane(codes, value, values), differences[value - 1])

    total = jnp.broadcast_to(base, (len(codes), table.shape[-1]))
    if values <= _WRITTEN_OUT:
        return ft.reduce(jnp.add, map(of_value, range(1, values)), total)
    return jax.lax.fori_loop(
        1, values, lambda value, total: total + of_value(value), total
    )


def plane_sums(
    codes: UInt8[Array, "samples modes"],
    slopes: Float[Array, "samples columns"],
    table: Table,
) -> Table:
    r"""$\sum_{s: x_{sn} = v} q_s$ for every value, mode and column: the transpose."""
    values = len(table)

    def of_value(value: int | Array) -> Array:
        return times_plane(_plane(codes, value, values).T, slopes)

    if values <= _WRITTEN_OUT:
        parts = [of_value(value) for value in range(1, values)]
        others = jnp.stack(parts) if parts else jnp.zeros_like(table[1:])
    else:
        others = jax.lax.map(of_value, jnp.arange(1, values))
    sizes = jnp.abs(table)
    cancels = jnp.any(sizes[0] < _CANCELS * jnp.max(sizes, axis=0))
    zeroth = jax.lax.cond(
        cancels,
        lambda: times_plane((codes == 0).T, slopes),
        lambda: jnp.sum(slopes, axis=0) - jnp.sum(others, axis=0),
    )
    return jnp.concatenate([zeroth[None], others])


def _plane(codes: Array, value: int | Array, values: int) -> Array:
    """Where a code is a value, as zeros and ones."""
    # With two values the codes are the plane.
    return codes if values == 2 else codes == jnp.asarray(value, codes.dtype)


def times_plane(plane: Array, numbers: Float[Array, "n columns"]) -> Array:
    """A plane of zeros and ones times a matrix, as exact as the numbers' precision.

    Matrix units round single precision to ten bits or fewer. They take zeros and ones,
    and each of three parts of a number, as they are.
    """
    if numbers.dtype != jnp.float32:
        return plane.astype(numbers.dtype) @ numbers
    return jax.lax.platform_dependent(
        plane, numbers, cpu=_times_at_once, default=times_in_parts
    )


def _times_at_once(plane: Array, numbers: Array) -> Array:
    return plane.astype(numbers.dtype) @ numbers


def times_in_parts(plane: Array, numbers: Array) -> Array:
    """The product of single precision by three of bfloat16, in one pass."""
    parts, rest = [], numbers
    for _ in range(3):
        # A cast there and back is left out by the compiler, this is not.
        part = jax.lax.reduce_precision(rest, _EXPONENT, _FRACTION)
        parts.append(part.astype(jnp.bfloat16))
        rest = rest - part
    products = jnp.matmul(
        plane.astype(jnp.bfloat16),
        jnp.concatenate(parts, axis=1),
        preferred_element_type=jnp.float32,
    )
    large, middle, small = jnp.split(products, 3, axis=1)
    return large + (middle + small)
