"""Columns of a table as numbers: places along a mode, and values."""

from __future__ import annotations

import logging
import re
from collections.abc import Hashable
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise._typing import Values
from rankrise.tensors._label_order import label_order
from rankrise.tensors._missing import are_sentinels
from rankrise.tensors._reading import Reading
from rankrise.tensors.files._declared import shown
from rankrise.tensors.files._table import ROW_LABELS, Table
from rankrise.tensors.files._table_form import TableMode

MISSING = frozenset(
    {"", "nan", "NaN", "NAN", "NA", "n/a", "N/A", "#N/A", "null", "NULL", "None"}
)
"""Cells that stand for a missing value."""
TRUTHS = {"true": 1.0, "false": 0.0}
"""Values in words, in lower case."""

_CENSORED = re.compile(r"([<>])[=\s]*(.*)")
_SAMPLE = 1000
_LISTED = 5
_logger = logging.getLogger(__name__)

Codes = npt.NDArray[np.int64]


def label_codes(column: Any, order: Any, *, name: str) -> tuple[Codes, Any]:
    """Places of the cells of a pandas Series in its labels, and these in their order.

    Missing cells are at -1. All categories are labels, also those that do not occur.

    Parameters
    ----------
    name
        What messages call the column.

    Raises
    ------
    InputError
        If the column cannot be labels.
    """
    return _ranked(*_factorized(column, name), order, name)


def label_places(column: Any, labels: Any) -> Codes:
    """Places of the cells of a pandas Series in an Index of labels.

    Cells that are missing, or none of the labels, are at -1.
    """
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        own = labels.get_indexer(column.dtype.categories)
        # The code of a missing cell is -1, the last place.
        places = np.append(own, -1)[column.cat.codes.to_numpy(np.int64)]
    else:
        places = labels.get_indexer(pd.Index(column))
    found: Codes = places.astype(np.int64)
    return found


def _factorized(column: Any, name: str, *, encoded: bool = False) -> tuple[Codes, Any]:
    """The same, with labels as they first occur; `encoded` text has no categories."""
    import pandas as pd

    try:
        if isinstance(column.dtype, pd.CategoricalDtype) and not encoded:
            count = np.arange(len(column.cat.categories))
            labels = pd.Categorical.from_codes(count, dtype=column.dtype)
            return column.cat.codes.to_numpy(np.int64), labels
        codes, labels = pd.factorize(column)
        if encoded:
            labels = labels.astype(labels.categories.dtype)
    # pyarrow has an error of its own for each type that it cannot encode.
    except (TypeError, ValueError, NotImplementedError) as error:
        _refuse_labels(column, name, error)
    return codes, labels


def _stripped(codes: Codes, labels: Any) -> tuple[Codes, Any]:
    """Labels without the blanks around them; blanks alone are not a label."""
    import pandas as pd

    text = labels.str.strip()
    text = text.where(text.notna(), labels)  # Sheets hold numbers among text.
    if text.equals(labels):
        return codes, labels
    places, labels = pd.factorize(text.where(text != ""))
    return np.append(places, -1)[codes], labels


def _ranked(codes: Codes, labels: Any, order: Any, name: str) -> tuple[Codes, Any]:
    try:
        ranking = label_order(labels, order, name=name)
    except TypeError as error:
        _refuse_labels(labels, name, error)
    # The last place is that of -1, a missing label.
    places = np.full(len(ranking) + 1, -1)
    places[ranking] = np.arange(len(ranking))
    return places[codes], labels.take(ranking)


def _refuse_labels(column: Any, name: str, error: Exception) -> NoReturn:
    raise InputError(
        f"{name[:1].upper()}{name[1:]} of data type {column.dtype} cannot be labels of "
        f"a mode ({' '.join(str(error).split())}); give text, numbers, dates or "
        "categories, of one kind."
    ) from error


def in_order(
    table: Table, codes: Codes, mode: TableMode, order: Any
) -> tuple[Codes, TableMode]:
    """The same mode with its labels sorted."""
    if mode.labels is None:
        return codes, mode
    called = table.column(mode.key)
    codes, labels = _ranked(codes, mode.labels, order, called)
    if labels.dtype.kind in "iu":
        _tell_left_out(called.removeprefix("the column "), np.asarray(labels))
    return codes, replace(mode, labels=labels)


