"""Columns of numbers and categories as features of few values, learned from samples."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.tables._categories import MOST_VALUES, CategoricalData, Codes
from rankrise.tables._columns import Table, is_numeric, refuse, refuse_infinite

if TYPE_CHECKING:
    import pandas as pd

Numbers = npt.NDArray[np.float64]

# Where nothing is said of how many levels.
_MOST_LEVELS, _SAMPLES_A_PARAMETER = 16, 10
# Of finding the size of a level's share.
_MOST_ROUNDS = 200


@dataclass(frozen=True, eq=False)
class NumericLevels:
    """Intervals of numbers.

    Attributes
    ----------
    thresholds
        In rising order: the value is how many of them lie below the number, so that
        numbers never seen go to the nearest interval.
    missing
        Whether a value of its own, the last, stands for a missing number.
    """

    thresholds: Numbers
    missing: bool = False

    @property
    def cardinality(self) -> int:
        """How many values there are."""
        return len(self.thresholds) + 1 + self.missing

    def codes(self, column: pd.Series) -> Codes:
        """The value of every sample."""
        if not is_numeric(column):
            raise InputError(
                f"The {column.name} holds text or categories, and held numbers in the "
                "samples that were learned from; give numbers."
            )
        refuse_infinite(column)
        codes = np.searchsorted(self.thresholds, column.to_numpy(), side="left")
        codes[column.isna()] = len(self.thresholds) + 1
        return codes.astype(np.uint8)


@dataclass(frozen=True, eq=False)
class CategoryLevels:
    """Categories, each a value of its own.

    Attributes
    ----------
    categories
        In sorted order.
    missing, unseen
        Whether there are values of their own, after the categories and in this order,
        for what is missing and for categories not among these.
    """

    categories: tuple[Hashable, ...]
    missing: bool = False
    unseen: bool = False

    @property
    def cardinality(self) -> int:
        """How many values there are."""
        return len(self.categories) + self.missing + self.unseen

    def codes(self, column: pd.Series) -> Codes:
        """The value of every sample."""
        import pandas as pd

        known = pd.Index(self.categories, dtype=object, tupleize_cols=False)
        codes = known.get_indexer(pd.Index(column, dtype=object))
        codes[column.isna()] = len(self.categories)
        unseen = codes < 0
        if unseen.any() and not self.unseen:
            refuse(
                column,
                unseen,
                f"has {column[unseen].iloc[0]!r} in {column.name}, which no sample "
                "that was learned from has; replace it or remove the row.",
            )
        codes[unseen] = self.cardinality - 1
        return codes.astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Levels:
    """How the columns of a table become features of few values.

    Build one with `fit`. Numbers of a column with few distinct ones, and categories,
    are values of their own; other numbers are put into intervals of about equally
    many samples.

    Attributes
    ----------
    columns
        One for each feature.
    names
        Names of the columns, where the table had any.
    order
        For every feature the value that each code stands for, as in
        `CategoricalData`.
    """

    columns: tuple[NumericLevels | CategoryLevels, ...]
    names: tuple[str, ...] | None
    order: Codes

    @classmethod
    def fit(
        cls,
        table: Any,
        *,
        levels: int = 16,
        missing: Literal["refuse", "value"] = "refuse",
        unseen: Literal["refuse", "value"] = "refuse",
    ) -> Levels:
        """Learn intervals and categories from samples.

        Parameters
        ----------
        table
            One row a sample and one column a feature: an array of numbers, text or
            Python objects, a mapping of names to columns, or a pandas DataFrame.
        levels
            The most values that a column of numbers is given; with at most as many
            distinct numbers, each is a value.
        missing
            What becomes of NaN, None and pandas' NA: an error, or a value of its own
            in every column that has one here.
        unseen
            What becomes of categories that only later samples have: an error, or one
            value of their own.

        Raises
        ------
        InputError
            Where a number is infinite, a column has more than 256 categories or holds
            what is neither number nor text.
        """
        if not 2 <= levels <= MOST_VALUES:
            raise InputError(
                f"The number of levels is {levels}; it may be 2 to {MOST_VALUES}."
            )
        read = Table.of(table)
        columns, codes = [], []
        for column in read.columns:
            if missing == "refuse":
                _refuse_missing(column)
            found = (
                _numeric_levels(column, levels)
                if is_numeric(column)
                else _category_levels(column, unseen == "value")
            )
            columns.append(found)
            codes.append(found.codes(column))
        cardinalities = tuple(column.cardinality for column in columns)
        data = CategoricalData.from_codes(np.stack(codes, axis=1), cardinalities)
        return cls(tuple(columns), read.names, data.order)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """How many values each feature has."""
        return tuple(column.cardinality for column in self.columns)

    def encode(self, table: Any) -> CategoricalData:
        """Samples of the same columns as codes; those learned from or others.

        Raises
        ------
        InputError
            Where columns are not those learned from, or a sample lacks what never
            lacked or has a category never seen, unless these are values.
        """
        read = Table.of(table)
        names, found = read.names, read.columns
        if names is not None and self.names is not None and names != self.names:
            raise InputError(
                f"The columns are {', '.join(names)}, and {', '.join(self.names)} were "
                "learned from; give these, in this order."
            )
        if len(found) != len(self.columns):
            raise InputError(
                f"The samples have {len(found)} features, and {len(self.columns)} were "
                "learned from; give the same ones."
            )
        codes = []
        for column, levels in zip(found, self.columns, strict=True):
            if not levels.missing:
                _refuse_missing(column)
            codes.append(levels.codes(column))
        none = np.zeros((1, len(self.columns)), np.uint8)
        like = CategoricalData(none, self.cardinalities, self.order)
        return like.encode(np.stack(codes, axis=1))


def levels_by_samples(table: Any) -> int:
    """The most levels at which ten samples determine each parameter of rank one.

    From 2 to 16. A component has one parameter, and one more for every value of a
    feature but its first; with as many parameters as samples it fits anything.
    """
    read = Table.of(table)
    distinct = np.array([column.nunique() for column in read.columns])
    missing = np.array([column.isna().any() for column in read.columns])
    numeric = np.array([is_numeric(column) for column in read.columns])
    for levels in range(_MOST_LEVELS, 2, -1):
        values = np.where(numeric, np.minimum(distinct, levels), distinct) + missing
        if _SAMPLES_A_PARAMETER * (1 + np.sum(values - 1)) <= read.samples:
            return levels
    return 2


def _numeric_levels(column: pd.Series, levels: int) -> NumericLevels:
    refuse_infinite(column)
    missing = bool(column.isna().any())
    distinct, counts = np.unique(column.dropna(), return_counts=True)
    most = min(levels, MOST_VALUES - missing)
    if len(distinct) <= most:
        starts: npt.NDArray[np.integer] = np.arange(1, len(distinct))
    else:
        starts = _equal_shares(counts, most)
    below, above = distinct[starts - 1], distinct[starts]
    middle = below / 2 + above / 2
    # Between neighbours among floating-point numbers there is no middle.
    thresholds = np.where((below <= middle) & (middle < above), middle, below)
    return NumericLevels(thresholds, missing)


def _equal_shares(
    counts: npt.NDArray[np.integer], levels: int
) -> npt.NDArray[np.integer]:
    """Where levels of about equally many samples begin, among distinct numbers.

    A number with more samples than a level's share takes one share, and the others
    divide the rest: most samples may be zeros, and the others still get their levels.
    """
    share = counts.sum() / levels
    weights = counts.astype(np.float64)
    for _ in range(_MOST_ROUNDS):
        weights = np.minimum(counts, share)
        smaller = weights.sum() / levels
        if smaller > (1 - 1e-9) * share:
            break
        share = smaller
    middles = np.cumsum(weights) - weights / 2
    level = np.floor(middles / (weights.sum() / levels) + 1e-9)
    return np.flatnonzero(np.diff(level)) + 1


def _category_levels(column: pd.Series, unseen: bool) -> CategoryLevels:
    there, missing = set(column.dropna()), bool(column.isna().any())
    room = MOST_VALUES - missing - unseen
    if len(there) > room:
        raise InputError(
            f"The {column.name} has {len(there)} categories; there may be {room}, so "
            "merge the rare ones or leave it out."
        )
    try:
        ordered = sorted(there)
    except TypeError:
        ordered = sorted(there, key=lambda value: (type(value).__name__, repr(value)))
    return CategoryLevels(tuple(ordered), missing, unseen)


def _refuse_missing(column: pd.Series) -> None:
    words = f"has no value (NaN) in {column.name}; fill it in or remove the row."
    refuse(column, column.isna().to_numpy(), words)
