"""Tables as samples of features with few values, for training and testing."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.tables._categories import MOST_VALUES, CategoricalData
from rankrise.tables._columns import Table, is_numeric
from rankrise.tables._labels import Labels, read_labels
from rankrise.tables._levels import CategoryLevels, Levels, levels_by_samples
from rankrise.tables._split import (
    LabelledSet,
    Rows,
    TargetKind,
    fold_rows,
    split_rows,
)

# Samples up to which every one is tested once, by default, and in how many folds.
_MOST_FOLDED, _FOLDS = 10_000, 5
_TEST_SHARE = 0.2

_LISTED = 5
_logger = logging.getLogger(__name__)


def labelled_table(
    X: Any,
    y: Any,
    *,
    test: tuple[Any, Any] | None = None,
    test_share: float = 0.2,
    seed: int = 0,
    levels: int | None = None,
    target_kind: TargetKind | None = None,
    source: str = "a table",
) -> LabelledSet:
    """Turn a table and what is to be predicted of its rows into samples.

    Columns of numbers become `levels` intervals of about equally many samples (each
    number a value of its own where there are no more than that), dates and durations
    are numbers, text and categories are values of their own, and so is what is
    missing. Intervals and categories are
    learned from the samples for training; what only others have is one value more.
    Columns that are the same in all samples are left out, with a warning.

    Parameters
    ----------
    X
        One row a sample and one column a feature: an array, a mapping of names to
        columns, or a pandas DataFrame; or `CategoricalData`, which is taken as it is.
    y
        A label a sample, or one or more columns of numbers.
    test
        Other samples and labels; by default a share of these, chosen at random.
    levels
        By default as many as leave ten samples for every parameter of a predictor of
        rank one, from 2 to 16: with as many parameters as samples it fits anything.
    target_kind
        Whether `y` is classes or values; by default floating point is values and all
        else is classes.

    Raises
    ------
    InputError
        Where samples and labels differ in number, no feature varies, a column has more
        than 256 categories, there is nothing to predict, or samples for testing have
        other features or targets, or none of the classes.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> X = np.array([["s", "red"], ["m", "red"], ["s", "blue"], ["m", "blue"]] * 5)
    >>> data = rr.tables.labelled_table(X, [0, 1, 0, 1] * 5, levels=2)
    >>> data.train.cardinalities, len(data.train_labels)
    ((2, 2), 16)
    """
    labels = read_labels(y, target_kind)
    table = _read(X, labels)
    if test is None:
        rows = split_rows(len(labels.values), test_share, seed)
        return _split(table, labels, rows, levels, source)
    other_labels = read_labels(test[1], labels.kind)
    others = _read(test[0], other_labels)
    labels.refuse_unlike(other_labels)
    return _labelled_set(table, labels, others, other_labels, levels, source)


def labelled_folds(
    X: Any,
    y: Any,
    *,
    folds: int | None = None,
    test_share: float | None = None,
    seed: int = 0,
    levels: int | None = None,
    target_kind: TargetKind | None = None,
    source: str = "a table",
) -> tuple[LabelledSet, ...]:
    """The same split several times, so that every sample is tested once.

    Parameters
    ----------
    folds
        How many times; 1 sets aside a share `test_share` (0.2). By default 5 for up to
        10,000 samples, and 1 for more or where a share is given.
    """
    labels = read_labels(y, target_kind)
    table = _read(X, labels)
    values = labels.values
    return tuple(
        # What is said of columns is said once.
        _split(table, labels, rows, levels, source, tell=number == 0)
        for number, rows in enumerate(folds_or_share(values, folds, test_share, seed))
    )


def folds_or_share(
    labels: npt.NDArray[Any], folds: int | None, test_share: float | None, seed: int
) -> tuple[tuple[Rows, Rows], ...]:
    """Rows for training and testing, fold by fold; of one, by a share."""
    if folds is None:
        several = test_share is None and len(labels) <= _MOST_FOLDED
        folds = min(_FOLDS, len(labels)) if several else 1
    if folds == 1:
        share = _TEST_SHARE if test_share is None else test_share
        return (split_rows(len(labels), share, seed),)
    return fold_rows(labels, folds, seed)


def _split(
    table: Table | CategoricalData,
    labels: Labels,
    rows: tuple[Rows, Rows],
    levels: int | None,
    source: str,
    tell: bool = True,
) -> LabelledSet:
    train, others = (table.take(each) for each in rows)
    ours, theirs = (labels.take(each) for each in rows)
    return _labelled_set(train, ours, others, theirs, levels, source, tell)


def _labelled_set(
    train: Table | CategoricalData,
    labels: Labels,
    others: Table | CategoricalData,
    other_labels: Labels,
    levels: int | None,
    source: str,
    tell: bool = True,
) -> LabelledSet:
    labels.refuse_constant()
    coded = _encoded(train, others, levels, tell)
    return LabelledSet(
        coded[0],
        labels.values,
        coded[1],
        other_labels.values,
        source,
        labels.kind,
        labels.names,
    )


def _read(X: Any, labels: Labels) -> Table | CategoricalData:
    """The samples of these labels."""
    table = X if isinstance(X, CategoricalData) else Table.of(X)
    if table.samples != len(labels.values):
        raise InputError(
            f"There are {table.samples} samples and {len(labels.values)} of what is to "
            "be predicted; give one for each."
        )
    return table


def _encoded(
    train: Table | CategoricalData,
    others: Table | CategoricalData,
    levels: int | None,
    tell: bool,
) -> tuple[CategoricalData, ...]:
    if isinstance(train, CategoricalData) and isinstance(others, CategoricalData):
        alike = train.cardinalities == others.cardinalities
        if not (alike and np.array_equal(train.order, others.order)):
            raise InputError(
                "Samples for training and for testing have other features or values; "
                "code both in the same way (`encode`)."
            )
        return train, others
    if isinstance(train, CategoricalData) or isinstance(others, CategoricalData):
        raise InputError(
            "Samples for training and for testing differ in kind; give both as tables "
            "or both as CategoricalData."
        )
    # What only the others have says whether a column is of numbers or of text.
    train = train.with_kinds_of(others)
    others = others.with_kinds_of(train)
    if levels is None:
        levels = levels_by_samples(train)
    found = Levels.fit(train, levels=levels, missing="value")
    found = _widened(found, others)
    encoded = [found.encode(each) for each in (train, others)]
    # The most frequent value has code 0.
    varies = np.any([each.codes.any(axis=0) for each in encoded], axis=0)
    _tell_constant(varies, found.names, tell)
    return tuple(_kept(each, np.flatnonzero(varies)) for each in encoded)


def _widened(levels: Levels, others: Table) -> Levels:
    """One value more where other samples alone lack something, or have it new."""
    given = others.columns
    if len(given) != len(levels.columns) or others.names != levels.names:
        return levels  # Refused by name when they are encoded.
    columns = []
    for column, known in zip(given, levels.columns, strict=True):
        known = replace(known, missing=known.missing or bool(column.isna().any()))
        if isinstance(known, CategoryLevels):
            there = set(column.dropna())
            if is_numeric(column) and there:
                raise InputError(
                    f"The {column.name} holds numbers, and text or categories in the "
                    "samples for training; give the same."
                )
            known = replace(known, unseen=not there <= set(known.categories))
        if known.cardinality > MOST_VALUES:
            raise InputError(
                f"The {column.name} has more than {MOST_VALUES} values; merge the rare "
                "ones or leave it out."
            )
        columns.append(known)
    most = max(column.cardinality for column in columns)
    room = range(levels.order.shape[1], most)
    more = np.tile(np.array(room, np.uint8), (len(columns), 1))
    return Levels(tuple(columns), levels.names, np.hstack([levels.order, more]))


def _tell_constant(
    varies: npt.NDArray[np.bool_], names: tuple[str, ...] | None, tell: bool
) -> None:
    """Say which columns are left out, and refuse to leave out all."""
    if not varies.any():
        raise InputError(
            "No feature differs between samples, so there is nothing to learn from; "
            "give one that does."
        )
    constant = np.flatnonzero(~varies)
    if tell and len(constant):
        listed = [
            f"feature {k}" if names is None else repr(names[k])
            for k in constant[:_LISTED]
        ]
        _logger.warning(
            "%d of %d columns are the same in all samples and left out: %s%s.",
            len(constant),
            len(varies),
            ", ".join(listed),
            " and others" if len(constant) > _LISTED else "",
        )


def _kept(data: CategoricalData, columns: npt.NDArray[np.integer]) -> CategoricalData:
    return CategoricalData(
        np.ascontiguousarray(data.codes[:, columns]),
        tuple(data.cardinalities[k] for k in columns),
        data.order[columns],
    )
