"""Tables as text: `.csv`, `.tsv`, `.txt`, and FROSTT's `.tns`."""

from __future__ import annotations

import csv
import io
import itertools as it
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rankrise._errors import InputError, reason, shown
from rankrise.tensors._input_checks import LEAST_ORDER
from rankrise.tensors.files._any_file import unpacked
from rankrise.tensors.files._regional_text import as_utf8, with_points
from rankrise.tensors.files._table import Table
from rankrise.tensors.files._table_columns import is_number
from rankrise.tensors.files._text_header import Header, declared_dims, named_columns

# None is any run of blanks, and one blank stands beside quotation marks. If two would
# do, as in 0;1;2,5, the first is taken.
_DELIMITERS = ("\t", ";", ",", " ", None)
_BETWEEN_BLANKS = re.compile(r"[^ \t\r\n]+")
_NUMBER_WITH_COMMA = r"\s*[-+]?[\d.]*,[\d.,]*\d\s*"
_SNIFFED_ROWS = 20
# pandas takes seconds for this many columns, and minutes for a few millions.
_MOST_COLUMNS = 100_000
# Lines about a table that may stand behind it.
_MOST_BEHIND = 10
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class TextSource:
    """A text, and how its rows are split into fields.

    Attributes
    ----------
    start
        Byte at which the rows of data begin.
    line
        Number of that line, counted from 1.
    encoding, decimal
        What the file has; `content` is UTF-8 with decimal points.
    """

    content: bytes = field(repr=False)
    start: int
    line: int
    delimiter: str | None
    encoding: str = "utf-8"
    decimal: str = "."

    def options(self) -> dict[str, Any]:
        """The same as options of the csv module and of pandas."""
        if self.delimiter is None:
            # Blanks never occur within fields, and quotation marks mean nothing.
            return {"quoting": csv.QUOTE_NONE}
        return {"delimiter": self.delimiter, "skipinitialspace": True}

    def rows(self, *, strict: bool = True) -> Iterator[tuple[int, list[str] | None]]:
        """Line number and fields of each row; None where quotation marks fail."""
        stream = io.BytesIO(self.content)
        stream.seek(self.start)
        lines = io.TextIOWrapper(stream, encoding="utf-8")
        if self.delimiter is None:
            for line, text in enumerate(lines, start=self.line):
                if fields := _BETWEEN_BLANKS.findall(text):
                    yield line, fields
            return
        parsed = csv.reader(lines, strict=strict, **self.options())
        while True:
            line = self.line + parsed.line_num
            try:
                fields = next(parsed)
            except StopIteration:
                return
            except csv.Error:
                yield line, None
                return
            if fields and (len(fields) > 1 or fields[0].strip()):
                goes_on = strict and parsed.line_num > line - self.line + 1
                yield line, None if goes_on else fields

    def lines(self, rows: Sequence[int]) -> list[int]:
        """Line numbers of rows, which are counted from 0."""
        wanted = set(rows)
        # Like pandas, which accepts a quotation mark within a field.
        every = enumerate(self.rows(strict=False))
        found = {n: line for n, (line, _) in every if n in wanted}
        return [found.get(row, self.line + row) for row in rows]

    def check_widths(self, width: int, first_line: int, *, strict: bool = True) -> None:
        """Refuse the first row with another number of fields."""
        for line, fields in self.rows(strict=strict):
            if fields is None:
                raise InputError(
                    f"Line {line} has quotation marks that do not match; a field in "
                    "quotation marks must end on its line."
                )
            if len(fields) != width:
                raise InputError(
                    f"Line {line} has {len(fields)} field(s) but line {first_line} has "
                    f"{width}; every row needs the same number."
                )


