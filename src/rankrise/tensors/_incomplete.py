"""Tensors with gaps in memory, from any library, and their completed counterparts."""

from __future__ import annotations

import functools as ft
import logging
import math
import os
import sys
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError, reason
from rankrise._typing import ModeDims, Values
from rankrise.tensors._domain import as_reading_says
from rankrise.tensors._input_checks import check_order
from rankrise.tensors._layout import ModeAxis, as_stored, place_of
from rankrise.tensors._missing import (
    real_numbers,
    warn_of_sentinel,
)
from rankrise.tensors._observations import Observations
from rankrise.tensors._reading import Reading, ReadingOptions
from rankrise.tensors.files._cf_conventions import (
    POINTERS,
    choose_described,
    declared,
    pointed_to,
    text,
    unpacked,
)
from rankrise.tensors.files._declared import (
    check_real,
    check_tensor,
)
from rankrise.tensors.files._read_table import read_table
from rankrise.tensors.files._table import is_from, table_of
from rankrise.tensors.files._tensor_file import TensorFile, read_mask

_logger = logging.getLogger("rankrise")

_FILLS = ("_FillValue", "missing_value")
# Encodings of xarray that stay right for other values.
_KEPT_ENCODING = (
    *("zlib", "complevel", "shuffle", "fletcher32", "compression", "compression_opts"),
    *("contiguous", "chunksizes", "unlimited_dims", *POINTERS),
)


@dataclass(frozen=True, eq=False)
class IncompleteTensor:
    """A tensor of which some entries are observed, and the form it came in.

    Attributes
    ----------
    axes
        Names of the modes, and labels of their indices with units.
    form
        Makes the result of `restore` from a checked array.
    name, units
        Of the values; empty where the input says nothing.
    coordinates
        All coordinates of an xarray object, None of other inputs.

    Examples
    --------
    >>> import pandas as pd, rankrise as rr
    >>> table = pd.DataFrame({"site": ["a", "b"], "day": [1, 2], "count": [5, 7]})
    >>> incomplete = rr.incomplete_tensor(table)
    >>> incomplete.mode_names, incomplete.observations.mode_dims
    (('site', 'day'), (2, 2))
    """

    observations: Observations
    axes: tuple[ModeAxis, ...]
    form: Callable[[Values], Any] = field(repr=False)
    name: str = ""
    units: str = ""
    coordinates: Any = field(default=None, repr=False)

    @property
    def mode_names(self) -> tuple[str | None, ...] | None:
        """Names of the modes in the input, None if it has none."""
        names = tuple(axis.name for axis in self.axes)
        return names if any(name is not None for name in names) else None

    @property
    def labels(self) -> tuple[npt.NDArray[Any] | None, ...]:
        """Labels of each mode's indices, None for a mode without labels."""
        return tuple(axis.labels for axis in self.axes)

    @property
    def mode_units(self) -> tuple[str, ...]:
        """Units of each mode's labels; empty where the input says nothing."""
        return tuple(axis.units for axis in self.axes)

    def place(self, indices: Iterable[int | np.integer]) -> str:
        """Words for one entry: the labels of its indices."""
        return place_of(self.axes, indices)

    def data_array(self, entries: Values) -> Any:
        """All entries as an xarray.DataArray, whatever the form of the input.

        It has the input's names, units and coordinates; modes without a name are
        `mode_1`, `mode_2`, ...
        """
        import xarray as xr

        dims = list[str]()
        for mode, axis in enumerate(self.axes):
            name = axis.name or f"mode_{mode + 1}"
            dims.append(f"{name}_{mode + 1}" if name in dims else name)
        coordinates = self.coordinates
        if coordinates is None:
            coordinates = {
                dim: (dim, axis.labels, {"units": axis.units} if axis.units else {})
                for dim, axis in zip(dims, self.axes, strict=True)
                if axis.labels is not None
            }
        units = {"units": self.units} if self.units else {}
        return xr.DataArray(entries, coordinates, dims, self.name or None, units)

    def restore(self, completed: npt.ArrayLike) -> Any:
        """Give all entries in the form of the input.

        An xarray.DataArray keeps its dimensions, coordinates, attributes and name, but
        not its packing; a Dataset also keeps what the variable's attributes point to. A
        long table has a row for every entry that is not NaN, a wide one the rows and
        columns of the input and then those it lacked; both keep the types of their
        columns. A sparse array becomes a NumPy array. Values have the input's type
        where that is floating point, float64 otherwise.

        Raises
        ------
        InputError
            If the array has another shape than the tensor, or the table would not fit
            in memory.
        """
        entries = np.asarray(completed)
        check_real(entries.dtype)
        if entries.shape != self.observations.mode_dims:
            raise InputError(
                f"The completed tensor has shape {entries.shape} but the mode "
                f"dimensions are {self.observations.mode_dims}; they must agree."
            )
        kind = np.promote_types(entries.dtype, np.float32)
        return self.form(entries.astype(kind, copy=False))