def mode_codes(
    table: Table, name: Hashable, dim: int | None = None
) -> tuple[Codes, TableMode]:
    """Place of each row along the mode of a column; labels are not sorted yet.

    If `dim` is given, whole numbers are indices. Where a label is missing, the place is
    that behind all labels, for which the mode has room.
    """
    column, called = table.frame[name], table.column(name)
    mode_name = name if table.is_named and name not in ("", ROW_LABELS) else None
    is_whole = column.dtype.kind in "iu" and not column.isna().any()
    are_indices = table.only_indices or (table.is_text and column.dtype.kind == "f")
    if (dim is not None and (is_whole or are_indices)) or table.only_indices:
        if not is_whole:
            _refuse_index(table, name)
        # Unsigned numbers beyond int64 would wrap around.
        numbers, first = column.to_numpy(), table.first_index
        dim = int(numbers.max()) - first + 1 if dim is None else dim
        wrong = (numbers < first) | (numbers >= first + dim)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"{table.rows(row)} has the index {numbers[row]} in {called}; indices "
                f"count from {first}, and `mode_dims` gives that mode dimension {dim}."
                if numbers[row] >= first
                else f"{table.rows(row)} has the index {numbers[row]} in {called}; "
                f"indices count from {first}."
            )
        plain = isinstance(column.dtype, np.dtype)
        fits = plain and dim - 1 <= np.iinfo(column.dtype).max
        kept = column.dtype if fits else np.dtype(np.int64)
        codes = numbers.astype(np.int64) - first
        return codes, TableMode(name, mode_name, dim, None, kept, first)
    codes, labels = _factorized(column, called, encoded=name in table.encoded)
    if table.is_text and labels.dtype.kind == "O":
        codes, labels = _stripped(codes, labels)
    missing = codes < 0
    if column.dtype.kind == "f":
        missing |= np.append(~np.isfinite(np.asarray(labels, float)), False)[codes]
    elif table.is_text and column.dtype.kind == "O":
        # Among numbers, words such as NA are not labels.
        words = labels.isin(list(MISSING))
        if words.any() and all(is_number(str(each)) for each in labels[~words]):
            missing |= np.append(words, False)[codes]
    if missing.any():
        codes = np.where(missing, len(labels), codes)
        return codes, TableMode(name, mode_name, len(labels) + 1, labels)
    if dim is not None and dim != len(labels):
        raise InputError(
            f"{called[:1].upper()}{called[1:]} has {len(labels)} labels but "
            f"`mode_dims` gives that mode dimension {dim}; a mode with labels has one "
            "index for each."
        )
    return codes, TableMode(name, mode_name, len(labels), labels)


def check_labels(table: Table, codes: Codes, mode: TableMode) -> None:
    """Refuse the first row without a label."""
    if mode.labels is not None and len(mode.labels) < mode.dim:
        row = int(np.argmax(codes))
        cell, called = table.frame[mode.key].iloc[[row]], table.column(mode.key)
        found = "" if cell.isna().item() else f" ({shown(str(cell.item()))})"
        raise InputError(
            f"{table.rows(row)} has no label in {called}{found}; give it one, leave "
            "the row out, or name the columns that are modes (`modes`)."
        )


def _refuse_index(table: Table, name: Hashable) -> None:
    cells = table.frame[name]
    numbers = [float(x) if is_number(str(x)) else np.nan for x in cells]
    wrong = np.array([not x.is_integer() or abs(x) >= 2.0**53 for x in numbers])
    row = int(np.argmax(wrong))
    cell = cells.iloc[row]
    named = shown(cell) if isinstance(cell, str) else cell
    raise InputError(
        f"{table.rows(row)} has the index {named} in {table.column(name)}; indices are "
        f"whole numbers counted from {table.first_index}."
    )


