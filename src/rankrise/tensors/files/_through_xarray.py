"""netCDF-3 files and Zarr folders, through xarray."""

from __future__ import annotations

import io
import json
import math
import os
import warnings
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise._optional import imported
from rankrise._typing import ModeDims, Values
from rankrise.tensors._layout import Layout, ModeAxis, as_stored
from rankrise.tensors._observations import Observations
from rankrise.tensors.files._cf_conventions import (
    PACKING,
    choose_described,
    declared,
    pointed_to,
    text,
    text_labels,
    unpacked,
)
from rankrise.tensors.files._declared import (
    check_memory,
    check_tensor,
    refuse_damaged,
    shown,
)


def read_described(
    content: Any,
    variable: str | None,
    mode_dims: ModeDims | None,
    options: dict[str, Any],
    *,
    unlimited: Container[Any] = (),
    default_fill: bool = False,
) -> tuple[Observations, Layout, str]:
    """Read the entries of one variable that are not missing.

    It is given back as netCDF.

    Parameters
    ----------
    options
        How xarray is to write it.
    unlimited
        Dimensions to be written as unlimited.
    """

    def neighbours(name: str) -> Iterator[str]:
        array = content[name]
        for other in (*array.dims, *pointed_to(array.attrs, content.variables)):
            if other in content.variables and other != name:
                yield str(other)

    arrays = [declared(other, x) for other, x in content.variables.items()]
    name, described = choose_described(arrays, variable, neighbours)
    array = content[name]
    check_tensor(array.shape, array.dtype, mode_dims)
    # As they are stored, unpacked, and which are missing.
    size = sum(content[other].nbytes for other in described)
    size += array.size * (array.dtype.itemsize + 8 + 1)
    check_memory(size, f"{shown(name)} with its coordinates")
    for other in (name, *described):
        chunks = content[other].encoding.get("chunks") or ()
        item_bytes = content[other].dtype.itemsize
        check_memory(math.prod(chunks) * item_bytes, f"A chunk of {shown(other)}")
    stored = np.array(array.values)
    values = unpacked(stored, array.attrs, name, default_fill=default_fill)
    others = content.drop_vars(set(content.variables) - {*described})
    surroundings = others.load().copy(deep=True)
    axes = tuple(_axis(surroundings, str(dim)) for dim in array.dims)
    for coordinate in surroundings.variables.values():
        kept = {x: y for x, y in coordinate.encoding.items() if x == "char_dim_name"}
        coordinate.encoding = kept | _encoding(coordinate.attrs)
        coordinate.attrs = _writable(coordinate.attrs)
    surroundings.attrs = _writable(surroundings.attrs)
    kind = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
    attributes = {key: x for key, x in array.attrs.items() if key not in PACKING}
    if "_FillValue" in array.attrs:
        attributes["_FillValue"] = np.array(np.nan, kind)
    attributes = _writable(attributes)
    modes = array.dims
    dims = [modes, *(x.dims for x in surroundings.variables.values())]
    # SciPy (1.17) writes a scalar over the second record, where there are records.
    if unlimited and all(dims):
        sought = {dim for each in dims for dim in each if dim in unlimited}
        options = options | {"unlimited_dims": sought}

    def write(completed: Values, path: Path) -> None:
        stored = as_stored(completed, kind)
        variable = (modes, stored, attributes, _encoding(attributes))
        with repeating_dims():
            path.write_bytes(surroundings.assign({name: variable}).to_netcdf(**options))

    layout = Layout(write, axes, text(array.attrs.get("units", "")), ".nc")
    return Observations.from_array(values), layout, name


