"""Tables of pandas and of pyarrow, as `read_long_form` asks for their columns."""

from __future__ import annotations

import functools as ft
import re
from collections.abc import Callable, Hashable, Iterator
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise._typing import Values
from rankrise.tensors.files._declared import shown
from rankrise.tensors.files._long_form import Block, Codes, LongTable

# Row numbers that pandas stores where an index has no name.
_ROW_NUMBERS = re.compile(r"__index_level_\d+__")


class PandasTable(LongTable):
    """A data frame; the levels of a MultiIndex are its first columns."""

    def __init__(self, frame: Any) -> None:
        self.index_names: list[Hashable] | None = None
        if frame.index.nlevels > 1:
            self.index_names = list(frame.index.names)
            frame = frame.reset_index(names=_level_names(frame.index))
        self.frame = frame
        self.names = tuple(frame.columns)
        self.row_count = len(frame)

    def numbers(self, name: Hashable) -> tuple[Values, np.dtype[Any]]:
        column = self.frame[name]
        if column.dtype.kind not in "fiub":
            _refuse_values(name, column.dtype)
        plain = isinstance(column.dtype, np.dtype)
        dtype = column.dtype if plain else np.dtype(np.float64)
        return column.to_numpy(np.float64, na_value=np.nan), dtype

    def labels(self, name: Hashable) -> tuple[Codes, Any]:
        import pandas as pd

        column = self.frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            places = np.arange(len(column.dtype.categories))
            labels = pd.Categorical.from_codes(places, dtype=column.dtype)
            return column.array.codes.astype(np.int64), labels
        try:
            codes, found = pd.factorize(column, sort=True)
        except TypeError as error:
            _refuse_labels(name, column.dtype, error)
        return codes.astype(np.int64), found

    def whole_numbers(self, name: Hashable) -> npt.NDArray[Any] | None:
        column = self.frame[name]
        if column.dtype.kind not in "iu" or column.isna().any():
            return None
        plain = isinstance(column.dtype, np.dtype)
        numbers: npt.NDArray[Any] = column.to_numpy(None if plain else np.int64)
        return numbers

    def join(self) -> Callable[[Iterator[Block]], Any]:
        return ft.partial(_frame, index_names=self.index_names)


def _level_names(index: Any) -> list[Hashable]:
    return [
        f"level_{place}" if name is None else name
        for place, name in enumerate(index.names)
    ]


def _frame(blocks: Iterator[Block], index_names: list[Hashable] | None) -> Any:
    import pandas as pd

    frame = pd.concat(map(pd.DataFrame, blocks), ignore_index=True)
    if index_names is None:
        return frame
    frame = frame.set_index(list(frame.columns[: len(index_names)]))
    return frame.rename_axis(index_names)


class ArrowTable(LongTable):
    """A pyarrow table; what pandas stored of a named index are its first columns.

    Parameters
    ----------
    schema
        The types to restore, by default those of the table. Text can be read as a
        dictionary, which takes less memory, without its labels being categories.
    """

    def __init__(self, table: Any, schema: Any | None = None) -> None:
        schema = table.schema if schema is None else schema
        # The names of pandas' index; an index of row numbers alone is a dict.
        stored = (schema.pandas_metadata or {}).get("index_columns", [])
        index = [name for name in stored if name in table.column_names]
        others = [name for name in table.column_names if name not in index]
        self.names = tuple(
            name for name in [*index, *others] if not _ROW_NUMBERS.fullmatch(name)
        )
        self.columns = table
        self.schema = schema
        self.row_count = table.num_rows

    def numbers(self, name: Hashable) -> tuple[Values, np.dtype[Any]]:
        import pyarrow as pa

        column = self.columns.column(name)
        kind = column.type
        is_float = pa.types.is_floating(kind)
        is_real = pa.types.is_integer(kind) or pa.types.is_decimal(kind) or is_float
        if not (is_real or pa.types.is_boolean(kind)):
            _refuse_values(name, self.schema.field(name).type)
        # Whole numbers beyond 2^53 are rounded, as they are in an array.
        numbers = column.cast(pa.float64(), safe=False).to_numpy()
        return numbers, np.dtype(kind.to_pandas_dtype() if is_float else np.float64)

    def labels(self, name: Hashable) -> tuple[Codes, Any]:
        import pyarrow as pa
        import pyarrow.compute as pc

        column, kind = self.columns.column(name), self.schema.field(name).type
        try:
            if not pa.types.is_dictionary(column.type):
                column = pc.dictionary_encode(column)
            column = column.unify_dictionaries()
            codes = np.concatenate([_codes(chunk) for chunk in column.chunks])
            if not pa.types.is_dictionary(kind):
                return _sorted_labels(codes, column.chunk(0).dictionary.cast(kind))
            return codes, _categories(name, column.chunk(0).dictionary, kind)
        except pa.ArrowException as error:
            _refuse_labels(name, kind, error)

    def whole_numbers(self, name: Hashable) -> npt.NDArray[Any] | None:
        import pyarrow as pa

        column = self.columns.column(name)
        if not pa.types.is_integer(column.type) or column.null_count:
            return None
        numbers: npt.NDArray[Any] = column.to_numpy()
        return numbers

    def join(self) -> Callable[[Iterator[Block]], Any]:
        return _arrow_table


def _arrow_table(blocks: Iterator[Block]) -> Any:
    import pyarrow as pa

    return pa.concat_tables(map(pa.table, blocks))


def _codes(chunk: Any) -> Codes:
    """Places in the dictionary, -1 where there is nothing or what is no number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    codes: Codes = chunk.indices.cast(pa.int64()).fill_null(-1).to_numpy()
    missing = pc.is_null(chunk.dictionary, nan_is_null=True)
    if not missing.true_count:
        return codes
    return np.where(np.isin(codes, np.flatnonzero(missing)), -1, codes)


def _sorted_labels(codes: Codes, dictionary: Any) -> tuple[Codes, Any]:
    import pyarrow.compute as pc

    ranking = pc.sort_indices(dictionary).to_numpy()
    # One place more: that of -1, what is missing.
    places = np.full(len(ranking) + 1, -1)
    places[ranking] = np.arange(len(ranking))
    return places[codes], dictionary.take(ranking)


def _categories(name: Hashable, dictionary: Any, kind: Any) -> Any:
    import pyarrow as pa

    if len(dictionary.unique()) < len(dictionary):
        raise InputError(
            f"The column {shown(str(name))} has the same category twice; give each its "
            "own name."
        )
    places = pa.array(range(len(dictionary)), kind.index_type)
    return pa.DictionaryArray.from_arrays(places, dictionary, ordered=kind.ordered)


def _refuse_values(name: Hashable, kind: Any) -> NoReturn:
    raise InputError(
        f"The values, in the column {shown(str(name))}, cannot have data type {kind}; "
        "real numbers are needed (`values` names another column)."
    )


def _refuse_labels(name: Hashable, kind: Any, error: Exception) -> NoReturn:
    raise InputError(
        f"The column {shown(str(name))} of data type {kind} cannot be labels of a mode "
        f"({' '.join(str(error).split())}); give text, numbers, dates or categories."
    ) from error
