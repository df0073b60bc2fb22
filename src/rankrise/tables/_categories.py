"""Tables of categories: every sample one small whole number a feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import index
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.tables._columns import rectangular, refuse_shape

Codes = npt.NDArray[np.uint8]

MOST_VALUES = 256


@dataclass(frozen=True, eq=False)
class CategoricalData:
    """Samples of features with few values, a byte each.

    Build one with `from_codes`, which finds the most frequent value of every feature:
    that one is stored as 0, since what belongs to it is computed as a difference.

    Attributes
    ----------
    codes
        One row a sample, one column a feature; 0 is the feature's most frequent value.
    cardinalities
        How many values each feature has.
    order
        For every feature (row) the value that each code stands for.
    """

    codes: Codes
    cardinalities: tuple[int, ...]
    order: Codes

    @classmethod
    def from_codes(
        cls,
        values: npt.ArrayLike,
        cardinalities: Sequence[SupportsIndex] | SupportsIndex | None = None,
    ) -> CategoricalData:
        """Take values counted from 0, samples by features.

        Parameters
        ----------
        cardinalities
            How many values each feature, or every one, has; by default as many as the
            largest value seen asks for.

        Raises
        ------
        InputError
            Where a value is not a whole number from 0 to one below the cardinality.
        """
        table = _whole(values)
        features = table.shape[1]
        if cardinalities is None:
            counts = tuple(int(most) + 1 for most in table.max(axis=0, initial=0))
        else:
            given: Any = cardinalities
            given = given if np.ndim(given) else (given,) * features
            counts = tuple(map(index, given))
        _check_cardinalities(counts, features)
        _check_seen(table, counts)
        codes = np.asfortranarray(table, dtype=np.uint8)
        values_at_most = max(counts)
        order = np.tile(np.arange(values_at_most, dtype=np.uint8), (features, 1))
        for feature, count in enumerate(counts):
            column = codes[:, feature]
            most = int(np.argmax(np.bincount(column, minlength=count)))
            order[feature, [0, most]] = most, 0
        data = cls(codes, counts, order)
        return cls(data._coded(codes), counts, order)

    @property
    def samples(self) -> int:
        """How many samples."""
        return len(self.codes)

    @property
    def features(self) -> int:
        """How many features."""
        return self.codes.shape[1]

    @property
    def values(self) -> int:
        """The largest number of values of a feature."""
        return max(self.cardinalities)

    @property
    def indices(self) -> Codes:
        """The values themselves, as `from_codes` took them: indices of factors."""
        return self.order[np.arange(self.features), self.codes]

    def take(self, rows: npt.NDArray[np.integer]) -> CategoricalData:
        """Some of the samples."""
        return replace(self, codes=self.codes[rows])

    def encode(self, values: npt.ArrayLike) -> CategoricalData:
        """Other samples of the same features, coded in the same way."""
        table = _whole(values)
        if table.shape[1] != self.features:
            raise InputError(
                f"The samples have {table.shape[1]} features, and {self.features} were "
                "learned from; give the same ones."
            )
        _check_seen(table, self.cardinalities)
        codes = self._coded(table.astype(np.uint8))
        return CategoricalData(codes, self.cardinalities, self.order)

    def _coded(self, table: Codes) -> Codes:
        coded = np.ascontiguousarray(table)
        coded = coded.copy() if coded is table else coded
        swaps = self.order[:, 0]
        for feature in np.flatnonzero(swaps):
            # A swap of two values is its own inverse.
            coded[:, feature] = self.order[feature, coded[:, feature]]
        return coded


def _whole(values: npt.ArrayLike) -> npt.NDArray[Any]:
    table = refuse_shape(rectangular("table", values))
    if table.dtype.kind == "b":
        return table.view(np.uint8)
    if table.dtype.kind == "f":
        whole = np.isfinite(table) & (np.floor(table) == table)
        if not whole.all():
            row, column = np.argwhere(~whole)[0]
            raise InputError(
                f"Sample {row} has {table[row, column]} for feature {column}; give "
                "whole numbers from 0, or bin the feature first."
            )
    elif table.dtype.kind not in "iu":
        raise InputError(
            f"The samples are of type {table.dtype}; give whole numbers from 0."
        )
    return table


def _check_cardinalities(counts: tuple[int, ...], features: int) -> None:
    if len(counts) != features:
        raise InputError(
            f"There are {len(counts)} cardinalities for {features} features; give one "
            "for each."
        )
    if min(counts) < 1 or max(counts) > MOST_VALUES:
        wrong = max(counts) if max(counts) > MOST_VALUES else min(counts)
        raise InputError(
            f"A feature has {wrong} values; it may have 1 to {MOST_VALUES}, so bin it."
        )


def _check_seen(table: npt.NDArray[Any], counts: tuple[int, ...]) -> None:
    wrong = (table < 0) | (table >= np.array(counts))
    if wrong.any():
        row, feature = np.argwhere(wrong)[0]
        raise InputError(
            f"Sample {row} has the value {table[row, feature]} for feature {feature}, "
            f"which has the values 0 to {counts[feature] - 1}; leave the sample out or "
            "name a larger cardinality."
        )
