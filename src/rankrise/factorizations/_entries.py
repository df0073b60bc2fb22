r"""Entries of a CP tensor, the grid way and the coordinate way.

*Grid*: split the modes in two halves, take the Khatri-Rao product of each, form the
whole end tensor by one matrix product, and gather. *Coordinates*: multiply rows of the
factor matrices, in blocks that fit the cache; the tensor is never formed.
"""

import functools as ft
import math
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rankrise._algebra import balanced_split, flat_positions, khatri_rao
from rankrise._devices import by_columns, by_rows
from rankrise._typing import ModeDims

FactorMatrices = tuple[Float[Array, "_ _"], ...]
Way = Literal["grid", "coordinates"]

# Above this the end tensor (40 MB in float32) no longer pays for itself.
GRID_ENTRIES = 10_000_000
# A gathered and scattered number costs about as much as this many multiply-adds of
# a matrix product: measured on two cores, order 3 and 4, 10 to 1000 components.
_GATHER_COST = 12
# Rows a block of the coordinate way: blocks of 2^18 numbers stay in a core's cache.
_BLOCK_NUMBERS = 2**18


def choose_way(mode_dims: ModeDims, count: int) -> Way:
    """The faster way to evaluate `count` entries, from shapes alone.

    Both ways cost in proportion to the number of components, so it does not matter.
    """
    entries = math.prod(mode_dims)
    gathered = _GATHER_COST * count * len(mode_dims)
    return "grid" if entries <= min(GRID_ENTRIES, gathered) else "coordinates"


def cp_end_tensor(factor_matrices: FactorMatrices) -> Float[Array, "..."]:
    """The whole CP tensor, by one matrix product of two Khatri-Rao products.

    Each of several devices takes some of the components.
    """
    factor_matrices = by_columns(factor_matrices)
    mode_dims = tuple(matrix.shape[0] for matrix in factor_matrices)
    split = balanced_split(mode_dims)
    left = khatri_rao(factor_matrices[:split])
    right = khatri_rao(factor_matrices[split:])
    return (left @ right.T).reshape(mode_dims)


def grid_entries(
    factor_matrices: FactorMatrices, indices: Int[Array, "m order"]
) -> Float[Array, " m"]:
    """Entries gathered from the whole tensor."""
    tensor = cp_end_tensor(factor_matrices)
    flat = flat_positions(indices, tensor.shape)
    return tensor.reshape(-1).at[flat].get(mode="promise_in_bounds")


def coordinate_entries(
    factor_matrices: FactorMatrices, indices: Int[Array, "m order"]
) -> Float[Array, " m"]:
    """Entries from rows of the factor matrices, block by block.

    The backward pass recomputes a block instead of keeping it, so memory beyond the
    observations themselves is one block's, forward and backward. Each of several
    devices takes some of the entries.
    """
    return by_rows(_in_blocks, factor_matrices, indices)


def _in_blocks(
    factor_matrices: FactorMatrices, indices: Int[Array, "m order"]
) -> Float[Array, " m"]:
    count, order = indices.shape
    components = factor_matrices[0].shape[1]
    # A block's backward pass adds into every factor matrix once, so a block has at
    # least as many rows as the largest of them.
    block = max(
        _BLOCK_NUMBERS // max(components, 1), *(len(w) for w in factor_matrices)
    )
    if count <= block:
        return _row_products(factor_matrices, indices)
    blocks = -(-count // block)
    padding = jnp.zeros((blocks * block - count, order), indices.dtype)
    padded = jnp.concatenate([indices, padding]).reshape(blocks, block, order)
    one_block = jax.checkpoint(ft.partial(_row_products, factor_matrices))
    return jax.lax.map(one_block, padded).reshape(-1)[:count]


def _row_products(
    factor_matrices: FactorMatrices, indices: Int[Array, "m order"]
) -> Float[Array, " m"]:
    rows = [
        matrix.at[indices[:, mode]].get(mode="promise_in_bounds")
        for mode, matrix in enumerate(factor_matrices)
    ]
    return ft.reduce(jnp.multiply, rows).sum(axis=-1)
