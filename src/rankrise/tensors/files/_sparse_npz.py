"""Sparse arrays as `scipy.sparse.save_npz` and pydata/sparse lay them out."""

from __future__ import annotations

import math
from collections.abc import Set
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise._typing import ModeDims
from rankrise.tensors.files._declared import shown

_Arrays = dict[str, npt.NDArray[Any]]
_FORMATS = ("coo", "csr", "csc", "bsr", "dia")


def is_sparse(names: Set[str]) -> bool:
    """Whether arrays of these names are what SciPy or pydata/sparse saves."""
    compressed = {"indices", "indptr", "compressed_axes"}
    return {"format", "shape", "data"} <= names or any(
        {*own, "shape", "data", "fill_value"} == names
        for own in ({"coords"}, compressed)
    )


def scipy_format(stored: npt.NDArray[Any]) -> str:
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
