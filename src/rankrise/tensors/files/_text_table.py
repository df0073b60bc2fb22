"""Rows of fields in a text file, each with the number of its line."""

from __future__ import annotations

import csv
import itertools as it
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError

MISSING = frozenset(
    {"", "nan", "NaN", "NAN", "NA", "n/a", "N/A", "#N/A", "null", "NULL", "None"}
)
"""Fields that say that there is no value."""
TRUTHS = {"true": 1.0, "false": 0.0}
"""Values in words, in lower case."""

# None is any run of blanks, as in str.split. Of two that would do, as in 0;1;2,5, the
# first is meant.
_DELIMITERS = ("\t", ";", ",", None)
_SNIFFED_ROWS = 20
# Small enough for the fields of a block to stay in the cache while they are converted.
_BLOCK_ROWS = 2**14


@dataclass(frozen=True, eq=False)
class TextTable:
    """The rows of a text file that hold data, all with the same number of fields.

    Attributes
    ----------
    lines
        Where in the file each row stands, counted from 1.
    delimiter
        What separates fields, None for any run of blanks.
    header
        The names of the columns, if the file gives them.
    """

    rows: list[str]
    lines: list[int]
    delimiter: str | None
    width: int
    header: tuple[str, ...] | None

    def numbers(self) -> list[npt.NDArray[Any] | None]:
        """Every column as integers or else floating point, None if neither is right."""
        blocks = [
            [_numbers(fields[column :: self.width]) for column in range(self.width)]
            for fields in self._field_blocks()
        ]
        return [_joined(pieces) for pieces in zip(*blocks, strict=True)]

    def text(self, column: int) -> Iterator[str]:
        """The fields of one column, without the blanks around them."""
        cells = (fields[column :: self.width] for fields in self._field_blocks())
        return map(str.strip, it.chain.from_iterable(cells))

    def _field_blocks(self) -> Iterator[list[str]]:
        for start in range(0, len(self.rows), _BLOCK_ROWS):
            yield _fields(self.rows[start : start + _BLOCK_ROWS], self.delimiter)


def read_table(path: Path, *, flexible: bool) -> TextTable:
    """Split a text file into fields; blank lines and lines that begin with # are none.

    Parameters
    ----------
    flexible
        Whether there may be a header, and a delimiter other than blanks.
    """
    rows, lines = _data_rows(_read_text(path))
    if not rows:
        raise InputError("It holds no rows; one row per observed entry is needed.")
    delimiter = _sniffed_delimiter(rows[:_SNIFFED_ROWS]) if flexible else None
    widths = _widths(rows, delimiter)
    width = widths[0]
    if 0 < width < 3:
        raise InputError(
            f"Line {lines[0]} has {width} field(s); a column for each mode, two or "
            "more, and a last one for the value are needed."
        )
    for other, line in zip(widths, lines, strict=True):
        if other == 0 or other != width:
            raise _ragged(other, line, width, lines[0])
    header = None
    if flexible:
        header = _header([field.strip() for field in _fields(rows[:1], delimiter)])
    if header is not None:
        if len(rows) == 1:
            raise InputError("It has a header but no rows; add the observed entries.")
        rows, lines = rows[1:], lines[1:]
    return TextTable(rows, lines, delimiter, width, header)


def is_number(field: str) -> bool:
    """Whether a field holds a number and nothing else."""
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field


def _read_text(path: Path) -> str:
    try:
        # Spreadsheets mark UTF-8 by a byte order mark, which utf-8-sig takes away.
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"It is no UTF-8 text (byte {error.start}); save it as UTF-8, or give it "
            "the extension of its form."
        ) from error
    if "\0" in text:
        raise InputError("It holds zero bytes, so it is no text; save it as UTF-8.")
    return text


def _data_rows(text: str) -> tuple[list[str], list[int]]:
    rows, lines = [], []
    for line, row in enumerate(text.split("\n"), start=1):
        # Spreadsheets write an empty row as delimiters alone.
        is_comment = "#" in row and row.lstrip().startswith("#")
        if not is_comment and row.strip(" \t,;"):
            rows.append(row)
            lines.append(line)
    return rows, lines


def _sniffed_delimiter(rows: list[str]) -> str | None:
    for delimiter in _DELIMITERS:
        widths = set(_widths(rows, delimiter))
        if len(widths) == 1 and widths.pop() > 1:
            return delimiter
    # Some row is ragged: find out which by the delimiter that the first row has.
    separating = (mark for mark in _DELIMITERS if _widths(rows[:1], mark)[0] > 1)
    return next(separating, None)


def _widths(rows: list[str], delimiter: str | None) -> list[int]:
    """How many fields each row has; 0 where the quotation marks do not match."""
    if delimiter is None:
        return [len(row.split()) for row in rows]
    return [
        _quoted_width(row, delimiter) if '"' in row else row.count(delimiter) + 1
        for row in rows
    ]


def _quoted_width(row: str, delimiter: str) -> int:
    try:
        return len(_fields([row], delimiter))
    except csv.Error:
        return 0


def _fields(rows: list[str], delimiter: str | None) -> list[str]:
    """The fields of several rows, one row after another."""
    if delimiter is None:
        return " ".join(rows).split()
    text = delimiter.join(rows)
    if '"' not in text:
        return text.split(delimiter)
    parsed = csv.reader(rows, delimiter=delimiter, skipinitialspace=True, strict=True)
    return list(it.chain.from_iterable(parsed))


def _ragged(width: int, line: int, first_width: int, first_line: int) -> InputError:
    if width == 0:
        return InputError(
            f"Line {line} has quotation marks that do not match; a field in "
            "quotation marks must end on its line."
        )
    return InputError(
        f"Line {line} has {width} field(s) but line {first_line} has {first_width}; "
        "every row needs one index per mode and a value."
    )


def _header(fields: list[str]) -> tuple[str, ...] | None:
    """The first row if it names columns: no number, and no value left out."""
    last = fields[-1]
    if last in MISSING or last.lower() in TRUTHS or any(map(is_number, fields)):
        return None
    if "" in fields:
        raise InputError(
            f"Column {fields.index('') + 1} of the header has no name; if it holds row "
            "numbers, save the table without them."
        )
    return tuple(fields)


def _numbers(fields: list[str]) -> npt.NDArray[Any] | None:
    # Python reads 1_000 as a number, which no other program does.
    if "_" in "".join(fields):
        return None
    try:
        return np.fromiter(map(int, fields), np.int64, len(fields))
    except (ValueError, OverflowError):
        pass
    try:
        return np.fromiter(map(float, fields), np.float64, len(fields))
    except ValueError:
        return None


def _joined(pieces: tuple[npt.NDArray[Any] | None, ...]) -> npt.NDArray[Any] | None:
    numeric = [piece for piece in pieces if piece is not None]
    return np.concatenate(numeric) if len(numeric) == len(pieces) else None
