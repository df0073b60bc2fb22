"""The values of an axis, and what several axes make together."""

import itertools
import math
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rankrise._errors import InputError, shown

Axis = Mapping[str, Sequence[Any]]

# Before conditions leave some out: each is looked at.
_MOST_COMBINATIONS = 1_000_000
_MOST_VALUES = 100_000
_RANGE = ("from", "to", "step", "count", "spacing")
_DIGITS = 12


def axis_values(name: str, given: Any) -> list[Any]:
    """The values of an axis, from a list or a range.

    A range is a mapping: `from` and `to`, which both belong to it, with `step` (1 by
    default), or with `count` and `spacing`, "linear" or "log".
    """
    values = _range(name, given) if isinstance(given, Mapping) else given
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise InputError(
            f"The axis {name} is {shown(str(given))}; give a list of values, or a "
            "range such as { from = 1, to = 5 }."
        )
    if len(values) == 0:
        raise InputError(f"The axis {name} is empty; give it at least one value.")
    if len(values) > _MOST_VALUES:
        raise InputError(f"The axis {name} has {len(values)} values; give fewer.")
    seen = set()
    for value in values:
        # True is no 1.
        key = (isinstance(value, bool), _hashable(value))
        if key in seen:
            raise InputError(
                f"The axis {name} has {reprlib.repr(value)} twice; give each once."
            )
        seen.add(key)
    return list(values)


def combinations(axes: Sequence[Axis]) -> Iterator[dict[str, Any]]:
    """All combinations of axes, of which each may set several names together."""
    count = math.prod(len(next(iter(axis.values()))) for axis in axes)
    if count > _MOST_COMBINATIONS:
        raise InputError(
            f"The axes make {count} combinations, and at most {_MOST_COMBINATIONS} are "
            "looked at; give fewer values, or put some axes together under [[zip]]."
        )
    rows = [
        [
            dict(zip(axis, values, strict=True))
            for values in zip(*axis.values(), strict=True)
        ]
        for axis in axes
    ]
    for chosen in itertools.product(*rows):
        yield {name: value for part in chosen for name, value in part.items()}


def _range(name: str, given: Mapping[str, Any]) -> list[Any]:
    unknown = [key for key in given if key not in _RANGE]
    if unknown or not {"from", "to"} <= given.keys():
        what = f"has no {unknown[0]}" if unknown else "needs from and to"
        raise InputError(
            f"The range of {name} {what}; give such as {{ from = 1, to = 5 }} or "
            '{ from = 0.01, to = 0.1, count = 5, spacing = "log" }.'
        )
    numbers = {key: given[key] for key in _RANGE[:4] if key in given}
    for key, number in numbers.items():
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if not is_number or not math.isfinite(number):
            raise InputError(f"`{key}` in the range of {name} is no finite number.")
    low, high = given["from"], given["to"]
    if "count" in given:
        return _counted(name, low, high, given)
    if "spacing" in given:
        raise InputError(f"The range of {name} has a spacing; give its `count` too.")
    step = given.get("step", 1)
    if step <= 0 or high < low:
        raise InputError(
            f"The range of {name} goes from {low} to {high} by {step}; let it rise."
        )
    # A last value that rounding puts a little beyond belongs to it.
    count = math.floor((high - low) / step + 1e-9) + 1
    _check_count(name, count)
    return [_short(low + place * step) for place in range(count)]


def _counted(name: str, low: Any, high: Any, given: Mapping[str, Any]) -> list[Any]:
    count, spacing = given["count"], given.get("spacing", "linear")
    if not isinstance(count, int) or count < 1 or "step" in given:
        raise InputError(
            f"The range of {name} needs a `count` that is a whole number from 1, "
            "without a `step`."
        )
    _check_count(name, count)
    if count == 1 and low != high:
        raise InputError(
            f"The range of {name} has one value, and goes from {low} to {high}; give a "
            "larger `count`, or a list of that value."
        )
    if spacing not in ("linear", "log"):
        raise InputError(
            f"The spacing of {name} is {shown(str(spacing))}; choose linear or log."
        )
    if spacing == "log" and not (low > 0 and high > 0):
        raise InputError(
            f"The range of {name} has spacing log and goes from {low} to {high}; give "
            "positive numbers."
        )
    spaced = np.geomspace if spacing == "log" else np.linspace
    return [_short(float(value)) for value in spaced(low, high, count)]


def _check_count(name: str, count: int) -> None:
    if count > _MOST_VALUES:
        raise InputError(f"The range of {name} has {count} values; give fewer.")


def _short(number: Any) -> Any:
    """0.3 rather than 0.30000000000000004, which would be another run."""
    return number if isinstance(number, int) else float(f"{number:.{_DIGITS}g}")


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value
