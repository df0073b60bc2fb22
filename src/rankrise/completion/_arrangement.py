r"""Rows of factor matrices, the entries that lie in them, and rows that are neighbours.

Rows of a mode with an order, such as time, wavelength or a line of pixels, resemble
their neighbours, and where few entries are observed that is most of what is known of
them. A penalty $\lambda\,\mathrm{tr}(W^\top Q_\rho W)$ says so, where $Q_\rho$ is the
precision of a stationary chain of unit variance whose neighbours are correlated by
$\rho$ (an autoregressive process of order one); $\rho = 0$ is the plain L2 penalty.
Rows that are $g$ apart, with none observed between, are correlated by $\rho^g$.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from rankrise._typing import Indices, ModeDims, Values
from rankrise.completion._compiled import kernels, load_kernels, wide_kernels
from rankrise.tensors import ravel_indices

Integers = npt.NDArray[np.integer]
Number = TypeVar("Number", bound=np.generic)

# A tensor of more entries is not listed by what is missing from it.
_MOST_LISTED = 2**26
# Summing what is missing pays off where it is this much less than what is observed.
_FEW_MISSING = 0.7
# Unobserved entries that models are compared at.
_SAMPLED = 10_000
# So many blocks of rows are shared between threads.
_BLOCKS = 8
# Correlations of neighbours below the first count as none; the largest leaves rows
# some freedom. The third is assumed before anything is learned.
_LEAST_CORRELATION, _MOST_CORRELATION, _FIRST_CORRELATION = 0.4, 0.98, 0.9
# With fewer rows there is no telling.
_FEWEST_ROWS = 5


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
        names = tuple(map(_distinct, indices.T, mode_dims))
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
        return stacked(places, self.starts)

    def split(self, factors: Values) -> tuple[Values, ...]:
        """Stacked factors as factor matrices."""
        return tuple(factors[a:b].copy() for a, b in itertools.pairwise(self.starts))


def _row_type(starts: npt.NDArray[np.int64]) -> type[np.integer]:
    """Type of row numbers; up to 65,536 rows it takes half the memory."""
    return np.uint16 if starts[-1] <= 2**16 else np.int32


def stacked(places: Indices, starts: npt.NDArray[np.int64]) -> Indices:
    """Rows within modes as rows of the stack, in which modes begin at `starts`."""
    out = np.empty(places.shape, _row_type(starts))
    return np.add(places, starts[:-1], out=out, casting="unsafe")


def _distinct(column: Integers, dim: int) -> Integers:
    if dim <= 4 * len(column) + 1024:
        return np.flatnonzero(np.bincount(column, minlength=dim))
    return np.unique(column)


class Lists(NamedTuple):
    """Where entries stand: those of mode 1 sorted by row, then of mode 2, ...

    Attributes
    ----------
    begins
        For every row of the stack where its entries begin; empty where none are listed.
    others
        For every place the rows of the stack that the other modes have there.
    """

    begins: npt.NDArray[np.int64]
    others: Indices

    @classmethod
    def of(cls, indices: Indices, rows: Rows) -> "Lists":
        """The lists of entries in order, the last index fastest."""
        count, order = indices.shape
        others = np.empty((order * count, order - 1), _row_type(rows.starts))
        begins = np.empty(rows.starts[-1] + 1, np.int64)
        found = cls(begins, others)
        if found.kernels is wide_kernels:
            load_kernels(wide_kernels)
        places = np.empty(count, np.int32)
        for mode, dim in enumerate(rows.dims):
            first = mode * count
            own = begins[rows.starts[mode] : rows.starts[mode + 1] + 1]
            kernels.sort_rows(indices, mode, dim, own, places)
            own += first
            found.kernels.gather_others(
                indices, places, mode, rows.starts, others[first : first + count]
            )
        return found

    @property
    def kernels(self) -> Any:
        """The compiled loops for the type of these row numbers."""
        return kernels if self.others.dtype == np.uint16 else wide_kernels

    @property
    def none(self) -> "Lists":
        """Lists of no entries."""
        return Lists(self.begins[:0], self.others[:0])


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Observations and where they stand.

    Attributes
    ----------
    missing
        The same for unobserved entries, where they are fewer.
    """

    rows: Rows
    indices: Indices
    observed: Lists
    missing: Lists

    @classmethod
    def of(cls, indices: Indices, rows: Rows) -> "Arrangement":
        """Arrange observations; their indices must run in order, the last fastest."""
        indices = rows.of_observed(indices)
        observed, entries = Lists.of(indices, rows), math.prod(rows.dims)
        few = entries - len(indices) < _FEW_MISSING * len(indices)
        if entries > _MOST_LISTED or not few:
            return cls(rows, indices, observed, observed.none)
        absent = np.ones(rows.dims, bool)
        absent[tuple(indices.T)] = False
        gaps = np.ascontiguousarray(np.argwhere(absent), np.int32)
        return cls(rows, indices, observed, Lists.of(gaps, rows))

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
        begins = self.observed.begins[first : last + 1]
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
            # Without a mode NumPy would keep a copy until all are known to fit.
            np.take(numbers, self.at_places(mode), out=spread[mode], mode="clip")
        return spread.reshape(-1)


