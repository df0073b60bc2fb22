"""Sparse arrays as `scipy.sparse.save_npz` and pydata/sparse lay them out.

SciPy's own constructors trust indices that a damaged file holds, so none is made.
"""

from __future__ import annotations

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
    Indices may still be out of range.
    """
    data = arrays["data"]
    match form:
        case "coo" if "coords" in arrays:
            return arrays["coords"].T, data
        case "coo":
            return np.stack((arrays["row"], arrays["col"]), axis=1), data
        case "dia":
            offsets, columns = arrays["offsets"][:, None], np.arange(data.shape[1])
            rows = columns - offsets
            kept = (rows >= 0) & (rows < shape[0]) & (columns < shape[1]) & (data != 0)
            columns = np.broadcast_to(columns, kept.shape)
            return np.stack((rows[kept], columns[kept]), axis=1), data[kept]
        case "gcxs":
            # A matrix of compressed rows, whose two modes are several of the tensor.
            rows = _outer(arrays["indptr"], len(data))
            first = arrays["compressed_axes"].tolist()
            last = [mode for mode in range(len(shape)) if mode not in first]
            indices = np.empty((len(data), len(shape)), np.int64)
            for modes, flat in ((first, rows), (last, arrays["indices"])):
                dims = [shape[mode] for mode in modes]
                indices[:, modes] = np.stack(np.unravel_index(flat, dims), axis=1)
            return indices, data
    outer, inner = _outer(arrays["indptr"], len(arrays["indices"])), arrays["indices"]
    if form == "csc":
        outer, inner = inner, outer
    if form != "bsr":
        return np.stack((outer, inner), axis=1), data
    block = data.shape[1:]
    within = np.indices(block).reshape(2, -1).T
    corners = np.stack((outer, inner), axis=1) * block
    return (corners[:, None] + within).reshape(-1, 2), data.reshape(-1)


def _outer(starts: npt.NDArray[Any], count: int) -> npt.NDArray[np.int64]:
    """The row (or column) of each entry, from where each row starts."""
    lengths = starts[1:].astype(np.int64) - starts[:-1].astype(np.int64)
    if starts[0] != 0 or starts[-1] != count or (lengths < 0).any():
        raise InputError("Its rows do not follow one another; the file is damaged.")
    return np.repeat(np.arange(len(lengths)), lengths)
