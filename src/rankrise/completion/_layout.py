"""Where the rows of all modes and the observations of each row stand.

What alternating least squares asks for, again and again, are sums over the observations
of each row of a factor matrix. In chunks that belong to one row each, most of such a
sum is a small matrix product, and only one partial result a chunk is scattered.

All factor matrices stand one above another in one tall matrix, and the chunks of modes
that resemble each other in one array, so that one program serves all modes. Sizes are
rounded up, so that it also serves other tensors of about the size. Memory grows with
the observations and the sum of mode dimensions, never with the number of entries.
"""

import functools as ft
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float, Int

from rankrise._typing import Indices, ModeDims, Values

# Chunk lengths that are tried; a chunk costs as much again as about so many places,
# for its partial result is scattered.
_LENGTHS = (4, 8, 16, 32, 64, 128)
_CHUNK_COST = 8
# Modes share one chunk length where that costs at most so much more.
_SHARING = 1.25
# Places in a block of chunks, so that what is gathered there stays in a core's cache.
_BLOCK_PLACES = 2**12
# Sizes up to this are rounded up to powers of two, larger ones by an eighth at most.
_LARGE = 2**16
_FEWEST_ROWS, _FEWEST_CHUNKS = 16, 8
_SORTED_BITS = 16

IntArray = npt.NDArray[np.integer]


def numbered(count: int) -> Int[Array, " count"]:
    """0, 1, 2, ... as rows are counted."""
    return jnp.arange(count, dtype=jnp.int32)


class Modes(eqx.Module):
    """Where the modes' rows stand in the tall matrix.

    Attributes
    ----------
    starts, dims
        Mode by mode.
    of_row
        The mode of each row; the order of the tensor where there is none.
    """

    starts: Int[Array, " order"]
    dims: Int[Array, " order"]
    of_row: Int[Array, " rows"]

    def rows_of(self) -> Float[Array, "order rows"]:
        """One where a row is of the mode, else zero."""
        return (self.of_row == numbered(len(self.dims))[:, None]).astype(float)


class Chunks(eqx.Module):
    """The observations of the rows of modes that share one shape.

    Attributes
    ----------
    row
        Which row of its mode a chunk belongs to; rising.
    others
        Rows of the tall matrix that an observation has in the other modes, in the order
        of modes; the first where no observation stands.
    blocks
        How many blocks of chunks there are to each mode; the rest is empty.
    rows
        Room for so many rows of a mode.
    """

    row: Int[Array, "modes chunks"]
    others: Int[Array, "modes chunks length others"]
    blocks: Int[Array, " modes"]
    rows: int = eqx.field(static=True)

    @property
    def block_size(self) -> int:
        """How many chunks are summed at once."""
        return _block_size(*self.others.shape[1:3])


class Slot(NamedTuple):
    """Which chunks are a mode's, and the how manieth mode it is there."""

    group: int
    place: int


class Layout(eqx.Module):
    """Rows and chunks of all modes; `slots` says mode by mode where its chunks are."""

    modes: Modes
    groups: tuple[Chunks, ...]
    slots: tuple[Slot, ...] = eqx.field(static=True)

    def at_mode(
        self, mode: Int[Array, ""], branch: Callable[[int, Array, Any], Any], carry: Any
    ) -> Any:
        """Branch to a mode's group, with its place there and what is carried."""
        groups, places = jnp.asarray(self.slots, jnp.int32).T
        if len(self.groups) == 1:
            return branch(0, places[mode], carry)
        branches = [ft.partial(branch, number) for number in range(len(self.groups))]
        return jax.lax.switch(groups[mode], branches, places[mode], carry)

    @property
    def place_count(self) -> int:
        """Places in the chunks of all modes, empty ones too."""
        return sum(math.prod(group.others.shape[:-1]) for group in self.groups)

    def modes_in(self, group: int) -> list[int]:
        """The modes that share these chunks."""
        return [mode for mode, slot in enumerate(self.slots) if slot.group == group]


@dataclass(frozen=True, eq=False)
class Places:
    """Which observation stands at each place of every group's chunks, or -1."""

    groups: tuple[IntArray, ...]

    def spread(self, numbers: Values) -> tuple[Array, ...]:
        """A number of every observation at its places, zero where none stands."""
        return tuple(jnp.asarray(_at(numbers, place)) for place in self.groups)

    def spread_once(self, numbers: Values) -> Array:
        """The same in the chunks of the first mode alone, which come first."""
        return jnp.asarray(_at(numbers, self.groups[0][:1]))


def _at(numbers: Values, place: IntArray) -> Values:
    # A -1 takes the last, which is then overwritten.
    found = numbers[place]
    found[place < 0] = 0
    return found


def split_rows(tall: Values, mode_dims: ModeDims) -> tuple[Values, ...]:
    """The factor matrices of a tall matrix."""
    ends = np.cumsum(mode_dims)
    return tuple(
        tall[end - dim : end] for end, dim in zip(ends, mode_dims, strict=True)
    )


