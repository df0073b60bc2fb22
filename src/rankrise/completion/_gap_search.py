"""Finds the blocks that gaps are.

Boxes are grown around missing entries, and those that are larger than gaps at random
ever make are the blocks; what is left are single entries.
"""

import itertools
import math
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rankrise._typing import Indices
from rankrise.completion._gaps import (
    LEAST_SHARE,
    Blocks,
    Extent,
    GapKind,
    inside,
    volumes,
)

# Fewer gaps show nothing; masks of more places or modes are not made.
_FEWEST_GAPS, _MOST_PLACES, _MOST_MODES = 30, 2**24, 6
# How much likelier next to a gap than elsewhere in its fiber another gap must be for
# blocks to be looked for, as a share of the most there can be and in standard
# deviations; and in fibers of how many places at least.
_TOGETHER, _PERHAPS, _FEWEST_PLACES = 0.03, 2.0, 5
# Entries that boxes are grown around at once; how often; after how few blocks no more.
_SEEDS, _ROUNDS, _FEW = 400, 50, 0.02
# Looks at places, for each that there is: some gaps are boxes without end.
_LOOKS = 30
# Places of random gaps that blocks are compared with, and how often that is done.
_NULL_PLACES, _PASSES = 2**16, 3
# So many standard deviations are no chance.
_CLEARLY = 5.0
# Share of a kind's gaps that reach an end, for the kind to be said to.
_AT_END = 0.8

Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.integer]


def find_blocks(
    places: Indices,
    dims: tuple[int, ...],
    fibers: tuple[int, ...],
    seed: int,
    exists: Bools | None = None,
) -> Blocks | None:
    """The blocks that gaps are, if some are; fibers along some modes count as one.

    Parameters
    ----------
    exists
        Which entries of these slices exist, where not all do.
    places
        Slices of every observation, counted among those that have any: others say
        nothing of the gaps in these.
    """
    modes = tuple(mode for mode in range(len(dims)) if mode not in fibers)
    own_dims = tuple(dims[mode] for mode in modes)
    if not 2 <= len(modes) <= _MOST_MODES or math.prod(own_dims) > _MOST_PLACES:
        return None
    missing = np.ones(own_dims, bool)
    if exists is not None:
        missing &= exists.any(axis=fibers)
    missing[tuple(places[:, mode] for mode in modes)] = False
    count = np.count_nonzero(missing)
    ranges, whole = _shared_modes(missing) if count >= _FEWEST_GAPS else ([], [])
    if not ranges and not whole:
        return None
    search = _Search(missing, ranges, whole, np.random.default_rng(seed))
    boxes, gains = search.boxes()
    share = float(gains.sum() / count)
    if share < LEAST_SHARE:
        return None
    kinds, box_kinds = _kinds(boxes, gains, own_dims, share)
    kind_at = np.zeros(own_dims, np.int8)
    for box, kind in zip(boxes[::-1], box_kinds[::-1], strict=True):
        kind_at[inside(box)] = kind
    own = tuple(_of_all_modes(kind, modes, len(dims)) for kind in kinds)
    return Blocks(modes, own, kind_at, boxes, box_kinds, gains)


def _of_all_modes(kind: GapKind, modes: tuple[int, ...], order: int) -> GapKind:
    """A kind of gaps of some modes as one of the tensor: of all of the other modes."""
    extents: list[Extent] = ["whole"] * order
    for mode, extent in zip(modes, kind.extents, strict=True):
        extents[mode] = extent
    return replace(kind, extents=tuple(extents))


def _shared_modes(missing: Bools) -> tuple[list[int], list[int]]:
    """Modes whose neighbours are missing together, and those missing as a whole."""
    ranges, whole, share = [], [], float(missing.mean())
    for axis, dim in enumerate(missing.shape):
        sums = missing.sum(axis=axis, dtype=np.int64)
        empty, expected = int((sums == dim).sum()), sums.size * share**dim
        enough = max(LEAST_SHARE * sums.sum() / dim, _CLEARLY * math.sqrt(expected))
        if dim > 1 and empty - expected > max(1.0, enough):
            whole.append(axis)
        if dim < _FEWEST_PLACES:
            continue
        lines = np.moveaxis(missing, axis, 0)
        pairs = float(np.count_nonzero(lines[1:] & lines[:-1]))
        # How often any two places of a fiber are both missing, for as many pairs.
        chance = float((sums * (sums - 1)).sum()) / dim
        most = float(sums.sum()) * (dim - 1) / dim - chance
        if pairs - chance > max(_TOGETHER * most, _PERHAPS * math.sqrt(chance)):
            ranges.append(axis)
    return ranges, whole


