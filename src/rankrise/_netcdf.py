"""Datasets as netCDF-4 files, made in memory by HDF5's own calls.

xarray and h5netcdf look up what they have written again for every attribute, which
takes longer than many a run whose trajectory it is. What a reader sees is the same.
"""

import itertools
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rankrise._version import __version__

if TYPE_CHECKING:
    import xarray as xr

_numbers = itertools.count()
_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable.%10d"


def netcdf_bytes(dataset: "xr.Dataset") -> bytes:
    """The content of a file that holds a dataset of numbers, truth values and texts.

    Dimensions are dimension scales, truth values are bytes that say so, and NaN stands
    for what is missing, all as `Dataset.to_netcdf` has them. Encodings are left out of
    account.
    """
    import h5py

    file, variables = _File(h5py), dict(dataset.variables)
    dims = list(dict.fromkeys(dim for v in variables.values() for dim in v.dims))
    for number, dim in enumerate(dims):
        if dim not in variables:
            file.add_dimension(str(dim), number, dataset.sizes[dim])
    # Coordinates that are no dimensions are named by variables that lie along them.
    along = {str(name): {*variables[name].dims} for name in dataset.coords}
    scattered = along.keys() - {str(dim) for dim in dims}
    named: set[str] = set()
    for name, variable in variables.items():
        attributes = dict(variable.attrs)
        if name not in along:
            near = sorted(n for n in scattered if along[n] <= {*variable.dims})
            named.update(near)
            attributes |= {"coordinates": " ".join(near)} if near else {}
        numbers = {str(dim): dims.index(dim) for dim in variable.dims}
        file.add_variable(str(name), numbers, variable.to_numpy(), attributes)
    apart = " ".join(sorted(scattered - named))
    return file.content(dataset.attrs | ({"coordinates": apart} if apart else {}))


class _File:
    """An HDF5 file in memory; types, spaces and scales are kept at hand."""

    def __init__(self, h5py: Any) -> None:
        self._h5, self._text = h5py, h5py.string_dtype()
        h5p = h5py.h5p
        # Attributes and variables stay in the order in which they came.
        self._ordered = h5p.CRT_ORDER_TRACKED | h5p.CRT_ORDER_INDEXED
        access, creation = h5p.create(h5p.FILE_ACCESS), h5p.create(h5p.FILE_CREATE)
        access.set_fapl_core(backing_store=False)
        access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
        # The same content makes the same file, whenever it is written.
        creation.set_obj_track_times(False)
        creation.set_link_creation_order(self._ordered)
        creation.set_attr_creation_order(self._ordered)
        # HDF5 knows open files by name, and other threads may be writing too.
        name = f"memory-{next(_numbers)}.nc".encode()
        self._file = h5py.h5f.create(name, fapl=access, fcpl=creation)
        self._root = h5py.h5g.open(self._file, b"/")
        self._names = h5p.create(h5p.LINK_CREATE)
        self._names.set_char_encoding(h5py.h5t.CSET_UTF8)
        self._types: dict[Any, tuple[Any, Any]] = {}
        self._spaces: dict[tuple[int, ...], Any] = {}
        # Of a dimension its scale; of a variable the dimensions that it lies along.
        self._scales: dict[str, Any] = {}
        self._along: list[tuple[Any, list[str]]] = []

    def add_dimension(self, name: str, number: int, size: int) -> None:
        """A dimension that has no coordinates."""
        made = self._dataset(name, np.dtype(">f4"), (size,))
        self._set(made, "_Netcdf4Dimid", np.int32(number))
        self._make_scale(name, made, _NO_VARIABLE % size)

    def add_variable(
        self,
        name: str,
        dims: Mapping[str, int],
        values: npt.NDArray[Any],
        attributes: Mapping[Hashable, Any],
    ) -> None:
        """A variable along dimensions, given with their numbers."""
        own = np.ascontiguousarray(self._stored(values)).reshape(values.shape)
        made = self._dataset(name, own.dtype, own.shape)
        if own.size:
            made.write(self._h5.h5s.ALL, self._h5.h5s.ALL, own)
        if dims:
            numbers = np.array([*dims.values()], np.int32)
            self._set(made, "_Netcdf4Coordinates", numbers)
            self._set(made, "_Netcdf4Dimid", numbers[0])
        if own.dtype.kind == "f":
            self._set(made, "_FillValue", np.full(1, np.nan, own.dtype))
        self._set_all(made, attributes)
        if values.dtype == bool:
            self._set(made, "dtype", "bool")
        if name in dims:
            self._make_scale(name, made, name)
        else:
            self._along.append((made, [*dims]))

    def content(self, attributes: Mapping[Hashable, Any]) -> bytes:
        """All of it, with the attributes of the whole; nothing can be added then."""
        self._set_all(self._root, attributes)
        library = f"rankrise={__version__},hdf5={self._h5.version.hdf5_version}"
        self._set(self._root, "_NCProperties", np.bytes_(f"version=2,{library}"))
        for made, dims in self._along:
            for place, dim in enumerate(dims):
                self._h5.h5ds.attach_scale(made, self._scales[dim], place)
        self._h5.h5f.flush(self._file)
        image: bytes = self._file.get_file_image()
        self._file.close()
        return image

    def _make_scale(self, name: str, made: Any, label: str) -> None:
        self._h5.h5ds.set_scale(made, label.encode())
        self._scales[name] = made

    def _dataset(self, name: str, dtype: Any, shape: tuple[int, ...]) -> Any:
        kind, creation = self._type(dtype)
        return self._h5.h5d.create(
            self._file, name.encode(), kind, self._space(shape), creation, self._names
        )

    def _set_all(self, owner: Any, attributes: Mapping[Hashable, Any]) -> None:
        for key, value in attributes.items():
            is_text = isinstance(value, str)
            self._set(owner, str(key), value if is_text else np.atleast_1d(value))

    def _set(self, owner: Any, name: str, value: Any) -> None:
        own = self._stored(np.asarray(value))
        kind, space = self._type(own.dtype)[0], self._space(own.shape)
        self._h5.h5a.create(owner, name.encode(), kind, space).write(own)

    def _stored(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Texts of any length, and truth values as bytes."""
        if values.dtype.kind in "OU":
            return values.astype(object).astype(self._text)
        return values.astype("i1") if values.dtype == bool else values

    def _type(self, dtype: Any) -> tuple[Any, Any]:
        """How values of a kind are stored, and how a variable of it is made."""
        key = self._text.str if dtype.kind == "O" else dtype.str
        if key not in self._types:
            h5p = self._h5.h5p
            creation = h5p.create(h5p.DATASET_CREATE)
            creation.set_attr_creation_order(self._ordered)
            creation.set_obj_track_times(False)
            if dtype.kind == "f" and dtype.isnative:
                creation.set_fill_value(np.full(1, np.nan, dtype))
            self._types[key] = self._h5.h5t.py_create(dtype, logical=True), creation
        return self._types[key]

    def _space(self, shape: tuple[int, ...]) -> Any:
        h5s = self._h5.h5s
        if shape not in self._spaces:
            made = h5s.create_simple(shape) if shape else h5s.create(h5s.SCALAR)
            self._spaces[shape] = made
        return self._spaces[shape]