def _tell_left_out(called: str, labels: npt.NDArray[Any]) -> None:
    """Warn of numbers, such as days, that occur in no row and are not completed."""
    lowest, highest = int(labels.min()), int(labels.max())
    between = highest - lowest + 1 - len(labels)
    # If most are left out, they are names rather than places, such as station numbers.
    if 0 < between <= len(labels):
        left_out = np.setdiff1d(np.arange(lowest, highest), labels)
        _logger.warning(
            "the labels of %s, %d to %d, skip %s%s; nothing is known of those, so "
            "nothing is completed for them.",
            called,
            lowest,
            highest,
            ", ".join(map(str, left_out[:_LISTED].tolist())),
            f" and {between - _LISTED} more" if between > _LISTED else "",
        )


def is_number(cell: str) -> bool:
    """Whether a cell of text holds a number and nothing else."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # Python alone reads 1_000 as a number.


def may_be_values(table: Table, name: Hashable, reading: Reading) -> bool:
    """Whether a column looks like numbers; of text the first rows are tried."""
    column = table.frame[name]
    if column.dtype.kind in "fiu":
        return True
    if not table.is_text or column.dtype.kind == "b":
        return False
    cells = {str(cell).strip() for cell in column.iloc[:_SAMPLE].dropna()}
    cells -= MISSING.union(map(str, reading.missing))
    return bool(cells) and all(is_number(x) or _CENSORED.match(x) for x in cells)


def real_values(
    table: Table, name: Hashable, reading: Reading
) -> tuple[Values, np.dtype[Any]]:
    """The numbers of a column, NaN where missing, and the type to restore."""
    column = table.frame[name]
    kind = column.dtype
    if kind.kind in "fiub":
        values = column.to_numpy(np.float64, na_value=np.nan)
    else:
        values = _parsed(table, name, reading)
    if reading.missing:
        values = np.where(are_sentinels(values, reading.missing), np.nan, values)
    kind = getattr(kind, "numpy_dtype", kind)
    is_float = isinstance(kind, np.dtype) and kind.kind == "f"
    return values, kind if is_float else np.dtype(np.float64)


def _parsed(table: Table, name: Hashable, reading: Reading) -> Values:
    """Numbers from text or objects; each distinct cell is parsed once."""
    import pandas as pd

    column = table.frame[name]
    try:
        codes, cells = pd.factorize(column.astype(object))
        parsed = [_value(cell, table.is_text, reading) for cell in cells]
    except TypeError:  # Lists, say, cannot be hashed.
        codes, cells, parsed = np.zeros(1, int), [None], [None]
    invalid = np.array([each is None for each in parsed], bool)
    if (not table.is_text and invalid.any()) or column.dtype.kind in "Mmc":
        shown_kind = "string" if name in table.encoded else column.dtype
        raise InputError(
            f"The values, in the column {shown(str(name))}, cannot have data type "
            f"{shown_kind}; real numbers are needed, or another column as the values."
        )
    if invalid.any():
        row = int(np.argmax(np.append(invalid, False)[codes]))
        cell = cells[codes[row]]
        bound = _CENSORED.fullmatch(str(cell).strip())
        advice = (
            "set `censored` to half or limit to take half of the detection limit, or "
            "the limit itself"
            if bound and is_number(bound[2])
            else "give a number (with a point, not a comma), True or False, leave the "
            "cell empty, or name what stands for missing (`missing`)"
            if any(each is not None and each == each for each in parsed)
            else "name the column that holds numbers (`variable`)"
        )
        where = f" in {table.column(name)}" if table.is_named else ""
        raise InputError(
            f"{table.rows(row)} has the value {shown(str(cell))}{where}; {advice}."
        )
    return np.append(np.array(parsed, np.float64), np.nan)[codes]


def _value(cell: Any, is_text: bool, reading: Reading) -> float | None:
    """The number in a cell, NaN if missing, None if it is neither."""
    if not isinstance(cell, str):
        try:
            return float(cell)
        except (TypeError, ValueError):
            return None
    cell = cell.strip()
    bound = _CENSORED.fullmatch(cell)
    if bound and is_number(bound[2]):
        limit = float(bound[2])
        if reading.censored == "limit":
            return limit
        return limit / 2 if reading.censored and bound[1] == "<" else None
    if cell in map(str, reading.missing) or (is_text and cell in MISSING):
        return np.nan
    if is_text:
        return TRUTHS.get(cell.lower(), float(cell) if is_number(cell) else None)
    return None
