"""MATLAB `.mat` files of version 4, 5 (saved with -v6 or -v7) and 7.3 (HDF5)."""

from __future__ import annotations

import functools as ft
import io
import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise._typing import ModeDims, Values
from rankrise.tensors._layout import Layout, ModeAxis, as_stored
from rankrise.tensors._observations import Observations
from rankrise.tensors.files._declared import (
    Declared,
    check_memory,
    check_same_dims,
    check_tensor,
    choose,
    refuse_damaged,
    shown,
)
from rankrise.tensors.files._hdf5_checks import check_heaps
from rankrise.tensors.files._mat4 import is_mat4, mat4_variables
from rankrise.tensors.files._mat5 import mat5_variables
from rankrise.tensors.files._mat73 import is_mat73, mat73_bytes, mat73_variables
from rankrise.tensors.files._mat_node import MatNode
from rankrise.tensors.files._npz import stored_entries

# Version 5 counts the bytes of a variable, some of them its own header, in 32 bits.
_MAX_VARIABLE_BYTES = 2**32 - 2**10
_FILE_HEADER_BYTES = 128
_LONGEST_SIZE = 64
_LONGEST_NAME = 63  # that MATLAB has

_DTYPES = {"double": "float64", "single": "float32", "logical": "bool"} | {
    kind: kind for bits in (8, 16, 32, 64) for kind in (f"int{bits}", f"uint{bits}")
}

_HINTS = {
    "sparse": "; full(x) makes an array of it",
    "unknown": " that MATLAB wrote, for it has no MATLAB_class",
}
# What these do not store is unobserved.
_STORED = ("sptensor", "sparse")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Tensor:
    """A candidate for the tensor of a file.

    Attributes
    ----------
    numbers
        The array of its values, or the first of several that are stacked.
    holder
        "array", "cell", "sparse", or the class of the tensor toolbox or PLS_Toolbox.
    """

    name: str
    shape: tuple[int, ...]
    numbers: MatNode
    node: MatNode
    holder: str = "array"

    @property
    def kind(self) -> str:
        """MATLAB's class, in words."""
        is_array = self.holder == "array"
        return self.node.kind if is_array else f"{self.holder} of {self.numbers.kind}"

    @property
    def fits(self) -> bool:
        """Whether it could be the tensor; MATLAB has no order below two."""
        several = math.prod(self.shape) > 1
        return self.numbers.kind in _DTYPES and len(self.shape) >= 2 and several


def read_mat(
    path: Path, variable: str | None, mode_dims: ModeDims | None
) -> tuple[Observations, Layout, str]:
    """Read the entries that are not NaN of an array, or those that an sptensor stores.

    Arrays in structs, objects and cell arrays have MATLAB's name for them, such as
    `EEG.data`; without a name they are looked at only if no variable is a tensor.
    """
    with (
        path.open("rb") as stream,
        refuse_damaged("a MATLAB file"),
        _opened(stream) as (version, variables),
    ):
        found: dict[str, _Tensor] = {}
        for name, node in variables.items():
            # Other names are MATLAB's own and could not be written back.
            if name[:1].isalpha():
                found |= {each.name: each for each in _tensors(name, node)}
        outer = any(each.fits for each in found.values() if each.name.isidentifier())
        arrays = [
            Declared(
                each.name,
                each.shape,
                each.kind,
                fits=each.fits and (each.name.isidentifier() or not outer),
            )
            for each in found.values()
        ]
        chosen = found[choose(arrays, variable).name]
        dtype = _dtype(chosen)
        if chosen.holder in _STORED:
            check_same_dims(chosen.shape, mode_dims)
        else:
            check_tensor(chosen.shape, dtype, mode_dims)
        if version == "5":
            _check_writable(chosen.shape, dtype)
        observations = _observations(chosen)
        axes = _axes(chosen) if chosen.holder == "dataset" else ()
    plain = re.sub(r"\W+", "_", chosen.name).strip("_")[:_LONGEST_NAME]
    if plain != chosen.name or chosen.holder != "array":
        _logger.warning(
            "%s (%s) is taken as the plain array %s.",
            shown(chosen.name),
            chosen.kind,
            plain,
        )
    layout = Layout(ft.partial(_write, plain, dtype, version), axes)
    return observations, layout, chosen.name


