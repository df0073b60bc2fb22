"""What gaps look like: single entries, runs, whole fibers, blocks, and mixtures.

Every gap is taken for a box: one index, a range or all indices of every mode. A tail is
a range that reaches the end of one mode, a sensor's failure a range anywhere, a missing
fiber all of one mode.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from rankrise._typing import Indices, Values

# Share of the missing entries from which blocks, or a kind of them, count.
LEAST_SHARE = 0.1
# A block this many times larger than any that is held out is unlike it.
_LARGER = 1.5

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
        Share of the missing entries that are gaps of this kind.
    side
        Which end of their modes most ranges reach.
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
        (kind for kind in kinds if kind.share >= LEAST_SHARE), key=lambda k: -k.share
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
        Modes of the tensor whose places are looked at; fibers along the others are
        observed whole or not at all.
    kinds
        Single entries first.
    kind_at
        The kind of gap at every place of these modes, over slices with observations;
        zero where a place is observed.
    boxes
        First index, and the one after the last, for every block and mode.
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
            How many places the largest held-out block has, for every kind.
        scarce
            How many times fewer observations the slices of every mode have than those
            that entries were held out of.
        """
        ratios = volumes(self.boxes) / np.maximum(largest[self.box_kinds], 1)
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
        """Factors of all entries over slices with observations."""
        form = [dim if m in self.modes else 1 for m, dim in enumerate(dims)]
        return np.broadcast_to(factors.reshape(form), tuple(dims))

    def at(self, factors: Values, places: Indices) -> Values:
        """Factors at rows of slices; one where a slice has no observation."""
        rows = places[:, self.modes]
        known = np.all(rows < factors.shape, axis=1)
        at = tuple(np.where(known[:, None], rows, 0).T)
        return np.where(known, factors[at], 1.0)


def inside(box: Integers) -> tuple[slice, ...]:
    """Where a box lies."""
    return tuple(slice(first, last) for first, last in box)


def volumes(boxes: Integers) -> Integers:
    """How many places boxes have."""
    return np.asarray(np.prod(boxes[..., 1] - boxes[..., 0], axis=-1))