def read_text(
    path: Path, is_tns: bool, layout: str | None
) -> tuple[Table, TextSource, Header]:
    """Parse a table, its source and its header.

    Any line breaks, blanks around fields and a byte order mark are accepted. Comments
    are lines before the first row that begin with #.
    """
    content, encoding = _text(path)
    content, behind = (content, 0) if is_tns else _without_footer(content)
    comments, head = _head(content)
    dims, preamble = declared_dims([line.text for line in head] if is_tns else [])
    head = head[len(preamble) :]
    if not head:
        raise InputError("It holds no rows; one row per observed entry is needed.")
    about = 0 if is_tns else _lines_about(content, head)
    head = head[about:]
    source = _delimited(content, head, (None,) if is_tns else _DELIMITERS)
    source = replace(_with_points(source), encoding=encoding)
    first_line = source.line
    sniffed = [fields or [] for _, fields in it.islice(source.rows(), _SNIFFED_ROWS)]
    width = len(sniffed[0]) if sniffed else 0
    has_row_names = not is_tns and _has_row_names(sniffed)
    if has_row_names:
        width, first_line = width + 1, first_line + 1
        _logger.warning(
            "the header has one column fewer than the rows, so the first column holds "
            "row names, as R writes them."
        )
    if width <= LEAST_ORDER.get() and (width or not sniffed):
        raise InputError(
            f"Line {source.line} has {width} field(s); a column for each mode, two or "
            "more, and a last one for the value are needed."
        )
    _check_width(width, first_line, "give a row for each entry, or an .npy")
    # A delimiter at the end of every line adds no column.
    is_ended = width > 2 and not any(row and row[-1].strip() for row in sniffed)
    sniffed = [row[: len(row) - is_ended] for row in sniffed]
    header = Header(None, preamble=preamble)
    if has_row_names:
        own = (name.strip() for name in sniffed[0])
        header = Header(("", *own), has_row_names=True)
    elif not is_tns:
        last_comment = comments[-1].text if comments else ""
        header = named_columns(sniffed, last_comment, source.delimiter, layout)
    skipped = len(comments) - bool(header.mark) + about
    if skipped:
        _logger.warning("%d comment line(s) before the first row are skipped.", skipped)
    if behind:
        _logger.warning("%d line(s) after the last row are skipped.", behind)
    if header.names is not None and not header.mark:
        if len(head) == 1:
            raise InputError("It has a header but no rows; add the observed entries.")
        start = source.content.index(b"\n", source.start) + 1
        source = replace(source, start=start, line=source.line + 1)
    frame = _frame(source, width, first_line)
    if is_ended:
        last, frame = frame.iloc[:, -1], frame.iloc[:, :-1]
        if last.notna().any():
            line = source.lines([int(last.first_valid_index())])[0]
            raise InputError(
                f"Line {line} has a field more than the lines before it; every row "
                "needs the same number."
            )
    names = list(header.names or range(1, frame.shape[1] + 1))
    _refuse_commas(source, frame.iloc[:, -1].dropna())
    table = Table(
        frame.set_axis(names, axis=1).reset_index(drop=True),
        join=list,
        is_named=header.names is not None,
        unit="Line",
        numbers=lambda rows: source.lines([int(frame.index[row]) for row in rows]),
        is_text=True,
        only_indices=is_tns,
        first_index=1 if is_tns else 0,
        mode_dims=dims,
    )
    return table, source, header


def _refuse_commas(source: TextSource, values: Any) -> None:
    """Refuse the first of values that all have commas, but not decimal ones for sure.

    They may stand between thousands, or other columns have numbers with a point.
    """
    if source.delimiter == "," or values.dtype.kind in "fiub" or not len(values):
        return
    if values.iloc[:_SNIFFED_ROWS].str.fullmatch(_NUMBER_WITH_COMMA).all():
        line = source.lines([int(values.index[0])])[0]
        raise InputError(
            f"Line {line} has the value {shown(values.iloc[0])}, whose comma may stand "
            "between thousands; give numbers with a point, not a comma."
        )


def read_samples(path: Path) -> tuple[Any, Callable[[int], int]]:
    """Parse a table as a DataFrame; the first line that is no comment names columns.

    Returns
    -------
    The frame, and what gives the line of a row counted from 0.
    """
    content, _ = _text(path)
    comments, head = _head(content)
    if not head:
        raise InputError("It has no rows; a table of samples is needed.")
    source = _delimited(content, head)
    rows = source.rows(strict=False)
    width, *_ = (len(fields or []) for _, fields in it.islice(rows, 1))
    if comments:
        named = _delimited(content, comments[-1:], (source.delimiter,))
        if len(next(named.rows(), (0, None))[1] or []) == width > 1:
            source = named  # A name may begin with #, as comments do.
    source = _with_points(source)
    _check_width(width, source.line, "give fewer columns, or an .npz")
    frame = _parsed(
        source, width, source.line, strict=False, index_col=False, na_values=["?"]
    )
    return frame, lambda row: source.lines([row + 1])[0]


