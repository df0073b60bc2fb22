"""Products of factor matrices that several folders share."""

import functools as ft
import math
from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rankrise._typing import ModeDims


def khatri_rao(matrices: Sequence[Float[Array, "_ r"]]) -> Float[Array, "rows r"]:
    """Column-wise Kronecker product; the first matrix's row index varies slowest."""

    def pair(left: Float[Array, "_ r"], right: Float[Array, "_ r"]) -> Array:
        return (left[:, None, :] * right[None, :, :]).reshape(-1, left.shape[1])

    return ft.reduce(pair, matrices)


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
