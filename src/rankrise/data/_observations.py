"""Observed entries of a tensor: the form every input is brought to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise._typing import Indices, ModeDims, Values

_INT64_ENTRIES = 2**63 - 1


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
        The observed entries, in the order of `indices`.
    mode_dims
        The dimension of every mode; they need not be equal.
    weights
        A non-negative weight per observation in the loss, or None for all equal.
    """

    indices: Indices
    values: Values
    mode_dims: ModeDims
    weights: Values | None = None

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
        dense = _real_array(array, "The array")
        if dense.ndim < 2:
            raise InputError(
                f"The array has shape {dense.shape}, which is order {dense.ndim}; "
                "a tensor needs at least two modes."
            )
        if mask is None:
            observed = ~np.isnan(dense)
            if isinstance(array, np.ma.MaskedArray):
                observed &= ~np.ma.getmaskarray(array)
        else:
            observed = _boolean_mask(mask, dense.shape)
        # argwhere's rows are unique and in range by construction.
        indices = np.argwhere(observed)
        values = dense[observed]
        _refuse_non_finite(values, indices)
        if weights is not None:
            weights = _real_array(weights, "The weights")
            if weights.shape != dense.shape:
                raise InputError(
                    f"The weights have shape {weights.shape} but the array has "
                    f"{dense.shape}; give one weight per entry."
                )
            weights = weights[observed]
        return cls._checked(indices, values, dense.shape, weights)

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
        coordinates = _whole_numbers(indices)
        entries = _real_array(values, "The values")
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
        lowest = coordinates.min(axis=1)
        if (lowest < 0).any():
            row = int(np.argmax(lowest < 0))
            raise InputError(
                f"Row {row} has the negative index {int(lowest[row])} in "
                f"{tuple(coordinates[row].tolist())}; indices count from 0."
            )
        if mode_dims is None:
            dims = tuple(int(top) + 1 for top in coordinates.max(axis=0))
        else:
            dims = tuple(int(dim) for dim in mode_dims)
            _refuse_out_of_range(coordinates, dims)
        _refuse_non_finite(entries, coordinates)
        _refuse_duplicates(coordinates, dims)
        return cls._checked(coordinates, entries, dims, weights)

    @classmethod
    def _checked(
        cls,
        indices: npt.NDArray[Any],
        values: npt.NDArray[Any],
        mode_dims: ModeDims,
        weights: npt.ArrayLike | None,
    ) -> Observations:
        if len(values) == 0:
            raise InputError(
                f"None of the {math.prod(mode_dims)} entries is observed; at least "
                "one is needed to say anything about a tensor."
            )
        index_type = np.int32 if max(mode_dims) < 2**31 else np.int64
        return cls(
            indices=np.ascontiguousarray(indices, dtype=index_type),
            values=np.ascontiguousarray(values, dtype=np.float64),
            mode_dims=tuple(int(dim) for dim in mode_dims),
            weights=None if weights is None else _checked_weights(weights, len(values)),
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
        return math.prod(self.mode_dims)

    def take(self, rows: npt.NDArray[Any]) -> Observations:
        """The observations at `rows`, of the same tensor."""
        return Observations(
            self.indices[rows],
            self.values[rows],
            self.mode_dims,
            None if self.weights is None else self.weights[rows],
        )

    def split(self, share: float, *, seed: int) -> tuple[Observations, Observations]:
        """Hold out a random share of the observations.

        Returns
        -------
        The observations to train on and the held-out ones, at least one each.
        """
        if not 0 < share < 1:
            raise InputError(
                f"The held-out share is {share}; it must lie between 0 and 1."
            )
        if len(self) < 2:
            raise InputError(
                "Only one entry is observed; holding some out needs at least two."
            )
        held = min(max(1, round(share * len(self))), len(self) - 1)
        shuffled = np.random.default_rng(seed).permutation(len(self))
        return self.take(np.sort(shuffled[held:])), self.take(np.sort(shuffled[:held]))

    def unobserved_slices(self) -> list[tuple[int, int]]:
        """Mode and index, both from 0, of every slice without an observed entry."""
        return [
            (mode, int(index))
            for mode, dim in enumerate(self.mode_dims)
            for index in np.setdiff1d(np.arange(dim), self.indices[:, mode])
        ]

    def dense(self) -> Values:
        """The tensor as an array, NaN where unobserved: memory for every entry."""
        array = np.full(self.mode_dims, np.nan)
        array[tuple(self.indices.T)] = self.values
        return array


def ravel_indices(indices: Indices, mode_dims: ModeDims) -> npt.NDArray[np.int64]:
    """Position of each index row in the row-major flattened tensor."""
    flat = np.zeros(len(indices), dtype=np.int64)
    for column, dim in zip(indices.T, mode_dims, strict=True):
        flat = flat * dim + column
    return flat


def _rectangular(array: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(array)
    except ValueError as error:
        raise InputError(
            f"{name} cannot be made an array: its rows differ in length ({error})."
        ) from error


def _real_array(array: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    converted = _rectangular(array, name)
    if converted.dtype.kind not in "fiub":
        raise InputError(
            f"{name} cannot have data type {converted.dtype}; real numbers are needed."
        )
    if converted.dtype.kind == "f" and converted.dtype.itemsize >= 4:
        return converted
    return converted.astype(np.float64)


def _boolean_mask(mask: npt.ArrayLike, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    flags = _rectangular(mask, "The mask")
    if flags.shape != shape:
        raise InputError(
            f"The mask has shape {flags.shape} but the array has {shape}; they must "
            "agree."
        )
    if flags.dtype == np.bool_:
        return flags
    if flags.dtype.kind not in "fiu":
        raise InputError(f"The mask has data type {flags.dtype}; use True and False.")
    wrong = (flags != 0) & (flags != 1)  # NaN differs from both, so it is caught too
    if wrong.any():
        position = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise InputError(
            f"The mask holds {flags[position]} at {position}; use 1 or True where "
            "the entry is observed and 0 or False elsewhere."
        )
    return flags.astype(np.bool_)


def _whole_numbers(indices: npt.ArrayLike) -> npt.NDArray[np.int64]:
    coordinates = _rectangular(indices, "The indices")
    if coordinates.ndim != 2:
        raise InputError(
            f"The indices have shape {coordinates.shape}; one row per observed entry "
            "and one column per mode are needed."
        )
    if coordinates.shape[1] < 2:
        raise InputError(
            f"The entries have {coordinates.shape[1]} index column(s); a tensor needs "
            "at least two modes."
        )
    if coordinates.dtype.kind == "i":
        return coordinates.astype(np.int64)
    if coordinates.dtype.kind not in "fu":
        raise InputError(
            f"The indices have data type {coordinates.dtype}; whole numbers are needed."
        )
    # Beyond int64 the conversion would wrap around; NaN fails every comparison.
    numbers = coordinates.astype(np.float64)
    wrong = ~(np.abs(numbers) < 2.0**63) | (numbers != np.floor(numbers))
    if wrong.any():
        row, mode = (int(i) for i in np.argwhere(wrong)[0])
        raise InputError(
            f"Row {row} has the index {coordinates[row, mode]} in mode {mode + 1}; "
            "indices are whole numbers counted from 0, and below 2^63."
        )
    return coordinates.astype(np.int64)


def _refuse_out_of_range(coordinates: Indices, mode_dims: ModeDims) -> None:
    if len(mode_dims) != coordinates.shape[1]:
        raise InputError(
            f"The indices have {coordinates.shape[1]} columns but mode_dims names "
            f"{len(mode_dims)} modes; they must agree."
        )
    wrong = coordinates >= np.asarray(mode_dims)
    if wrong.any():
        row, mode = (int(i) for i in np.argwhere(wrong)[0])
        raise InputError(
            f"Row {row} has the index {int(coordinates[row, mode])} in mode "
            f"{mode + 1}, whose dimension is {mode_dims[mode]}; indices count from 0."
        )


def _refuse_non_finite(values: npt.NDArray[Any], indices: Indices) -> None:
    wrong = ~np.isfinite(values)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"The entry at {tuple(indices[row].tolist())} is {values[row]}; observed "
            "entries must be finite (leave unobserved ones out, or NaN in an array "
            "without a mask)."
        )


def sorted_repeats(
    coordinates: Indices, mode_dims: ModeDims
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """A stable sorting order of index rows, and where a row equals the one before.

    Works for tensors with more entries than int64 can count, only slower.
    """
    if math.prod(mode_dims) <= _INT64_ENTRIES:
        keys = ravel_indices(coordinates, mode_dims)
        order = np.argsort(keys, kind="stable")
        return order, keys[order[1:]] == keys[order[:-1]]
    order = np.lexsort(coordinates.T)
    return order, (coordinates[order[1:]] == coordinates[order[:-1]]).all(axis=1)


def _refuse_duplicates(coordinates: Indices, mode_dims: ModeDims) -> None:
    order, repeated = sorted_repeats(coordinates, mode_dims)
    if repeated.any():
        place = int(np.argmax(repeated))
        first, second = int(order[place]), int(order[place + 1])
        raise InputError(
            f"Rows {first} and {second} both give the entry "
            f"{tuple(coordinates[first].tolist())}; keep one of them or average them."
        )


def _checked_weights(weights: npt.ArrayLike, count: int) -> Values:
    real = _real_array(weights, "The weights")
    checked = np.ascontiguousarray(real, dtype=np.float64)
    if checked.shape != (count,):
        raise InputError(
            f"The weights have shape {checked.shape} for {count} observations; give "
            "one per observation."
        )
    wrong = ~np.isfinite(checked) | (checked < 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"Observation {row} has the weight {checked[row]}; weights are finite and "
            "not negative."
        )
    if not checked.any():
        raise InputError("All weights are zero; at least one must be positive.")
    return checked
