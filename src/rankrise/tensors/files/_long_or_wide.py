"""Whether a table is long or wide, and which columns hold labels and values."""

from __future__ import annotations

import calendar
import datetime
import itertools as it
import logging
import math
import numbers
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rankrise._errors import InputError
from rankrise.tensors._input_checks import LEAST_ORDER
from rankrise.tensors._label_order import are_dates
from rankrise.tensors._reading import Reading
from rankrise.tensors.files._declared import shown
from rankrise.tensors.files._table import ROW_LABELS, Table, check_names
from rankrise.tensors.files._table_columns import is_number, may_be_values

# With fewer rows, how often labels repeat says nothing.
_FEW_ROWS = 8
# A long table with more columns of numbers would have an unlikely order.
_MOST_MODES = 8
_SAMPLE = 10_000
_NAMES = [
    {each.lower() for each in [*names, *short] if each}
    for names, short in (
        (calendar.month_name, calendar.month_abbr),
        (calendar.day_name, calendar.day_abbr),
    )
]
_EPOCHS = ((1e8, 1e10), (1e11, 1e13))  # Seconds, milliseconds.
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ColumnRoles:
    """What the columns of a table are for.

    Attributes
    ----------
    rows
        Columns of labels.
    values
        Columns of values: one in a long table, several in a wide one.
    are_named
        Whether the caller named the modes, so that all of them are taken.
    """

    rows: tuple[Hashable, ...]
    values: tuple[Hashable, ...]
    is_wide: bool
    are_named: bool = False


def column_roles(table: Table, reading: Reading) -> tuple[Table, ColumnRoles]:
    """Tell long from wide, unless `layout` does; a wide table has its row labels."""
    names = table.names
    check_names(names)
    if not len(table.frame) or not names:
        lacks = "columns" if len(table.frame) else "rows"
        raise InputError(f"It has no {lacks}; one row per observed entry is needed.")
    first = None if reading.layout == "long" else _first_of_wide(table, reading)
    if first is None:
        return table, _long_roles(table, reading)
    if table.row_labels is not None:
        frame = table.frame.copy(deep=False)
        frame.insert(0, ROW_LABELS, table.row_labels)
        table, first = replace(table, frame=frame), first + 1
    rows, values = table.names[:first], table.names[first:]
    if reading.modes is not None:
        rows = tuple(table.find(name, "a mode") for name in reading.modes)
        values = tuple(name for name in values if name not in rows)
    if reading.layout is None:
        named = ", ".join(
            shown(str(each)) for each in rows if each not in ("", ROW_LABELS)
        )
        _logger.warning(
            "read as a wide table: rows%s x %d columns, %s to %s; if that is wrong, "
            "set `layout` to long.",
            f" ({named})" if named else "",
            len(values),
            shown(str(values[0])),
            shown(str(values[-1])),
        )
    return table, ColumnRoles(rows, values, True, reading.modes is not None)


def _first_of_wide(table: Table, reading: Reading) -> int | None:
    """How many columns a wide table has before its values; None if it is long."""
    names = table.names[table.index_columns :]
    block = list(
        it.takewhile(lambda name: may_be_values(table, name, reading), reversed(names))
    )[::-1]
    first = len(table.names) - len(block)
    kinds = [_kind_of_name(name) or "" for name in reversed(names)]
    alike = len(list(it.takewhile(lambda kind: kind and kind == kinds[0], kinds)))
    if not table.is_named or _are_counted(table.names):
        alike = 0  # pandas itself numbers columns without names.
    if len(block) < alike > 2 and "#" not in kinds[0]:
        # Years, say: what is no number in them is refused with its line.
        first, block = len(table.names) - alike, list(names[-alike:])
    axis = len(block) - alike if 1 < alike <= len(block) else None
    if axis and "#" in kinds[0]:
        # Genes such as IL6 and IL8 are no axis where others hold values, too.
        before = [table.frame[name].iloc[:_SAMPLE] for name in block[:axis]]
        if any(column.isna().any() or _is_measured(column) for column in before):
            axis = None
    has_levels = len(table.column_names) > 1
    if not block and (has_levels or reading.layout == "wide"):
        raise InputError(
            f"Its last column, {shown(str(table.names[-1]))}, holds no numbers; a wide "
            "table has columns of labels, then columns of values."
        )
    if has_levels:
        return first
    if reading.layout == "wide":
        if axis is not None or not first:
            return first + (axis or 0)
        # Numbers are labels too, as long as those before do not tell rows apart.
        while first < len(table.names) - 1 and not (
            _is_measured(table.frame.iloc[:, first])
            or _differ(table.frame.iloc[:, :first])
        ):
            first += 1
        return first
    is_said = reading.variable is not None or reading.mode_dims is not None
    if is_said or reading.modes is not None or len(block) < 2 or table.only_indices:
        return None
    if axis is not None:
        return first + axis
    # Columns that have a name together are those of a pivoted table.
    has_labels = table.index_columns > 0 or table.row_labels is not None
    is_pivoted = has_labels and table.column_names != (None,)
    if first == table.index_columns and (is_pivoted or _names_rows(table)):
        return first
    return _by_content(table, block, first)


