"""Rows of indices, and checks of what users give as observations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
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


def _rectangular(array: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(array)
    except ValueError as error:
        raise InputError(
            f"{name} cannot be made an array, for its rows differ in length ({error}); "
            "give all of them the same length."
        ) from error


LEAST_ORDER: ContextVar[int] = ContextVar("LEAST_ORDER", default=2)
"""How many modes an array or a table needs: a mask may have one."""
LEAST_OBSERVED: ContextVar[int] = ContextVar("LEAST_OBSERVED", default=1)
"""How many observed entries it needs: a part of a tensor may have none."""


@contextmanager
def allowing(least: ContextVar[int], number: int) -> Iterator[None]:
    """Let readers of tensors take what has as few modes, or observed entries."""
    token = least.set(number)
    try:
        yield
    finally:
        least.reset(token)


def check_order(shape: tuple[int, ...], what: str = "The array") -> None:
    """Refuse what has too few modes."""
    if len(shape) < LEAST_ORDER.get():
        raise InputError(
            f"{what} has shape {shape}, which is order {len(shape)}; a tensor needs at "
            "least two modes."
        )


def real_array(array: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    """Real numbers, in floating point of at least float32."""
    converted = _rectangular(array, name)
    if converted.dtype.kind not in "fiub":
        raise InputError(
            f"{name} cannot have data type {converted.dtype}; real numbers are needed."
        )
    if converted.dtype.kind == "f" and converted.dtype.itemsize >= 4:
        return converted
    return converted.astype(np.float64)


def boolean_mask(mask: npt.ArrayLike, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """A mask of this shape, given as booleans or as zeros and ones."""
    flags = _rectangular(mask, "The mask")
    if flags.shape != shape:
        raise InputError(
            f"The mask has shape {flags.shape} but the array has {shape}; give one "
            "flag per entry."
        )
    return true_or_false(flags, "The mask", "the entry is observed")


def true_or_false(
    flags: npt.NDArray[Any], name: str, meaning: str
) -> npt.NDArray[np.bool_]:
    """Flags given as such, or as zeros and ones; `meaning` says what one means."""
    if flags.dtype == np.bool_:
        return flags
    if flags.dtype.kind not in "fiu":
        raise InputError(f"{name} has data type {flags.dtype}; use True and False.")
    wrong = (flags != 0) & (flags != 1)  # NaN differs from both, so it is caught too
    if wrong.any():
        position = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise InputError(
            f"{name} holds {flags[position]} at {position}; use 1 or True where "
            f"{meaning} and 0 or False elsewhere."
        )
    return flags.astype(np.bool_)


def whole_numbers(indices: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Rows of indices in two or more columns; they may still be out of range."""
    coordinates = _rectangular(indices, "The indices")
    if coordinates.ndim != 2:
        raise InputError(
            f"The indices have shape {coordinates.shape}; one row per observed entry "
            "and one column per mode are needed."
        )
    if coordinates.shape[1] < 2:
        raise InputError(
            f"The entries have {coordinates.shape[1]} index column(s); a tensor needs "
            "at least two modes."
        )
    if coordinates.dtype.kind == "i":
        return coordinates.astype(np.int64)
    if coordinates.dtype.kind not in "fu":
        raise InputError(
            f"The indices have data type {coordinates.dtype}; whole numbers are needed."
        )
    # Beyond int64 the conversion would wrap around; NaN fails every comparison.
    numbers = coordinates.astype(np.float64)
    wrong = ~(np.abs(numbers) < 2.0**63) | (numbers != np.floor(numbers))
    if wrong.any():
        row, mode = (int(i) for i in np.argwhere(wrong)[0])
        raise InputError(
            f"Row {row} has the index {coordinates[row, mode]} in mode {mode + 1}; "
            "indices are whole numbers counted from 0, and below 2^63."
        )
    return coordinates.astype(np.int64)


def refuse_out_of_range(coordinates: Indices, mode_dims: ModeDims) -> None:
    """Refuse rows that lie outside a tensor, or have not one index for each mode."""
    if coordinates.ndim != 2 or len(mode_dims) != coordinates.shape[1]:
        raise InputError(
            f"The indices have shape {coordinates.shape} but the mode dimensions are "
            f"{mode_dims}; give one row per entry and one column per mode."
        )
    lowest = coordinates.min(axis=1)
    if (lowest < 0).any():
        row = int(np.argmax(lowest < 0))
        raise InputError(
            f"Row {row} has the negative index {int(lowest[row])} in "
            f"{tuple(coordinates[row].tolist())}; indices count from 0."
        )
    wrong = coordinates >= np.asarray(mode_dims)
    if wrong.any():
        row, mode = (int(i) for i in np.argwhere(wrong)[0])
        raise InputError(
            f"Row {row} has the index {int(coordinates[row, mode])} in mode "
            f"{mode + 1}, whose dimension is {mode_dims[mode]}; indices count from 0."
        )


def refuse_non_finite(values: npt.NDArray[Any], indices: Indices) -> None:
    """Refuse values that are infinite or NaN, by the first one's indices."""
    wrong = ~np.isfinite(values)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"The entry at {tuple(indices[row].tolist())} is {values[row]}; observed "
            "entries must be finite (leave unobserved ones out, or NaN in an array "
            "without a mask)."
        )


def refuse_duplicates(coordinates: Indices, mode_dims: ModeDims) -> None:
    """Refuse an entry that is given twice."""
    if not has_repeats(coordinates, mode_dims):
        return
    ranking, repeated = sorted_repeats(coordinates, mode_dims)
    if repeated.any():
        place = int(np.argmax(repeated))
        first, second = int(ranking[place]), int(ranking[place + 1])
        raise InputError(
            f"Rows {first} and {second} both give the entry "
            f"{tuple(coordinates[first].tolist())}; keep one of them or average them."
        )


def checked_weights(weights: npt.ArrayLike, count: int) -> Values:
    """One finite weight per observation, none negative and not all zero."""
    real = real_array(weights, "The weights")
    checked = np.ascontiguousarray(real, dtype=np.float64)
    if checked.shape != (count,):
        raise InputError(
            f"The weights have shape {checked.shape} for {count} observations; give "
            "one per observation."
        )
    wrong = ~np.isfinite(checked) | (checked < 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"Observation {row} has the weight {checked[row]}; weights are finite and "
            "not negative."
        )
    if not checked.any():
        raise InputError("All weights are zero; at least one must be positive.")
    return checked
