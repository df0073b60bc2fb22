"""A table, whichever library or file it comes from: columns, and words for its rows."""

from __future__ import annotations

import functools as ft
import re
import sys
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rankrise._errors import InputError
from rankrise.tensors.files._declared import shown
from rankrise.tensors.files._table_form import Block

_LISTED = 12
# Row numbers that pandas stores where an index has no name.
_ROW_NUMBERS = re.compile(r"__index_level_\d+__")


class _RowLabels:
    """A name that no column of a user has."""

    def __str__(self) -> str:
        return "index"

    def __reduce__(self) -> str:
        return "ROW_LABELS"  # The only one, also in a copy.


ROW_LABELS = _RowLabels()
"""The column that `row_labels` become."""

Join = Callable[[Iterator[Block]], Any]
"""Makes a table of the same kind of all its rows."""


@dataclass(frozen=True, eq=False)
class Table:
    """Columns as pandas has them, and what they came from.

    Attributes
    ----------
    frame
        A pandas.DataFrame; a named index is its first columns.
    is_named
        Whether the columns have names of their own, or only numbers from 1.
    row_labels
        Labels of an index without a name; in a wide table they are a mode.
    column_names
        Name of each level of the column names, as a pivoted table has them.
    index_columns
        How many of the first columns stood in a named index; they hold no values of a
        wide table.
    encoded
        Columns of plain text that are stored as categories.
    unit, numbers
        Word for a row in messages, and the numbers by which they name rows.
    is_text
        Whether cells are text, which may stand for numbers.
    only_indices, first_index
        Whether modes have indices and no labels, and from where they count.
    mode_dims
        Mode dimensions that the source itself gives.
    """

    frame: Any
    join: Join
    is_named: bool = True
    row_labels: Any | None = None
    column_names: tuple[Hashable, ...] = (None,)
    index_columns: int = 0
    encoded: frozenset[Hashable] = frozenset()
    unit: str = "Row"
    numbers: Callable[[Sequence[int]], Sequence[int]] = list
    is_text: bool = False
    only_indices: bool = False
    first_index: int = 0
    mode_dims: tuple[int, ...] | None = None

    @property
    def names(self) -> tuple[Hashable, ...]:
        """Names of the columns."""
        return tuple(self.frame.columns)

    def rows(self, *rows: int | np.integer[Any]) -> str:
        """Words for one row or two, at the start of a sentence."""
        # Rows of a frame are counted, whatever its index says.
        numbers = [str(number) for number in self.numbers([int(row) for row in rows])]
        return f"{self.unit}{'s' * (len(rows) > 1)} {' and '.join(numbers)}"

    def column(self, name: Hashable) -> str:
        """Words for a column."""
        named = "the index" if name == ROW_LABELS else f"the column {shown(str(name))}"
        return named if self.is_named else f"column {name}"

    def find(self, name: Hashable, purpose: str) -> Hashable:
        """The column of this name, or whose name is written so."""
        same = [own for own in self.names if own == name]
        same += [own for own in self.names if str(own) == str(name)]
        if same:
            return same[0]
        raise InputError(
            f"There is no column {shown(str(name))} for {purpose}; the columns are "
            f"{self.listed()}."
        )

    def listed(self) -> str:
        """The names of the columns, not too many."""
        names = self.names
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        return ", ".join(shown(str(name)) for name in names[:_LISTED]) + more


