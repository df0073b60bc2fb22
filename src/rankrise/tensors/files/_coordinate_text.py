"""Coordinates as text, one observed entry a row: `.csv` and FROSTT's `.tns`."""

from __future__ import annotations

import itertools as it
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise._typing import Indices, ModeDims, Values
from rankrise.tensors._observations import Observations
from rankrise.tensors.files._declared import shown
from rankrise.tensors.files._text_layout import Labels, TextLayout
from rankrise.tensors.files._text_table import (
    MISSING,
    TRUTHS,
    TextTable,
    is_number,
    read_table,
)

# Beyond it floating point cannot tell whole numbers apart.
_MAX_FLOAT_INDEX = 2.0**53
_LISTED = 5

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextForm:
    """What tells one text form of coordinates from another.

    Attributes
    ----------
    flexible
        Whether there may be a header, labels for indices, and any delimiter.
    advice
        What to do about an index that is no whole number.
    """

    first_index: int
    flexible: bool
    advice: str


CSV = TextForm(
    first_index=0,
    flexible=True,
    advice="a .csv holds coordinates (a whole number or a label per mode, then the "
    "value), so save a dense matrix as .npy",
)
TNS = TextForm(
    first_index=1,
    flexible=False,
    advice="a .tns holds a whole number per mode, counted from 1, then the value",
)


def read_coordinates(
    path: Path, form: TextForm, mode_dims: ModeDims | None
) -> tuple[Observations, TextLayout]:
    """Read one entry a row: an index or label per mode, then the value.

    Labels get indices in ascending order, so that days are neighbours. In a flexible
    form without `mode_dims` whole numbers are labels too, for they may be years. A row
    without a value is unobserved, but its indices count toward the mode dimensions.
    """
    table = read_table(path, flexible=form.flexible)
    numbered = mode_dims is not None or not form.flexible
    *index_numbers, value_numbers = table.numbers()
    columns, labels = zip(
        *(
            _mode_indices(table, mode, numbers, form, numbered)
            for mode, numbers in enumerate(index_numbers)
        ),
        strict=True,
    )
    layout = TextLayout(form.first_index, table.delimiter, table.header, labels)
    indices = np.stack(columns, axis=1)
    if mode_dims is None:
        mode_dims = tuple(int(top) + 1 for top in indices.max(axis=0))
    else:
        _check_mode_dims(table, indices, mode_dims, layout)
    values = _values(table, value_numbers)
    observed = ~np.isnan(values)
    try:
        observations = Observations.from_coordinates(
            indices[observed], values[observed], mode_dims
        )
    except InputError:
        lines = it.compress(table.lines, observed)
        _name_repeated_lines(indices[observed], lines, layout)
        raise
    return observations, layout


def _mode_indices(
    table: TextTable,
    mode: int,
    numbers: npt.NDArray[Any] | None,
    form: TextForm,
    numbered: bool,
) -> tuple[npt.NDArray[np.int64], Labels | None]:
    if numbers is None:
        return _label_indices(table, mode, form)
    numbers = _whole_numbers(table, mode, numbers, form)
    if not numbered:
        labels, indices = np.unique(numbers, return_inverse=True)
        _tell_left_out(table, mode, labels)
        return indices, tuple(labels.tolist())
    advice = f"indices count from {form.first_index}"
    _check_indices(table, mode, numbers, numbers < form.first_index, advice)
    return numbers - form.first_index, None


def _tell_left_out(table: TextTable, mode: int, labels: npt.NDArray[np.int64]) -> None:
    """Warn of days, say, that occur nowhere: completing leaves them out silently."""
    between = int(labels[-1]) - int(labels[0]) + 1 - len(labels)
    # With more left out than there are, they are numbers of stations, say.
    if 0 < between <= len(labels):
        left_out = np.setdiff1d(np.arange(labels[0], labels[-1]), labels)
        listed = ", ".join(map(str, left_out[:_LISTED].tolist()))
        name = f"mode {mode + 1}" if table.header is None else repr(table.header[mode])
        _logger.warning(
            "of the numbers from %d to %d, some are left out of %s: %s%s; nothing is "
            "known of these, so nothing is completed for them.",
            labels[0],
            labels[-1],
            name,
            listed,
            f" and {between - _LISTED} more" if between > _LISTED else "",
        )


