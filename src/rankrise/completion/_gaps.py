"""What gaps look like: single entries, runs, whole fibers, blocks, and mixtures.

Every gap is taken for a box: one index, a range or all indices of every mode. A tail is
a range that reaches the end of one mode, a sensor's failure a range anywhere, a missing
fiber all of one mode. Boxes are grown around missing entries, and those that are larger
than gaps at random ever make are the blocks; what is left are single entries.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rankrise._typing import Indices, Values

# Fewer gaps show nothing; masks of more places or modes are not made.
_FEWEST_GAPS, _MOST_PLACES, _MOST_MODES = 30, 2**24, 6
# How much likelier next to a gap than elsewhere in its fiber another gap must be for
# blocks to be looked for, as a share of the most there can be and in standard
# deviations; and in fibers of how many places at least.
_TOGETHER, _PERHAPS, _FEWEST_PLACES = 0.03, 2.0, 5
# Of the missing entries: those in all blocks, or in a kind of them, where they count.
_LEAST_SHARE = 0.1
# Entries that boxes are grown around at once; how often; after how few blocks no more.
_SEEDS, _ROUNDS, _FEW = 400, 50, 0.02
# Looks at places, for each that there is: some gaps are boxes without end.
_LOOKS = 30
# Places of random gaps that blocks are compared with, and how often that is done.
_NULL_PLACES, _PASSES = 2**16, 3
# Standard deviations that are not chance.
_CLEARLY = 5.0
# Times the largest block that is held out, and blocks are unlike it.
_LARGER = 1.5
# Of a kind's blocks: how many end at an end, for the kind to be said to.
_AT_END = 0.8

Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.integer]
Extent = Literal["one", "range", "whole"]


@dataclass(frozen=True)
class GapKind:
    """Gaps of one form.

    Attributes
    ----------
    extents
        How much of every mode a gap takes: one index, a range of indices, or all.
    share
        Of the missing entries that are gaps of this kind.
    side
        Which end of the ranges' modes most gaps reach.
    """

    extents: tuple[Extent, ...]
    share: float
    side: Literal["end", "begin", "anywhere"] = "anywhere"

    @property
    def is_single(self) -> bool:
        """Whether gaps are entries, each by itself."""
        return set(self.extents) == {"one"}

    def __str__(self) -> str:
        ranges, whole = (
            [mode + 1 for mode, each in enumerate(self.extents) if each == extent]
            for extent in ("range", "whole")
        )
        if self.is_single:
            return "single entries"
        if not ranges:
            return f"whole fibers along {_modes(whole)}"
        form = "runs along" if len(ranges) == 1 else "blocks over"
        places = {"end": " up to the end", "begin": " from the beginning"}
        across = f", across {_modes(whole)}" if whole else ""
        return f"{form} {_modes(ranges)}{places.get(self.side, '')}{across}"


def _modes(numbers: Sequence[int]) -> str:
    *most, last = map(str, numbers)
    return f"modes {', '.join(most)} and {last}" if most else f"mode {last}"


def tell_gaps(kinds: Sequence[GapKind]) -> str:
    """In one line what gaps are, the most first; nothing where it was not looked at."""
    told = sorted(
        (kind for kind in kinds if kind.share >= _LEAST_SHARE), key=lambda k: -k.share
    )
    if len(told) < 2:
        return str(told[0]) if told else ""
    return "; ".join(f"{kind.share:.0%} {kind}" for kind in told)


@dataclass(frozen=True, eq=False)
class Blocks:
    """Gaps of which some are blocks.

    Attributes
    ----------
    modes
        Of the tensor whose places are looked at; along others fibers are observed
        whole or not at all.
    kinds
        Single entries first.
    kind_at
        Of every place of these modes, over slices with observations, the kind of gap;
        zero where it is observed.
    boxes
        First index and the one after the last, of every block and mode.
    box_kinds, box_gains
        The kind of every block, and how many places lie in none before it.
    widened
        What the variance of gaps is multiplied by at every place: more than one where
        blocks are larger than any that could be held out. None where all could be.
    """

    modes: tuple[int, ...]
    kinds: tuple[GapKind, ...]
    kind_at: npt.NDArray[np.int8]
    boxes: Integers
    box_kinds: Integers
    box_gains: Integers
    widened: npt.NDArray[np.float32] | None = None

    def beyond(self, largest: Integers, scarce: Sequence[Values]) -> "Blocks":
        """With gaps marked that nothing held out is like.

        Parameters
        ----------
        largest
            Of every kind, how many places the largest block has that was held out.
        scarce
            Of every mode's slices, how many times fewer observations they have than
            those that entries were held out of.
        """
        volumes = np.prod(self.boxes[:, :, 1] - self.boxes[:, :, 0], axis=1)
        ratios = volumes / np.maximum(largest[self.box_kinds], 1)
        widened = np.ones(self.kind_at.shape, np.float32)
        for mode, ratio in enumerate(scarce):
            wider = np.moveaxis(widened, mode, -1)
            np.maximum(wider, np.where(ratio > _LARGER, ratio, 1), out=wider)
        for box in np.flatnonzero(ratios > _LARGER):
            own = widened[inside(self.boxes[box])]
            np.maximum(own, ratios[box], out=own)
        return replace(self, widened=widened) if widened.max() > 1 else self

    @property
    def unlike(self) -> float:
        """Share of the places in blocks that nothing held out is like."""
        if self.widened is None:
            return 0.0
        return float(np.mean(self.widened[self.kind_at > 0] > 1))

    def factors(self, of_kind: Values, learned: float) -> Values:
        """What the variance at every place is multiplied by.

        Parameters
        ----------
        of_kind
            The factor of every kind of gap.
        learned
            Share of the variance that more observations would lower; that alone is
            larger in gaps that nothing held out is like.
        """
        factors = of_kind[self.kind_at]
        if self.widened is not None:
            factors *= 1 + learned * (self.widened - 1)
        return factors

    def everywhere(self, factors: Values, dims: Sequence[int]) -> Values:
        """Numbers of places as those of all entries over slices with observations."""
        form = [dim if m in self.modes else 1 for m, dim in enumerate(dims)]
        return np.broadcast_to(factors.reshape(form), tuple(dims))

    def at(self, factors: Values, places: Indices) -> Values:
        """The same at rows of slices; one where a slice has no observation."""
        rows = places[:, self.modes]
        known = np.all(rows < factors.shape, axis=1)
        at = tuple(np.where(known[:, None], rows, 0).T)
        return np.where(known, factors[at], 1.0)


def find_blocks(
    places: Indices, dims: tuple[int, ...], fibers: tuple[int, ...], seed: int
) -> Blocks | None:
    """The blocks that gaps are, if some are; fibers along some modes count as one.

    Parameters
    ----------
    places
        Of observations, over slices that have any: others say nothing of the gaps in
        these.
    """
    modes = tuple(mode for mode in range(len(dims)) if mode not in fibers)
    own_dims = tuple(dims[mode] for mode in modes)
    if not 2 <= len(modes) <= _MOST_MODES or math.prod(own_dims) > _MOST_PLACES:
        return None
    missing = np.ones(own_dims, bool)
    missing[tuple(places[:, mode] for mode in modes)] = False
    count = np.count_nonzero(missing)
    ranges, whole = _shared_modes(missing) if count >= _FEWEST_GAPS else ([], [])
    if not ranges and not whole:
        return None
    search = _Search(missing, ranges, whole, np.random.default_rng(seed))
    boxes, gains = search.boxes()
    share = float(gains.sum() / count)
    if share < _LEAST_SHARE:
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


def inside(box: Integers) -> tuple[slice, ...]:
    """Where a box lies."""
    return tuple(slice(first, last) for first, last in box)


def _shared_modes(missing: Bools) -> tuple[list[int], list[int]]:
    """Modes whose neighbours are missing together, and those missing as a whole."""
    ranges, whole, share = [], [], float(missing.mean())
    for axis, dim in enumerate(missing.shape):
        sums = missing.sum(axis=axis, dtype=np.int64)
        empty, expected = int((sums == dim).sum()), sums.size * share**dim
        enough = max(_LEAST_SHARE * sums.sum() / dim, _CLEARLY * math.sqrt(expected))
        if dim > 1 and empty - expected > max(1.0, enough):
            whole.append(axis)
        if dim < _FEWEST_PLACES:
            continue
        lines = np.moveaxis(missing, axis, 0)
        pairs = float(np.count_nonzero(lines[1:] & lines[:-1]))
        # Of any two places of a fiber, as often as there are neighbours.
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
                volumes = np.prod(boxes[:, :, 1] - boxes[:, :, 0], axis=1)
                large = np.unique(boxes[volumes > least], axis=0)
                order = np.argsort(-np.prod(large[:, :, 1] - large[:, :, 0], axis=1))
                looks -= len(single)
                for box in large[order]:
                    looks -= 2 * int(np.prod(box[:, 1] - box[:, 0]))
                    if looks < 0:
                        break
                    gain = int((~painted[inside(box)]).sum())
                    if gain:
                        painted[inside(box)] = True
                        found.append(box)
                        gains.append(gain)
                single = single[~painted.reshape(-1)[single]]
                if np.mean(volumes > least) < _FEW:
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
        return int(np.prod(boxes[:, :, 1] - boxes[:, :, 0], axis=1).max())

    def _grown(
        self, sums: Integers, dims: tuple[int, ...], seeds: Integers
    ) -> Integers:
        """Of boxes without an observation around each place the largest found."""
        start = np.stack(np.unravel_index(seeds, dims), axis=1)
        start = np.stack([start, start + 1], axis=2)
        best, size = start, np.ones(len(start), np.int64)
        for turn in range(len(self._axes)):
            boxes = start.copy()
            for axis in self._axes[turn:] + self._axes[:turn]:
                self._grow(sums, dims[axis], boxes, axis)
            volumes = np.prod(boxes[:, :, 1] - boxes[:, :, 0], axis=1)
            better = volumes > size
            best = np.where(better[:, None, None], boxes, best)
            size = np.maximum(volumes, size)
        return best

    def _grow(self, sums: Integers, dim: int, boxes: Integers, axis: int) -> None:
        """Along a mode, as far as all is missing."""
        if axis not in self._ranges:
            wide = boxes.copy()
            wide[:, axis] = 0, dim
            boxes[_are_full(sums, wide)] = wide[_are_full(sums, wide)]
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
    return np.asarray(count == np.prod(boxes[:, :, 1] - boxes[:, :, 0], axis=1))


def _kinds(
    boxes: Integers, gains: Integers, dims: tuple[int, ...], share: float
) -> tuple[tuple[GapKind, ...], Integers]:
    """Kinds of gaps, and of every block its kind."""
    extents = boxes[:, :, 1] - boxes[:, :, 0]
    forms = np.where(extents == dims, 2, np.minimum(extents, 2) - 1)
    distinct, form = np.unique(forms, axis=0, return_inverse=True)
    form = form.reshape(-1)
    parts = np.bincount(form, gains) / gains.sum() * share
    common = np.flatnonzero(parts >= min(_LEAST_SHARE, parts.max()))
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