def _write(
    name: str, dtype: np.dtype[Any], version: str, completed: Values, path: Path
) -> None:
    """Write the variable alone, uncompressed, in the version of the input."""
    from scipy.io import savemat

    stored = as_stored(completed, dtype)
    if version == "7.3":
        # Made in memory: where a disk is full, HDF5 crashes as it closes the file.
        path.write_bytes(mat73_bytes(name, stored))
        return
    with path.open("wb") as stream:
        savemat(stream, {name: stored}, format=version)


@contextmanager
def _opened(
    stream: io.BufferedReader,
) -> Iterator[tuple[str, dict[str, MatNode]]]:
    """The version and the variables of a file."""
    start = stream.read(_FILE_HEADER_BYTES)
    stream.seek(0)
    if is_mat73(start):
        import h5py

        path = Path(stream.name)
        check_heaps(path)
        with h5py.File(stream, "r") as content:
            yield "7.3", mat73_variables(content, path.stat().st_size)
    elif is_mat4(start):
        yield "4", mat4_variables(stream)
    else:
        yield "5", mat5_variables(stream)


def _tensors(name: str, node: MatNode) -> Iterator[_Tensor]:
    """A variable as a tensor, and all candidates within it."""
    held = _held(name, node)
    yield held or _Tensor(name, node.shape, node, node)
    # The parts of a tensor are not candidates themselves.
    parts = {} if held else node.parts
    for part, inner in parts.items():
        yield from _tensors(name + part, inner)


def _held(name: str, node: MatNode) -> _Tensor | None:
    """A tensor of a toolbox, a sparse matrix, or a cell array of equal matrices."""
    fields = node.fields()
    for holder, numbers in (("sptensor", "vals"), ("tensor", "data")):
        needed = {"subs", "vals", "size"} if holder == "sptensor" else {"data", "size"}
        if needed == set(fields) and (shape := _size(fields["size"])):
            return _Tensor(name, shape, fields[numbers], node, holder)
    if node.kind == "sparse" and fields:
        return _Tensor(name, node.shape, fields["data"], node, "sparse")
    if {"data", "label", "axisscale"} <= set(fields):
        data = fields["data"]
        return _Tensor(name, data.shape, data, node, "dataset")
    elements = list(node.parts.values())
    if node.kind == "cell" and elements:
        first = elements[0]
        kinds = {(each.shape, each.kind) for each in elements}
        if len(kinds) == 1 and first.kind in _DTYPES and math.prod(first.shape) > 1:
            counts = tuple(dim for dim in node.shape if dim > 1) or (1,)
            return _Tensor(name, first.shape + counts, first, node, "cell")
    return None


def _size(node: MatNode) -> tuple[int, ...] | None:
    """The mode dimensions that an object of the tensor toolbox holds."""
    if node.kind not in _DTYPES or math.prod(node.shape) > _LONGEST_SIZE:
        return None
    dims = tuple(int(dim) for dim in node.numbers().reshape(-1))
    return dims if all(dim >= 0 for dim in dims) else None


def _observations(tensor: _Tensor) -> Observations:
    if tensor.holder in _STORED:
        return _stored(tensor)
    if tensor.holder == "cell":
        array = np.stack([x.numbers() for x in tensor.node.parts.values()], axis=-1)
    else:
        array = tensor.numbers.numbers()
    # MATLAB keeps no last modes of dimension one, and cells column by column.
    array = array.reshape(tensor.shape, order="F")
    if tensor.holder == "dataset":
        array = array[np.ix_(*_included(tensor))]
    return Observations.from_array(array)


