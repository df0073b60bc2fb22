"""netCDF-4 files: a named array with dimensions, coordinates and attributes."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Number
from pathlib import Path
from typing import Any

import numpy as np

from rankrise._errors import InputError
from rankrise._typing import ModeDims, Values
from rankrise.tensors._mode_axes import ModeAxis
from rankrise.tensors._observations import Observations
from rankrise.tensors.files._declared import (
    Declared,
    check_memory,
    check_tensor,
    choose,
    could_be_tensor,
    refuse_damaged,
    shown,
)
from rankrise.tensors.files._hdf5_heap import check_hdf5
from rankrise.tensors.files._layout import Layout, as_stored

_CLASSIC_MAGIC = b"CDF"
_ATTRIBUTE_TYPES = (str, bytes, Number, np.number, np.ndarray, list, tuple)


@dataclass(frozen=True, eq=False)
class NetcdfLayout(Layout):
    """One data variable and what describes it.

    Attributes
    ----------
    surroundings
        The dataset without the variable: its coordinates and attributes.
    """

    name: str
    dims: tuple[str, ...]
    attrs: dict[str, Any]
    dtype: np.dtype[Any]
    surroundings: Any

    def axes(self, order: int) -> tuple[ModeAxis, ...]:
        """What the file calls the modes and their indices."""
        coordinates = self.surroundings.coords
        return tuple(
            ModeAxis(dim, coordinates[dim].values if dim in coordinates else None)
            for dim in self.dims
        )

    def write(self, completed: Values, path: Path) -> None:
        """Write the variable among its coordinates."""
        stored = as_stored(completed, self.dtype)
        dataset = self.surroundings.assign({self.name: (self.dims, stored, self.attrs)})
        # Made in memory: where a disk is full, HDF5 crashes as it closes the file.
        path.write_bytes(dataset.to_netcdf(engine="h5netcdf"))


def read_netcdf(
    path: Path, variable: str | None, mode_dims: ModeDims | None
) -> tuple[Observations, NetcdfLayout, str]:
    """Read the entries that are not NaN (or the fill value) of one data variable."""
    import xarray as xr

    _check_is_hdf5(path)
    with (
        refuse_damaged("netCDF-4"),
        # Times stay the numbers they are stored as, and are written back untouched; a
        # tensor of seconds is no time stamp.
        xr.open_dataset(
            path, engine="h5netcdf", decode_times=False, decode_timedelta=False
        ) as dataset,
    ):
        arrays = [
            Declared(
                str(name),
                array.shape,
                str(array.dtype),
                fits=could_be_tensor(array.shape, array.dtype),
            )
            for name, array in dataset.data_vars.items()
        ]
        name = choose(arrays, variable).name
        array = dataset[name]
        check_tensor(array.shape, array.dtype, mode_dims)
        described = sum(int(coordinate.nbytes) for coordinate in array.coords.values())
        check_memory(
            described + int(array.nbytes), f"{shown(name)} with its coordinates"
        )
        values = array.values
        layout = NetcdfLayout(
            name,
            tuple(str(dim) for dim in array.dims),
            _writable(array.attrs),
            array.dtype,
            _writable_surroundings(dataset[[name]].drop_vars(name).load()),
        )
    return Observations.from_array(values), layout, name


def _writable_surroundings(dataset: Any) -> Any:
    """The dataset, free of all that could make its writing fail after a long run."""
    # Packing and chunks of the input need not fit what is written.
    plain = dataset.drop_encoding()
    for described in (plain, *plain.coords.values()):
        described.attrs = _writable(described.attrs)
    return plain


def _writable(attrs: dict[str, Any]) -> dict[str, Any]:
    """The attributes that netCDF has types for; HDF5 alone knows more."""
    return {name: x for name, x in attrs.items() if isinstance(x, _ATTRIBUTE_TYPES)}


def _check_is_hdf5(path: Path) -> None:
    with path.open("rb") as stream:
        if stream.read(len(_CLASSIC_MAGIC)) == _CLASSIC_MAGIC:
            raise InputError(
                "It is a netCDF file of version 3; rewrite it as version 4 with "
                "`nccopy -k netCDF-4`."
            )
    with refuse_damaged("netCDF-4"):
        check_hdf5(path)