@contextmanager
def repeating_dims() -> Iterator[None]:
    """Let xarray name two modes alike without a warning, as of a covariance."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Duplicate dimension names", UserWarning)
        yield


def _axis(surroundings: Any, dim: str) -> ModeAxis:
    if dim not in surroundings.variables or surroundings[dim].dims != (dim,):
        return ModeAxis(dim)
    labels: npt.NDArray[Any] = surroundings[dim].values
    if labels.dtype.kind in "fiu":
        labels = unpacked(labels, surroundings[dim].attrs, dim)
    units = text(surroundings[dim].attrs.get("units", ""))
    return ModeAxis(dim, text_labels(labels), units)


def _encoding(attributes: dict[Any, Any]) -> dict[str, Any]:
    """None, for xarray adds no fill value then to what has none."""
    return {} if "_FillValue" in attributes else {"_FillValue": None}


def _writable(attributes: dict[Any, Any]) -> dict[str, Any]:
    """Attributes as netCDF has types for, where JSON knows more."""
    plain: dict[str, Any] = {}
    for name, value in attributes.items():
        if isinstance(value, str):
            plain[name] = text(value)
        else:
            # Bytes are text in whatever encoding.
            is_plain = np.asarray(value).dtype.kind in "fiuUS"
            plain[name] = value if is_plain else json.dumps(value)
    return plain


_MAGIC = b"CDF"
_FORMATS = {1: "NETCDF3_CLASSIC", 2: "NETCDF3_64BIT"}


def is_netcdf3(path: Path) -> bool:
    """Whether a file begins as the classic forms of netCDF do."""
    with path.open("rb") as stream:
        start = stream.read(len(_MAGIC) + 1)
    if start[:-1] == _MAGIC and start[-1] not in _FORMATS:
        raise InputError(
            f"It is netCDF of the classic form {start[-1]}, which is not read; rewrite "
            "it as version 4 with `nccopy -k netCDF-4`."
        )
    return start[:-1] == _MAGIC


def read_netcdf3(
    path: Path, variable: str | None, mode_dims: ModeDims | None
) -> tuple[Observations, Layout, str]:
    """Read the entries of one variable that are not missing."""
    import xarray as xr

    # xarray itself would lose what is not UTF-8 in attributes.
    with refuse_damaged("netCDF-3"), repeating_dims(), _opened(path) as stored:
        variables = {name: _variable(x) for name, x in stored.variables.items()}
        content = xr.Dataset(
            {name: x for name, x in variables.items() if x.dims != (name,)},
            xr.Coordinates(
                {name: x for name, x in variables.items() if x.dims == (name,)},
                indexes={},
            ),
            attrs=stored._attributes,
        )
        return read_described(
            content,
            variable,
            mode_dims,
            {"engine": "scipy", "format": _FORMATS[stored.version_byte]},
            unlimited={x for x, size in stored.dimensions.items() if size is None},
            default_fill=True,
        )


def _variable(stored: Any) -> Any:
    """With its text as such, which is stored as characters along one more dimension."""
    import xarray as xr

    dims, data, encoding = stored.dimensions, stored.data, {}
    if data.dtype.kind == "S" and data.ndim and data.shape[-1]:
        data = np.ascontiguousarray(data).view(f"S{data.shape[-1]}")[..., 0]
        dims, encoding = dims[:-1], {"char_dim_name": dims[-1]}
    return xr.Variable(dims, data, stored._attributes, encoding)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A file of which nothing but its header is read before it is asked for."""
    from scipy.io import netcdf_file

    content = netcdf_file(_Clipped(path.open("rb", buffering=0)), "r", mmap=True)
    try:
        yield content
    finally:
        with warnings.catch_warnings():
            # Arrays mapped to the file are about to be deleted.
            warnings.simplefilter("ignore", RuntimeWarning)
            content.close()


class _Clipped(io.BufferedReader):
    """Takes no memory for more bytes than there are, whatever a header asks for."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, os.fstat(self.fileno()).st_size))


_METADATA = ("zarr.json", ".zarray", ".zmetadata")


def read_zarr(
    path: Path, variable: str | None, mode_dims: ModeDims | None
) -> tuple[Observations, Layout, str]:
    """Read the entries of one array that are not missing, to give back as netCDF."""
    _check_folder(path)
    imported("zarr", "zarr", "Zarr folders need")
    import xarray as xr

    group, _, inner = (variable or "").strip("/").rpartition("/")
    with (
        refuse_damaged("Zarr"),
        repeating_dims(),
        xr.open_dataset(
            path,
            engine="zarr",
            group=group or None,
            consolidated=False,
            decode_cf=False,
            create_default_indexes=False,
        ) as content,
    ):
        observations, layout, name = read_described(
            content, inner or None, mode_dims, {"engine": "h5netcdf"}
        )
    return observations, layout, f"{group}/{name}".lstrip("/")


def _check_folder(path: Path) -> None:
    """Refuse links out of the folder, and pickled objects."""
    for place, folders, files in os.walk(path):
        for name in (*folders, *files):
            if Path(place, name).is_symlink():
                raise InputError(
                    f"{shown(name)} in it is a link, and links are not followed; copy "
                    "the folder with what it links to."
                )
        for name in set(files) & {*_METADATA}:
            if b'"pickle"' in Path(place, name).read_bytes():
                raise InputError(
                    "It holds pickled Python objects, which are never unpickled "
                    "because that can run code; save arrays of real numbers."
                )
