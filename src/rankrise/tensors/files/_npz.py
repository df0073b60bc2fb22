"""Archives (.npz): a dense array, an array and its mask, coordinates, sparse arrays."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise._typing import ModeDims, Values
from rankrise.tensors._layout import Layout, as_stored
from rankrise.tensors._observations import Observations
from rankrise.tensors.files._declared import (
    FEWER_ENTRIES,
    FEWER_ROWS,
    Declared,
    check_memory,
    check_real,
    check_same_dims,
    check_tensor,
    choose,
    could_be_tensor,
    refuse_damaged,
    shown,
)
from rankrise.tensors.files._npy import (
    ArrayHeader,
    read_array,
    read_header,
)

_Arrays = dict[str, npt.NDArray[Any]]
_FORMATS = ("coo", "csr", "csc", "bsr", "dia")
_SUFFIX = ".npy"
_MASK = "mask"
_COORDINATES = {"indices", "values"}
_MODE_DIMS = "mode_dims"


def read_npz(
    path: Path, variable: str | None, mode_dims: ModeDims | None
) -> tuple[Observations, Layout, str | None]:
    """Read the array named by `variable`, or the only one that fits.

    An array named `mask` is True where the other array is observed. Arrays named
    `indices` and `values`, with or without `mode_dims`, and no others besides, are
    coordinates counted from 0; a `mode_dims` given here goes before a stored one. The
    entries that a sparse array of SciPy or pydata/sparse stores are observed.
    """
    with open_arrays(path) as members:
        names = set(members.headers)
        if variable is None and _COORDINATES <= names <= _COORDINATES | {_MODE_DIMS}:
            return *_read_coordinates(members, mode_dims), None
        if variable is None and _is_sparse(names):
            return *_read_sparse(members, mode_dims), None
        chosen = choose(members.declared(), variable).name
        return *_read_dense(members, chosen, mode_dims), chosen


@contextmanager
def open_arrays(path: Path) -> Iterator[Arrays]:
    """The arrays of an archive, read only as they are asked for."""
    with refuse_damaged("a .npz archive"):
        archive = zipfile.ZipFile(path)
    with archive:
        yield Arrays(archive)


class Arrays:
    """The arrays of an archive, by name; only their headers are read at first."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        self.headers: dict[str, ArrayHeader] = {}
        for name in archive.namelist():
            if name.endswith(_SUFFIX):
                with self._open(name) as stream:
                    self.headers[name.removesuffix(_SUFFIX)] = read_header(stream)

    def _open(self, name: str) -> zipfile.ZipExtFile:
        # A member can be encrypted, or packed by a method that is not built in.
        with refuse_damaged("a .npz archive"):
            return cast(zipfile.ZipExtFile, self.archive.open(name))

    def declared(self) -> list[Declared]:
        """The arrays as their headers announce them."""
        return [
            Declared(
                name,
                header.shape,
                str(header.dtype),
                fits=name != _MASK and could_be_tensor(header.shape, header.dtype),
            )
            for name, header in self.headers.items()
        ]

    def layout(
        self, name: str, arrays: Callable[[Values], _Arrays] | None = None
    ) -> Layout:
        """That of an archive of the arrays that stand for a tensor, packed as one is.

        By default it is the tensor alone, under this name.
        """
        compression, dtype = self.info(name).compress_type, self.headers[name].dtype

        def write(completed: Values, path: Path) -> None:
            stored = (
                arrays(completed) if arrays else {name: as_stored(completed, dtype)}
            )
            # numpy.savez takes names as keywords and so cannot write one named "file".
            with zipfile.ZipFile(path, "w", compression) as archive:
                for key, array in stored.items():
                    with archive.open(key + _SUFFIX, "w", force_zip64=True) as stream:
                        np.lib.format.write_array(stream, array, allow_pickle=False)

        return Layout(write)

    def info(self, name: str) -> zipfile.ZipInfo:
        return self.archive.getinfo(name + _SUFFIX)

    def read(
        self, names: Iterable[str], *, text: bool = False, copies: float = 4.0
    ) -> _Arrays:
        """Read arrays, once what they take together is known to be no zip bomb.

        They are of real numbers, or of text where that is allowed.
        """
        names = list(names)
        for name in names:
            dtype = self.headers[name].dtype
            if not (text and dtype.kind in "US"):
                check_real(dtype)
        headers = (self.headers[name] for name in names)
        # Narrower numbers become as wide as this.
        unpacked = sum(math.prod(x.shape) * max(x.dtype.itemsize, 8) for x in headers)
        what = "Unpacking " + " and ".join(map(shown, names))
        advice = FEWER_ROWS if text else FEWER_ENTRIES
        check_memory(unpacked, what, copies=copies, advice=advice)
        arrays = {}
        for name in names:
            with self._open(name + _SUFFIX) as stream:
                size = self.info(name).file_size
                arrays[name] = read_array(stream, self.headers[name], size)
        return arrays


