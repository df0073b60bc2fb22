"""Tables in files: which columns are features, and which are to be predicted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.tables._categories import MOST_VALUES
from rankrise.tables._columns import SampleError
from rankrise.tensors.files import (
    TEXTS,
    TYPED,
    check_usable,
    content_sha256,
    form_of,
    named_refusals,
    open_arrays,
    read_samples,
    read_typed_samples,
    shown,
)

if TYPE_CHECKING:
    import pandas as pd

FORMS = (*(form for form in TEXTS if form != "tns"), "npz", *TYPED)
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
        The array of an `.npz` with one row a sample, by default `X`.
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
    line
        The line of text at which a sample, counted from 0, begins.
    """

    features: Any
    targets: Any
    content_sha256: str
    line: Callable[[int], int] | None


def read_table_file(path: Path, columns: TableColumns) -> TableFile:
    """Read a table: text whose first line names the columns, typed columns, an `.npz`.

    Memory is taken only once what the file declares is known to be plausible, and
    nothing in a file is ever executed (no pickle).

    Raises
    ------
    InputError
        If the file cannot be used: one sentence that begins with its name.
    """
    line = None
    with named_refusals(path):
        form = form_of(path, FORMS)
        check_usable(path, "a table of samples")
        if form == "npz":
            features, targets = _read_npz(path, columns)
        else:
            if form in TYPED:
                frame = read_typed_samples(path, form)
            else:
                frame, line = read_samples(path)
            features, targets = _parts(frame, columns)
        digest = content_sha256(path)
    return TableFile(features, targets, digest, line)


@contextmanager
def named_lines(table: TableFile) -> Iterator[None]:
    """Let what refuses a sample of text name its line."""
    try:
        yield
    except SampleError as error:
        if table.line is None:
            raise
        sample, words = error.args
        raise InputError(f"Line {table.line(sample)} {words}") from error


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


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(map(shown, names[:_LISTED])) + more
