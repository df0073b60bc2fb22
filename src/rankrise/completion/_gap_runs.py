"""Gaps that are runs along a mode: trials that end early, sensors that fail for days.

An entry beside its neighbours is guessed more easily than one at the end of a long gap.
So what is held out are runs as long as the gaps are, and where they lie.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rankrise.data import Observations, ravel_indices

# How much likelier than by chance a gap goes on, from 0 (gaps at random) to 1.
_RUNNING = 0.6
# Of the runs that touch an end.
_AT_END = 0.8
# Fewer gaps or places along a mode show nothing; masks of more places are not made.
_FEWEST_GAPS, _FEWEST_PLACES, _MOST_PLACES = 30, 5, 2**24

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class GapRuns:
    """Runs of gaps along one mode.

    Attributes
    ----------
    mode
        Along which they run.
    where
        Whether most reach the last index, begin at the first, or neither.
    lengths
        Of the runs.
    rows
        Of every observation the row along the mode that it lies in.
    """

    mode: int
    where: Literal["end", "begin", "anywhere"]
    lengths: npt.NDArray[np.integer]
    rows: npt.NDArray[np.integer]


def gap_runs(observations: Observations, fibers: tuple[int, ...]) -> GapRuns | None:
    """The runs that gaps are, if they are; fibers along some modes count as one."""
    modes = [mode for mode in range(observations.order) if mode not in fibers]
    # Slices that were never observed say nothing of the gaps in others.
    columns = [
        np.unique(observations.indices[:, m], return_inverse=True) for m in modes
    ]
    dims = tuple(len(names) for names, _ in columns)
    if len(modes) < 2 or math.prod(dims) > _MOST_PLACES:
        return None
    places = np.stack([column for _, column in columns], axis=1)
    seen = np.zeros(dims, bool)
    seen[tuple(places.T)] = True
    best, running = None, _RUNNING
    for axis in range(len(modes)):
        lines = np.moveaxis(seen, axis, -1).reshape(-1, dims[axis])
        lines = lines[lines.any(axis=1)]
        share = _how_running(lines)
        # Places are neighbours only where none between was never observed.
        if share > running and np.ptp(columns[axis][0]) == dims[axis] - 1:
            best, running = axis, share
    if best is None:
        return None
    lines = np.moveaxis(seen, best, -1).reshape(-1, dims[best])
    where, lengths = _runs(lines[lines.any(axis=1)])
    others = [axis for axis in range(len(modes)) if axis != best]
    rows = ravel_indices(places[:, others], tuple(dims[axis] for axis in others))
    return GapRuns(modes[best], where, lengths, rows)


def _how_running(lines: Bools) -> float:
    """By how much a gap is likelier after another, over the most there can be."""
    gaps = ~lines
    base = float(gaps.mean())
    before = int(gaps[:, :-1].sum())
    if gaps.sum() < _FEWEST_GAPS or lines.shape[1] < _FEWEST_PLACES or not before:
        return 0.0
    after = int((gaps[:, :-1] & gaps[:, 1:]).sum()) / before
    return (after - base) / (1 - base)


def _runs(
    lines: Bools,
) -> tuple[Literal["end", "begin", "anywhere"], npt.NDArray[np.integer]]:
    """Where runs of gaps lie, and their lengths."""
    gaps = np.pad(~lines, ((0, 0), (1, 1))).astype(np.int8)
    change = np.diff(gaps, axis=1)
    begins, ends = np.argwhere(change == 1)[:, 1], np.argwhere(change == -1)[:, 1]
    lengths = ends - begins
    whole = float(lengths.sum())
    if float(lengths[ends == lines.shape[1]].sum()) >= _AT_END * whole:
        return "end", lengths
    if float(lengths[begins == 0].sum()) >= _AT_END * whole:
        return "begin", lengths
    return "anywhere", lengths


def held_out_runs(
    observations: Observations, runs: GapRuns, count: int, seed: int
) -> npt.NDArray[np.integer] | None:
    """The part of every observation: of a row a run, in the part of the row.

    None where there are too few rows for so many parts.
    """
    distinct, row = np.unique(runs.rows, return_inverse=True)
    if len(distinct) < 2 * count:
        return None
    rng = np.random.default_rng(seed)
    part = np.full(len(row), count, np.min_scalar_type(count))
    own = rng.permutation(len(distinct)) % count
    along = observations.indices[:, runs.mode]
    order = np.lexsort((along, row))
    bounds = np.searchsorted(row[order], np.arange(len(distinct) + 1))
    lengths = rng.choice(runs.lengths, len(distinct))
    for number, length in enumerate(lengths):
        members = order[bounds[number] : bounds[number + 1]]
        places = np.unique(along[members])
        # At least half of a row is left to learn from.
        length = min(int(length), len(places) // 2)
        first = int(rng.integers(len(places) - length + 1))
        begin = {"end": len(places) - length, "begin": 0}.get(runs.where, first)
        chosen = places[begin : begin + length]
        part[members[np.isin(along[members], chosen)]] = own[number]
    return part if all((part == k).any() for k in range(count)) else None