def stack_rows(matrices: Sequence[Values], rows: int) -> Values:
    """The tall matrix of factor matrices, with room for so many rows."""
    tall = np.concatenate(matrices)
    return np.pad(tall, ((0, rows - len(tall)), (0, 0)))


def lay_out(indices: Indices, mode_dims: ModeDims) -> tuple[Layout, Places]:
    """Chunks of every mode; together some order times the memory of the indices."""
    counts = [
        np.bincount(indices[:, mode], minlength=dim)
        for mode, dim in enumerate(mode_dims)
    ]
    lengths = _chunk_lengths(counts)
    starts = (np.cumsum(mode_dims) - mode_dims).astype(np.int32)
    groups, places, slots = [], [], [Slot(0, 0)] * len(mode_dims)
    tall = 0
    for number, length in enumerate(dict.fromkeys(lengths)):
        members = [mode for mode, own in enumerate(lengths) if own == length]
        for at, mode in enumerate(members):
            slots[mode] = Slot(number, at)
        chunks, place = _group(indices, counts, starts, members, length)
        groups.append(chunks)
        places.append(place)
        tall = max(tall, int(starts[members].max()) + chunks.rows)
    of_row = np.full(_roomy(tall, _FEWEST_ROWS), len(mode_dims), np.int32)
    of_row[: sum(mode_dims)] = np.repeat(np.arange(len(mode_dims)), mode_dims)
    modes = Modes(
        jnp.asarray(starts), jnp.asarray(mode_dims, np.int32), jnp.asarray(of_row)
    )
    layout = Layout(modes, tuple(groups), tuple(slots))
    return layout, Places(tuple(places))


def _group(
    indices: Indices,
    counts: Sequence[IntArray],
    starts: IntArray,
    members: Sequence[int],
    length: int,
) -> tuple[Chunks, IntArray]:
    """Chunks of one length, mode by mode, and which observation stands where."""
    most = max(int(np.sum(-(-counts[mode] // length))) for mode in members)
    room = _roomy(most, _FEWEST_CHUNKS)
    size = _block_size(room, length)
    order = indices.shape[1]
    row = np.empty((len(members), room), np.int32)
    place = np.full((len(members), room * length), -1, np.int32)
    others = np.empty((len(members), room, length, order - 1), np.int32)
    blocks = np.empty(len(members), np.int32)
    for at, mode in enumerate(members):
        chunks = -(-counts[mode] // length)
        blocks[at] = -(-int(chunks.sum()) // size)
        # What is empty belongs to the last row, so that rows keep rising.
        row[at] = len(chunks) - 1
        row[at, : chunks.sum()] = np.repeat(np.arange(len(chunks)), chunks)
        ranking = _ranking(indices[:, mode], len(chunks))
        skipped = (np.cumsum(chunks) - chunks) * length
        skipped -= np.cumsum(counts[mode]) - counts[mode]
        slots = np.arange(len(ranking)) + np.repeat(skipped, counts[mode])
        place[at, slots] = ranking
        rest = [other for other in range(order) if other != mode]
        for column, other in enumerate(rest):
            taken = np.zeros(room * length, np.int32)
            taken[slots] = indices[ranking, other] + starts[other]
            others[at, ..., column] = taken.reshape(room, length)
    group = Chunks(
        row=jnp.asarray(row),
        others=jnp.asarray(others),
        blocks=jnp.asarray(blocks),
        rows=_roomy(max(len(counts[mode]) for mode in members), _FEWEST_ROWS),
    )
    return group, place.reshape(len(members), room, length)


def _block_size(chunks: int, length: int) -> int:
    return min(chunks, _BLOCK_PLACES // length)


def _ranking(rows: IntArray, dim: int) -> IntArray:
    """A stable ranking, by NumPy's radix sort of 16 bits at a time."""
    ranking = np.argsort(rows.astype(np.uint16), kind="stable").astype(np.int32)
    for shift in range(_SORTED_BITS, (dim - 1).bit_length(), _SORTED_BITS):
        digits = (rows[ranking] >> shift).astype(np.uint16)
        ranking = ranking[np.argsort(digits, kind="stable")]
    return ranking


def _chunk_lengths(counts: Sequence[IntArray]) -> list[int]:
    """A chunk length for each mode; one for all where that costs little more."""

    def cost(own: IntArray, length: int) -> int:
        return int(np.sum(-(-own // length))) * (length + _CHUNK_COST)

    best = [min(_LENGTHS, key=lambda n: cost(own, n)) for own in counts]
    shared = min(_LENGTHS, key=lambda n: sum(cost(own, n) for own in counts))
    least = sum(map(cost, counts, best))
    if sum(cost(own, shared) for own in counts) <= _SHARING * least:
        return [shared] * len(counts)
    return best


def _roomy(count: int, least: int) -> int:
    """A size with room for so many, of which there are few different ones."""
    count = max(count, least)
    power = 1 << (count - 1).bit_length()
    if power <= _LARGE:
        return power
    step = power // 16
    return -(-count // step) * step
