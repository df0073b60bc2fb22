"""Long-form tables: a row for each entry, a column for each mode, one for values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise._memory import MAX_DENSE_BYTES
from rankrise._typing import Indices, ModeDims, Values
from rankrise.tensors._index_rows import sorted_repeats
from rankrise.tensors._mode_axes import ModeAxis
from rankrise.tensors._observations import Observations
from rankrise.tensors.files._declared import shown
from rankrise.tensors.files._layout import as_stored

_BLOCK_ROWS = 2**20
_LISTED = 12

Block = dict[Hashable, Any]
"""Some rows of a table: for every column what its library makes a column of."""

Codes = npt.NDArray[np.int64]


class LongTable(ABC):
    """The columns of a table in memory, whichever library made it."""

    names: tuple[Hashable, ...]
    row_count: int

    @abstractmethod
    def numbers(self, name: Hashable) -> tuple[Values, np.dtype[Any]]:
        """A column of real numbers, NaN where missing, and the type to restore."""

    @abstractmethod
    def labels(self, name: Hashable) -> tuple[Codes, Any]:
        """A column as places in its labels, -1 where missing, and these labels.

        Labels are in ascending order, categories in theirs. They have a length and
        `nbytes`, and their `take` gives a column of the same type.
        """

    @abstractmethod
    def whole_numbers(self, name: Hashable) -> npt.NDArray[Any] | None:
        """A column of whole numbers in its own type, None if it is none."""

    @abstractmethod
    def join(self) -> Callable[[Iterator[Block]], Any]:
        """What makes a table of the same kind; it does not hold on to this one."""


@dataclass(frozen=True, eq=False)
class LongMode:
    """How a table says where along a mode an entry lies.

    Attributes
    ----------
    labels
        In the order of the indices, None for plain indices counted from 0.
    index_dtype
        The type of plain indices.
    """

    name: Hashable
    dim: int
    labels: Any | None
    index_dtype: np.dtype[Any]

    def column(self, indices: Indices) -> Any:
        """What the table calls these indices."""
        if self.labels is None:
            return indices.astype(self.index_dtype)
        return self.labels.take(indices)

    @property
    def cell_bytes(self) -> int:
        """The memory of one cell, about."""
        if self.labels is None:
            return self.index_dtype.itemsize
        return int(self.labels.nbytes) // self.dim + 1


@dataclass(frozen=True, eq=False)
class LongForm:
    """What tells a long-form table of all entries from the entries alone.

    Attributes
    ----------
    names
        All columns, in the order of the table.
    values
        The column of values.
    """

    names: tuple[Hashable, ...]
    modes: tuple[LongMode, ...]
    values: Hashable
    value_dtype: np.dtype[Any]
    join: Callable[[Iterator[Block]], Any]

    def axes(self) -> tuple[ModeAxis, ...]:
        """What the table calls the modes and their indices."""
        return tuple(
            ModeAxis(
                str(mode.name),
                None if mode.labels is None else np.asarray(mode.labels),
            )
            for mode in self.modes
        )

    def table(self, completed: Values) -> Any:
        """A table of the same kind with a row for every entry, in row-major order."""
        cell_bytes = sum(mode.cell_bytes for mode in self.modes) + 8
        if completed.size * cell_bytes > MAX_DENSE_BYTES:
            raise InputError(
                f"A table of all {completed.size} entries would take about "
                f"{completed.size * cell_bytes / 2**30:.1f} GiB of memory, and "
                f"{MAX_DENSE_BYTES / 2**30:.3g} GiB are the most that is made; use "
                "the completed array with the labels of its modes."
            )
        return self.join(self.blocks(completed))

    def blocks(self, completed: Values) -> Iterator[Block]:
        """The rows for all entries that have a value, some at a time."""
        stored = as_stored(completed, self.value_dtype).reshape(-1)
        for start in range(0, completed.size, _BLOCK_ROWS):
            flat = start + np.flatnonzero(~np.isnan(stored[start : start + _BLOCK_ROWS]))
            indices = np.unravel_index(flat, completed.shape)
            columns = {
                mode.name: mode.column(index)
                for mode, index in zip(self.modes, indices, strict=True)
            }
            columns[self.values] = stored[flat]
            yield {name: columns[name] for name in self.names}


def read_long_form(
    table: LongTable, values: Hashable | None, mode_dims: ModeDims | None
) -> tuple[Observations, LongForm]:
    """Take a row for each observed entry; all columns but that of values are modes.

    The labels of a mode are those that occur, ascending, or all categories; a row
    without value counts toward them. Where `mode_dims` are given, whole numbers are
    indices counted from 0 and no labels.
    """
    values = _value_column(table, values)
    entries, value_dtype = table.numbers(values)
    names = [name for name in table.names if name != values]
    if mode_dims is not None and len(mode_dims) != len(names):
        raise InputError(
            f"It has {len(names)} columns beside the values but `mode_dims` names "
            f"{len(mode_dims)} modes; they must agree."
        )
    dims = [None] * len(names) if mode_dims is None else list(mode_dims)
    columns, modes = [], []
    for name, dim in zip(names, dims, strict=True):
        codes, mode = _mode(table, name, dim)
        columns.append(codes)
        modes.append(mode)
    form = LongForm(table.names, tuple(modes), values, value_dtype, table.join())
    indices = np.stack(columns, axis=1)
    shape = tuple(mode.dim for mode in modes)
    _refuse_infinite(entries, indices, form)
    rows = np.flatnonzero(~np.isnan(entries))
    try:
        observations = Observations.from_coordinates(
            indices[rows], entries[rows], shape
        )
    except InputError:
        _name_repeated(rows, indices[rows], shape, form)
        raise
    return observations, form


def _value_column(table: LongTable, values: Hashable | None) -> Hashable:
    names = table.names
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise InputError(
            f"Two columns are called {_named(repeated[0])}; give each its own name."
        )
    if len(names) < 3:
        raise InputError(
            f"It has {len(names)} column(s), {_listed(names)}; a long-form table has "
            "one for each mode, two or more, and one for the values (what stands in "
            "an index becomes columns by `reset_index`, and a table whose cells are "
            "all values is an array)."
        )
    if not table.row_count:
        raise InputError("It has no rows; one row per observed entry is needed.")
    if values is None:
        return names[-1]
    if values not in names:
        raise InputError(
            f"There is no column {_named(values)} for the values; it has "
            f"{_listed(names)}."
        )
    return values


def _mode(table: LongTable, name: Hashable, dim: int | None) -> tuple[Codes, LongMode]:
    numbers = None if dim is None else table.whole_numbers(name)
    if dim is not None and numbers is not None:
        wrong = (numbers < 0) | (numbers >= dim)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"Row {row} has the index {numbers[row]} in the column "
                f"{_named(name)}; `mode_dims` gives that mode dimension {dim}, and "
                "indices count from 0."
            )
        index_dtype = _fitting(numbers, dim)
        return numbers.astype(np.int64), LongMode(name, dim, None, index_dtype)
    codes, labels = table.labels(name)
    if (codes < 0).any():
        raise InputError(
            f"Row {int(np.argmax(codes < 0))} has no label in the column "
            f"{_named(name)}; give it one, or leave the row out."
        )
    if dim is not None and dim != len(labels):
        raise InputError(
            f"The column {_named(name)} has {len(labels)} labels but `mode_dims` gives "
            f"that mode dimension {dim}; a mode with labels has one index for each."
        )
    return codes, LongMode(name, len(labels), labels, codes.dtype)


def _fitting(numbers: npt.NDArray[Any], dim: int) -> np.dtype[Any]:
    """The type of the numbers, if all indices of the mode have room in it."""
    fits = dim - 1 <= np.iinfo(numbers.dtype).max
    return numbers.dtype if fits else np.dtype(np.int64)


def _refuse_infinite(entries: Values, indices: Indices, form: LongForm) -> None:
    infinite = np.isinf(entries)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise InputError(
            f"Row {row} gives the entry {_entry(indices[row], form)} the value "
            f"{entries[row]}; observed entries must be finite (leave the value empty "
            "where there is none)."
        )


def _name_repeated(
    rows: npt.NDArray[np.intp], indices: Indices, shape: ModeDims, form: LongForm
) -> None:
    """Say which rows give the same entry, if that is what is wrong."""
    ranking, repeated = sorted_repeats(indices, shape)
    if repeated.any():
        place = int(np.argmax(repeated))
        first, second = ranking[place], ranking[place + 1]
        raise InputError(
            f"Rows {rows[first]} and {rows[second]} both give the entry "
            f"{_entry(indices[first], form)}; keep one of them or average them."
        )


def _entry(indices: Indices, form: LongForm) -> str:
    cells = [
        next(iter(_plain(mode.column(np.array([index])))))
        for mode, index in zip(form.modes, indices, strict=True)
    ]
    return (
        "(" + ", ".join(shown(x) if isinstance(x, str) else str(x) for x in cells) + ")"
    )


def _plain(column: Any) -> Any:
    return column.tolist() if hasattr(column, "tolist") else column


def _named(name: Hashable) -> str:
    return shown(str(name))


def _listed(names: tuple[Hashable, ...]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(map(_named, names[:_LISTED])) + more
