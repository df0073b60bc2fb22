"""Observed entries of a tensor: the form every input is brought to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise._typing import Indices, ModeDims, Values
from rankrise.tensors._input_checks import (
    LEAST_OBSERVED,
    boolean_mask,
    check_order,
    checked_weights,
    ravel_indices,
    real_array,
    refuse_duplicates,
    refuse_non_finite,
    refuse_out_of_range,
    whole_numbers,
)


@dataclass(frozen=True, eq=False)
class Observations:
    r"""The observed entries $\{(i_1, \dots, i_N), y\}$ of a tensor of order $N$.

    Build one with `from_array` or `from_coordinates`, which check the input and
    name whatever is wrong with it by position.

    Attributes
    ----------
    indices
        One row per observed entry, one column per mode, counted from 0.
    values
        The observed entries, one per row of `indices`.
    mode_dims
        The dimension of every mode; they need not be equal.
    weights
        A non-negative weight per observation in the loss, or None for all equal.
    exists
        True where the tensor has an entry, None if it has all. Others, such as land in
        a field of the ocean, are neither observed nor missing.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> indices = np.array([[0, 1], [2, 0]])
    >>> seen = rr.Observations(indices, np.array([1.5, -2.0]), (3, 2))
    >>> seen.dense()
    array([[ nan,  1.5],
           [ nan,  nan],
           [-2. ,  nan]])
    """

    indices: Indices
    values: Values
    mode_dims: ModeDims
    weights: Values | None = None
    exists: npt.NDArray[np.bool_] | None = None

    @classmethod
    def from_array(
        cls,
        array: npt.ArrayLike,
        mask: npt.ArrayLike | None = None,
        *,
        weights: npt.ArrayLike | None = None,
    ) -> Observations:
        """Take the observed entries of a dense array.

        Parameters
        ----------
        array
            A real array of order two or more. NaN means unobserved, and so does what
            a NumPy masked array masks.
        mask
            Same shape; True (or 1) where the entry is observed. An entry that the
            mask calls observed must be finite.
        weights
            Same shape; only the weights of observed entries are read.
        """
        dense = real_array(array, "The array")
        check_order(dense.shape)
        if mask is None:
            observed = ~np.isnan(dense)
            if isinstance(array, np.ma.MaskedArray):
                observed &= ~np.ma.getmaskarray(array)
        else:
            observed = boolean_mask(mask, dense.shape)
        # Rows are unique and in range. `argwhere` would take three times the memory.
        flat = np.flatnonzero(observed)
        indices = np.empty((len(flat), dense.ndim), _index_type(dense.shape))
        for mode in reversed(range(dense.ndim)):
            np.remainder(
                flat, dense.shape[mode], out=indices[:, mode], casting="unsafe"
            )
            flat //= dense.shape[mode]
        del flat
        values = dense[observed]
        refuse_non_finite(values, indices)
        if weights is not None:
            weights = real_array(weights, "The weights")
            if weights.shape != dense.shape:
                raise InputError(
                    f"The weights have shape {weights.shape} but the array has "
                    f"{dense.shape}; give one weight per entry."
                )
            weights = weights[observed]
        return cls.of_checked(indices, values, dense.shape, weights)

    @classmethod
    def from_coordinates(
        cls,
        indices: npt.ArrayLike,
        values: npt.ArrayLike,
        mode_dims: ModeDims | None = None,
        *,
        weights: npt.ArrayLike | None = None,
    ) -> Observations:
        """Take observed entries given by their coordinates, counted from 0.

        Parameters
        ----------
        indices
            One row per observed entry, one column per mode. Floating point is
            accepted where every number is whole.
        values
            One finite value per row.
        mode_dims
            The dimension of every mode; the largest index plus one by default.
        weights
            One non-negative weight per row.
        """
        coordinates = whole_numbers(indices)
        entries = real_array(values, "The values")
        if entries.shape != (len(coordinates),):
            raise InputError(
                f"There are {len(coordinates)} rows of indices but the values have "
                f"shape {entries.shape}; give one value per row."
            )
        if len(coordinates) == 0:
            raise InputError(
                "There are no observed entries; at least one is needed to say "
                "anything about a tensor."
            )
        if mode_dims is None:
            mode_dims = tuple(int(top) + 1 for top in coordinates.max(axis=0))
        dims = tuple(int(dim) for dim in mode_dims)
        refuse_out_of_range(coordinates, dims)
        refuse_non_finite(entries, coordinates)
        refuse_duplicates(coordinates, dims)
        return cls.of_checked(coordinates, entries, dims, weights)

    @classmethod
    def of_checked(
        cls,
        indices: npt.NDArray[Any],
        values: npt.NDArray[Any],
        mode_dims: ModeDims,
        weights: npt.ArrayLike | None,
    ) -> Observations:
        if len(values) < LEAST_OBSERVED.get():
            raise InputError(
                f"None of the {math.prod(mode_dims)} entries is observed; at least "
                "one is needed to say anything about a tensor."
            )
        return cls(
            indices=np.ascontiguousarray(indices, dtype=_index_type(mode_dims)),
            values=np.ascontiguousarray(values, dtype=np.float64),
            mode_dims=tuple(int(dim) for dim in mode_dims),
            weights=None if weights is None else checked_weights(weights, len(values)),
        )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def order(self) -> int:
        """How many modes."""
        return len(self.mode_dims)

    @property
    def entry_count(self) -> int:
        """How many entries the whole tensor has, observed or not."""
        if self.exists is not None:
            return int(np.count_nonzero(self.exists))
        return math.prod(self.mode_dims)

    def do_exist(self, indices: Indices) -> npt.NDArray[np.bool_]:
        """Which rows of indices are entries of the tensor."""
        if self.exists is None:
            return np.ones(len(indices), bool)
        # -1 is a slice that was never observed, of which nothing is known.
        return self.exists[tuple(indices.T)] | (indices < 0).any(axis=1)

    def take(self, rows: npt.NDArray[Any]) -> Observations:
        """The observations at `rows`, of the same tensor."""
        return Observations(
            self.indices[rows],
            self.values[rows],
            self.mode_dims,
            None if self.weights is None else self.weights[rows],
            self.exists,
        )

    def in_order(self) -> Observations:
        """The same, the last mode's index running fastest, as in an array."""
        if math.prod(self.mode_dims) < 2**63:
            flat = ravel_indices(self.indices, self.mode_dims)
            if np.all(flat[1:] > flat[:-1]):
                return self
        return self.take(np.lexsort(self.indices.T[::-1]))

    def dense(self) -> Values:
        """The tensor as an array, NaN where unobserved: memory for every entry."""
        array = np.full(self.mode_dims, np.nan)
        array[tuple(self.indices.T)] = self.values
        return array


def _index_type(mode_dims: ModeDims) -> type[np.integer[Any]]:
    return np.int32 if max(mode_dims) < 2**31 else np.int64