def _by_content(table: Table, block: Sequence[Hashable], first: int) -> int | None:
    """The same by the cells, where column names do not tell."""
    frame = table.frame
    if len(table.names) > _MOST_MODES and len(block) > _MOST_MODES // 2:
        return first
    inner = [frame[name].iloc[:_SAMPLE] for name in block[:-1]]
    rows = len(inner[0])
    are_values = [column.isna().any() or _is_measured(column) for column in inner]
    if len(block) > 2 and all(are_values) and rows >= _FEW_ROWS:
        return first
    # From fewer rows than labels not even one component can be learned. One column
    # besides two others may be the time of each row.
    counts = sorted(column.nunique() for column in inner)[: max(2, len(inner) - 1)]
    hardly_repeat = not first and len(frame) == rows < sum(counts)
    before = first + (are_values.index(True) if any(are_values) else 0)
    names_rows = before > 0 and _differ(frame.iloc[:, :before])
    names_rows &= any(are_values) or len(block) > 2
    # Text without column names may be a matrix, however few rows it has.
    is_doubted = all(are_values) and not table.is_named
    if is_doubted or (
        rows >= _FEW_ROWS and (all(are_values) or hardly_repeat or names_rows)
    ):
        raise InputError(
            f"It may be a long table, with all values in {table.column(block[-1])}, or "
            f"a wide one, with values in {table.column(block[0])} and all after it; "
            "set `layout` to long or wide."
        )
    return None


def _differ(columns: Any) -> bool:
    """Whether the first rows all have different labels."""
    try:
        return not columns.iloc[:_SAMPLE].duplicated().any()
    except (TypeError, NotImplementedError):  # Lists, say, which are refused later.
        return False


def _is_measured(column: Any) -> bool:
    """Whether numbers are measured values: labels would repeat or be whole."""
    repeats = column.dtype.kind != "f" or column.nunique() <= column.count() / 2
    return not repeats and bool((column.dropna() % 1 != 0).any())


def _names_rows(table: Table) -> bool:
    labels = table.row_labels
    return labels is not None and labels.dtype.kind not in "iu"


def _are_counted(names: Sequence[Hashable]) -> bool:
    return [str(name) for name in names] == [str(n) for n in range(len(names))]


def _kind_of_name(name: Any) -> str | None:
    """What a column name may share with others: number, time, text with a number."""
    if isinstance(name, numbers.Real):
        return "number"
    if isinstance(name, datetime.date):  # Timestamps are, too.
        return "time"
    text = str(name).strip()
    if is_number(text):
        return "number"
    if are_dates([text]):
        return "time"
    for place, names in enumerate(_NAMES):
        if text.lower() in names:
            return f"names {place}"
    pattern = re.sub(r"\d+", "#", text)
    return pattern if "#" in pattern else None


def axis_labels(names: Sequence[Hashable]) -> list[Hashable]:
    """Column names as labels of a mode; text that holds numbers becomes numbers."""
    text = [name.strip() if isinstance(name, str) else name for name in names]
    if not all(isinstance(name, str) and is_number(name) for name in text):
        return text
    parsed = [float(str(name)) for name in text]
    if all(math.isfinite(number) and number.is_integer() for number in parsed):
        return [int(number) for number in parsed]
    return list(parsed)


def _long_roles(table: Table, reading: Reading) -> ColumnRoles:
    names = _without_row_names(table)
    if len(names) <= LEAST_ORDER.get():
        unnamed = [place for place, name in enumerate(table.names) if name == ""]
        if unnamed:
            raise InputError(
                f"Column {unnamed[0] + 1} of the header has no name; if it holds row "
                "numbers, save the table without them."
            )
        raise InputError(
            f"It has {len(names)} column(s), {table.listed()}; a long table has one "
            "for each mode, two or more, and one for the values (if it is wide, set "
            "`layout` to wide)."
        )
    chosen = [table.find(name, "a mode") for name in reading.modes or ()]
    others = [name for name in names if name not in chosen]
    if reading.variable is not None:
        values = table.find(reading.variable, "the values")
    else:
        values = others[-1] if others else names[-1]
        _refuse_times(table, values)
    if values in chosen or len(set(chosen)) < len(chosen):
        raise InputError(
            "A column is named as a mode twice, or both as a mode and as the values; "
            "name each once."
        )
    rows = tuple(chosen) or tuple(name for name in others if name != values)
    if len(rows) < LEAST_ORDER.get():
        raise InputError("It has one mode; a tensor needs at least two modes.")
    measured = [x for x in rows if _is_measured(table.frame[x].iloc[:_SAMPLE])]
    are_unique = any(table.frame[name].is_unique for name in measured)
    no_labels = len(measured) > 1 or (are_unique and len(rows) < 3)
    if no_labels and not chosen and len(table.frame) >= _FEW_ROWS:
        raise InputError(
            f"In {', '.join(shown(str(name)) for name in measured)} are measured "
            "numbers that hardly repeat, which are no labels; name the modes (`modes`) "
            "and the values (`variable`)."
        )
    return ColumnRoles(rows, (values,), False, reading.modes is not None)


def _without_row_names(table: Table) -> tuple[Hashable, ...]:
    """The column names, without a nameless first column that tells the rows apart."""
    names = table.names
    if names[0] != "":
        return names
    column = table.frame[""]
    if column.is_unique and len(names) > 3:
        _logger.warning(
            "the first column has no name and differs from row to row, so it is left "
            "out."
        )
        return names[1:]
    if column.dtype.kind in "iu":
        raise InputError(
            "Column 1 of the header has no name; give it one, or if it holds row "
            "numbers, save the table without them."
        )
    return names


def _refuse_times(table: Table, name: Hashable) -> None:
    """Refuse values that look like the times at which values were given."""
    column = table.frame[name]
    is_said = not table.is_named or re.search("time|date", str(name), re.I)
    if column.dtype.kind not in "iu" or not is_said:
        return
    low, high = column.min(), column.max()
    if any(start <= low and high < end for start, end in _EPOCHS):
        raise InputError(
            f"The last column, {shown(str(name))}, seems to hold times; name the "
            f"column that holds the values (`variable`), one of {table.listed()}."
        )
