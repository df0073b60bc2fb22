"""Tables column by column: numbers or categories, with what is missing marked."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError

if TYPE_CHECKING:
    import pandas as pd

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
class Table:
    """Samples, read column by column.

    Attributes
    ----------
    names
        Names of the columns; None for an array.
    columns
        One series a feature, by the name that an error calls it: numbers in float64, or
        text and categories as Python objects. Its index counts the samples given.
    """

    names: tuple[str, ...] | None
    columns: tuple[pd.Series, ...]

    @classmethod
    def of(cls, table: Any) -> Table:
        """Read an array, a mapping of names to columns, or a pandas DataFrame.

        Numbers are told from text and pandas' categories column by column; missing are
        NaN, None and pandas' NA.
        """
        if isinstance(table, Table):
            return table
        names = column_names(table)
        if is_data_frame(table):
            columns = [table.iloc[:, place] for place in range(table.shape[1])]
        elif isinstance(table, Mapping):
            columns = list(table.values())
        else:
            columns = list(_two_dimensional(table).T)
        if not columns:
            raise InputError("The table has no column; give at least one feature.")
        read, samples = [], len(columns[0])
        for place, column in enumerate(columns):
            name = f"feature {place}" if names is None else f"column {names[place]!r}"
            if len(column) != samples:
                raise InputError(
                    f"The {name} has {len(column)} values, and the first column "
                    f"{samples}; give one value a sample."
                )
            read.append(_series(name, column))
        return cls(names, tuple(read))

    @property
    def samples(self) -> int:
        """How many samples."""
        return len(self.columns[0])

    def take(self, rows: npt.NDArray[np.integer]) -> Table:
        """Some of the samples, which keep their numbers."""
        return replace(self, columns=tuple(x.iloc[rows] for x in self.columns))

    def with_kinds_of(self, others: Table) -> Table:
        """The same; columns where nothing is there have the kinds of the others'."""
        if len(self.columns) != len(others.columns):
            return self
        pairs = zip(self.columns, others.columns, strict=True)
        return replace(
            self,
            columns=tuple(a.astype(b.dtype) if a.isna().all() else a for a, b in pairs),
        )


def is_numeric(column: pd.Series) -> bool:
    """Whether the values are numbers, which lie between one another."""
    return bool(column.dtype.kind == "f")


def refuse(column: pd.Series, marked: npt.NDArray[np.bool_], words: str) -> None:
    """Refuse the first of the marked samples; the words go on after its number."""
    if marked.any():
        raise SampleError(int(column.index[int(np.argmax(marked))]), words)


def refuse_infinite(column: pd.Series) -> None:
    """Refuse numbers that are infinite."""
    what = f"has an infinite number (inf) in {column.name}"
    refuse(
        column, np.isinf(column.to_numpy()), f"{what}; replace it or remove the row."
    )


def column_names(table: Any) -> tuple[str, ...] | None:
    """Names of the columns of a mapping or a pandas DataFrame; None for an array."""
    if isinstance(table, Table):
        return table.names
    if isinstance(table, Mapping):
        return tuple(map(str, table))
    return tuple(map(str, table.columns)) if is_data_frame(table) else None


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
    return refuse_shape(array)


def refuse_shape(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Pass a table through, refused if it has no sample or feature."""
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(
            f"The samples have shape {array.shape}; give a table of at least one "
            "sample (row) and one feature (column)."
        )
    return array


def _series(name: str, given: Any) -> pd.Series:
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
        try:
            series = pd.Series(values, dtype=object if is_text else None)
        except OverflowError as error:
            raise _too_large(name) from error
    if series.dtype.kind in "Mm" or _are_dates(series):
        # They lie between one another as numbers do.
        series = _days(series)
    missing = series.isna().to_numpy(bool)
    kind = series.dtype.kind
    is_category = isinstance(series.dtype, pd.CategoricalDtype)
    if kind in _NUMBERS and not is_category:
        numbers = series.to_numpy(np.float64, na_value=np.nan)
        return pd.Series(numbers, name=name)
    if kind != "O" and not is_category:
        raise InputError(
            f"The {name} is of type {series.dtype}; give numbers, text or categories."
        )
    objects = series.to_numpy(object)
    types = set(map(type, objects[~missing]))
    if is_category or (types and all(issubclass(kind, str) for kind in types)):
        return pd.Series(objects, name=name, dtype=object)
    if not all(issubclass(kind, _NUMBER_TYPES) for kind in types):
        found = ", ".join(sorted(kind.__name__ for kind in types))
        raise InputError(
            f"The {name} holds values of type {found}; give numbers or text, not both."
        )
    try:
        return pd.Series(series.mask(missing, np.nan).to_numpy(np.float64), name=name)
    except OverflowError as error:
        raise _too_large(name) from error


def _too_large(name: str) -> InputError:
    return InputError(
        f"The {name} holds a whole number beyond floating point; make it smaller."
    )


def _are_dates(series: pd.Series) -> bool:
    """Whether Python's dates are all that is there."""
    there = series.dropna() if series.dtype.kind == "O" else ()
    return len(there) > 0 and all(isinstance(each, dt.date) for each in there)


def _days(series: pd.Series) -> pd.Series:
    """Dates as days since 1970 and durations as days; NaN where there is none."""
    import pandas as pd

    if series.dtype.kind == "m":
        return series / pd.Timedelta(days=1)
    if series.dtype.kind == "O":
        series = pd.to_datetime(series, utc=True)
    if getattr(series.dtype, "tz", None) is not None:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    return (series - pd.Timestamp(0)) / pd.Timedelta(days=1)


def is_data_frame(table: Any) -> bool:
    """Whether a table is a pandas DataFrame; without importing pandas."""
    # Whoever holds one has imported pandas, which takes a while.
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(table, pandas.DataFrame)
