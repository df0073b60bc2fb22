"""netCDF files of version 3: the classic form, and that with 64-bit offsets."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rankrise._errors import InputError
from rankrise._typing import ModeDims
from rankrise.tensors._observations import Observations
from rankrise.tensors.files._declared import refuse_damaged
from rankrise.tensors.files._described import read_described, repeating_dims
from rankrise.tensors.files._file_layout import Layout

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
