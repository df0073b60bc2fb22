"""Rows of indices: their places in a tensor, and which of them repeat."""

import math

import numpy as np
import numpy.typing as npt

from rankrise._typing import Indices, ModeDims, Values

_INT64_ENTRIES = 2**63 - 1


def ravel_indices(indices: Indices, mode_dims: ModeDims) -> npt.NDArray[np.int64]:
    """Position of each index row in the row-major flattened tensor."""
    flat = np.zeros(len(indices), dtype=np.int64)
    for column, dim in zip(indices.T, mode_dims, strict=True):
        flat *= dim
        flat += column
    return flat


def sorted_repeats(
    coordinates: Indices, mode_dims: ModeDims
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """A stable ranking of index rows, and where a row equals the one ranked before.

    Works for tensors with more entries than int64 can count, only slower.
    """
    if math.prod(mode_dims) <= _INT64_ENTRIES:
        keys = ravel_indices(coordinates, mode_dims)
        ranking = np.argsort(keys, kind="stable")
        return ranking, keys[ranking[1:]] == keys[ranking[:-1]]
    ranking = np.lexsort(coordinates.T[::-1])
    ranked = coordinates[ranking]
    return ranking, (ranked[1:] == ranked[:-1]).all(axis=1)


def has_repeats(coordinates: Indices, mode_dims: ModeDims) -> bool:
    """Whether an index row occurs twice; faster than to find it by `sorted_repeats`."""
    if math.prod(mode_dims) > _INT64_ENTRIES:
        return bool(sorted_repeats(coordinates, mode_dims)[1].any())
    keys = ravel_indices(coordinates, mode_dims)
    keys.sort()
    return bool((keys[1:] == keys[:-1]).any())


def mean_of_repeats(
    coordinates: Indices,
    values: Values,
    mode_dims: ModeDims,
    weights: Values | None = None,
) -> tuple[Indices, Values, Values]:
    """Distinct index rows, sorted, with the weighted mean and the weight of each.

    Under squared loss a model fitted to these is the same.
    """
    ranking, repeated = sorted_repeats(coordinates, mode_dims)
    begins = np.flatnonzero(np.append(True, ~repeated))
    weights = np.ones(len(values)) if weights is None else weights
    totals = np.add.reduceat(weights[ranking], begins)
    means = np.add.reduceat((weights * values)[ranking], begins) / totals
    return coordinates[ranking[begins]], means, totals
