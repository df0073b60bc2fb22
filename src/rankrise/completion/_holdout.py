"""What gaps look like, and which observed entries are held out.

Entries that are held out must be as hard to guess as the gaps are: where whole fibers
are missing, neighbours of an entry along the fiber are missing too.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.completion._arrangement import Rows
from rankrise.completion._drawn import HELD_OUT, drawn_numbers
from rankrise.completion._gap_search import find_blocks
from rankrise.completion._gaps import Blocks, GapKind
from rankrise.completion._heldout_blocks import hold_out_blocks
from rankrise.tensors import Observations, ravel_indices

HeldOut = Literal["auto", "random", "fiber"]

# Of the missing entries in fibers without any observation, and of the observed ones in
# fibers without a gap. Gaps at random cannot have both this large.
_LARGE_SHARE = 0.8
# Of the observations, by default: a model learns from the others.
_LARGEST_PART = 0.2
# What is true of so many observations drawn at random is about so of all.
_SAMPLED = 50
# Sets of modes along which fibers are looked at have at most so many.
_MOST_MODES = 3


@dataclass(frozen=True, eq=False)
class Folds:
    """Observed entries in parts, each of which one model is not shown.

    Attributes
    ----------
    part
        Part of every observation.
    count
        How many parts are held out, each by one model. A part number from there on is
        never held out.
    modes
        Along which whole fibers are held out; empty where entries are.
    gaps
        Kinds of gaps, if they were looked at; each is held out in proportion to its
        share.
    kinds
        The kind of gap that every observation was held out as, where some are blocks.
    blocks
        Where the blocks are, if there are any.
    """

    part: npt.NDArray[np.integer]
    count: int
    modes: tuple[int, ...]
    gaps: tuple[GapKind, ...] = ()
    kinds: npt.NDArray[np.integer] | None = None
    blocks: Blocks | None = None

    @property
    def unlike(self) -> float:
        """Share of the gaps that are unlike all that is held out."""
        return 0.0 if self.blocks is None else self.blocks.unlike


def fiber_modes(observations: Observations) -> tuple[int, ...]:
    """Modes along which fibers are observed whole or not at all; empty where none."""
    order = observations.order
    # Slices without any observation say nothing of the fibers in the others.
    seen = [len(np.unique(column)) for column in observations.indices.T]
    # Fibers along several modes are full only where those along each of them are.
    along = [m for m in range(order) if _fibers(observations, (m,)) is not None]
    for size in range(min(_MOST_MODES, order - 1), 0, -1):
        for modes in itertools.combinations(along, size):
            if _are_fibers(observations, modes, seen):
                return modes
    return ()


def _fibers(
    observations: Observations, modes: tuple[int, ...]
) -> npt.NDArray[np.integer] | None:
    """Observations in every fiber, where most lie in fibers that are full."""
    length = math.prod(observations.mode_dims[mode] for mode in modes)
    if length > len(observations) or not _may_be_full(observations, modes, length):
        return None
    counts = np.bincount(_groups(observations, modes))
    full = int(np.sum(counts[counts == length]))
    return counts if full >= _LARGE_SHARE * len(observations) else None


def _are_fibers(
    observations: Observations, modes: tuple[int, ...], seen: list[int]
) -> bool:
    length = math.prod(observations.mode_dims[mode] for mode in modes)
    counts = _fibers(observations, modes) if length > 1 else None
    if counts is None:
        return False
    missing = observations.entry_count - len(observations)
    fibers = math.prod(count for mode, count in enumerate(seen) if mode not in modes)
    if observations.exists is not None:
        others = [m for m in range(observations.order) if m not in modes]
        rows = (np.unique(observations.indices[:, other]) for other in others)
        exist = np.any(observations.exists, axis=modes, keepdims=True)
        exist = exist.reshape([observations.mode_dims[other] for other in others])
        fibers = int(np.count_nonzero(exist[np.ix_(*rows)]))
    outside = observations.entry_count - fibers * length
    empty = (fibers - len(counts)) * length
    return len(counts) < fibers and empty >= _LARGE_SHARE * (missing - outside)


def _may_be_full(
    observations: Observations, modes: tuple[int, ...], length: int
) -> bool:
    """Whether half the fibers of a few observations are full; spares sorting all."""
    if len(observations) <= 100 * _SAMPLED:
        return True
    others = [mode for mode in range(observations.order) if mode not in modes]
    drawn = np.random.default_rng(0).choice(len(observations), _SAMPLED, replace=False)
    full = 0
    for row in observations.indices[drawn]:
        same = np.flatnonzero(observations.indices[:, others[0]] == row[others[0]])
        for mode in others[1:]:
            same = same[observations.indices[same, mode] == row[mode]]
        full += len(same) == length
    return full >= 0.5 * _SAMPLED


def _groups(
    observations: Observations, modes: tuple[int, ...]
) -> npt.NDArray[np.integer]:
    """Number of the fiber along these modes that each observation lies in."""
    others = [mode for mode in range(observations.order) if mode not in modes]
    dims = tuple(observations.mode_dims[mode] for mode in others)
    rows = observations.indices[:, others]
    if math.prod(dims) < 2**63:
        return np.unique(ravel_indices(rows, dims), return_inverse=True)[1]
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)


def make_folds(
    observations: Observations,
    count: int,
    *,
    share: float | None,
    heldout: HeldOut,
    seed: int,
) -> Folds:
    """Divide observed entries, or whole fibers of them, at random.

    Where some gaps are blocks (tails, runs, boxes), blocks like them are held out at
    other places, every kind in proportion to its share of the missing entries; then
    about half of the observations are held out by no model.

    Parameters
    ----------
    share
        Share of the observations in each part; by default all of them are held out
        once, but at most a fifth in a part, and a tenth where there is one.
    """
    modes = () if heldout == "random" else fiber_modes(observations)
    if heldout == "fiber" and not modes:
        raise InputError(
            "No mode has fibers that are observed whole or not at all, so no whole "
            "fibers can be held out; hold out entries at random."
        )
    gaps: tuple[GapKind, ...] = ()
    is_sought = heldout != "random" and share is None
    if is_sought and len(observations) < observations.entry_count:
        every = range(observations.order)
        gaps = (GapKind(tuple("whole" if m in modes else "one" for m in every), 1.0),)
    if gaps and heldout == "auto":
        rows = Rows.of(observations.indices, observations.mode_dims)
        places = rows.of_observed(observations.indices)
        exists = observations.exists
        if exists is not None:
            exists = exists[np.ix_(*rows.names)]
        blocks = find_blocks(places, rows.dims, modes, seed, exists)
        held = blocks and hold_out_blocks(places, blocks, count, seed)
        if held:
            return Folds(
                held.part, count, modes, held.blocks.kinds, held.kind, held.blocks
            )
    group = _groups(observations, modes) if modes else None
    groups = len(observations) if group is None else int(group.max()) + 1
    if groups < 2 * count:
        if heldout == "fiber":
            raise InputError(
                f"There are only {groups} observed fibers along mode "
                f"{', '.join(str(mode + 1) for mode in modes)}; hold out entries at "
                "random."
            )
        modes, group, groups = (), None, len(observations)
    if share is None:
        share = min(1 / count, _LARGEST_PART) if count > 1 else 0.1
    size = min(max(1, round(share * groups)), groups // (count + (count == 1)))
    part = np.full(groups, count, np.min_scalar_type(count))
    if count == 1 and group is None:
        # Also told where no one holds all observations (see `parts`).
        drawn = drawn_numbers(observations.indices, seed, purpose=HELD_OUT)
        part[drawn <= np.partition(drawn, size - 1)[size - 1]] = 0
        return Folds(part, count, modes, gaps)
    order = np.random.default_rng(seed).permutation(groups)
    if count > 1 and share * count >= 1:
        part[order] = np.arange(groups) % count
    else:
        part[order[: size * count]] = np.arange(size * count) % count
    return Folds(part if group is None else part[group], count, modes, gaps)