class Chains(NamedTuple):
    """The penalty of all modes.

    Attributes
    ----------
    decay
        Correlation of every row of the stack with the next; zero where it has none.
    diagonal, coupling
        Entries of the precision times the penalty: of every row, and of it with the
        next.
    """

    decay: Values
    diagonal: Values
    coupling: Values


def chains(rows: Rows, correlations: Values, penalty: float = 1.0) -> Chains:
    """The chains of some correlations between neighbours, mode by mode."""
    of_row = np.repeat(correlations, rows.dims)
    decay = np.where(rows.gaps > 0, of_row**rows.gaps, 0.0)
    squares = decay * decay
    # 1 / (1 - r^2) - 1 for a neighbour on either side.
    links = squares / (1 - squares)
    diagonal = 1 + links
    diagonal[1:] += links[:-1]
    return Chains(decay, penalty * diagonal, -penalty * decay / (1 - squares))


def neighbour_correlations(factors: Values, rows: Rows) -> Values:
    """How alike neighbouring rows are, zero unless clearly; a guess before any."""
    found = np.full(len(rows.dims), _FIRST_CORRELATION)
    if factors.shape[1]:
        near = np.flatnonzero(rows.gaps == 1)
        modes = np.searchsorted(rows.starts, near, side="right") - 1
        products = np.einsum("ir,ir->i", factors[:-1], factors[1:])
        squares = np.einsum("ir,ir->i", factors, factors)
        product, left, right = (
            np.bincount(modes, each, len(found))
            for each in (products[near], squares[near], squares[near + 1])
        )
        sizes = np.sqrt(left * right)
        found = np.divide(product, sizes, out=np.zeros_like(sizes), where=sizes > 0)
        np.minimum(found, _MOST_CORRELATION, out=found)
        found[found <= _LEAST_CORRELATION] = 0
    found[np.array(rows.dims) < _FEWEST_ROWS] = 0
    return found


def sums_of_components(factors: Values, rows: Indices) -> Values:
    """At entries, given by the stack's rows of all modes."""
    sums, size = np.zeros(len(rows)), factors.shape[1]
    if size:
        entries = Lists(np.array([0, len(rows)]), rows)
        entries.kernels.predict(0, 1, np.ones((1, size)), factors, entries, sums)
    return sums


def unseen_entries(places: Indices, dims: ModeDims, seed: int) -> Indices:
    """Some unobserved entries of observed rows; there may be none.

    Parameters
    ----------
    places
        Rows within modes of what is observed, in order.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(places), size=(_SAMPLED, len(dims)))
    found = np.take_along_axis(places, drawn, axis=0)
    # In a tensor of more entries than int64 counts none of those drawn is observed.
    if math.prod(dims) >= 2**63:
        return found
    observed, flat = ravel_indices(places, dims), ravel_indices(found, dims)
    place = np.minimum(np.searchsorted(observed, flat), len(observed) - 1)
    return found[observed[place] != flat]