def _read_dense(
    members: Arrays, name: str, mode_dims: ModeDims | None
) -> tuple[Observations, Layout]:
    header = members.headers[name]
    check_tensor(header.shape, header.dtype, mode_dims)
    mask = [_MASK] if _MASK in members.headers and name != _MASK else []
    arrays = members.read([name, *mask])
    observations = Observations.from_array(arrays[name], *(arrays[x] for x in mask))
    return observations, members.layout(name)


def _read_coordinates(
    members: Arrays, mode_dims: ModeDims | None
) -> tuple[Observations, Layout]:
    arrays = members.read(members.headers)
    if mode_dims is None and _MODE_DIMS in arrays:
        mode_dims = _stored_mode_dims(arrays[_MODE_DIMS])
    indices, values = arrays["indices"], arrays["values"]
    index_type, value_type = indices.dtype, values.dtype

    def all_entries(completed: Values) -> _Arrays:
        """Every entry with its indices, in row-major order."""
        rows = np.unravel_index(np.arange(completed.size), completed.shape)
        return {
            "indices": np.stack(rows, axis=1).astype(index_type),
            "values": as_stored(completed.reshape(-1), value_type),
            _MODE_DIMS: np.array(completed.shape),
        }

    observations = Observations.from_coordinates(indices, values, mode_dims)
    return observations, members.layout("values", all_entries)


def _read_sparse(
    members: Arrays, mode_dims: ModeDims | None
) -> tuple[Observations, Layout]:
    names, form = set(members.headers) - {"_is_array"}, "coo"
    if "format" in names:
        form = _scipy_format(members.read(["format"], text=True)["format"])
        names.remove("format")
    elif "compressed_axes" in names:
        form = "gcxs"
    # Measured. Blocks and diagonals become rows of indices, which take more.
    arrays = members.read(names, copies=11.0 if form in ("bsr", "dia") else 6.0)
    shape = _stored_mode_dims(arrays["shape"])
    check_same_dims(shape, mode_dims)
    with refuse_damaged(f"a sparse array of format {form}"):
        observations = Observations.from_coordinates(
            *stored_entries(form, arrays, shape), shape
        )
    # No entry of the completed tensor is absent, so it comes back dense.
    return observations, members.layout("data")


def _stored_mode_dims(stored: npt.NDArray[Any]) -> ModeDims:
    if stored.ndim != 1 or stored.dtype.kind not in "iu":
        raise InputError(
            f"Its mode dimensions have shape {stored.shape} and type {stored.dtype}; "
            "one whole number per mode is needed."
        )
    return tuple(int(dim) for dim in stored)


def _is_sparse(names: Set[str]) -> bool:
    """Whether arrays of these names are what SciPy or pydata/sparse saves."""
    compressed = {"indices", "indptr", "compressed_axes"}
    return {"format", "shape", "data"} <= names or any(
        {*own, "shape", "data", "fill_value"} == names
        for own in ({"coords"}, compressed)
    )


def _scipy_format(stored: npt.NDArray[Any]) -> str:
    """The name of the format, refused if unknown."""
    form = stored.item() if stored.ndim == 0 else ""
    form = form.decode("ascii", "replace") if isinstance(form, bytes) else form
    if form not in _FORMATS:
        raise InputError(
            f"Its sparse format is {shown(str(form))}; save one of "
            f"{', '.join(_FORMATS)}."
        )
    return str(form)


def stored_entries(
    form: str, arrays: _Arrays, shape: ModeDims
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Indices (entry x mode) and values of all that a sparse array stores.

    Format `dia` pads its diagonals, so zeros in it count as not stored, as in SciPy.
    Indices of `coo` may still be out of range.
    """
    from scipy import sparse

    data = arrays["data"]
    if form == "coo":
        names = ("row", "col")
        found = arrays["coords"] if "coords" in arrays else [arrays[x] for x in names]
        return np.stack([*found], axis=1), data
    if form == "gcxs":
        # A matrix of compressed rows, whose two modes are several of the tensor.
        first = arrays["compressed_axes"].tolist()
        modes = first, [mode for mode in range(len(shape)) if mode not in first]
        dims = [tuple(shape[mode] for mode in each) for each in modes]
        flat, values = stored_entries("csr", arrays, (*map(math.prod, dims),))
        indices = np.empty((len(values), len(shape)), np.int64)
        for place in (0, 1):
            indices[:, modes[place]] = np.transpose(
                np.unravel_index(flat[:, place], dims[place])
            )
        return indices, values
    if form == "dia":
        matrix = sparse.dia_array((data, arrays["offsets"]), shape=shape)
    else:
        parts = (data, arrays["indices"], arrays["indptr"])
        matrix = getattr(sparse, f"{form}_array")(parts, shape=shape)
        # Without it SciPy trusts the indices that a damaged file holds.
        matrix.check_format(full_check=True)
    matrix = matrix.tocoo()
    return np.stack(matrix.coords, axis=1), matrix.data