def incomplete_tensor(
    source: Any,
    mask: Any = None,
    *,
    values: Hashable | None = None,
    mode_dims: ModeDims | None = None,
    **options: Unpack[ReadingOptions],
) -> IncompleteTensor:
    """Take the observed entries of a tensor in memory.

    Parameters
    ----------
    source
        An array in which NaN, or a masked entry of a NumPy masked array, is unobserved:
        a NumPy array, an xarray.DataArray, one variable of an xarray.Dataset, or
        anything that converts to a NumPy array (torch, JAX). An array of Dask is
        computed block by block.

        A sparse array in which an entry that is not stored is unobserved, not zero: of
        scipy.sparse, or anything with `coords` (mode × entry), `data` and `shape`.

        A table: a pandas.DataFrame, a Series with a MultiIndex, or a pyarrow.Table. A
        long one has a column of labels of any kind for each mode, one of values, and a
        row for each observed entry; a wide one has a column of values for each index of
        the last mode, named by its label. Labels become indices in natural order
        (trial7 before trial10, dates by time), categories in their own.

        A TensorFile from `read_tensor`; its completed counterpart is an array.
    mask
        For an array: True (or 1) where the entry is observed, in the same shape.
    values
        The column of a table that holds the values, by default the last; the variable
        of an xarray.Dataset that has several.
    mode_dims
        For a long table: the dimension of every mode. Columns of whole numbers are then
        indices counted from 0, not labels.
    options
        Further fields of `rankrise.tensors.Reading`: `modes`, `layout`, `order`,
        `missing`, `repeats`, `censored`, `domain` and `leave_empty`.

    Raises
    ------
    InputError
        If the input cannot be used: one sentence that says why.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> incomplete = rr.incomplete_tensor(np.array([[1.0, np.nan], [3.0, 4.0]]))
    >>> incomplete.observations.values
    array([1., 3., 4.])
    >>> incomplete.restore(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[1., 2.],
           [3., 4.]])
    """
    reading = Reading.of(values, mode_dims, options)
    try:
        found = _read(source, mask, reading)
    except InputError as error:
        # What files and the command line call a variable is `values` here.
        sentence = str(error).replace("`variable`", "`values`")
        raise InputError(sentence) from error
    observations = as_reading_says(found.observations, found.axes, reading, read_mask)
    warn_of_sentinel(observations)
    return replace(found, observations=observations)


def _read(source: Any, mask: Any, reading: Reading) -> IncompleteTensor:
    values, mode_dims = reading.variable, reading.mode_dims
    table = table_of(source)
    if table is not None:
        _refuse(
            mask, "A `mask` is for arrays; leave out unobserved rows, or their values."
        )
        observations, form = read_table(table, reading)
        return IncompleteTensor(observations, form.axes(), form.table)
    reading.check_for_arrays()
    if is_from(source, "xarray", "Dataset"):
        return _from_dataset(source, mask, values)
    _refuse(values, "`values` names a column of a table; leave it out.")
    _refuse(mode_dims, "`mode_dims` is for tables; leave it out.")
    if isinstance(source, TensorFile):
        _refuse(mask, "A `mask` is for arrays; a file itself says what is unobserved.")
        return _from_file(source)
    sparse = source if isinstance(source, Observations) else _sparse(source)
    if sparse is not None:
        _refuse(
            mask, "A `mask` is for arrays; an entry that is not stored is unobserved."
        )
        dtype = np.dtype(getattr(source, "dtype", np.float64))
        back = ft.partial(as_stored, dtype=dtype)
        return IncompleteTensor(sparse, (ModeAxis(),) * sparse.order, back)
    if is_from(source, "xarray", "DataArray"):
        if source.dtype.hasobject:
            numbers = real_numbers(source.values, reading.missing, "The array")
            source = source.copy(data=numbers)
        return _from_xarray(source, mask)
    return _from_array(source, mask, reading.missing)


def _refuse(option: Any, advice: str) -> None:
    if option is not None:
        raise InputError(advice)


def _sparse(source: Any) -> Observations | None:
    """The entries that a sparse array stores, None if it is none."""
    for name in ("tocoo", "to_coo"):  # of scipy.sparse, of pydata/sparse
        if hasattr(source, name):
            source = getattr(source, name)()
    coords = getattr(source, "coords", None)
    # Those of an xarray.DataArray are a mapping.
    if not isinstance(coords, np.ndarray | tuple | list):
        return None
    shape = tuple(source.shape)
    check_order(shape, "The sparse array")
    indices = np.stack(tuple(coords), axis=1)
    return Observations.from_coordinates(indices, source.data, shape)