def _check_width(width: int, line: int, advice: str) -> None:
    if width > _MOST_COLUMNS:
        raise InputError(
            f"Line {line} has {width} fields, and at most {_MOST_COLUMNS} are read; "
            f"{advice}."
        )


def _text(path: Path) -> tuple[bytes, str]:
    """The text as UTF-8, in lines that end in a line feed, and its own encoding."""
    content, encoding = as_utf8(unpacked(path))
    if b"\0" in content:
        raise InputError("It holds zero bytes, so it is not text; save it as UTF-8.")
    if b"\n" not in content:
        content = content.replace(b"\r", b"\n")
    return content, encoding


@dataclass(frozen=True)
class _Line:
    text: str
    number: int
    start: int


def _head(content: bytes) -> tuple[list[_Line], list[_Line]]:
    """Comments before the first row, and the first lines from there; none blank."""
    comments, rows = list[_Line](), list[_Line]()
    stream = io.BytesIO(content)
    for number in it.count(1):
        start = stream.tell()
        line = stream.readline()
        if not line or len(rows) > _SNIFFED_ROWS:
            break
        text = line.decode().strip()
        # Spreadsheets write an empty row as delimiters alone.
        if text.strip(" \t,;"):
            is_comment = not rows and text.startswith("#")
            (comments if is_comment else rows).append(_Line(text, number, start))
    return comments, rows


def _lines_about(content: bytes, head: Sequence[_Line]) -> int:
    """How many lines say something of the table, such as its source.

    They have fewer fields than the table, and an empty line behind them.
    """
    numbers = [line.number for line in head[:-1]]
    gaps = [n for n in range(1, len(numbers)) if numbers[n] > numbers[n - 1] + 1]
    if not gaps:
        return 0
    count = gaps[-1]
    source = _delimited(content, head[count:])
    widths = [len(_fields(source, line.text)) for line in head]
    # One that is broken further down is refused by its own line.
    is_even = len(set(widths[count : count + 2])) == 1
    return count if is_even and widths[count] > max(2, *widths[:count]) else 0


def _without_footer(content: bytes) -> tuple[bytes, int]:
    """The text without lines about the table behind it, and how many they are.

    An empty line stands before them, and they have a field or two, fewer than a row.
    """
    behind, gap = list[str](), 0
    for text, start in _lines_from_the_end(content):
        is_empty = not text.strip(" \t,;\r\n")
        if is_empty and behind:
            gap = start
        elif gap:
            break
        elif not is_empty:
            behind.append(text)
        if len(behind) > _MOST_BEHIND:
            return content, 0
    else:
        return content, 0
    source = _delimited(content, [_Line(text, 1, 0)])
    most = min(2, len(_fields(source, text)) - 2)
    filled = [sum(map(bool, map(str.strip, _fields(source, x)))) for x in behind]
    return (content[:gap], len(behind)) if max(filled) <= most else (content, 0)


def _lines_from_the_end(content: bytes) -> Iterator[tuple[str, int]]:
    """Lines, the last one first, and where they begin."""
    end = len(content)
    while end:
        start = content.rfind(b"\n", 0, end - 1) + 1
        yield content[start:end].decode(), start
        end = start


def _fields(source: TextSource, row: str) -> list[str]:
    rows = replace(source, content=row.encode(), start=0).rows()
    return next(rows, (1, None))[1] or []


