"""Blocks of observed entries that are held out where gaps are blocks.

A block of gaps is taken to another place, and what was observed there is held out.
Every kind of gap has the share among held-out entries that it has among missing ones,
so that held-out entries are as hard to predict as the gaps are.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankrise._typing import Indices, Values
from rankrise.completion._gaps import Blocks, inside, volumes

# Shares of the observations held out in all parts together, and in one part.
_HELD_OUT, _LARGEST_PART = 0.5, 0.2
# So many blocks at most are taken elsewhere, each to the best of so many places.
_MOST_BLOCKS, _TRIES = 1000, 3
# The share of held-out entries in slices with too few observations to count.
_SCARCE = 0.05
# A block may overlap other parts, which train on less, by one entry for so many.
_SHOWN = 4
# After so many blocks that find no room, blocks are made so much shorter.
_FAILURES, _SHRINKING = 30, 0.7

Integers = npt.NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class HeldOutBlocks:
    """What is held out of every kind of gap.

    Attributes
    ----------
    part, kind
        The part of every observation, and the kind of gap it is held out as.
    blocks
        Those given, with gaps marked that are too large to be held out elsewhere.
    """

    part: Integers
    kind: Integers
    blocks: Blocks


def hold_out_blocks(
    places: Indices, blocks: Blocks, count: int, seed: int
) -> HeldOutBlocks | None:
    """Parts that have gaps of all kinds; None where too little was observed."""
    rng = np.random.default_rng(seed)
    held_out = _Places(places[:, blocks.modes], blocks, count, rng)
    held_out.take_blocks()
    held_out.take_singles()
    at = tuple(places[:, blocks.modes].T)
    part = held_out.state[at].astype(np.min_scalar_type(count))
    if not all((part == k).any() for k in range(count)):
        return None
    return HeldOutBlocks(
        part, held_out.kinds[at], blocks.beyond(held_out.largest, held_out.scarce())
    )


class _Places:
    """Which places are held out so far.

    Attributes
    ----------
    state
        The part of every place; `count` if it is in none, -1 if it is missing.
    kinds
        The kind of gap that every place is held out as.
    largest
        The most places that a single block holds out, for every kind.
    """

    def __init__(
        self, places: Indices, blocks: Blocks, count: int, rng: np.random.Generator
    ) -> None:
        dims = blocks.kind_at.shape
        self._blocks, self._count, self._rng = blocks, count, rng
        self.state = np.full(dims, -1, np.int16)
        self.state[tuple(places.T)] = count
        self.kinds = np.zeros(dims, np.int8)
        self.largest = np.zeros(len(blocks.kinds), np.int64)
        self._held = np.zeros(count, np.int64)
        # Places of every mode's slices, in all and held out by every part; several
        # observations of a place, as along fibers, count once.
        self._seen = _by_slice(self.state >= 0)
        self._lost = [np.zeros((count, dim), np.int64) for dim in dims]
        observed = np.count_nonzero(self.state >= 0)
        self._most_in_part = max(1.0, _LARGEST_PART * observed)
        self._most = min(_HELD_OUT, count * _LARGEST_PART) * observed

    def take_blocks(self) -> None:
        """Blocks of gaps, each to another place."""
        blocks = self._blocks
        chance = blocks.box_gains / volumes(blocks.boxes)
        drawn = self._rng.choice(len(chance), _MOST_BLOCKS, p=chance / chance.sum())
        most = self._most * (1 - blocks.kinds[0].share)
        failed, shrunk = 0, 1.0
        for number in drawn.tolist():
            if self._held.sum() >= most and self._held.all():
                break
            part = int(np.argmin(self._held))
            if self._take(number, part, shrunk):
                failed = 0
                continue
            failed += 1
            if failed % _FAILURES == 0:
                # Where there is room in no part, the others are what there is.
                if self._held.all():
                    break
                shrunk *= _SHRINKING

    def _take(self, number: int, part: int, shrunk: float) -> bool:
        """Hold out a block elsewhere, if there is room for it."""
        box, kind = self._blocks.boxes[number], self._blocks.box_kinds[number]
        tried = [self._elsewhere(box, part, shrunk) for _ in range(_TRIES)]
        there, worth = max(tried, key=lambda found: found[1])
        if worth <= 0:
            return False
        own = self.state[inside(there)]
        free = own == self._count
        self.kinds[inside(there)][free] = kind
        own[free] = part
        gain = np.count_nonzero(free)
        self._held[part] += gain
        for mode, counts in enumerate(_by_slice(free)):
            self._lost[mode][part, slice(*there[mode])] += counts
        self.largest[kind] = max(self.largest[kind], gain)
        return True

    def scarce(self) -> list[Values]:
        """How many times less is observed in every mode's slices than is left to learn
        from in slices that entries are held out of.
        """
        places = np.stack(np.nonzero(self.kinds), axis=1)
        parts = self.state[tuple(places.T)]
        ratios = []
        for mode, (seen, lost) in enumerate(zip(self._seen, self._lost, strict=True)):
            rows = places[:, mode]
            left = np.quantile(seen[rows] - lost[parts, rows], _SCARCE)
            ratios.append(left / seen)
        return ratios

    def take_singles(self) -> None:
        """As many entries for each that is held out in blocks as there are gaps."""
        share = self._blocks.kinds[0].share
        free = np.flatnonzero(self.state == self._count)
        wanted = int(self._held.sum() * share / (1 - share))
        drawn = self._rng.permutation(free)[: min(wanted, len(free) // 2)]
        self.state.reshape(-1)[drawn] = np.arange(len(drawn)) % self._count

    def _elsewhere(
        self, box: Integers, part: int, shrunk: float
    ) -> tuple[Integers, int]:
        """A place for a block, and what it is worth: none where parts would overlap."""
        dims: Integers = np.array(self.state.shape)
        size = box[:, 1] - box[:, 0]
        ranges = np.flatnonzero((size > 1) & (size < dims))
        size[ranges] = np.ceil(shrunk * size[ranges])
        first = self._rng.integers(dims - size + 1)
        there = np.stack([first, first + size], axis=1)
        # What reaches an end is held out where observations end (of several, one), as
        # long as there is room.
        sides = [
            (mode, side)
            for mode in ranges.tolist()
            for side, edge in enumerate((0, dims[mode]))
            if box[mode, side] == edge and shrunk == 1
        ]
        aligned, side = sides[self._rng.integers(len(sides))] if sides else (-1, 0)
        if sides:
            seen = np.flatnonzero((self._along(there, aligned) >= 0).any(axis=1))
            length = size[aligned]
            if len(seen):
                least = int(seen[0]) if side == 0 else int(seen[-1]) + 1 - length
                least = min(max(least, 0), int(dims[aligned] - length))
                there[aligned] = least, least + length
        for mode in ranges.tolist():
            self._shorten(there, mode, part, from_end=(mode, side) != (aligned, 1))
        own = self.state[inside(there)]
        gain = np.count_nonzero(own == self._count)
        while gain > self._most_in_part and len(ranges):
            longest = max(ranges.tolist(), key=lambda m: there[m, 1] - there[m, 0])
            there[longest, 1] -= 1
            own = self.state[inside(there)]
            gain = np.count_nonzero(own == self._count)
        others = np.count_nonzero((own >= 0) & (own < self._count))
        return there, int(gain - _SHOWN * others)

    def _along(self, box: Integers, mode: int) -> Integers:
        """The state in a box that is longer: all of one mode, which comes first."""
        where = list(inside(box))
        where[mode] = slice(None)
        return np.moveaxis(self.state[tuple(where)], mode, 0).reshape(
            self.state.shape[mode], -1
        )

    def _shorten(self, box: Integers, mode: int, part: int, *, from_end: bool) -> None:
        """Until at least half of what is observed along a mode is left."""
        lines = self._along(box, mode)
        counts = ((lines >= 0) & (lines != part)).sum(axis=1)
        first, last = box[mode]
        while last - first > 1 and 2 * counts[first:last].sum() > counts.sum():
            first, last = (first, last - 1) if from_end else (first + 1, last)
        box[mode] = first, last


def _by_slice(marked: npt.NDArray[np.bool_]) -> list[Integers]:
    """How many are marked in every slice of every mode."""
    modes = range(marked.ndim)
    return [
        np.count_nonzero(marked, axis=tuple(m for m in modes if m != mode))
        for mode in modes
    ]
