"""Observations laid out row by row of every mode, in chunks of one length.

What alternating least squares asks for, again and again, are sums over the observations
of each row of a factor matrix. In chunks that belong to one row each, most of such a
sum is a small matrix product, and only one partial result a chunk is scattered.
"""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Bool, Int

from rankrise._typing import Indices, ModeDims

# Chunk lengths that are tried; a chunk costs as much again as about so many places,
# for its partial result is scattered.
_LENGTHS = (4, 8, 16, 32, 64, 128)
_CHUNK_COST = 8
# Places in a block of chunks, so that what is gathered there stays in a core's cache.
_BLOCK_PLACES = 2**13


def block_of(chunks: int, length: int) -> int:
    """How many chunks are summed at once."""
    return min(chunks, _BLOCK_PLACES // length)


class ModeLayout(eqx.Module):
    """The observations of a mode's rows.

    Attributes
    ----------
    row
        Which row a chunk belongs to; rising.
    place
        Which observation stands there; where none does, the first of all.
    there
        Whether one does.
    others
        Its indices in the other modes, in the order of modes.
    """

    row: Int[Array, " chunks"]
    place: Int[Array, "chunks length"]
    there: Bool[Array, "chunks length"]
    others: Int[Array, "chunks length others"]


Layout = tuple[ModeLayout, ...]


def lay_out(indices: Indices, mode_dims: ModeDims) -> Layout:
    """One layout a mode; together some order times the memory of the indices."""
    return tuple(_of_mode(indices, mode, dim) for mode, dim in enumerate(mode_dims))


def _of_mode(indices: Indices, mode: int, dim: int) -> ModeLayout:
    counts = np.bincount(indices[:, mode], minlength=dim)
    length = _best_length(counts)
    chunks = -(-counts // length)
    first_chunk = np.cumsum(chunks) - chunks
    first_place = np.cumsum(counts) - counts
    order = np.argsort(indices[:, mode], kind="stable").astype(np.int32)
    rows = indices[order, mode]
    within = np.arange(len(order)) - first_place[rows]
    slots = first_chunk[rows] * length + within
    # Whole blocks: what fills the last of them belongs to the last row.
    total = int(chunks.sum())
    filling = -total % block_of(total, length)
    total += filling
    place = np.zeros(total * length, np.int32)
    there = np.zeros(total * length, bool)
    place[slots], there[slots] = order, True
    others = np.delete(indices, mode, axis=1)[place].astype(np.int32)
    row = np.repeat(np.arange(dim, dtype=np.int32), chunks)
    return ModeLayout(
        row=jnp.asarray(np.pad(row, (0, filling), mode="edge")),
        place=jnp.asarray(place.reshape(total, length)),
        there=jnp.asarray(there.reshape(total, length)),
        others=jnp.asarray(others.reshape(total, length, -1)),
    )


def _best_length(counts: npt.NDArray[np.integer]) -> int:
    def cost(length: int) -> int:
        return int(np.sum(-(-counts // length))) * (length + _CHUNK_COST)

    return min(_LENGTHS, key=cost)


def without(matrices: Sequence[Array], mode: int) -> list[Array]:
    """The factor matrices of the other modes."""
    return [matrix for n, matrix in enumerate(matrices) if n != mode]
