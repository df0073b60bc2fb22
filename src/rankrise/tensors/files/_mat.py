"""MATLAB `.mat` files of version 5 (saved with -v6 or -v7) and 7.3 (HDF5)."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rankrise._errors import InputError
from rankrise._typing import ModeDims, Values
from rankrise.tensors._observations import Observations
from rankrise.tensors.files._declared import (
    Declared,
    check_tensor,
    choose,
    refuse_damaged,
)
from rankrise.tensors.files._layout import Layout, as_stored
from rankrise.tensors.files._mat5 import Mat5File
from rankrise.tensors.files._mat73 import Mat73File, is_mat73, mat73_bytes

# Version 5 counts the bytes of a variable, some of them its own header, in 32 bits.
_MAX_VARIABLE_BYTES = 2**32 - 2**10
_FILE_HEADER_BYTES = 128

_DTYPES = {"double": "float64", "single": "float32", "logical": "bool"} | {
    kind: kind for bits in (8, 16, 32, 64) for kind in (f"int{bits}", f"uint{bits}")
}

_HINTS = {
    "sparse": "; full(x) makes an array of it",
    "unknown": " that MATLAB wrote, for it has no MATLAB_class",
}


@dataclass(frozen=True)
class MatLayout(Layout):
    """One variable in a MATLAB file of version 5, or of 7.3."""

    name: str
    dtype: np.dtype[Any]
    is_mat73: bool

    def write(self, completed: Values, path: Path) -> None:
        """Write the variable alone, uncompressed, in the version of the input."""
        from scipy.io import savemat

        stored = as_stored(completed, self.dtype)
        if self.is_mat73:
            # Made in memory: where a disk is full, HDF5 crashes as it closes the file.
            path.write_bytes(mat73_bytes(self.name, stored))
            return
        with path.open("wb") as stream:
            savemat(stream, {self.name: stored})


def read_mat(
    path: Path, variable: str | None, mode_dims: ModeDims | None
) -> tuple[Observations, MatLayout, str]:
    """Read the entries that are not NaN of one numeric array."""
    with (
        path.open("rb") as stream,
        refuse_damaged("a MATLAB file"),
        _open(stream) as file,
    ):
        # What has no such name is MATLAB's own, and could not be written back.
        found: dict[str, Any] = {
            each.name: each for each in file.variables() if each.name[:1].isalpha()
        }
        arrays = [
            Declared(name, each.shape, each.kind, fits=_fits(each.shape, each.kind))
            for name, each in found.items()
        ]
        chosen = choose(arrays, variable)
        dtype = _dtype(chosen)
        check_tensor(chosen.shape, dtype, mode_dims)
        hdf5 = isinstance(file, Mat73File)
        if not hdf5:
            _check_writable(chosen.shape, dtype)
        array = file.read(found[chosen.name])
    layout = MatLayout(chosen.name, dtype, hdf5)
    return Observations.from_array(array), layout, chosen.name


@contextmanager
def _open(stream: io.BufferedReader) -> Iterator[Mat5File | Mat73File]:
    start = stream.read(_FILE_HEADER_BYTES)
    stream.seek(0)
    if not is_mat73(start):
        yield Mat5File(stream)
        return
    file = Mat73File(stream)
    try:
        yield file
    finally:
        file.close()


def _fits(shape: tuple[int, ...], kind: str) -> bool:
    # MATLAB has no order below two: a number on its own is a 1 x 1 array.
    return kind in _DTYPES and len(shape) >= 2 and math.prod(shape) > 1


def _dtype(array: Declared) -> np.dtype[Any]:
    """The data type of a variable's class; whole numbers are stored in smaller ones."""
    if array.type_name not in _DTYPES:
        hint = _HINTS.get(array.type_name, "")
        raise InputError(
            f"The variable {array} is no array of real numbers{hint}; save one, NaN "
            "where unobserved."
        )
    return np.dtype(_DTYPES[array.type_name])


def _check_writable(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    itemsize = dtype.itemsize if dtype.kind == "f" else 8
    if math.prod(shape) * itemsize > _MAX_VARIABLE_BYTES:
        raise InputError(
            f"The completed tensor of shape {shape} would exceed the 4 GiB that a "
            "variable of a .mat file can hold; save the input with -v7.3."
        )
