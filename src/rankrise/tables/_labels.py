"""What is to be predicted of every sample: one of some classes, or numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.tables._columns import (
    Table,
    column_names,
    is_numeric,
    rectangular,
    refuse,
    refuse_infinite,
)
from rankrise.tables._split import Rows, TargetKind

if TYPE_CHECKING:
    import pandas as pd

# More whole numbers than this are hardly names of classes.
_MOST_NUMBERED_CLASSES = 100
_UNNAMED = "target"
_LISTED = 5


@dataclass(frozen=True, eq=False)
class Labels:
    """Classes, or numbers to predict.

    Attributes
    ----------
    values
        One label a sample for classes; one row a sample and one column a target for
        numbers, in float64.
    names
        Names of the columns of numbers; empty for classes.
    named
        Whether they had names of their own.
    """

    kind: TargetKind
    values: npt.NDArray[Any]
    names: tuple[str, ...] = ()
    named: bool = False

    def take(self, rows: Rows) -> Labels:
        """Labels of some samples."""
        return replace(self, values=self.values[rows])

    def refuse_unlike(self, others: Labels) -> None:
        """Refuse labels for testing of other targets, or of other classes alone."""
        if len(others.names) != len(self.names):
            raise InputError(
                f"There are {len(self.names)} targets for training and "
                f"{len(others.names)} for testing; give the same ones."
            )
        if self.named and others.named and others.names != self.names:
            raise InputError(
                f"The targets for training are {', '.join(self.names)}, and those for "
                f"testing {', '.join(others.names)}; give the same ones in one order."
            )
        if self.kind == "classes":
            # As Python's objects, since NumPy would make numbers text to compare.
            known, found = (set(each.values.tolist()) for each in (self, others))
            if not known & found:
                raise InputError(
                    f"No sample for testing has a label of those for training: these "
                    f"are {_listed(known)}, and those for testing {_listed(found)}; "
                    "give labels of the same classes and type."
                )

    def refuse_constant(self) -> None:
        """Refuse samples for training that say nothing of what is to be predicted."""
        # Whole numbers may be meant as classes or as values, so neither is spoken of.
        columns = self.values.reshape(len(self.values), -1).T
        for name, column in zip(self.names or (_UNNAMED,), columns, strict=True):
            if (column == column[0]).all():
                raise InputError(
                    f"All samples for training have {column[0]} as {name}, so there is "
                    "nothing to learn; give a target that varies."
                )


def read_labels(y: Any, kind: TargetKind | None = None) -> Labels:
    """Tell classes from numbers: floating point is numbers, all else is classes.

    Parameters
    ----------
    y
        A label a sample, or several columns of numbers: an array, a list, a mapping of
        names to columns, or a pandas Series or DataFrame.
    kind
        Which of the two, where it is not to be told by the data type.

    Raises
    ------
    InputError
        Where a sample has none, all have the same, numbers are not finite, or whole
        numbers are too many to be names of classes.
    """
    if kind not in (None, *get_args(TargetKind)):
        raise InputError(
            f"The kind of what is to be predicted is {kind!r}; give "
            f"{' or '.join(get_args(TargetKind))}, or leave it out."
        )
    given = _named(y)
    columns = Table.of(given).columns
    for column in columns:
        what = f"has nothing to predict in {column.name}"
        missing = column.isna().to_numpy()
        refuse(column, missing, f"{what}; fill it in or remove the row.")
    if kind is None:
        floating = any(
            is_numeric(column) and _is_floating(each)
            for column, each in zip(columns, given.values(), strict=True)
        )
        kind = "values" if floating or len(given) > 1 else "classes"
        if kind == "classes":
            _refuse_many_numbers(columns[0])
    if kind == "values":
        # Arrays and lists have no names, and a Series may have none.
        named = column_names(y) is not None or getattr(y, "name", None) is not None
        return Labels(kind, _numbers(columns), tuple(given), named)
    if len(columns) > 1:
        raise InputError(
            f"There are {len(columns)} columns of classes to predict; give one, or "
            "take them for values."
        )
    return Labels(kind, _classes(columns[0], next(iter(given.values()))))


def _named(y: Any) -> dict[str, Any]:
    """Columns by name; those without one are given one."""
    names = column_names(y)
    if names is not None:
        for name in names:
            if names.count(name) > 1:
                raise InputError(
                    f"Several targets have the name {name!r}; give each its own."
                )
        if isinstance(y, Mapping):
            return dict(zip(names, y.values(), strict=True))
        return {name: y.iloc[:, place] for place, name in enumerate(names)}
    if type(y).__name__ == "Series":
        return {str(y.name or _UNNAMED): y}
    array = rectangular(_UNNAMED, y)
    if array.dtype.kind == "U" and not isinstance(y, np.ndarray):
        # NumPy makes what is missing in a list text, and numbers beside text as well.
        array = np.asarray(y, dtype=object)
    if array.ndim == 2 and array.shape[1] > 1:
        return {f"{_UNNAMED} {k}": column for k, column in enumerate(array.T)}
    if array.ndim not in (1, 2) or not array.size:
        raise InputError(
            f"The targets have shape {array.shape}; give one a sample, or one row a "
            "sample of several."
        )
    return {_UNNAMED: array.reshape(-1)}


def _is_floating(column: Any) -> bool:
    array = np.asarray(column)
    if array.dtype.kind == "O":
        return any(isinstance(each, (float, np.floating)) for each in array)
    return array.dtype.kind in "fMm"


def _numbers(columns: tuple[pd.Series, ...]) -> npt.NDArray[np.float64]:
    for column in columns:
        if not is_numeric(column):
            raise InputError(
                f"The {column.name} holds text or categories; give numbers to predict, "
                "or take it for classes."
            )
        refuse_infinite(column)
    return np.stack([column.to_numpy() for column in columns], axis=1)


def _classes(column: pd.Series, given: Any) -> npt.NDArray[Any]:
    array, values = np.asarray(given), column.to_numpy()
    if not is_numeric(column):
        return np.array([str(value) for value in values])
    if array.dtype.kind in "biu":
        return array
    whole = (values == np.floor(values)).all()
    return values.astype(np.int64) if whole else values


def _refuse_many_numbers(column: pd.Series) -> None:
    count = column.nunique() if is_numeric(column) else 0
    if count > _MOST_NUMBERED_CLASSES:
        raise InputError(
            f"The {column.name} to predict holds {count} different whole numbers; say "
            "whether these are classes or values (`target_kind`)."
        )


def _listed(classes: set[Any]) -> str:
    shown = sorted(map(repr, classes))
    return ", ".join(shown[:_LISTED]) + (", ..." if len(shown) > _LISTED else "")
