"""Tables in files: reading them, and writing all entries in the same style."""

from __future__ import annotations

import csv
import functools as ft
import io
import itertools as it
import logging
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rankrise._optional import imported
from rankrise._typing import Values
from rankrise.tensors._layout import Layout
from rankrise.tensors._observations import Observations
from rankrise.tensors._reading import Reading
from rankrise.tensors.files._any_file import SUFFIXES, TEXTS, packing
from rankrise.tensors.files._declared import (
    FEWER_ROWS,
    check_memory,
    refuse_damaged,
)
from rankrise.tensors.files._read_table import read_table
from rankrise.tensors.files._table import Table, table_of_arrow, table_of_pandas
from rankrise.tensors.files._table_columns import is_number
from rankrise.tensors.files._table_form import TableForm
from rankrise.tensors.files._text_header import Header
from rankrise.tensors.files._text_table import TextSource, read_text

# A table, its columns in pandas, and the places of its rows along the modes.
_COPIES = 3
_FEATHER_START = 8
_AS_CSV = "save the table as .csv"
_logger = logging.getLogger(__name__)


def read_table_file(
    path: Path, kind: str, reading: Reading
) -> tuple[Observations, Layout, str | None]:
    """Read a table of text or of typed columns; also the name of its values, if any."""
    write: Callable[..., None]
    if kind in TEXTS:
        asked = "long" if reading.mode_dims is not None else reading.layout
        table, source, header = read_text(path, kind == "tns", asked)
        suffix = path.suffix.lower() if path.suffix.lower() in SUFFIXES else ""
        write = ft.partial(_write_text, replace(source, content=b""), header, suffix)
    else:
        with refuse_damaged(f"a .{kind} table"):
            if kind == "xlsx":
                table, write = _table_of_sheet(path), _write_sheet
            else:
                table = table_of_arrow(*_READERS[kind](path))
                write = ft.partial(_write_typed, kind)
    observations, form = read_table(table, reading)
    has_name = table.is_named and not form.column_modes
    name = str(form.values[0]) if has_name else None
    return observations, Layout(ft.partial(write, form), form.axes()), name


def _write_text(
    source: TextSource,
    header: Header,
    packed_by: str,
    form: TableForm,
    completed: Values,
    path: Path,
) -> None:
    """Write a row for every entry, or a wide table in its own order."""
    import pandas as pd

    names = header.names
    # At the start of the first row # would begin a comment.
    labels = form.row_modes[0].labels if form.row_modes else None
    comment_like = labels is not None and any(
        isinstance(label, str) and label.startswith("#") for label in labels
    )
    options: dict[str, Any] = {"sep": source.delimiter or " ", "header": False}
    options |= {"index": False, "lineterminator": "\n", "decimal": source.decimal}
    options["quoting"] = (
        csv.QUOTE_NONE
        if source.delimiter is None
        else csv.QUOTE_NONNUMERIC
        if comment_like and names is None
        else csv.QUOTE_MINIMAL
    )
    with packing(path, packed_by) as packed:
        stream = io.TextIOWrapper(packed, encoding=source.encoding, newline="")
        for line in header.preamble:
            stream.write(f"{line or completed.size}\n")
        if names is not None:
            kept = [
                name.replace(".", source.decimal) if is_number(name) else name
                for name in map(str, form.names)
                if name in names and (name or not header.has_row_names)
            ]
            stream.write(header.mark)
            pd.DataFrame([kept]).to_csv(stream, **options)
        for block in form.blocks(completed):
            frame = pd.DataFrame(dict(enumerate(block.values())))
            frame.to_csv(stream, **options)
        stream.flush()
        stream.detach()


def _write_sheet(form: TableForm, completed: Values, path: Path) -> None:
    """Write a row for every entry, or a wide table in its own order."""
    with path.open("wb") as stream:
        frame = form.join(form.blocks(completed))
        frame.to_excel(stream, index=False, engine="openpyxl")


def _write_typed(kind: str, form: TableForm, completed: Values, path: Path) -> None:
    """The same with the types of the columns, some rows at a time."""
    import pyarrow as pa
    from pyarrow import parquet

    tables = (form.join(iter([block])) for block in form.blocks(completed))
    first = next(tables)
    make = pa.ipc.new_file if kind == "feather" else parquet.ParquetWriter
    with path.open("wb") as stream, make(stream, first.schema) as writer:
        for table in it.chain([first], tables):
            writer.write_table(table)


