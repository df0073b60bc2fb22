"""Products of factor matrices that several folders share."""

import functools as ft
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rankrise._typing import ModeDims

# A sum over up to this many rows is written out term by term. XLA's CPU compiler makes
# slow code of a reduction whose operand is a broadcast: a gradient step of order 4 with
# mode dimension 10 took 1.3 times as long. With more rows little is gained, and every
# one adds to compiling.
_WRITTEN_OUT = 32


def khatri_rao(matrices: Sequence[Float[Array, "_ r"]]) -> Float[Array, "rows r"]:
    """Column-wise Kronecker product; the first matrix's row index varies slowest."""

    def pair(left: Float[Array, "_ r"], right: Float[Array, "_ r"]) -> Array:
        products = _copies(left, len(right), 1) * _copies(right, len(left), 0)
        return products.reshape(-1, left.shape[1])

    return ft.reduce(pair, matrices)


@ft.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _copies(matrix: Float[Array, "_ r"], count: int, axis: int) -> Array:
    """The matrix so many times, along a new axis."""
    rows, columns = matrix.shape
    shape = (rows, count, columns) if axis == 1 else (count, rows, columns)
    return jnp.broadcast_to(jnp.expand_dims(matrix, axis), shape)


@_copies.defjvp
def _copies_jvp(
    count: int, axis: int, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Array, Array]:
    (matrix,), (tangent,) = primals, tangents
    # Backward, a stack is taken apart and added up, a broadcast is reduced.
    copies = (
        jnp.stack([tangent] * count, axis)
        if count <= _WRITTEN_OUT
        else _copies(tangent, count, axis)
    )
    return _copies(matrix, count, axis), copies


def balanced_split(mode_dims: ModeDims) -> int:
    """How many leading modes to put in the first half of an unfolding.

    The split with the smallest sum of both sides' sizes, so that the two
    Khatri-Rao products of the grid way stay small beside the matrix product.
    """
    return min(
        range(1, len(mode_dims)),
        key=lambda k: math.prod(mode_dims[:k]) + math.prod(mode_dims[k:]),
    )


def flat_positions(
    indices: Int[Array, "m order"], mode_dims: ModeDims
) -> Int[Array, " m"]:
    """Position of each index row in the row-major flattened tensor."""
    flat = jnp.zeros(indices.shape[:1], indices.dtype)
    for mode, dim in enumerate(mode_dims):
        flat = flat * dim + indices[:, mode]
    return flat


def vector_norms(matrix: Float[Array, "d r"]) -> Float[Array, " r"]:
    """Euclidean norm of every column."""
    return jnp.sqrt(jnp.sum(matrix * matrix, axis=0))


def gram_norm(factor_matrices: Sequence[Float[Array, "_ r"]]) -> Float[Array, ""]:
    """Frobenius norm of a CP tensor through Gram matrices, never forming it."""
    grams = [matrix.T @ matrix for matrix in factor_matrices]
    # Rounding can leave a sum that should be zero slightly below it.
    return jnp.sqrt(jnp.maximum(jnp.sum(ft.reduce(jnp.multiply, grams)), 0.0))
