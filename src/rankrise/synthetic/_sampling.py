"""Which entries of a tensor are observed, and with which noise."""

import math

import numpy as np

from rankrise._errors import InputError
from rankrise._typing import Indices, ModeDims, Values
from rankrise.synthetic._synthetic import (
    Stream,
    at_least_one,
    checked_mode_dims,
    generator,
    noisy,
)
from rankrise.synthetic._targets import (
    cp_entries,
    root_mean_square_entry,
    target_mode_dims,
)
from rankrise.tensors import Observations, sorted_repeats


def sample_indices(mode_dims: ModeDims, count: int, *, seed: int) -> Indices:
    """Distinct entries of a tensor, uniformly at random and in random order.

    Memory and time grow with `count` alone, however many entries the tensor has.

    Parameters
    ----------
    seed
        As in `random_target`.

    Examples
    --------
    >>> import rankrise as rr
    >>> indices = rr.synthetic.sample_indices((3, 4), 5, seed=0)
    >>> indices.shape, len({tuple(row) for row in indices.tolist()})
    ((5, 2), 5)
    """
    dims = checked_mode_dims(mode_dims)
    at_least_one("number of entries to sample", count)
    entry_count = math.prod(dims)
    if count > entry_count:
        raise InputError(
            f"A tensor with mode dimensions {dims} has {entry_count} entries; {count} "
            "distinct ones cannot be sampled."
        )
    return _distinct_rows(dims, count, generator(seed, Stream.INDICES))


def missing_fibers(
    mode_dims: ModeDims, mode: int, share: float, *, seed: int
) -> Indices:
    """The entries that stay observed when whole fibers of a tensor are missing.

    A fiber is all entries that differ in one mode only. Rows come fiber by fiber, the
    fibers in random order. Memory grows with what is returned.

    Parameters
    ----------
    mode
        The mode along which the fibers run, counted from 0.
    share
        How many of the fibers are missing, between 0 and 1. It is rounded to whole
        fibers, of which at least one stays and at least one is missing.
    seed
        As in `random_target`.

    Examples
    --------
    >>> import rankrise as rr
    >>> seen = rr.synthetic.missing_fibers((4, 3, 2), mode=1, share=0.5, seed=0)
    >>> len(seen)  # four of eight fibers, each of three entries
    12
    """
    dims = checked_mode_dims(mode_dims)
    if not 0 <= mode < len(dims):
        raise InputError(
            f"The fibers run along mode {mode}, but a tensor of order {len(dims)} has "
            f"the modes 0 to {len(dims) - 1}."
        )
    if not 0 < share < 1:
        raise InputError(
            f"The share of missing fibers is {share}; it must lie between 0 and 1."
        )
    across = dims[:mode] + dims[mode + 1 :]
    fiber_count = math.prod(across)
    if fiber_count < 2:
        raise InputError(
            f"A tensor with mode dimensions {dims} has a single fiber along mode "
            f"{mode}; at least two are needed for one to be missing and one to stay."
        )
    missing = min(max(1, round(share * fiber_count)), fiber_count - 1)
    fibers = _distinct_rows(
        across, fiber_count - missing, generator(seed, Stream.FIBERS)
    )
    along = np.tile(np.arange(dims[mode]), len(fibers))
    return np.insert(np.repeat(fibers, dims[mode], axis=0), mode, along, axis=1)


def observe(
    factor_matrices: tuple[Values, ...],
    indices: Indices,
    *,
    noise_level: float = 0.0,
    seed: int,
) -> Observations:
    """Observe entries of a CP tensor, with Gaussian noise if wanted.

    Parameters
    ----------
    indices
        Distinct index rows, counted from 0.
    noise_level
        Standard deviation of the noise over the root mean square of all entries of
        the tensor (its Frobenius norm over the square root of their number).
    seed
        Seed of the noise, as in `random_target`.

    Examples
    --------
    >>> import rankrise as rr
    >>> factors = rr.synthetic.random_target((4, 5), cp_rank=1, seed=0)
    >>> indices = rr.synthetic.sample_indices((4, 5), 8, seed=0)
    >>> seen = rr.synthetic.observe(factors, indices, noise_level=0.1, seed=0)
    >>> len(seen), seen.mode_dims
    (8, (4, 5))
    """
    values = noisy(
        cp_entries(factor_matrices, indices),
        noise_level,
        root_mean_square_entry(factor_matrices),
        generator(seed, Stream.ENTRY_NOISE),
    )
    return Observations.from_coordinates(
        indices, values, target_mode_dims(factor_matrices)
    )


def _distinct_rows(
    mode_dims: ModeDims, count: int, rng: np.random.Generator
) -> Indices:
    entry_count = math.prod(mode_dims)
    # Generator.choice enumerates all entries from a share of 1/50 upwards. Here that
    # is done only where at least half of them are returned.
    if 2 * count > entry_count:
        flat = rng.permutation(entry_count)[:count]
        return np.stack(np.unravel_index(flat, mode_dims), axis=1)
    rows = np.empty((0, len(mode_dims)), dtype=np.int64)
    while len(rows) < count:
        needed = count - len(rows)
        # Up to half of all entries, draws with replacement outnumber the distinct
        # ones among them by at most this share; a second round is rare.
        draws = needed + needed * count // entry_count + 16
        drawn = [rng.integers(dim, size=draws) for dim in mode_dims]
        rows = np.concatenate([rows, np.stack(drawn, axis=1)])
        ranking, repeated = sorted_repeats(rows, mode_dims)
        first = np.ones(len(rows), dtype=np.bool_)
        first[ranking[1:][repeated]] = False
        rows = rows[first]
    # In order of first arrival: cutting sorted rows would favour low indices.
    return rows[:count]
