"""Tables in files: which columns are features, and which are to be predicted."""

from __future__ import annotations

import csv
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise._memory import MAX_DENSE_BYTES
from rankrise.tables._categories import MOST_VALUES
from rankrise.tables._columns import SampleError
from rankrise.tensors.files import (
    check_usable,
    content_sha256,
    import_parquet,
    named_refusals,
    open_arrays,
    open_parquet,
    refuse_damaged,
    shown,
    stored_bytes,
)

if TYPE_CHECKING:
    import pandas as pd

# Bytes that a byte of text takes at most as numbers or Python's text, about.
_GROWTH_OF_TEXT = 8
_DELIMITERS = ",;\t"
_LISTED = 12
# Fewer may well be in order by chance.
_FEW_ROWS = 10
_SAMPLES, _TARGET = "X", "y"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TableColumns:
    """What the columns of a table are for.

    Attributes
    ----------
    target
        Names of the columns to predict; of an `.npz` the array, by default `y`.
    features
        Of an `.npz`: the array with one row a sample, by default `X`.
    drop
        Columns to leave out.
    categories
        Columns of numbers that are but names, such as postal codes.
    """

    target: tuple[str, ...] = ()
    features: str | None = None
    drop: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self != TableColumns()


@dataclass(frozen=True, eq=False)
class TableFile:
    """What was read.

    Attributes
    ----------
    features, targets
        As `labelled_table` takes them.
    content_sha256
        Hash of the file's bytes, in hexadecimal.
    """

    features: Any
    targets: Any
    content_sha256: str


def read_table_file(path: Path, columns: TableColumns) -> TableFile:
    """Read a `.csv`, `.npz` or `.parquet` table.

    Memory is taken only once what the file declares is known to be plausible, and
    nothing in a file is ever executed (no pickle).

    Raises
    ------
    InputError
        If the file cannot be used: one sentence that begins with its name.
    """
    with named_refusals(path):
        read = _reader(path)
        check_usable(path, "a table of samples")
        features, targets = read(path, columns)
        digest = content_sha256(path)
    return TableFile(features, targets, digest)


@contextmanager
def named_lines(path: Path) -> Iterator[None]:
    """Let what refuses a sample of a text file name its line."""
    try:
        yield
    except SampleError as error:
        if path.suffix.lower() != ".csv":
            raise
        sample, words = error.args
        raise InputError(f"Line {_line(path, sample)} {words}") from error


Reader = Callable[[Path, TableColumns], tuple[Any, Any]]


def _reader(path: Path) -> Reader:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"The extension '{path.suffix}' is not known; use one of "
            f"{', '.join(FORMS)}."
        )
    return reader


def _read_csv(path: Path, columns: TableColumns) -> tuple[Any, Any]:
    import pandas as pd

    _check_memory(_GROWTH_OF_TEXT * path.stat().st_size)
    with refuse_damaged("a .csv table"), warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        frame = pd.read_csv(
            path,
            sep=_delimiter(path),
            encoding="utf-8-sig",
            index_col=False,
            na_values=["?"],
            skipinitialspace=True,
            low_memory=False,
        )
    return _parts(frame, columns)


def _delimiter(path: Path) -> str:
    with path.open(encoding="utf-8-sig") as stream:
        # Names in quotation marks may hold other delimiters.
        first = re.sub(r'"[^"]*"?', "", stream.readline())
    return max(_DELIMITERS, key=first.count)


def _line(path: Path, sample: int) -> int:
    """Where a sample of a .csv begins, counted from 1."""
    delimiter, line, begins = _delimiter(path), 1, []
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.reader(stream, delimiter=delimiter, skipinitialspace=True)
        for fields in rows:
            # Lines without anything are no samples, and the first one names columns.
            if fields not in ([], [""]):
                begins.append(line)
            if len(begins) == sample + 2:
                break
            line = rows.line_num + 1
    return begins[-1]


