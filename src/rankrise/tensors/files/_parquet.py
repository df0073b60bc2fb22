"""Parquet files: a long-form table, one row an observed entry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rankrise._errors import InputError
from rankrise._typing import ModeDims, Values
from rankrise.tensors._mode_axes import ModeAxis
from rankrise.tensors._observations import Observations
from rankrise.tensors.files._declared import check_memory, refuse_damaged
from rankrise.tensors.files._layout import Layout
from rankrise.tensors.files._long_form import LongForm, read_long_form
from rankrise.tensors.files._long_tables import ArrowTable

_FORM = "a .parquet table"


@dataclass(frozen=True, eq=False)
class ParquetLayout(Layout):
    """A long-form table with its types."""

    form: LongForm

    def axes(self, order: int) -> tuple[ModeAxis, ...]:
        """What the table calls the modes and their indices."""
        return self.form.axes()

    def write(self, completed: Values, path: Path) -> None:
        """Write a row for every entry, in row-major order."""
        import pyarrow as pa
        from pyarrow import parquet

        writer = None
        with path.open("wb") as stream:
            try:
                for block in self.form.blocks(completed):
                    table = pa.table(block)
                    writer = writer or parquet.ParquetWriter(stream, table.schema)
                    writer.write_table(table)
            finally:
                if writer is not None:
                    writer.close()


def read_parquet(
    path: Path, variable: str | None, mode_dims: ModeDims | None
) -> tuple[Observations, ParquetLayout, str]:
    """Read the rows with a value; `variable` names the column of values."""
    import_parquet()
    with refuse_damaged(_FORM):
        schema, texts = _schema(path)
        file = open_parquet(path, read_dictionary=texts)
        with file:
            check_memory(stored_bytes(file), "Its table")
            table = ArrowTable(file.read(), schema)
    observations, form = read_long_form(table, variable, mode_dims)
    return observations, ParquetLayout(form), str(form.values)


def _schema(path: Path) -> tuple[Any, list[str]]:
    """All columns, and which are text.

    A text that repeats is stored once, and read as a dictionary it stays so: as plain
    text a small file could take any amount of memory.
    """
    import pyarrow as pa

    with open_parquet(path) as file:
        schema = file.schema_arrow
    kinds = (pa.types.is_large_string, pa.types.is_string, pa.types.is_binary)
    texts = [field.name for field in schema if any(is_(field.type) for is_ in kinds)]
    return schema, texts


def import_parquet() -> Any:
    """The optional library."""
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise InputError(
            "Parquet files need pyarrow, which is not installed; run pip install "
            "'rankrise[parquet]', or save the table as .csv."
        ) from error
    return parquet


def open_parquet(path: Path, **options: Any) -> Any:
    """A file that is open for reading, of which only the metadata is read."""
    return import_parquet().ParquetFile(path, **options)


def stored_bytes(file: Any) -> int:
    """What the columns of an open file take, by what it declares."""
    declared = file.metadata
    groups = map(declared.row_group, range(declared.num_row_groups))
    stored = sum(group.total_byte_size for group in groups)
    # Repeated values are stored once.
    return max(stored, 8 * declared.num_rows * declared.num_columns)