def _stored(tensor: _Tensor) -> Observations:
    """The entries that an sptensor or a sparse matrix stores."""
    _logger.warning(
        "%s is %s: what it does not store is unobserved, not zero.",
        shown(tensor.name),
        "an sptensor" if tensor.holder == "sptensor" else "sparse",
    )
    parts = tensor.node.fields()
    size = 8 * sum(math.prod(part.shape) for part in parts.values())
    check_memory(size, f"A {tensor.holder}", copies=6.0)
    arrays = {name: part.numbers() for name, part in parts.items()}
    if tensor.holder == "sptensor":
        indices = arrays["subs"].astype(np.float64) - 1
        values = arrays["vals"].reshape(-1)
    else:
        # Room may be left for more.
        starts, count = arrays["jc"].reshape(-1), int(arrays["jc"].reshape(-1)[-1])
        csc = {"indptr": starts, "indices": arrays["ir"].reshape(-1)[:count]}
        csc["data"] = arrays["data"].reshape(-1)[:count]
        indices, values = stored_entries("csc", csc, tensor.shape)
    return Observations.from_coordinates(indices, values, tensor.shape)


def _axes(tensor: _Tensor) -> tuple[ModeAxis, ...]:
    """Names of the modes, and labels or else axis scales, of the first set."""
    fields, axes = tensor.node.fields(), []
    for mode, kept in enumerate(_included(tensor), start=1):
        dim = tensor.shape[mode - 1]
        label, scale, title = (
            _names(fields[name].parts.get(f"{{{mode}}}")) if name in fields else None
            for name in ("label", "axisscale", "title")
        )
        fitting = (x[kept] for x in (label, scale) if x is not None and len(x) == dim)
        is_named = title is not None and len(title) == 1
        name = str(title[0]) if title is not None and is_named else ""
        axes.append(ModeAxis(name or None, next(fitting, None)))
    return tuple(axes)


def _included(tensor: _Tensor) -> list[npt.NDArray[np.int64]]:
    """Indices that a dataset object includes, mode by mode; all where it says none."""
    kept = [np.arange(dim) for dim in tensor.shape]
    parts = tensor.node.fields().get("include", MatNode((), "")).parts
    for mode, dim in enumerate(tensor.shape):
        node = parts.get(f"{{{mode + 1}}}")
        if node is not None and node.kind in _DTYPES:
            check_memory(8 * math.prod(node.shape), "What is included")
            kept[mode] = node.numbers().reshape(-1).astype(np.int64) - 1
            if not np.isin(kept[mode], np.arange(dim)).all():
                raise InputError(
                    f"`include` of {shown(tensor.name)} names other indices than the "
                    f"1 to {dim} of mode {mode + 1}; the file is damaged."
                )
    return kept


def _names(node: MatNode | None) -> npt.NDArray[Any] | None:
    """Rows of text, or numbers; None if it is neither."""
    is_text = node is not None and node.kind == "char" and len(node.shape) == 2
    if node is None or not (is_text or node.kind in _DTYPES):
        return None
    check_memory(8 * math.prod(node.shape), "What names its indices")
    stored = node.numbers()
    if not is_text:
        return stored.reshape(-1)
    rows = ["".join(map(chr, row)).rstrip() for row in stored.tolist()]
    return np.array(rows, dtype=np.str_)


def _dtype(tensor: _Tensor) -> np.dtype[Any]:
    """The data type of MATLAB's class, whatever narrower type is stored."""
    kind = tensor.numbers.kind
    if kind not in _DTYPES:
        raise InputError(
            f"The variable {shown(tensor.name)} {tensor.shape} {tensor.kind} is not an "
            f"array of real numbers{_HINTS.get(kind, '')}; save one, NaN where "
            "unobserved."
        )
    return np.dtype(_DTYPES[kind])


def _check_writable(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    itemsize = dtype.itemsize if dtype.kind == "f" else 8
    if math.prod(shape) * itemsize > _MAX_VARIABLE_BYTES:
        raise InputError(
            f"The completed tensor of shape {shape} would exceed the 4 GiB that a "
            "variable of a .mat file can hold; save the input with -v7.3."
        )
