"""Sentinel values for missing entries: those that are named, and one suspected."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError, shown
from rankrise._typing import Values
from rankrise.tensors._observations import Observations

# A suspected sentinel value occurs at least three times, beside at least nine distinct
# others, and lies ten times as far from the nearest as the ten nearest are spaced.
_REPEATED, _FEWEST_DISTINCT, _FAR, _NEAREST = 3, 9, 10, 10
# Numbers such as -9, 99 and -999 are hardly anything else: less is asked of them.
_FEWEST_BESIDE_NINES, _FAR_OF_NINES = 3, 3
# Least distance to the nearest value, as a share of the distance to the median.
_CLEAR = 0.02
# Distinct values are counted in a sample of this size.
_SAMPLED = 10**6

_logger = logging.getLogger(__name__)


def are_sentinels(
    values: npt.NDArray[Any], missing: Iterable[float | str]
) -> npt.NDArray[np.bool_]:
    """Where numbers equal a sentinel value, rounded as their own type or as float32.

    So -99.9 is found among float32 numbers that were read as float64. Numbers that a
    type holds exactly, such as whole ones, are compared exactly; others may be off by
    two units of rounding, for values unpacked by a scale.
    """
    found = np.zeros(values.shape, bool)
    narrowest = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
    for number in map(_number, missing):
        if number is None or not math.isfinite(number):
            continue
        for kind in {narrowest, np.dtype(np.float32), np.dtype(np.float64)}:
            with np.errstate(over="ignore"):
                rounded = kind.type(number)
            if not np.isfinite(rounded):
                continue
            is_exact = float(rounded) == number
            slack = 0.0 if is_exact else 2 * float(np.spacing(abs(rounded)))
            near = np.flatnonzero(np.abs(values - float(rounded)) <= slack)
            at = np.unravel_index(near, values.shape)
            found[at] |= values[at] == values[at].astype(kind)
    return found


def without_sentinels(
    observations: Observations, missing: tuple[float | str, ...]
) -> Observations:
    """The entries that hold no sentinel value."""
    if not missing or not len(observations):
        return observations
    are_missing = are_sentinels(observations.values, missing)
    if are_missing.all():
        raise InputError(
            "All observed values are sentinel values; leave out of `missing` those "
            "that are real values."
        )
    return observations.take(~are_missing) if are_missing.any() else observations


def real_numbers(
    cells: npt.NDArray[Any], missing: tuple[float | str, ...], what: str
) -> Values:
    """Numbers from Python objects; None, NaN, NA and sentinel values become NaN."""
    # pandas' own two have no number.
    words = {str(x) for x in missing if _number(x) is None} | {"<NA>", "NaT"}
    try:
        return np.asarray(cells, object).astype(np.float64)
    except (TypeError, ValueError):
        pass
    numbers = np.empty(cells.size)
    for place, cell in enumerate(cells.reshape(-1).tolist()):
        text = str(cell).strip()
        try:
            is_gap = cell is None or text in words
            numbers[place] = math.nan if is_gap else float(cell)
        except (TypeError, ValueError):
            raise InputError(
                f"{what} holds {shown(text)}, which is not a number; if it stands for "
                "a missing entry, name it in `missing`."
            ) from None
    return numbers.reshape(cells.shape)


def warn_of_sentinel(observations: Observations) -> None:
    """Warn of a value that looks like a sentinel value."""
    suspected = suspected_sentinel(observations)
    if suspected is not None:
        _logger.warning(
            "the value %g occurs %d times, far from all others; if it stands for "
            "missing entries, name it in `missing`.",
            *suspected,
        )


def suspected_sentinel(observations: Observations) -> tuple[float, int] | None:
    """An extreme value that repeats, away from all others, and how often it does.

    It is ten times as far from the nearest value as the ten nearest ones are from one
    another, as are -3000 among NDVI, -999 among flows and 0 among speeds, but not the
    zeros of counts, rain or pictures, ratings, and sensors at their limit. Or it is -1
    where all others are whole and none is negative. Zeros that make up half of the
    values or more are never suspected, nor is a diagonal.
    """
    values = observations.values
    if not len(values):
        return None
    for sign in (1, -1):
        extreme = float(values.min() if sign > 0 else values.max())
        is_extreme = values == extreme
        count = int(np.count_nonzero(is_extreme))
        if count < _REPEATED or count == len(values):
            continue
        if extreme == 0 and 2 * count >= len(values):
            continue
        if _looks_so(sign * extreme, sign * values[~is_extreme], count, sign) and not (
            _is_diagonal(observations, is_extreme)
        ):
            return extreme, count
    return None


def _looks_so(extreme: float, others: Values, count: int, sign: int) -> bool:
    """Whether a smallest value, or a largest with its sign changed, is suspected."""
    if len(others) > _SAMPLED:
        drawn = np.random.default_rng(0).choice(others, _SAMPLED, replace=False)
    else:
        drawn = others
    distinct, counts = np.unique(drawn, return_counts=True)
    is_of_nines = _is_of_nines(sign * extreme)
    fewest = _FEWEST_BESIDE_NINES if is_of_nines else _FEWEST_DISTINCT
    far = _FAR_OF_NINES if is_of_nines else _FAR
    if len(distinct) < fewest:
        return False
    near = distinct[:_NEAREST]
    lowest, spacing = float(others.min()), float(near[-1] - near[0]) / (len(near) - 1)
    clear = _CLEAR * (float(np.median(drawn)) - extreme)
    if lowest - extreme > max(far * spacing, clear):
        return True
    # The smallest count is the most frequent, or lies above zero; values with a tail
    # below zero have neither.
    return bool(
        sign > 0
        and extreme == -1
        and lowest >= 0
        and (lowest > 0 or count > counts[0] or counts[0] >= counts[1])
        and (distinct == np.floor(distinct)).all()
    )


def _is_of_nines(number: float) -> bool:
    """Whether all its digits are nines; a positive number needs at least two."""
    digits = f"{number:g}".replace(".", "")
    return len(digits) > 1 and set(digits) <= {"9", "-"}


def _is_diagonal(observations: Observations, places: npt.NDArray[np.bool_]) -> bool:
    """Whether two modes have equal indices here, as zeros of a distance matrix do."""
    columns = observations.indices[places].T
    return any(
        np.array_equal(one, other)
        for number, one in enumerate(columns)
        for other in columns[:number]
    )


def _number(given: float | str) -> float | None:
    try:
        return float(given)
    except ValueError:
        return None
