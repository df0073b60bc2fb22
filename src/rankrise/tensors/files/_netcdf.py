"""Named arrays with dimensions, coordinates and attributes: netCDF-4 and HDF5.

A netCDF-4 file is an HDF5 file, so both are read by h5py and written back object by
object: types, text in any encoding, groups, chunks and compression stay as they are.
"""

from __future__ import annotations

import functools as ft
import io
import math
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

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
    Declared,
    check_memory,
    check_tensor,
    shown,
)
from rankrise.tensors.files._hdf5_checks import (
    check_stored,
    is_dimension_alone,
    lies_elsewhere,
    open_hdf5,
    walk_datasets,
)
from rankrise.tensors.files._through_xarray import is_netcdf3, read_netcdf3

_REFERENCES = ("DIMENSION_LIST", "REFERENCE_LIST")
_LARGEST_ATTRIBUTE, _MOST_TEXTS = 2**20, 256


def read_netcdf(
    path: Path, variable: str | None, mode_dims: ModeDims | None
) -> tuple[Observations, Layout, str]:
    """Read the entries of a variable that are not missing, from any version."""
    if is_netcdf3(path):
        return read_netcdf3(path, variable, mode_dims)
    return read_hdf5(path, variable, mode_dims, form="netCDF-4")


def read_hdf5(
    path: Path, variable: str | None, mode_dims: ModeDims | None, form: str = "HDF5"
) -> tuple[Observations, Layout, str]:
    """Read the entries of one array that are not missing."""
    with open_hdf5(path, form) as content:
        arrays = dict(walk_datasets(content))
        neighbours = ft.cache(ft.partial(_neighbours, arrays, _names(arrays)))
        listed = [
            _declared(other, dataset)
            for other, dataset in arrays.items()
            if not is_dimension_alone(dataset)
        ]
        asked = None if variable is None else variable.strip("/")
        name, described = choose_described(listed, asked, neighbours)
        dataset, byte_count = arrays[name], path.stat().st_size
        check_stored(dataset, name, byte_count)
        shape = tuple(_length(arrays, dataset, x) for x in range(dataset.ndim))
        check_tensor(shape, dataset.dtype, mode_dims)
        # The length of a dimension is no data.
        filled = [x for x in described if not is_dimension_alone(arrays[x])]
        for other in filled:
            check_stored(arrays[other], other, byte_count, written=False)
        # As they are stored, unpacked, and which are missing.
        size = sum(math.prod(arrays[other].shape) * 8 for other in filled)
        size += math.prod(shape) * (dataset.dtype.itemsize + 8 + 1)
        check_memory(size, f"{shown(name)} with its coordinates")
        values = _values(dataset, name, default_fill=form != "HDF5")
        if values.shape != shape:
            # In netCDF what was not written yet of an unlimited dimension is missing.
            written = values
            values = np.full(shape, np.nan, np.result_type(written, np.float16))
            values[tuple(map(slice, written.shape))] = written
        kind = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
        kept = {x: arrays[x] for x in (*described, name)}
        outline = _outline(content, kept, name, kind, shape)
        layout = Layout(
            ft.partial(_write, name, kind, outline),
            tuple(_axis(arrays, dataset, *mode) for mode in enumerate(shape)),
            text(_attributes(dataset).get("units", "")),
        )
    return Observations.from_array(values), layout, name


def _write(
    name: str, dtype: np.dtype[Any], outline: bytes, completed: Values, path: Path
) -> None:
    """Fill the array into a file that has all but its values."""
    import h5py

    stored = as_stored(completed, dtype)
    if stored.dtype != dtype:
        with h5py.File(io.BytesIO(outline), "r") as content:
            arrays = dict(walk_datasets(content))
            outline = _outline(content, arrays, name, stored.dtype, stored.shape)
    # Made in memory: where a disk is full, HDF5 crashes as it closes the file.
    stream = io.BytesIO(outline)
    with h5py.File(stream, "r+") as content:
        content[name][...] = stored
    path.write_bytes(stream.getvalue())


def _declared(name: str, dataset: Any) -> Declared:
    if lies_elsewhere(dataset):
        return Declared(name, (), "in another file or place", fits=False)
    try:
        return declared(name, dataset)
    # Some HDF5 types have no counterpart in NumPy, and some datasets no shape.
    except (TypeError, ValueError, OSError):
        return Declared(name, (), "of another kind", fits=False)


def _names(arrays: dict[str, Any]) -> frozenset[str]:
    """All that an attribute can call an array: its name, or its path from a group."""
    paths = [PurePosixPath(path).parts for path in arrays]
    relative = {"/".join(path[place:]) for path in paths for place in range(len(path))}
    return frozenset(relative | {f"/{path}" for path in arrays})


def _neighbours(arrays: dict[str, Any], names: frozenset[str], name: str) -> list[str]:
    """The scales of its dimensions, and what its attributes name."""
    dataset = arrays[name]
    if lies_elsewhere(dataset):
        return []
    modes = range(len(dataset.shape or ()))
    scales = [scale for mode in modes for scale in _scales(dataset, mode)]
    found = [scale.name.strip("/") for scale in scales]
    # A name is looked for in the same group, then in those around it.
    groups = PurePosixPath(name).parents
    for word in pointed_to(_attributes(dataset), names):
        around = (
            [word.strip("/")] if word[0] == "/" else [str(x / word) for x in groups]
        )
        found += [path for path in around if path in arrays][:1]
    return [path for path in found if path in arrays and path != name]


