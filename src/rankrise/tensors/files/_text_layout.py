"""Tables in text files: reading them, and writing all entries in the same style."""

from __future__ import annotations

import csv
import functools as ft
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

from rankrise._typing import Values
from rankrise.tensors._layout import Layout
from rankrise.tensors._observations import Observations
from rankrise.tensors._reading import Reading
from rankrise.tensors.files._any_file import SUFFIXES, packing
from rankrise.tensors.files._read_table import read_table
from rankrise.tensors.files._table_columns import is_number
from rankrise.tensors.files._table_form import TableForm
from rankrise.tensors.files._text_header import Header
from rankrise.tensors.files._text_table import TextSource, read_text


def read_text_file(
    path: Path, form: str, reading: Reading
) -> tuple[Observations, Layout, str | None]:
    """Read a table of any delimiter, or of FROSTT; the name of the values, if any."""
    asked = "long" if reading.mode_dims is not None else reading.layout
    table, source, header = read_text(path, form == "tns", asked)
    observations, table_form = read_table(table, reading)
    suffix = path.suffix.lower() if path.suffix.lower() in SUFFIXES else ""
    named = (
        None
        if header.names is None or table_form.column_modes
        else str(table_form.values[0])
    )
    source = replace(source, content=b"")
    write = ft.partial(_write, table_form, source, header, suffix)
    return observations, Layout(write, table_form.axes()), named


def _write(
    form: TableForm,
    source: TextSource,
    header: Header,
    packed_by: str,
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
