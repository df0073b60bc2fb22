"""MATLAB `.mat` files of version 5 (saved with -v6 or -v7)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rankrise._errors import InputError
from rankrise._typing import ModeDims, Values
from rankrise.data._observations import Observations
from rankrise.data.files._declared import (
    Declared,
    check_tensor,
    choose,
    refuse_damaged,
)
from rankrise.data.files._layout import Layout, as_stored
from rankrise.data.files._mat5 import Mat5File

# Version 5 counts the bytes of a variable, some of them its own header, in 32 bits.
_MAX_VARIABLE_BYTES = 2**32 - 2**10

_DTYPES = {"double": "float64", "single": "float32", "logical": "bool"} | {
    kind: kind for bits in (8, 16, 32, 64) for kind in (f"int{bits}", f"uint{bits}")
}


@dataclass(frozen=True)
class MatLayout(Layout):
    """One variable in a MATLAB file."""

    name: str
    dtype: np.dtype[Any]

    def write(self, completed: Values, path: Path) -> None:
        """Write the variable alone, uncompressed."""
        from scipy.io import savemat

        with path.open("wb") as stream:
            savemat(stream, {self.name: as_stored(completed, self.dtype)})


def read_mat(
    path: Path, variable: str | None, mode_dims: ModeDims | None
) -> tuple[Observations, MatLayout, str]:
    """Read the entries that are not NaN of one numeric array."""
    with path.open("rb") as stream, refuse_damaged("a MATLAB file"):
        file = Mat5File(stream)
        # What has no such name is MATLAB's own, and could not be written back.
        found = {
            each.name: each for each in file.variables() if each.name[:1].isalpha()
        }
        arrays = [
            Declared(name, each.shape, each.kind, fits=_fits(each.shape, each.kind))
            for name, each in found.items()
        ]
        chosen = choose(arrays, variable)
        dtype = _dtype(chosen)
        check_tensor(chosen.shape, dtype, mode_dims)
        _check_writable(chosen.shape, dtype)
        array = file.read(found[chosen.name])
    return Observations.from_array(array), MatLayout(chosen.name, dtype), chosen.name


def _fits(shape: tuple[int, ...], kind: str) -> bool:
    # MATLAB has no order below two: a number on its own is a 1 x 1 array.
    return kind in _DTYPES and len(shape) >= 2 and math.prod(shape) > 1


def _dtype(array: Declared) -> np.dtype[Any]:
    """The data type of a variable's class; whole numbers are stored in smaller ones."""
    if array.type_name not in _DTYPES:
        hint = "; full(x) makes an array of it" if array.type_name == "sparse" else ""
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
            "variable of a .mat file can hold; save the input as .npy."
        )
