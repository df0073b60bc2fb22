"""Observed entries sorted by the row they lie in, once for every mode."""

import itertools
import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from rankrise._typing import Indices, ModeDims, Values
from rankrise.completion._compiled import kernels

Integers = npt.NDArray[np.integer]
Number = TypeVar("Number", bound=np.generic)

# A tensor of more entries is not listed by what is missing from it.
_MOST_LISTED = 2**26
# Summing what is missing pays off where it is this much less than what is observed.
_FEW_MISSING = 0.7
# So many blocks of rows are shared between threads.
_BLOCKS = 8


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of all factor matrices, mode after mode, without those never observed.

    Attributes
    ----------
    names
        For every mode the indices of its rows in the tensor, ascending.
    starts
        Where the rows of every mode begin, and how many rows there are.
    gaps
        From a row to the next of its mode; zero from the last.
    """

    mode_dims: ModeDims
    names: tuple[Integers, ...]
    starts: npt.NDArray[np.int64]
    gaps: Values

    @classmethod
    def of(cls, indices: Indices, mode_dims: ModeDims) -> "Rows":
        """The rows with observations."""
        names = tuple(
            _distinct(column, dim)
            for column, dim in zip(indices.T, mode_dims, strict=True)
        )
        starts = np.concatenate([[0], np.cumsum([len(each) for each in names])])
        gaps = [np.append(np.diff(each), 0).astype(np.float64) for each in names]
        return cls(mode_dims, names, starts.astype(np.int64), np.concatenate(gaps))

    @property
    def dims(self) -> tuple[int, ...]:
        """How many rows each mode has."""
        return tuple(len(each) for each in self.names)

    @property
    def are_all(self) -> bool:
        """Whether there is an observation in every slice of the tensor."""
        return self.dims == self.mode_dims

    def places(self, indices: Indices) -> tuple[Indices, npt.NDArray[np.bool_]]:
        """Indices of the tensor as numbers of rows within modes, and which have none.

        A row that was never observed, or lies outside, is one more than the last.
        """
        places = np.empty(indices.shape, np.int32)
        unknown = np.empty(indices.shape, bool)
        for mode, (names, dim) in enumerate(
            zip(self.names, self.mode_dims, strict=True)
        ):
            column = indices[:, mode]
            if len(names) == dim:
                none = (column < 0) | (column >= dim)
                found = column
            else:
                found = np.searchsorted(names, column)
                found[found == len(names)] = 0
                none = names[found] != column
            unknown[:, mode] = none
            places[:, mode] = np.where(none, len(names), found)
        return places, unknown

    def of_observed(self, indices: Indices) -> Indices:
        """The same of observed entries; without a copy where nothing changes."""
        if self.are_all:
            return np.ascontiguousarray(indices, np.int32)
        return self.places(indices)[0]

    def stacked(self, places: Indices) -> Indices:
        """The same as rows of the stack."""
        return np.ascontiguousarray(places + self.starts[:-1], np.int32)

    def split(self, factors: Values) -> tuple[Values, ...]:
        """Stacked factors as factor matrices."""
        return tuple(
            factors[begin:end].copy()
            for begin, end in zip(self.starts[:-1], self.starts[1:], strict=True)
        )


def _distinct(column: Integers, dim: int) -> Integers:
    if dim <= 4 * len(column) + 1024:
        return np.flatnonzero(np.bincount(column, minlength=dim))
    return np.unique(column)


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Where observations stand: those of mode 1 sorted by row, then of mode 2, ...

    Attributes
    ----------
    begins
        For every row of the stack where its observations begin.
    others
        For every place the rows of the stack that the other modes have there.
    missing_begins, missing
        The same for unobserved entries, where they are fewer; else empty.
    """

    rows: Rows
    indices: Indices
    begins: npt.NDArray[np.int64]
    others: Indices
    missing_begins: npt.NDArray[np.int64]
    missing: Indices

    @classmethod
    def of(cls, indices: Indices, rows: Rows) -> "Arrangement":
        """Arrange observations; their indices must run in order, the last fastest."""
        indices = rows.of_observed(indices)
        begins, others = _listed(indices, rows)
        missing_begins = np.empty(0, np.int64)
        missing: Indices = np.empty((0, len(rows.dims) - 1), np.int32)
        entries = math.prod(rows.dims)
        if entries <= _MOST_LISTED and entries - len(indices) < _FEW_MISSING * len(
            indices
        ):
            absent = np.ones(rows.dims, bool)
            absent[tuple(indices.T)] = False
            gaps = np.ascontiguousarray(np.argwhere(absent), np.int32)
            missing_begins, missing = _listed(gaps, rows)
        return cls(rows, indices, begins, others, missing_begins, missing)

    def __len__(self) -> int:
        return len(self.indices)

    def at_places(self, mode: int) -> npt.NDArray[np.int32]:
        """The number of the observation at each place of a mode.

        Sorted anew each time, for that is quick and they would take much memory.
        """
        dim, places = self.rows.dims[mode], np.empty(len(self), np.int32)
        kernels.sort_rows(self.indices, mode, dim, np.empty(dim + 1, np.int64), places)
        return places

    def blocks(self, first: int, last: int, step: int = 1) -> list[tuple[int, int]]:
        """Rows of the stack in blocks with about as many observations each."""
        begins = self.begins[first : last + 1]
        wanted = np.linspace(begins[0], begins[-1], _BLOCKS + 1)
        inner = np.unique(np.searchsorted(begins, wanted) // step * step)[1:-1]
        cuts = [first, *(first + int(each) for each in inner), last]
        return list(itertools.pairwise(cuts))

    def spread(self, numbers: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """A number for every observation, at every place."""
        spread = np.empty((len(self.rows.dims), len(self)), numbers.dtype)
        # Observations are in the order of the first mode.
        spread[0] = numbers
        for mode in range(1, len(spread)):
            np.take(numbers, self.at_places(mode), out=spread[mode])
        return spread.reshape(-1)


def _listed(indices: Indices, rows: Rows) -> tuple[npt.NDArray[np.int64], Indices]:
    count, order = indices.shape
    others = np.empty((order * count, order - 1), np.int32)
    begins = np.empty(rows.starts[-1] + 1, np.int64)
    places = np.empty(count, np.int32)
    for mode, dim in enumerate(rows.dims):
        first = mode * count
        own = begins[rows.starts[mode] : rows.starts[mode + 1] + 1]
        kernels.sort_rows(indices, mode, dim, own, places)
        own += first
        kernels.gather_others(
            indices, places, mode, rows.starts, others[first : first + count]
        )
    return begins, others