def _scales(dataset: Any, mode: int) -> list[Any]:
    """Scales that HDF5 attaches to a mode; the first is its dimension in netCDF."""
    if "DIMENSION_LIST" not in dataset.attrs:
        return []
    return list(dataset.dims[mode].values())


def _length(arrays: dict[str, Any], dataset: Any, mode: int) -> int:
    """The length of a mode; an unlimited one is as long as the longest array."""
    lengths, scales = [dataset.shape[mode]], _scales(dataset, mode)
    if scales and dataset.maxshape[mode] is None:
        lengths.append(scales[0].shape[0])
        for other in arrays.values():
            if not lies_elsewhere(other):
                lengths += [
                    length
                    for place, length in enumerate(other.shape or ())
                    if scales[0] in _scales(other, place)
                ]
    return int(max(lengths))


def _axis(arrays: dict[str, Any], dataset: Any, mode: int, length: int) -> ModeAxis:
    scales = _scales(dataset, mode)
    if not scales:
        # A coordinate of netCDF is the scale of its own dimension.
        return ModeAxis(dataset.dims[mode].label or None)
    path = scales[0].name.strip("/")
    name = PurePosixPath(path).name
    if path not in arrays or is_dimension_alone(arrays[path]):
        return ModeAxis(name)
    values = text_labels(_values(arrays[path], path))
    fits = values.shape == (length,)
    units = text(_attributes(arrays[path]).get("units", ""))
    return ModeAxis(name, values if fits else None, units)


def _values(dataset: Any, name: str, *, default_fill: bool = False) -> npt.NDArray[Any]:
    """The stored values; numbers are unpacked."""
    stored = np.asarray(dataset[()])
    if stored.dtype.kind not in "fiu":
        return stored
    return unpacked(stored, _attributes(dataset), name, default_fill=default_fill)


def _attributes(described: Any) -> dict[str, Any]:
    """The attributes that are numbers or a text."""
    import h5py

    found = {}
    for name in described.attrs:
        stored = described.attrs.get_id(name)
        is_text = h5py.check_string_dtype(stored.dtype) is not None
        is_one = is_text and _size(stored) == 1
        if (is_one or stored.dtype.kind in "fiu") and not _is_large(stored):
            value = described.attrs[name]
            found[name] = np.ravel(np.asarray(value, object))[0] if is_text else value
    return found


def _is_large(stored: Any) -> bool:
    """Whether an attribute is damaged, or many texts that may be one and the same."""
    return stored.get_storage_size() > _LARGEST_ATTRIBUTE or (
        stored.dtype.hasobject and _size(stored) > _MOST_TEXTS
    )


def _size(stored: Any) -> int:
    return 0 if stored.shape is None else math.prod(stored.shape)


def _outline(
    content: Any,
    arrays: dict[str, Any],
    name: str,
    dtype: np.dtype[Any],
    shape: ModeDims,
) -> bytes:
    """A file with these arrays; `name` has no values yet, and another type."""
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w", track_order=True) as target:
        groups = {group for path in arrays for group in PurePosixPath(path).parents}
        for group in sorted(groups, key=lambda group: len(group.parts)):
            place = "/" + "/".join(group.parts)
            _copy_attributes(content[place], target.require_group(place))
        for path, dataset in arrays.items():
            is_text = dataset.dtype.hasobject
            # HDF5 (2.0) copies text with a fill value that leads nowhere.
            changed: dict[str, Any] = {"fillvalue": None} if is_text else {}
            if path == name:
                changed = {"shape": shape, "dtype": dtype, "fillvalue": np.nan}
            made = target.create_dataset_like(path, dataset, **changed)
            without = (*_REFERENCES, *PACKING) if path == name else _REFERENCES
            _copy_attributes(dataset, made, without)
            if path == name and "_FillValue" in dataset.attrs:
                made.attrs.create("_FillValue", np.array([np.nan], dtype))
            # The values of a dimension alone mean nothing, and were not checked.
            is_stored = dataset.id.get_storage_size() and not is_dimension_alone(
                dataset
            )
            if path != name and is_stored:
                made[...] = dataset[()]
        for path, dataset in arrays.items():
            for mode in range(len(dataset.shape or ())):
                for scale in _scales(dataset, mode):
                    target[path].dims[mode].attach_scale(target[scale.name])
    return stream.getvalue()


def _copy_attributes(source: Any, target: Any, without: tuple[str, ...] = ()) -> None:
    """Copy attributes as they are stored, but for references to other objects."""
    import h5py

    for name in source.attrs:
        stored = source.attrs.get_id(name)
        is_text = h5py.check_string_dtype(stored.dtype) is not None
        holds_objects = stored.dtype.hasobject and not is_text
        if name in without or holds_objects or _is_large(stored):
            continue
        made = h5py.h5a.create(
            target.id,
            name.encode("utf-8", "surrogateescape"),
            stored.get_type().copy(),
            stored.get_space(),
        )
        if stored.shape is not None:
            value = np.empty(stored.shape, stored.dtype)
            stored.read(value)
            made.write(value)
