"""Tables column by column: numbers or categories, with what is missing marked."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError

# Kinds of NumPy's data types.
_NUMBERS = "fiub"
_NUMBER_TYPES = (int, float, np.integer, np.floating, np.bool_)


class SampleError(InputError):
    """A refusal of one sample, which text in a file calls by its line.

    Attributes
    ----------
    args
        The sample, counted from 0, and what is wrong with it, a clause without it.
    """

    def __init__(self, sample: int, words: str) -> None:
        super().__init__(sample, words)

    def __str__(self) -> str:
        sample, words = self.args
        return f"Sample {sample} {words}"


@dataclass(frozen=True, eq=False)
class Column:
    """One feature of every sample.

    Attributes
    ----------
    name
        As an error calls it.
    values
        Numbers in float64, or categories as Python objects.
    missing
        Where there is no value; what `values` holds there means nothing.
    rows
        Which of the samples that were given these are; None for all of them.
    """

    name: str
    values: npt.NDArray[Any]
    missing: npt.NDArray[np.bool_]
    rows: npt.NDArray[np.integer] | None = None

    @property
    def numeric(self) -> bool:
        """Whether the values are numbers, which lie between one another."""
        return self.values.dtype.kind == "f"

    def refuse(self, marked: npt.NDArray[np.bool_], words: str) -> None:
        """Refuse the first of the marked samples, counted among all that were given."""
        if marked.any():
            place = int(np.argmax(marked))
            sample = place if self.rows is None else int(self.rows[place])
            raise SampleError(sample, words)

    def refuse_infinite(self) -> None:
        """Refuse numbers that are infinite."""
        self.refuse(
            np.isinf(self.values),
            f"has an infinite number (inf) in {self.name}; replace it or remove the "
            "row.",
        )

    def with_kind_of(self, other: Column) -> Column:
        """The same; where nothing is there, which tells no kind, of the other's."""
        if self.numeric == other.numeric or not self.missing.all():
            return self
        nothing = np.full(len(self.values), np.nan if other.numeric else None)
        return replace(self, values=nothing)


@dataclass(frozen=True, eq=False)
class Columns:
    """A table that has been read.

    Attributes
    ----------
    names
        Of the columns; None for an array.
    """

    names: tuple[str, ...] | None
    columns: tuple[Column, ...]

    @classmethod
    def of(cls, table: Any, rows: npt.NDArray[np.integer] | None = None) -> Columns:
        """Read a table as `read_columns` does; of some samples, say which they are."""
        columns = tuple(replace(each, rows=rows) for each in read_columns(table))
        return cls(column_names(table), columns)

    def with_kinds_of(self, others: Columns) -> Columns:
        """The same; columns where nothing is there have the kinds of the others'."""
        if len(self.columns) != len(others.columns):
            return self
        pairs = zip(self.columns, others.columns, strict=True)
        return replace(self, columns=tuple(a.with_kind_of(b) for a, b in pairs))


def column_names(table: Any) -> tuple[str, ...] | None:
    """Names of the columns of a mapping or a pandas DataFrame; None for an array."""
    if isinstance(table, Columns):
        return table.names
    if isinstance(table, Mapping):
        return tuple(map(str, table))
    return tuple(map(str, table.columns)) if is_data_frame(table) else None


def read_columns(table: Any) -> Iterator[Column]:
    """Columns of an array, a mapping of names to columns, or a pandas DataFrame.

    Numbers are told from text and pandas' categories column by column; missing are
    NaN, None and pandas' NA.
    """
    if isinstance(table, Columns):
        yield from table.columns
        return
    names = column_names(table)
    if is_data_frame(table):
        columns = [table.iloc[:, place] for place in range(table.shape[1])]
    elif isinstance(table, Mapping):
        columns = list(table.values())
    else:
        columns = list(_two_dimensional(table).T)
    if not columns:
        raise InputError("The table has no column; give at least one feature.")
    samples = len(columns[0])
    for place, column in enumerate(columns):
        name = f"feature {place}" if names is None else f"column {names[place]!r}"
        if len(column) != samples:
            raise InputError(
                f"The {name} has {len(column)} values, and the first column "
                f"{samples}; give one value a sample."
            )
        yield _column(name, column)


def rectangular(name: str, given: Any) -> npt.NDArray[Any]:
    """As an array; lists of different lengths are refused."""
    try:
        return np.asarray(given)
    except ValueError as error:
        raise InputError(
            f"The {name} has rows of different lengths; give one value a sample, or as "
            "many for each."
        ) from error


def _two_dimensional(table: Any) -> npt.NDArray[Any]:
    # As objects, since numbers beside text would be made text.
    array = table if isinstance(table, np.ndarray) else np.array(table, dtype=object)
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(
            f"The samples have shape {array.shape}; give a table of at least one "
            "sample (row) and one feature (column)."
        )
    return array


def _column(name: str, given: Any) -> Column:
    import pandas as pd

    series = given
    if not isinstance(given, pd.Series):
        array = rectangular(name, given)
        if array.ndim != 1:
            raise InputError(
                f"The {name} has shape {array.shape}; give one value a sample."
            )
        # Of a list, NumPy would make what is missing text, and numbers beside text.
        values = given if isinstance(given, list | tuple) else array
        is_text = array.dtype.kind in "UT"
        series = pd.Series(values, dtype=object if is_text else None)
    missing = series.isna().to_numpy(bool)
    if isinstance(series.dtype, pd.CategoricalDtype):
        return Column(name, series.to_numpy(object), missing)
    kind = series.dtype.kind
    if kind in _NUMBERS:
        numbers = series.to_numpy(np.float64, na_value=np.nan)
        return Column(name, numbers, missing)
    if kind != "O":
        raise InputError(
            f"The {name} is of type {series.dtype}; give numbers, text or categories."
        )
    objects = series.to_numpy(object)
    types = set(map(type, objects[~missing]))
    if all(issubclass(kind, str) for kind in types) and types:
        return Column(name, objects, missing)
    if not all(issubclass(kind, _NUMBER_TYPES) for kind in types):
        found = ", ".join(sorted(kind.__name__ for kind in types))
        raise InputError(
            f"The {name} holds values of type {found}; give numbers or text, not both."
        )
    try:
        return Column(name, series.mask(missing, np.nan).to_numpy(np.float64), missing)
    except OverflowError as error:
        raise InputError(
            f"The {name} holds a whole number beyond floating point; make it smaller."
        ) from error


def is_data_frame(table: Any) -> bool:
    """Whether a table is a pandas DataFrame; without importing pandas."""
    # Whoever holds one has imported pandas, which takes a while.
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(table, pandas.DataFrame)