def read_typed_samples(path: Path, kind: str) -> Any:
    """The same as a pandas.DataFrame that is no tensor."""
    with refuse_damaged(f"a .{kind} table"):
        if kind == "xlsx":
            return _sheet(path, na_values=["?"])
        table, schema = _READERS[kind](path)
        frame = table.to_pandas()
        texts = [x.name for x in schema if x.type != table.field(x.name).type]
        return frame.astype(dict.fromkeys(texts, object))


def _read_parquet(path: Path) -> tuple[Any, Any]:
    """The pyarrow.Table, and the schema with the types of its columns.

    A text that repeats is stored once, and read as a dictionary it stays so: as plain
    text a small file could take any amount of memory.
    """
    pa = imported("pyarrow", "parquet", "Parquet files need", _AS_CSV)
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
    kinds = (pa.types.is_large_string, pa.types.is_string, pa.types.is_binary)
    texts = [field.name for field in schema if any(is_(field.type) for is_ in kinds)]
    with parquet.ParquetFile(path, read_dictionary=texts) as file:
        declared = file.metadata
        groups = map(declared.row_group, range(declared.num_row_groups))
        stored = sum(group.total_byte_size for group in groups)
        # Repeated values are stored once.
        cells = declared.num_rows * declared.num_columns
        check_memory(_COPIES * max(stored, 8 * cells), "Its table", advice=FEWER_ROWS)
        table = file.read()
    table.validate(full=True)
    return table, schema


def _read_feather(path: Path) -> tuple[Any, Any]:
    pa = imported("pyarrow", "parquet", "Feather files need", _AS_CSV)
    with pa.memory_map(str(path)) as stream:
        # Behind the first bytes it is a stream of messages, and after these a footer.
        content = stream.read_buffer().slice(_FEATHER_START)
        messages = pa.ipc.MessageReader.open_stream(content)
        byte_count = sum(map(_unpacked_bytes, messages))
        check_memory(_COPIES * byte_count, "Its table", advice=FEWER_ROWS)
        table = pa.ipc.open_stream(content).read_all()
    table.validate(full=True)
    return table, table.schema


def _unpacked_bytes(message: Any) -> int:
    """What the buffers of an Arrow message declare to take, unpacked.

    Its metadata are a flatbuffer (Message.fbs in Arrow's format), and a packed buffer
    begins with its length; pyarrow takes as much as that says.
    """
    metadata, body = memoryview(message.metadata), memoryview(message.body)

    def number(form: str, place: int) -> int:
        return int(struct.unpack_from(form, metadata, place)[0])

    def field(table: int, which: int) -> int | None:
        """Where a table has a field, None where it has not."""
        listed = table - number("<i", table)
        place = 4 + 2 * which
        found = number("<H", listed + place) if place < number("<H", listed) else 0
        return table + found if found else None

    def follow(place: int | None) -> int:
        return 0 if place is None else place + number("<I", place)

    batch = follow(field(number("<I", 0), 2))
    if message.type == "dictionary":
        batch = follow(field(batch, 1))
    elif message.type != "record batch":
        return 0
    buffers, is_packed = follow(field(batch, 2)), field(batch, 3) is not None
    total = 0
    for buffer in range(number("<I", buffers)):
        start, length = struct.unpack_from("<qq", metadata, buffers + 4 + 16 * buffer)
        if is_packed and length:
            # -1 says that it is not packed after all.
            length = max(length, *struct.unpack_from("<q", body, start))
        total += length
    return total


_READERS = {"parquet": _read_parquet, "feather": _read_feather}
TYPED = (*_READERS, "xlsx")


def _table_of_sheet(path: Path) -> Table:
    frame = _sheet(path, keep_default_na=False, na_values=[""])
    names = [
        "" if str(each).startswith("Unnamed: ") else each for each in frame.columns
    ]
    return replace(table_of_pandas(frame.set_axis(names, axis=1)), is_text=True)


def _sheet(path: Path, **options: Any) -> Any:
    """The first sheet of an Excel file, as a DataFrame."""
    import pandas as pd

    imported("openpyxl", "excel", "Excel files need", _AS_CSV)
    with zipfile.ZipFile(path) as archive:
        # Python's cells take more than their text.
        unpacked = sum(each.file_size for each in archive.infolist())
        check_memory(10 * unpacked, "Its table", advice=FEWER_ROWS)
    sheets = pd.read_excel(path, sheet_name=None, **options)
    name, frame = next(iter(sheets.items()))
    if len(sheets) > 1:
        _logger.warning("of %d sheets the first, %r, is read.", len(sheets), name)
    return frame
