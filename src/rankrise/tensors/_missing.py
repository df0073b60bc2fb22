"""Values that stand for missing: those that are named, and one that looks like it."""

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

# A suspected sentinel value occurs so often, beside so many distinct others, so many
# times as far from the nearest of them as these few nearest are from one another.
_REPEATED, _FEWEST_DISTINCT, _FAR, _NEAREST = 3, 9, 10, 10
# The same two of numbers that hardly are anything else, such as -9, 99 and -999.
_FEWEST_BESIDE_NINES, _FAR_OF_NINES = 3, 3
# Of the distance to the median, the least to the nearest value.
_CLEAR = 0.02
# Distinct values are told of so many.
_SAMPLED = 10**6

_logger = logging.getLogger(__name__)


def sentinel_words(missing: Iterable[float | str]) -> frozenset[str]:
    """Those of the sentinel values that are no numbers: cells of text."""
    return frozenset(str(each) for each in missing if _number(each) is None)


def are_sentinels(
    values: npt.NDArray[Any], missing: Iterable[float | str]
) -> npt.NDArray[np.bool_]:
    """Where numbers are sentinel values, as their own type or float32 rounds these.

    -99.9 is found among float32 that were read as float64. What a type holds exactly,
    as it does whole numbers, is compared exactly; else two units of rounding are
    allowed, for values unpacked by a scale.
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
    if not missing:
        return observations
    are_missing = are_sentinels(observations.values, missing)
    if are_missing.all():
        raise InputError(
            "All observed values are among those that stand for missing; leave out of "
            "`missing` what does not."
        )
    return observations.take(~are_missing) if are_missing.any() else observations


def real_numbers(
    cells: npt.NDArray[Any], missing: tuple[float | str, ...], what: str
) -> Values:
    """Numbers of Python objects; None, NaN, NA and what stands for missing are NaN."""
    # pandas' own two have no number.
    words = sentinel_words(missing) | {"<NA>", "NaT"}
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
                f"{what} holds {shown(text)}, which is no number; if it stands for "
                "missing, say so (`missing`)."
            ) from None
    return numbers.reshape(cells.shape)


def warn_of_sentinel(observations: Observations) -> None:
    """Say once which value looks as if it stood for missing."""
    suspected = suspected_sentinel(observations)
    if suspected is not None:
        _logger.warning(
            "the value %g occurs %d times, far from all others; if it stands for "
            "missing, say so (`missing`).",
            *suspected,
        )


def suspected_sentinel(observations: Observations) -> tuple[float, int] | None:
    """An extreme value that repeats, away from all others, and how often it does.

    It is ten times as far from the nearest value as the ten nearest ones are from one
    another: so are -3000 among NDVI, -999 among flows and 0 among speeds, and not the
    zeros of counts, rain or pictures, ratings, and sensors at their limit. Or it is -1
    where all others are whole and none is negative. Zeros that are most of the values
    are none, nor is a diagonal.
    """
    values = observations.values
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
    """The same of the smallest value."""
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
    # Counts begin with their most frequent, or after a step; what has a tail below zero
    # does not.
    return bool(
        sign > 0
        and extreme == -1
        and lowest >= 0
        and (lowest > 0 or count > counts[0] or counts[0] >= counts[1])
        and (distinct == np.floor(distinct)).all()
    )


def _is_of_nines(number: float) -> bool:
    """Whether its digits are nines, of positive numbers two or more."""
    digits = f"{number:g}".replace(".", "")
    return len(digits) > 1 and set(digits) <= {"9", "-"}


def _is_diagonal(observations: Observations, places: npt.NDArray[np.bool_]) -> bool:
    """Whether these are where two modes have the same index, as of distances."""
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
