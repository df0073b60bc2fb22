"""Attributes of netCDF: packing, missing values, and which arrays belong together.

The conventions of CF (cfconventions.org, sections 2.5, 5 to 8) and those of the netCDF
User's Guide, appendix A.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise.tensors.files._declared import (
    Declared,
    choose,
    could_be_tensor,
    shown,
)

_logger = logging.getLogger("rankrise")

# Attributes for packing and valid ranges, which are true of the input's values only.
_BOUNDS = ("valid_min", "valid_max", "valid_range")
PACKING = (
    *("scale_factor", "add_offset", "_Unsigned", "_FillValue", "missing_value"),
    *_BOUNDS,
)
POINTERS = (
    *("coordinates", "grid_mapping", "bounds", "climatology", "ancillary_variables"),
    *("cell_measures", "formula_terms", "geometry", "node_coordinates", "node_count"),
    *("part_node_count", "interior_ring"),
)
# What netCDF reads where nothing was written; bytes have no default.
_DEFAULT_FILL = {
    "i2": -32767,
    "u2": 65535,
    "i4": -2147483647,
    "u4": 4294967295,
    "i8": -9223372036854775806,
    "u8": 18446744073709551614,
    "f4": 9.969209968386869e36,
    "f8": 9.969209968386869e36,
}


def text(stored: Any) -> str:
    """Text of an attribute or a label: UTF-8, or else Latin-1."""
    if isinstance(stored, str):
        stored = stored.encode("utf-8", "surrogateescape")
    if not isinstance(stored, bytes):
        return str(stored)
    try:
        return stored.decode("utf-8")
    except UnicodeDecodeError:
        return stored.decode("latin-1")


def text_labels(stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Labels as text where they are bytes, or rows of characters."""
    if stored.dtype.kind == "S" and stored.ndim == 2:
        stored = np.ascontiguousarray(stored).view(f"S{stored.shape[1]}")[:, 0]
    if stored.dtype.kind in "SO":
        stored = np.array([text(label).rstrip("\0 ") for label in stored])
    return stored


def pointed_to(attributes: Mapping[Any, Any], names: Container[Any]) -> list[Any]:
    """Which of `names` these attributes point to."""
    found = [text(attributes.get(pointer, "")) for pointer in POINTERS]
    return [word for word in " ".join(found).replace(":", " ").split() if word in names]


def _reached(name: str, neighbours: Callable[[str], Iterable[str]]) -> list[str]:
    """All arrays that one leads to, without itself."""
    found = [name]
    for each in found:
        found += dict.fromkeys(x for x in neighbours(each) if x not in found)
    return found[1:]


def declared(name: Any, array: Any) -> Declared:
    """An array as its file announces it."""
    shape, dtype = array.shape, array.dtype
    kind = "text" if dtype.hasobject or dtype.kind in "SU" else dtype.name
    return Declared(str(name), shape, kind, could_be_tensor(shape, dtype))


def choose_described(
    arrays: list[Declared],
    variable: str | None,
    neighbours: Callable[[str], Iterable[str]],
) -> tuple[str, list[str]]:
    """The array that is named, or the only one that fits and describes no other.

    Refusals list those that describe no other, such as coordinates do.

    Returns
    -------
    Its name, and the names of all that it leads to, from neighbour to neighbour.
    """
    if variable is None or all(array.name != variable for array in arrays):
        theirs = {x for array in arrays for x in _reached(array.name, neighbours)}
        arrays = [x for x in arrays if x.name not in theirs] or arrays
    name = choose(arrays, variable).name
    return name, _reached(name, neighbours)


def unpacked(
    stored: npt.NDArray[Any],
    attributes: Mapping[str, Any],
    name: str,
    *,
    default_fill: bool = False,
) -> npt.NDArray[Any]:
    """The values that packed ones stand for, NaN where one is missing.

    Values outside the valid range, and netCDF's default fill value, are missing too,
    and their number is logged.

    Parameters
    ----------
    default_fill
        Whether to look for the default fill value if the attributes name none.
    """
    given = {x: np.ravel(attributes[x]) for x in PACKING if x in attributes}
    numbers = {x: y for x, y in given.items() if y.dtype.kind in "fiu" and y.size}
    unsigned = text(attributes.get("_Unsigned", "")).lower() == "true"
    if unsigned and stored.dtype.kind == "i":
        stored = stored.view(stored.dtype.str.replace("i", "u"))
    missing = np.zeros(stored.shape, bool)
    for number in (*numbers.get("_FillValue", ()), *numbers.get("missing_value", ())):
        missing |= _equal(stored, number)
    default = _DEFAULT_FILL.get(stored.dtype.str[1:])
    if default_fill and "_FillValue" not in numbers and default is not None:
        more = _equal(stored, default)
        _add(missing, more, name, "hold", "netCDF's default fill value")
    values = stored
    scale = [numbers[x] for x in ("scale_factor", "add_offset") if x in numbers]
    if scale:
        kind = np.result_type(stored.dtype, np.float32, *(x.dtype for x in scale))
        values = stored.astype(kind)
        values *= numbers.get("scale_factor", np.ones(1, kind))[0]
        values += numbers.get("add_offset", np.zeros(1, kind))[0]
    if any(x in numbers for x in _BOUNDS):
        low, high = (_end(numbers, upper, stored.dtype) for upper in (0, 1))
        # A valid range in floating point is that of the unpacked values.
        are_whole = all(np.asarray(end).dtype.kind in "iu" for end in (low, high))
        bounded = stored if are_whole else values
        with np.errstate(invalid="ignore"):
            outside = (bounded < low) | (bounded > high)
        where = f"outside the valid range, {low:.6g} to {high:.6g},"
        _add(missing, outside, name, "lie", where)
    if missing.any():
        if values.dtype.kind != "f":
            values = values.astype(np.float64)
        elif values is stored:
            values = values.copy()
        values[missing] = np.nan
    return values


def _equal(stored: npt.NDArray[Any], number: Any) -> npt.NDArray[np.bool_]:
    """Where the stored numbers equal this one, rounded or wrapped to their type."""
    if stored.dtype.kind != "f" and not np.isfinite(number):
        return np.zeros(stored.shape, bool)
    with np.errstate(over="ignore", invalid="ignore"):
        same = np.asarray(number).astype(stored.dtype)
    return np.asarray(stored == same)


def _end(
    numbers: Mapping[str, npt.NDArray[Any]], upper: int, stored: np.dtype[Any]
) -> Any:
    """One end of the valid range; infinite where there is none."""
    whole = numbers.get("valid_range", np.empty(0))
    named, none = (("valid_min", -np.inf), ("valid_max", np.inf))[upper]
    end: Any = whole[upper] if len(whole) == 2 else numbers.get(named, [none])[0]
    wraps = stored.kind == "u" and np.asarray(end).dtype.kind == "i"
    return end.astype(stored) if wraps else end


def _add(
    missing: npt.NDArray[np.bool_],
    more: npt.NDArray[np.bool_],
    name: str,
    verb: str,
    what: str,
) -> None:
    """Mark more entries as missing, and log how many."""
    count = int(np.count_nonzero(more & ~missing))
    missing |= more
    if count:
        entries, s = ("entry", "s") if count == 1 else ("entries", "")
        words = f"{count} {entries} of {shown(name)} {verb}{s} {what} and count{s}"
        _logger.warning("%s as missing.", words)
