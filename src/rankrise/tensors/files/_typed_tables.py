"""Tables in Parquet, Feather and Excel files."""

from __future__ import annotations

import logging
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rankrise._errors import InputError
from rankrise._typing import Values
from rankrise.tensors._mode_axes import ModeAxis
from rankrise.tensors._observations import Observations
from rankrise.tensors._reading import Reading
from rankrise.tensors.files._declared import check_memory, refuse_damaged
from rankrise.tensors.files._file_layout import Layout
from rankrise.tensors.files._read_table import read_table
from rankrise.tensors.files._table import Table, table_of_arrow, table_of_pandas
from rankrise.tensors.files._table_form import TableForm

# A table, its columns in pandas, and the places of its rows along the modes.
_COPIES = 3
_MOST_SHEET_ROWS = 2**20
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class TableLayout(Layout):
    """A table with the types of its columns, in a file of `kind`."""

    form: TableForm
    kind: str

    def axes(self, order: int) -> tuple[ModeAxis, ...]:
        """Names of the modes and labels of their indices."""
        return self.form.axes()

    def write(self, completed: Values, path: Path) -> None:
        """Write a row for every entry, or a wide table in its own order."""
        blocks = self.form.blocks(completed)
        if self.kind == "xlsx":
            with path.open("wb") as stream:
                frame = self.form.join(blocks)
                frame.to_excel(stream, index=False, engine="openpyxl")
            return
        import pyarrow as pa
        from pyarrow import parquet

        writer = None
        with path.open("wb") as stream:
            try:
                for block in blocks:
                    table = self.form.join(iter([block]))
                    if writer is None and self.kind == "feather":
                        writer = pa.ipc.new_file(stream, table.schema)
                    writer = writer or parquet.ParquetWriter(stream, table.schema)
                    writer.write_table(table)
            finally:
                if writer is not None:
                    writer.close()


def read_table_file(
    path: Path, kind: str, reading: Reading
) -> tuple[Observations, TableLayout, str | None]:
    """Read a table with typed columns, and the name of its values, if any."""
    with refuse_damaged(f"a .{kind} table"):
        table = _READERS[kind](path)
    observations, form = read_table(table, reading)
    name = None if form.column_modes else str(form.values[0])
    return observations, TableLayout(form, kind), name


def _read_parquet(path: Path) -> Table:
    import_parquet()
    schema, texts = _schema(path)
    with open_parquet(path, read_dictionary=texts) as file:
        check_memory(_COPIES * stored_bytes(file), "Its table")
        table = file.read()
    table.validate(full=True)
    return table_of_arrow(table, schema)


def _read_feather(path: Path) -> Table:
    import_parquet("Feather")
    import pyarrow as pa

    with path.open("rb") as stream:
        file = pa.ipc.open_file(stream)
        batches, count = [], 0
        for place in range(file.num_record_batches):
            batches.append(file.get_batch(place))
            count += batches[-1].nbytes
            check_memory(_COPIES * count, "Its table")
    table = pa.Table.from_batches(batches, file.schema)
    table.validate(full=True)
    return table_of_arrow(table)


def _read_excel(path: Path) -> Table:
    import pandas as pd

    try:
        import openpyxl  # noqa: F401
    except ImportError as error:
        raise InputError(
            "Excel files need openpyxl, which is not installed; run pip install "
            "'rankrise[excel]', or save the table as .csv."
        ) from error
    with zipfile.ZipFile(path) as archive:
        # Python's cells take more than their text.
        unpacked = sum(each.file_size for each in archive.infolist())
        check_memory(10 * unpacked, "Its table")
    sheets = pd.read_excel(path, sheet_name=None, keep_default_na=False, na_values=[""])
    name, frame = next(iter(sheets.items()))
    if len(sheets) > 1:
        _logger.warning("only the first of %d sheets, %r, is read.", len(sheets), name)
    names = [
        "" if str(each).startswith("Unnamed: ") else each for each in frame.columns
    ]
    return replace(table_of_pandas(frame.set_axis(names, axis=1)), is_text=True)


_READERS = {"parquet": _read_parquet, "feather": _read_feather, "xlsx": _read_excel}


def _schema(path: Path) -> tuple[Any, list[str]]:
    """All columns, and which of them are text.

    Text that repeats is stored once, and stays so when it is read as a dictionary; as
    plain text, a small file could take any amount of memory.
    """
    import pyarrow as pa

    with open_parquet(path) as file:
        schema = file.schema_arrow
    kinds = (pa.types.is_large_string, pa.types.is_string, pa.types.is_binary)
    texts = [field.name for field in schema if any(is_(field.type) for is_ in kinds)]
    return schema, texts


def import_parquet(kind: str = "Parquet") -> Any:
    """The optional library."""
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise InputError(
            f"{kind} files need pyarrow, which is not installed; run pip install "
            "'rankrise[parquet]', or save the table as .csv."
        ) from error
    return parquet


def open_parquet(path: Path, **options: Any) -> Any:
    """Open a file; only its metadata is read."""
    return import_parquet().ParquetFile(path, **options)


def stored_bytes(file: Any) -> int:
    """Memory of the columns of an open file, as it declares them."""
    declared = file.metadata
    groups = map(declared.row_group, range(declared.num_row_groups))
    stored = sum(group.total_byte_size for group in groups)
    # Repeated values are stored once.
    return max(stored, 8 * declared.num_rows * declared.num_columns)
