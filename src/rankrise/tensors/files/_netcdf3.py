"""netCDF files of version 3: the classic form, and that with 64-bit offsets."""

from __future__ import annotations

import functools as ft
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise._typing import ModeDims, Values
from rankrise.tensors._mode_axes import ModeAxis
from rankrise.tensors._observations import Observations
from rankrise.tensors.files._cf_conventions import (
    PACKING,
    choose_described,
    declared,
    pointed_to,
    reached,
    text,
    unpacked,
)
from rankrise.tensors.files._declared import (
    check_memory,
    check_tensor,
    refuse_damaged,
    shown,
)
from rankrise.tensors.files._file_layout import Layout, as_stored

_MAGIC = b"CDF"
_VERSIONS = (1, 2)


@dataclass(frozen=True, eq=False)
class _Variable:
    dims: tuple[str, ...]
    attributes: dict[str, Any]
    stored: npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Netcdf3Layout(Layout):
    """A variable and what describes it.

    Attributes
    ----------
    dim_sizes
        Lengths of the dimensions, None for the unlimited one.
    variables
        The variable `name`, without values, and those that describe it, as stored.
    """

    name: str
    dtype: np.dtype[Any]
    version: int
    dim_sizes: dict[str, int | None]
    attributes: dict[str, Any]
    variables: dict[str, _Variable]

    def axes(self, order: int) -> tuple[ModeAxis, ...]:
        """Names of the modes and labels of their indices."""
        return tuple(self._axis(dim) for dim in self.variables[self.name].dims)

    def _axis(self, dim: str) -> ModeAxis:
        if dim not in self.variables:
            return ModeAxis(dim)
        coordinate = self.variables[dim]
        if coordinate.stored.dtype.kind in "SU":
            rows = coordinate.stored.astype("S1")
            labels = np.array([text(row.tobytes()).rstrip("\0 ") for row in rows])
        else:
            labels = unpacked(coordinate.stored, coordinate.attributes, dim)
        return ModeAxis(dim, labels if labels.ndim == 1 else None)

    def write(self, completed: Values, path: Path) -> None:
        """Write the variable among what describes it."""
        from scipy.io import netcdf_file

        stream = io.BytesIO()
        content = netcdf_file(stream, "w", version=self.version)
        for name, value in self.attributes.items():
            setattr(content, name, value)
        stored = as_stored(completed, self.dtype)
        for dim, size in self.dim_sizes.items():
            content.createDimension(dim, size)
        for name, variable in self.variables.items():
            values = stored if name == self.name else variable.stored
            made = content.createVariable(name, values.dtype, variable.dims)
            if made.isrec:
                made[:] = values
            else:
                made.data[...] = values
            for attribute, value in variable.attributes.items():
                setattr(made, attribute, value)
        content.flush()
        path.write_bytes(stream.getvalue())


def is_netcdf3(path: Path) -> bool:
    """Whether a file begins as the classic forms of netCDF do."""
    with path.open("rb") as stream:
        start = stream.read(len(_MAGIC) + 1)
    if start[:-1] == _MAGIC and start[-1] not in _VERSIONS:
        raise InputError(
            f"It is netCDF of the classic form {start[-1]}, which is not read; rewrite "
            "it as version 4 with `nccopy -k netCDF-4`."
        )
    return start[:-1] == _MAGIC


def read_netcdf3(
    path: Path, variable: str | None, mode_dims: ModeDims | None
) -> tuple[Observations, Netcdf3Layout, str]:
    """Read the entries of one variable that are not missing."""
    with refuse_damaged("netCDF-3"), _opened(path) as content:
        variables = {
            name: _Variable(found.dimensions, dict(found._attributes), found.data)
            for name, found in content.variables.items()
        }
        neighbours = ft.partial(_neighbours, variables)
        arrays = [declared(other, x.stored) for other, x in variables.items()]
        name = choose_described(arrays, variable, neighbours)
        stored = variables[name].stored
        check_tensor(stored.shape, stored.dtype, mode_dims)
        kept = {other: variables[other] for other in reached(name, neighbours)}
        # As they are stored, unpacked, and which are missing.
        size = sum(8 * other.stored.size for other in kept.values())
        size += stored.size * (stored.dtype.itemsize + 1)
        check_memory(size, f"{shown(name)} with its coordinates")
        values = unpacked(
            np.array(stored), variables[name].attributes, name, default_fill=True
        )
        kind = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
        attributes = {
            attribute: value
            for attribute, value in variables[name].attributes.items()
            if attribute not in PACKING
        }
        if "_FillValue" in variables[name].attributes:
            attributes["_FillValue"] = np.array(np.nan, kind)
        kept = {
            other: _Variable(x.dims, x.attributes, np.array(x.stored))
            for other, x in kept.items()
        }
        nothing = np.empty(0, kind)
        kept[name] = _Variable(variables[name].dims, attributes, nothing)
        sizes: dict[str, int | None] = {}
        for other in kept:
            sizes |= zip(
                variables[other].dims, variables[other].stored.shape, strict=True
            )
        # SciPy (1.17) writes a scalar over the second record, where there are records.
        if all(other.dims for other in kept.values()):
            sizes = {dim: content.dimensions[dim] for dim in sizes}
        layout = Netcdf3Layout(
            name,
            kind,
            int(content.version_byte),
            sizes,
            dict(content._attributes),
            kept,
        )
    return Observations.from_array(values), layout, name


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An open file, whose values are read only as they are asked for."""
    from scipy.io import netcdf_file

    content = netcdf_file(path, "r", mmap=True)
    try:
        yield content
    finally:
        with warnings.catch_warnings():
            # Arrays mapped to the file are about to be deleted.
            warnings.simplefilter("ignore", RuntimeWarning)
            content.close()


def _neighbours(variables: dict[str, _Variable], name: str) -> Iterator[str]:
    """The coordinates of its dimensions, and what its attributes name."""
    for other in (
        *variables[name].dims,
        *pointed_to(variables[name].attributes, variables),
    ):
        if other in variables and other != name:
            yield other