class _Search:
    """Grows boxes around missing places until those that are left are single."""

    def __init__(
        self,
        missing: Bools,
        ranges: list[int],
        whole: list[int],
        rng: np.random.Generator,
    ) -> None:
        self._missing, self._ranges, self._rng = missing, ranges, rng
        self._axes = [*ranges, *(axis for axis in whole if axis not in ranges)]
        self._sums = _summed(missing)

    def boxes(self) -> tuple[Integers, Integers]:
        """Blocks, and how many places of each lie in none before it."""
        single = np.flatnonzero(self._missing)
        painted = np.zeros(self._missing.shape, bool)
        found: list[Integers] = []
        gains: list[int] = []
        looks = _LOOKS * self._missing.size
        for _ in range(_PASSES):
            before, least = len(found), self._largest_of_chance(len(single))
            for _ in range(_ROUNDS):
                if not len(single) or looks < 0:
                    break
                seeds = self._rng.choice(single, min(_SEEDS, len(single)), False)
                boxes = self._grown(self._sums, self._missing.shape, seeds)
                are_large = volumes(boxes) > least
                large = np.unique(boxes[are_large], axis=0)
                order = np.argsort(-volumes(large))
                looks -= len(single)
                for box in large[order]:
                    looks -= 2 * int(volumes(box))
                    if looks < 0:
                        break
                    gain = int((~painted[inside(box)]).sum())
                    if gain:
                        painted[inside(box)] = True
                        found.append(box)
                        gains.append(gain)
                single = single[~painted.reshape(-1)[single]]
                if np.mean(are_large) < _FEW:
                    break
            if len(found) == before:
                break
        shape = (-1, self._missing.ndim, 2)
        return np.array(found, np.int64).reshape(shape), np.array(gains, np.int64)

    def _largest_of_chance(self, count: int) -> int:
        """The largest box among as many single gaps at random."""
        dims = np.array(self._missing.shape)
        while np.prod(dims) > _NULL_PLACES:
            dims[np.argmax(dims)] = -(-dims[np.argmax(dims)] // 2)
        share = count / self._missing.size
        chance = self._rng.random(dims) < share
        gaps = np.flatnonzero(chance)
        if not len(gaps):
            return 1
        seeds = self._rng.choice(gaps, min(_SEEDS, len(gaps)), False)
        boxes = self._grown(_summed(chance), chance.shape, seeds)
        return int(volumes(boxes).max())

    def _grown(
        self, sums: Integers, dims: tuple[int, ...], seeds: Integers
    ) -> Integers:
        """The largest box without an observation that is found around each place."""
        start = np.stack(np.unravel_index(seeds, dims), axis=1)
        start = np.stack([start, start + 1], axis=2)
        best, size = start, np.ones(len(start), np.int64)
        for turn in range(len(self._axes)):
            boxes = start.copy()
            for axis in self._axes[turn:] + self._axes[:turn]:
                self._grow(sums, dims[axis], boxes, axis)
            own = volumes(boxes)
            best = np.where((own > size)[:, None, None], boxes, best)
            size = np.maximum(own, size)
        return best

    def _grow(self, sums: Integers, dim: int, boxes: Integers, axis: int) -> None:
        """Along a mode, as far as all is missing."""
        if axis not in self._ranges:
            wide = boxes.copy()
            wide[:, axis] = 0, dim
            full = _are_full(sums, wide)
            boxes[full] = wide[full]
            return
        for side, away in ((1, 1), (0, -1)):
            near = boxes[:, axis, side].copy()
            # Steps that are possible, and ones that are not.
            good = np.zeros(len(boxes), np.int64)
            bad = (dim - near if away > 0 else near) + 1
            while (bad - good > 1).any():
                tried = (good + bad) // 2
                boxes[:, axis, side] = near + away * tried
                full = _are_full(sums, boxes)
                good, bad = np.where(full, tried, good), np.where(full, bad, tried)
            boxes[:, axis, side] = near + away * good


def _summed(missing: Bools) -> Integers:
    """How many places are missing before each, in all modes."""
    sums = np.zeros(tuple(dim + 1 for dim in missing.shape), np.int32)
    own = sums[(slice(1, None),) * missing.ndim]
    own[...] = missing
    for axis in range(missing.ndim):
        np.cumsum(own, axis=axis, out=own)
    return sums


def _are_full(sums: Integers, boxes: Integers) -> Bools:
    """Whether boxes have no observation."""
    count = np.zeros(len(boxes), np.int64)
    for corner in itertools.product((0, 1), repeat=sums.ndim):
        at = tuple(boxes[:, axis, side] for axis, side in enumerate(corner))
        count += (-1) ** (sums.ndim - sum(corner)) * sums[at]
    return np.asarray(count == volumes(boxes))


def _kinds(
    boxes: Integers, gains: Integers, dims: tuple[int, ...], share: float
) -> tuple[tuple[GapKind, ...], Integers]:
    """Kinds of gaps, and the kind of every block."""
    extents = boxes[:, :, 1] - boxes[:, :, 0]
    forms = np.where(extents == dims, 2, np.minimum(extents, 2) - 1)
    distinct, form = np.unique(forms, axis=0, return_inverse=True)
    form = form.reshape(-1)
    parts = np.bincount(form, gains) / gains.sum() * share
    common = np.flatnonzero(parts >= min(LEAST_SHARE, parts.max()))
    # Rare ones count as the nearest that is not.
    apart = np.abs(distinct[:, None] - distinct[common]).sum(axis=2)
    own = np.argmin(apart, axis=1)[form]
    names: list[Extent] = ["one", "range", "whole"]
    kinds = [GapKind((names[0],) * len(dims), 1 - share)]
    for number, each in enumerate(common):
        ours = own == number
        total = gains[ours].sum()
        kinds.append(
            GapKind(
                tuple(names[int(value)] for value in distinct[each]),
                float(total / gains.sum() * share),
                _side(boxes[ours], gains[ours], dims, distinct[each] == 1),
            )
        )
    return tuple(kinds), own + 1


def _side(
    boxes: Integers, gains: Integers, dims: tuple[int, ...], ranges: Any
) -> Literal["end", "begin", "anywhere"]:
    at_end = (boxes[:, :, 1] == dims)[:, ranges].any(axis=1)
    at_begin = (boxes[:, :, 0] == 0)[:, ranges].any(axis=1)
    for side, there in (("end", at_end), ("begin", at_begin)):
        if gains[there].sum() >= _AT_END * gains.sum():
            return side  # type: ignore[return-value]  # One of the two.
    return "anywhere"