def _delimited(
    content: bytes,
    head: Sequence[_Line],
    delimiters: Sequence[str | None] = _DELIMITERS,
) -> TextSource:
    """Text from a line on, divided by what gives its rows one number of fields."""
    alone = [line.text.encode() for line in head[:_SNIFFED_ROWS]]
    if not any(b' "' in b" " + line for line in alone):
        delimiters = [each for each in delimiters if each != " "]

    # Names may have several lines, as of strict rows no field has.
    def divided(delimiter: str | None, lines: Sequence[bytes], strict: bool) -> Any:
        rows = (TextSource(line, 0, 1, delimiter).rows(strict=strict) for line in lines)
        return [next(each, (1, None))[1] or [] for each in rows]

    # With the first row alone, some other is ragged: it is found later.
    for lines, strict in ((alone, True), (alone[:1], True), (alone[:1], False)):
        for delimiter in delimiters:
            rows = divided(delimiter, lines, strict)
            is_even = len(set(map(len, rows))) == 1 and len(rows[0]) > 1
            if is_even or _has_row_names(rows):
                return TextSource(content, head[0].start, head[0].number, delimiter)
    return TextSource(content, head[0].start, head[0].number, None)


def _has_row_names(rows: Sequence[Sequence[str]]) -> bool:
    """Whether all rows but the first, of column names, begin with a row name, as in R.

    Row names never repeat there.
    """
    width = len(rows[0]) + 1 if rows else 0
    if width < 3 or {len(row) for row in rows[1:]} != {width}:
        return False
    names = [row[0] for row in rows[1:]]
    could_be_header = not all(map(is_number, rows[0])) or not any(map(is_number, names))
    # By a delimiter that adds no field.
    is_ended = not any(row[-1] for row in rows[1:])
    return could_be_header and not is_ended and len(set(names)) == len(names)


def _with_points(source: TextSource) -> TextSource:
    if source.delimiter not in (";", "\t"):
        return source
    start, mark = source.start, source.delimiter.encode()
    rows = with_points(source.content[start:], mark, source.line)
    if rows is None:
        return source
    return replace(source, content=source.content[:start] + rows, decimal=",")


def _frame(source: TextSource, width: int, first_line: int) -> Any:
    """The rows that hold something; the index says which of all rows they are."""
    options: dict[str, Any] = {
        "header": None,
        "keep_default_na": False,
        "na_values": [""],
    }
    frame = _parsed(source, width, first_line, **options)
    # Of labels such as TRUE, pandas would not keep the text.
    flags = {name: str for name, kind in frame.dtypes.items() if kind.kind == "b"}
    if flags:
        frame = _parsed(source, width, first_line, dtype=flags, **options)
    content, mark = source.content, (source.delimiter or " ").encode()
    last = frame.iloc[:, -1]
    if last.isna().any():
        # pandas fills up rows that are too short.
        counted = content.count(mark, source.start) == len(frame) * (width - 1)
        if source.delimiter is None or not counted or b'"' in content:
            source.check_widths(width, first_line)
    elif b'"' in content and content.count(b"\n", source.start) > len(frame):
        source.check_widths(width, first_line)
    if frame.iloc[:, 0].isna().any():
        frame = frame.dropna(how="all")
    for name in frame:
        column = frame[name]
        if column.dtype == object:  # Numbers of more than 64 bits.
            frame[name] = column.where(column.isna(), column.astype(str))
        elif column.dtype.kind == "f" and _are_whole(column.to_numpy()):
            frame[name] = column.astype(np.int64)
    return frame


def _are_whole(numbers: Any) -> bool:
    # Beyond 2^53 floating point cannot tell whole numbers apart.
    return bool(np.all((np.abs(numbers) < 2.0**53) & (numbers == np.floor(numbers))))


def _parsed(
    source: TextSource, width: int, first_line: int, *, strict: bool = True, **kept: Any
) -> Any:
    """What pandas makes of it; `strict` where a field must end on its line."""
    import pandas as pd

    stream = io.BytesIO(source.content)
    stream.seek(source.start)
    options = source.options() | kept
    if source.delimiter is None:
        options["sep"] = r"\s+"
    if b" " not in source.content:  # Looking for blanks takes a quarter of the time.
        options["skipinitialspace"] = False
    if tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1):
        options["float_precision"] = "round_trip"  # The default from 3.1 on.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(stream, low_memory=False, **options)
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        source.check_widths(width, first_line, strict=strict)
        raise InputError(f"It cannot be parsed ({reason(error)}).") from error
    if frame.shape[1] != width:
        source.check_widths(width, first_line, strict=strict)
        raise InputError(f"Its rows cannot be divided into {width} fields.")
    return frame
