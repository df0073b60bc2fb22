"""Zarr folders, read through xarray and zarr where these are installed."""

from __future__ import annotations

import importlib.util
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

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

_METADATA = ("zarr.json", ".zarray", ".zmetadata")


@dataclass(frozen=True, eq=False)
class ZarrLayout(Layout):
    """A variable and what describes it, given back as netCDF.

    Attributes
    ----------
    surroundings
        All that describes the variable, as it is stored.
    """

    name: str
    dtype: np.dtype[Any]
    mode_axes: tuple[ModeAxis, ...]
    attributes: dict[str, Any]
    surroundings: Any
    suffix: str | None = ".nc"

    def axes(self, order: int) -> tuple[ModeAxis, ...]:
        """Names of the modes and labels of their indices."""
        return self.mode_axes

    def write(self, completed: Values, path: Path) -> None:
        """Write the variable among what describes it."""
        dims = [axis.name for axis in self.mode_axes]
        stored = as_stored(completed, self.dtype)
        variable = {self.name: (dims, stored, self.attributes)}
        content = self.surroundings.assign(variable).to_netcdf(engine="h5netcdf")
        path.write_bytes(content)


def read_zarr(
    path: Path, variable: str | None, mode_dims: ModeDims | None
) -> tuple[Observations, ZarrLayout, str]:
    """Read the entries of one array that are not missing."""
    _check_folder(path)
    if importlib.util.find_spec("zarr") is None:
        raise InputError(
            "It is a Zarr folder; to read it, install zarr (pip install zarr)."
        )
    import xarray as xr

    group, _, inner = (variable or "").strip("/").rpartition("/")
    with (
        refuse_damaged("Zarr"),
        xr.open_dataset(
            path,
            engine="zarr",
            group=group or None,
            consolidated=False,
            decode_cf=False,
            create_default_indexes=False,
        ) as content,
    ):

        def neighbours(name: str) -> Iterator[str]:
            array = content[name]
            for other in (*array.dims, *pointed_to(array.attrs, content.variables)):
                if other in content.variables and other != name:
                    yield str(other)

        arrays = [declared(other, x) for other, x in content.variables.items()]
        name = choose_described(arrays, inner or None, neighbours)
        array = content[name]
        check_tensor(array.shape, array.dtype, mode_dims)
        described = reached(name, neighbours)
        size = sum(content[other].nbytes for other in described)
        size += array.size * (array.dtype.itemsize + 8 + 1)
        check_memory(size, f"{shown(name)} with its coordinates")
        for other in (name, *described):
            chunks = content[other].encoding.get("chunks") or ()
            item_bytes = content[other].dtype.itemsize
            check_memory(math.prod(chunks) * item_bytes, f"A chunk of {shown(other)}")
        values = unpacked(array.values, array.attrs, name)
        surroundings = content.drop_vars(set(content.variables) - {*described}).load()
    kind = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
    axes = []
    for dim in map(str, array.dims):
        labels = None
        if dim in described and surroundings[dim].dims == (dim,):
            labels = surroundings[dim].values
            if labels.dtype.kind in "fiu":
                labels = unpacked(labels, surroundings[dim].attrs, dim)
        axes.append(ModeAxis(dim, labels))
    for described_too in surroundings.variables.values():
        # None: xarray adds no fill value to what has none.
        filled = "_FillValue" in described_too.attrs
        described_too.encoding = {} if filled else {"_FillValue": None}
        described_too.attrs = _writable(described_too.attrs)
    surroundings.attrs = _writable(surroundings.attrs)
    attributes = _writable(
        {key: x for key, x in array.attrs.items() if key not in PACKING}
    )
    layout = ZarrLayout(name, kind, tuple(axes), attributes, surroundings)
    return Observations.from_array(values), layout, f"{group}/{name}".lstrip("/")


def _writable(attributes: dict[Any, Any]) -> dict[str, Any]:
    """Attributes in types that netCDF has; others become JSON text."""
    plain: dict[str, Any] = {}
    for name, value in attributes.items():
        if isinstance(value, str):
            plain[name] = text(value)
        else:
            is_plain = np.asarray(value).dtype.kind in "fiuU"
            plain[name] = value if is_plain else json.dumps(value)
    return plain


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