def _read_parquet(path: Path, columns: TableColumns) -> tuple[Any, Any]:
    import_parquet()
    with refuse_damaged("a .parquet table"), open_parquet(path) as file:
        _check_memory(stored_bytes(file))
        frame = file.read().to_pandas()
    return _parts(frame, columns)


def _read_npz(path: Path, columns: TableColumns) -> tuple[Any, Any]:
    if columns.drop or columns.categories or len(columns.target) > 1:
        raise InputError(
            "The columns of an .npz have no names; `drop`, `categories` and several "
            "columns to predict are for .csv and .parquet."
        )
    target = columns.target[0] if columns.target else _TARGET
    names = (columns.features or _SAMPLES, target)
    with open_arrays(path) as members:
        for name in names:
            if name not in members.headers:
                raise InputError(
                    f"It has no array {shown(name)}; it holds "
                    f"{_listed(list(members.headers))}, so name the samples "
                    "(`features`) and what is to be predicted (`target`)."
                )
        _check_memory(sum(members.headers[name].data_bytes for name in names))
        arrays = members.read(names, text=True)
    samples, targets = (arrays[name] for name in names)
    if samples.ndim == 0:
        raise InputError(f"The array {shown(names[0])} is one number; give samples.")
    if not samples.size:
        raise InputError(
            f"The array {shown(names[0])} has shape {samples.shape}; give at least one "
            "sample (row) and one feature."
        )
    return samples.reshape(len(samples), -1), targets


_READERS: dict[str, Reader] = {
    ".csv": _read_csv,
    ".npz": _read_npz,
    ".parquet": _read_parquet,
}
FORMS = tuple(_READERS)


def _parts(frame: pd.DataFrame, columns: TableColumns) -> tuple[Any, Any]:
    """The columns that are features, and those to predict."""
    frame.columns = frame.columns.map(str)
    names = list(frame.columns)
    if columns.features is not None:
        raise InputError(
            "All its columns but those to predict and to `drop` are features; "
            "`features` is for the arrays of an .npz."
        )
    for name in (*columns.target, *columns.drop, *columns.categories):
        if name not in names:
            raise InputError(
                f"There is no column {shown(name)}; the first line names "
                f"{_listed(names)}."
            )
    if not columns.target:
        raise InputError(
            f"Name the column to predict (`target`); there are {_listed(names)}."
        )
    if frame.empty:
        raise InputError("It has no rows; a table of samples is needed.")
    features = frame.drop(columns=[*columns.target, *columns.drop])
    if not features.shape[1]:
        raise InputError("It has no column beside those to predict; give features.")
    features = features.astype(dict.fromkeys(columns.categories, "category"))
    _check_features(features)
    return features, frame[list(columns.target)]


def _check_features(features: pd.DataFrame) -> None:
    """Refuse text that is different in too many rows; say what only names the rows."""
    for name, column in features.items():
        kind = column.dtype.kind
        count = column.nunique() if kind == "O" else 0
        if count > MOST_VALUES:
            raise InputError(
                f"The column {shown(str(name))} has {count} different texts, and a "
                f"category may have {MOST_VALUES} values; merge the rare ones or leave "
                "the column out (`drop`)."
            )
        names_rows = count == len(column) or (
            kind in "iu" and len(column) > 1 and _counts(column.to_numpy())
        )
        if names_rows and len(column) >= _FEW_ROWS:
            _logger.warning(
                "the column %s only names the rows; it is best left out (name it in "
                "`drop`).",
                shown(str(name)),
            )


def _counts(column: npt.NDArray[np.integer]) -> bool:
    steps = np.diff(column)
    return abs(int(steps[0])) == 1 and bool((steps == steps[0]).all())


def _check_memory(byte_count: int) -> None:
    if byte_count > MAX_DENSE_BYTES:
        raise InputError(
            f"As a table it would take about {byte_count / 2**30:.1f} GiB of memory, "
            f"and {MAX_DENSE_BYTES / 2**30:.3g} GiB are the most that is read; give "
            "fewer rows or columns."
        )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(map(shown, names[:_LISTED])) + more
