"""A variable of an xarray.Dataset as it is stored, and what describes it there."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._typing import ModeDims, Values
from rankrise.tensors._mode_axes import ModeAxis
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
from rankrise.tensors.files._declared import check_memory, check_tensor, shown
from rankrise.tensors.files._file_layout import Layout, as_stored


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
