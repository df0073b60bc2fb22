r"""Where a component near zero is drawn: contractions of numbers at observations.

The pull on mode $n$ is the tensor of residuals times the vectors of all other modes. It
is summed over observations, or over dense arrays where many entries are observed.
"""

import functools as ft
import itertools
import math
from collections.abc import Callable
from concurrent.futures import Executor

import numpy as np

from rankrise._typing import Values
from rankrise.completion._arrangement import Arrangement
from rankrise.completion._compiled import kernels
from rankrise.data import khatri_rao

# How often directions are turned towards the pull, at most.
_TURNS = 10
# Dense arrays are used where more than this share is observed, of tensors of so many
# entries at most and so many observations at least.
_DENSE_SHARE, _DENSE_ENTRIES, _FEW_OBSERVED = 0.05, 2**22, 20_000
_HIGHEST_ORDER = 9

# Of stacked factors, and the mode whose own are left out.
Contraction = Callable[[Values, int], Values]


def climb(
    arrangement: Arrangement,
    residuals: Values,
    units: Values,
    decay: Values,
    positive: bool,
    pool: Executor | None,
) -> Values:
    """Turn directions towards the pull in place; how strong it is along each.

    Parameters
    ----------
    residuals
        At the places of the first mode.
    units
        Stacked vectors, a column for each direction.
    decay, positive
        How far rows are shared with the next, and whether none may be negative.
    """
    starts, dims = arrangement.rows.starts, arrangement.rows.dims
    lists = arrangement.observed, residuals
    strengths, before, entries = np.zeros(kernels.DIRECTIONS), 0.0, math.prod(dims)
    if (
        entries <= _DENSE_ENTRIES
        and len(arrangement) > max(_DENSE_SHARE * entries, _FEW_OBSERVED)
        and len(dims) <= _HIGHEST_ORDER
    ):
        pull_of = contraction(arrangement, residuals)
    elif pool is None:
        kernels.climb(_TURNS, units, starts, *lists, decay, positive, strengths)
        return strengths
    else:
        pull_of = ft.partial(_listed, arrangement, residuals, pool)
    for _ in range(_TURNS):
        for mode, start in enumerate(starts[:-1]):
            pull = pull_of(units, mode)
            kernels.towards_pull(pull, decay, int(start), positive, units)
        strengths = np.sum(pull * units[start:], axis=0)
        if np.max(strengths) <= (1 + kernels.CLIMBED) * before:
            break
        before = float(np.max(strengths))
    return strengths


def _listed(
    arrangement: Arrangement,
    residuals: Values,
    pool: Executor,
    units: Values,
    mode: int,
) -> Values:
    """The pull summed over observations, by several threads."""
    starts = arrangement.rows.starts
    start, end = map(int, starts[mode : mode + 2])
    lists = arrangement.observed, residuals

    def part(block: tuple[int, int]) -> Values:
        total = np.zeros((end - start, units.shape[1]))
        kernels.add_pulls(*block, mode, units, *lists, start, total)
        return total

    # Neither blocks nor the order of their sums depend on how many threads there are.
    return np.asarray(sum(pool.map(part, arrangement.blocks(0, int(starts[1])))))


def contraction(arrangement: Arrangement, numbers: Values) -> Contraction:
    """The tensor of numbers at observations, zero elsewhere, times all factors but
    those of one mode; as a dense array.
    """
    dims, starts = arrangement.rows.dims, arrangement.rows.starts
    tensor, last = np.zeros(dims), len(dims) - 1
    tensor[tuple(arrangement.indices.T)] = numbers
    unfolded = tensor.reshape(-1, dims[last])

    def contracted(factors: Values, mode: int) -> Values:
        own = [factors[a:b] for a, b in itertools.pairwise(starts)]
        # The first product is the large one.
        if mode == last:
            products = khatri_rao(own[:last])
            out = np.empty((dims[last], products.shape[1]))
            kernels.times_rows(unfolded, products, out)
            return out
        out = np.empty((len(unfolded), factors.shape[1]))
        kernels.times_last(unfolded, np.ascontiguousarray(own[last]), out)
        left = out.reshape(*dims[:last], -1)
        for m in range(last - 1, mode, -1):
            left = np.einsum("...ir,ir->...r", left, own[m])
        for m in range(mode):
            left = np.einsum("i...r,ir->...r", left, own[m])
        return np.ascontiguousarray(left)

    return contracted