def is_from(source: Any, module: str, name: str) -> bool:
    """Whether it is of this class, without importing what it can then not be of."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(source, kind)


def table_of(source: Any) -> Table | None:
    """What pandas or pyarrow hold as a table, None of anything else."""
    if is_from(source, "pandas", "DataFrame"):
        return table_of_pandas(source)
    if is_from(source, "pandas", "Series") and source.index.nlevels > 1:
        return table_of_pandas(source)
    return table_of_arrow(source) if is_from(source, "pyarrow", "Table") else None


def table_of_pandas(source: Any) -> Table:
    """A DataFrame, or a Series with a MultiIndex."""
    import pandas as pd

    if isinstance(source, pd.Series):
        value = "value" if source.name is None else source.name
        table = table_of_pandas(source.to_frame(value))
        return replace(table, join=ft.partial(_series, table.join, source.name))
    index, columns = source.index, source.columns
    frame = source.set_axis(columns.to_flat_index(), axis=1).reset_index(drop=True)
    levels: dict[Hashable, Hashable] = {ROW_LABELS: None}
    is_named = index.nlevels > 1 or index.name is not None
    if is_named:
        names = [f"level_{n}" if x is None else x for n, x in enumerate(index.names)]
        levels = dict(zip(names, index.names, strict=True))
        check_names(names)
        called = names if index.nlevels > 1 else names[0]
        frame = pd.concat([index.to_frame(index=False, name=called), frame], axis=1)
    counts = isinstance(index, pd.RangeIndex) and index.equals(frame.index)
    return Table(
        frame,
        ft.partial(_frame, levels, columns.names),
        row_labels=None if is_named or counts else index,
        column_names=tuple(columns.names),
        index_columns=index.nlevels * is_named,
    )


def _series(join: Join, name: Hashable, blocks: Iterator[Block]) -> Any:
    return join(blocks).iloc[:, 0].rename(name)


def _frame(
    levels: dict[Hashable, Hashable],
    column_names: Sequence[Hashable],
    blocks: Iterator[Block],
) -> Any:
    """All rows, with the index of the source restored."""
    import pandas as pd

    parts, names = [], tuple[Hashable, ...]()
    for block in blocks:
        names = tuple(block)
        # By number, for of tuples pandas would make several levels.
        parts.append(pd.DataFrame(dict(enumerate(block.values()))))
    frame = pd.concat(parts, ignore_index=True)
    index = [place for place, name in enumerate(names) if name in levels]
    if index:
        frame = frame.set_index(index)
        frame.index.names = [levels[names[n]] for n in index]
    values = [name for name in names if name not in levels]
    if len(column_names) > 1:
        frame.columns = pd.MultiIndex.from_tuples(values, names=column_names)
    else:
        frame.columns = pd.Index(values, name=column_names[0])
    return frame


def table_of_arrow(source: Any, schema: Any | None = None) -> Table:
    """A pyarrow.Table; a named index that pandas stored is its first columns.

    Parameters
    ----------
    schema
        The types to restore, by default those of the table. Text can be read as a
        dictionary, which takes less memory, without its labels being categories.
    """
    import pyarrow as pa

    schema = source.schema if schema is None else schema
    given = source.column_names
    check_names(given)
    # The names of pandas' index; an index of row numbers alone is a dict.
    stored = (schema.pandas_metadata or {}).get("index_columns", [])
    index = [name for name in stored if name in given]
    names = [name for name in given if name not in index]
    names = [name for name in [*index, *names] if not _ROW_NUMBERS.fullmatch(name)]
    frame = source.select(names).to_pandas(
        ignore_metadata=True, types_mapper=_pandas_type
    )
    encoded = frozenset(
        name
        for name in names
        if pa.types.is_dictionary(source.schema.field(name).type)
        and not pa.types.is_dictionary(schema.field(name).type)
    )
    return Table(
        frame,
        ft.partial(_arrow_table, schema),
        encoded=encoded,
        index_columns=sum(name in names for name in index),
    )


def _pandas_type(kind: Any) -> Any:
    """What holds a column as it is, None for what pandas holds itself."""
    import pandas as pd
    import pyarrow as pa

    own = (pa.types.is_dictionary, pa.types.is_floating, pa.types.is_null)
    return None if any(is_(kind) for is_ in own) else pd.ArrowDtype(kind)


def _arrow_table(schema: Any, blocks: Iterator[Block]) -> Any:
    import pyarrow as pa

    def made(block: Block) -> Any:
        columns = {
            name: _arrow_column(cells, schema.field(name).type)
            for name, cells in block.items()
        }
        return pa.table(columns)

    return pa.concat_tables(map(made, blocks))


def _arrow_column(cells: Any, kind: Any) -> Any:
    """Labels in the type that they came in; values are NumPy's and have their own."""
    import pyarrow as pa

    if isinstance(cells, np.ndarray) and cells.dtype.kind == "f":
        return pa.array(cells)
    if not pa.types.is_dictionary(kind):
        return pa.array(cells).cast(kind)
    codes, categories = pa.array(cells.codes), pa.array(cells.categories)
    return pa.DictionaryArray.from_arrays(
        codes.cast(kind.index_type),
        categories.cast(kind.value_type),
        ordered=kind.ordered,
    )


def check_names(names: Sequence[Hashable]) -> None:
    """Refuse columns that share a name."""
    if len(set(names)) < len(names):
        repeated = next(name for name in names if list(names).count(name) > 1)
        raise InputError(
            f"Two columns are called {shown(str(repeated))}; give each its own name."
        )