def _whole_numbers(
    table: TextTable, mode: int, numbers: npt.NDArray[Any], form: TextForm
) -> npt.NDArray[np.int64]:
    if numbers.dtype.kind == "f":
        whole = (numbers == np.floor(numbers)) & (np.abs(numbers) < _MAX_FLOAT_INDEX)
        _check_indices(table, mode, numbers, ~whole, form.advice)
        return numbers.astype(np.int64)
    return numbers


def _check_indices(
    table: TextTable,
    mode: int,
    numbers: npt.NDArray[Any],
    wrong: npt.NDArray[np.bool_],
    advice: str,
) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"Line {table.lines[row]} has the index {numbers[row]} in mode {mode + 1}; "
            f"{advice}."
        )


def _label_indices(
    table: TextTable, mode: int, form: TextForm
) -> tuple[npt.NDArray[np.int64], Labels]:
    places: dict[str, int] = {}
    indices = np.empty(len(table.rows), np.int64)
    for row, label in enumerate(table.text(mode)):
        if label == "" or not (form.flexible or is_number(label)):
            raise InputError(
                f"Line {table.lines[row]} has the index {shown(label)} in mode "
                f"{mode + 1}; {form.advice}."
            )
        indices[row] = places.setdefault(label, len(places))
    labels = tuple(sorted(places))
    new_places = np.empty(len(places), np.int64)
    new_places[[places[label] for label in labels]] = np.arange(len(labels))
    return new_places[indices], labels


def _check_mode_dims(
    table: TextTable, indices: Indices, mode_dims: ModeDims, layout: TextLayout
) -> None:
    if len(mode_dims) != indices.shape[1]:
        raise InputError(
            f"It has {indices.shape[1]} index columns but `mode_dims` names "
            f"{len(mode_dims)} modes; they must agree."
        )
    for mode, (dim, labels) in enumerate(zip(mode_dims, layout.labels, strict=True)):
        if labels is not None and dim != len(labels):
            raise InputError(
                f"Mode {mode + 1} has {len(labels)} labels but `mode_dims` gives it "
                f"dimension {dim}; a mode with labels has one index for each."
            )
        numbers = indices[:, mode] + layout.first_index
        advice = (
            f"`mode_dims` gives that mode dimension {dim}, and indices count from "
            f"{layout.first_index}"
        )
        _check_indices(table, mode, numbers, indices[:, mode] >= dim, advice)


def _values(table: TextTable, numbers: npt.NDArray[Any] | None) -> Values:
    if numbers is None:
        # Some are missing, or are no numbers.
        cells = zip(table.text(table.width - 1), table.lines, strict=True)
        parsed = (_value(cell, line) for cell, line in cells)
        numbers = np.fromiter(parsed, np.float64, len(table.rows))
    values = numbers.astype(np.float64)
    infinite = np.isinf(values)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise InputError(
            f"Line {table.lines[row]} has the value {values[row]}; observed entries "
            "must be finite (leave the value empty where there is none)."
        )
    return values


def _value(cell: str, line: int) -> float:
    if cell in MISSING:
        return np.nan
    if cell.lower() in TRUTHS:
        return TRUTHS[cell.lower()]
    if not is_number(cell):
        raise InputError(
            f"Line {line} has the value {shown(cell)}; give a number (with a point, "
            "not a comma), True or False, or nothing where there is no value."
        )
    return float(cell)


def _name_repeated_lines(
    indices: Indices, lines: Iterator[int], layout: TextLayout
) -> None:
    """Say which lines give the same entry, if that is what is wrong."""
    seen: dict[tuple[int, ...], int] = {}
    for place, line in zip(map(tuple, indices.tolist()), lines, strict=True):
        first = seen.setdefault(place, line)
        if first != line:
            fields = [layout.fields(m, np.array([i]))[0] for m, i in enumerate(place)]
            entry = ", ".join(
                shown(x) if isinstance(x, str) else str(x) for x in fields
            )
            raise InputError(
                f"Lines {first} and {line} both give the entry ({entry}); keep "
                "one of them or average them."
            )