def _from_dataset(source: Any, mask: Any, values: Hashable | None) -> IncompleteTensor:
    names = {str(name): name for name in source.variables}

    def neighbours(name: str) -> list[str]:
        described = source[names[name]]
        others = pointed_to({**described.attrs, **described.encoding}, names)
        return [x for x in (*map(str, described.coords), *others) if x != name]

    arrays = [declared(name, array) for name, array in source.data_vars.items()]
    asked = None if values is None else str(values)
    chosen, others = choose_described(arrays, asked, neighbours)
    name = names[chosen]
    described = source[[name, *(names[other] for other in others)]]
    incomplete = _from_xarray(source[name], mask)

    def dataset(completed: Values) -> Any:
        return described.assign({name: incomplete.form(completed)})

    return replace(incomplete, form=dataset)


def _from_xarray(source: Any, mask: Any) -> IncompleteTensor:
    xarray = sys.modules["xarray"]
    # A file that xarray opened is read only now.
    check_tensor(source.shape, source.dtype, None)
    if isinstance(mask, xarray.DataArray):
        try:
            mask = xarray.align(source, mask, join="exact")[1].transpose(*source.dims)
        except ValueError as error:
            raise InputError(
                f"The mask has dimensions {mask.dims} and the array {source.dims}, or "
                "their coordinates differ; give one flag per entry."
            ) from error
        mask = mask.values
    # An array opened without decoding has attributes that say what is missing.
    fills = {name: source.attrs[name] for name in _FILLS if name in source.attrs}
    values = unpacked(_computed(source), fills, str(source.name))
    axes = tuple(
        ModeAxis(
            str(dim),
            source.coords[dim].values,
            text(source.coords[dim].attrs.get("units", "")),
        )
        if dim in source.coords
        else ModeAxis(str(dim))
        for dim in source.dims
    )
    return IncompleteTensor(
        Observations.from_array(values, mask),
        axes,
        ft.partial(_data_array, source),
        name="" if source.name is None else str(source.name),
        units=text(source.attrs.get("units", "")),
        coordinates=source.coords,
    )


def _data_array(source: Any, completed: Values) -> Any:
    restored = source.copy(data=as_stored(completed, source.dtype))
    # Packing and valid ranges fit the values of the input alone.
    restored.encoding = {
        name: value for name, value in source.encoding.items() if name in _KEPT_ENCODING
    }
    restored.attrs = {
        name: value
        for name, value in source.attrs.items()
        if name not in (*_FILLS, "valid_min", "valid_max", "valid_range")
    }
    return restored


def _computed(source: Any) -> npt.NDArray[Any]:
    """The values, one block after another where Dask computes them."""
    if not is_from(source.data, "dask.array", "Array"):
        return np.asarray(source.values)
    blocks = source.data
    _logger.info(
        "The array is computed by Dask in %d blocks.", math.prod(blocks.numblocks)
    )
    values = np.empty(blocks.shape, blocks.dtype)
    blocks.store(values, lock=False)
    return values


def _from_file(file: TensorFile) -> IncompleteTensor:
    axes = file.layout.axes(file.observations.order)
    name, units = file.variable or "", file.layout.units
    return IncompleteTensor(file.observations, axes, np.asarray, name, units)


def _from_array(source: Any, mask: Any, missing: Any) -> IncompleteTensor:
    is_masked = isinstance(source, np.ma.MaskedArray)
    if is_masked and mask is not None and np.ma.is_masked(source):
        raise InputError("The array is masked already; leave `mask` out.")
    array = source if isinstance(source, np.ndarray) else _converted(source)
    if array.dtype.hasobject:
        numbers = real_numbers(array, missing, "The array")
        hidden = np.ma.getmask(array)
        array = np.ma.array(numbers, mask=hidden) if is_masked else numbers
    check_tensor(array.shape, array.dtype, None)
    observations = Observations.from_array(array, mask)
    library = "torch" if is_from(source, "torch", "Tensor") else "numpy"
    form = ft.partial(_array, array.dtype, "numpy.ma" if is_masked else library)
    return IncompleteTensor(observations, (ModeAxis(),) * array.ndim, form)


def _array(dtype: np.dtype[Any], library: str, completed: Values) -> Any:
    stored = as_stored(completed, dtype)
    if library == "torch":
        return sys.modules["torch"].from_numpy(stored)
    return np.ma.asarray(stored) if library == "numpy.ma" else stored


def _converted(source: Any) -> npt.NDArray[Any]:
    if isinstance(source, (str, os.PathLike)):
        raise InputError(
            f"The name of a file came, {str(source)!r}; give what it holds, as NumPy, "
            "pandas or xarray reads it, or use the command rankrise complete."
        )
    shape, dtype = getattr(source, "shape", None), getattr(source, "dtype", None)
    if isinstance(shape, tuple) and isinstance(dtype, np.dtype):
        check_tensor(shape, dtype, None)
    try:
        return np.asarray(source)
    # Each library has its own reasons: rows of several lengths, a device, gradients.
    except Exception as error:
        raise InputError(
            f"A {type(source).__name__} cannot be made an array ({reason(error)}); "
            "give an array, a sparse array or a table."
        ) from error
