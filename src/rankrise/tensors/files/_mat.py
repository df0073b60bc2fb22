"""MATLAB `.mat` files of version 4, 5 (saved with -v6 or -v7) and 7.3 (HDF5)."""

from __future__ import annotations

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
from rankrise.tensors._mode_axes import ModeAxis
from rankrise.tensors._observations import Observations
from rankrise.tensors.files._declared import (
    Declared,
    check_memory,
    check_tensor,
    choose,
    refuse_damaged,
    shown,
)
from rankrise.tensors.files._file_layout import Layout, as_stored
from rankrise.tensors.files._hdf5_checks import check_heaps
from rankrise.tensors.files._mat4 import Mat4File, is_mat4
from rankrise.tensors.files._mat5 import Mat5File
from rankrise.tensors.files._mat73 import Mat73File, is_mat73, mat73_bytes
from rankrise.tensors.files._mat_node import MatNode

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
_logger = logging.getLogger(__name__)
_File = Mat4File | Mat5File | Mat73File


@dataclass(frozen=True, eq=False)
class MatLayout(Layout):
    """One variable in a MATLAB file of version 4, of version 5, or of 7.3.

    Attributes
    ----------
    name
        Name of the plain variable to write, whatever the tensor was read from.
    """

    name: str
    dtype: np.dtype[Any]
    file_type: type[_File]

    def write(self, completed: Values, path: Path) -> None:
        """Write the variable alone, uncompressed, in the version of the input."""
        from scipy.io import savemat

        stored = as_stored(completed, self.dtype)
        if self.file_type is Mat73File:
            # Made in memory: where a disk is full, HDF5 crashes as it closes the file.
            path.write_bytes(mat73_bytes(self.name, stored))
            return
        version = "4" if self.file_type is Mat4File else "5"
        with path.open("wb") as stream:
            savemat(stream, {self.name: stored}, format=version)


@dataclass(frozen=True, eq=False)
class _Tensor:
    """A candidate for the tensor of a file.

    Attributes
    ----------
    numbers
        The array of its values, or the first of several that are stacked.
    holder
        "array", "cell", or the class of the tensor toolbox or PLS_Toolbox.
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
) -> tuple[Observations, MatLayout, str]:
    """Read the entries that are not NaN of an array, or those that an sptensor stores.

    Arrays in structs, objects and cell arrays have MATLAB's name for them, such as
    `EEG.data`; without a name they are looked at only if no variable is a tensor.
    """
    with (
        path.open("rb") as stream,
        refuse_damaged("a MATLAB file"),
        _open(stream) as file,
    ):
        found: dict[str, _Tensor] = {}
        for name, node in file.variables().items():
            # Other names are MATLAB's own and could not be written back.
            if name[:1].isalpha():
                found |= {each.name: each for each in _tensors(file, name, node)}
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
        if chosen.holder != "sptensor":
            check_tensor(chosen.shape, dtype, mode_dims)
        if isinstance(file, Mat5File):
            _check_writable(chosen.shape, dtype)
        observations = _observations(file, chosen)
        axes = _axes(file, chosen) if chosen.holder == "dataset" else ()
    plain = re.sub(r"\W+", "_", chosen.name).strip("_")[:_LONGEST_NAME]
    if plain != chosen.name or chosen.holder != "array":
        _logger.warning(
            "%s (%s) is taken as the plain array %s.",
            shown(chosen.name),
            chosen.kind,
            plain,
        )
    layout = MatLayout(plain, dtype, type(file), mode_axes=axes)
    return observations, layout, chosen.name


@contextmanager
def _open(stream: io.BufferedReader) -> Iterator[_File]:
    start = stream.read(_FILE_HEADER_BYTES)
    stream.seek(0)
    if is_mat73(start):
        check_heaps(Path(stream.name))
        file = Mat73File(stream)
        try:
            yield file
        finally:
            file.close()
    elif is_mat4(start):
        yield Mat4File(stream)
    else:
        yield Mat5File(stream)


def _tensors(file: _File, name: str, node: MatNode) -> Iterator[_Tensor]:
    """A variable as a tensor, and all candidates within it."""
    held = _held(file, name, node)
    yield held or _Tensor(name, node.shape, node, node)
    # The parts of a tensor are not candidates themselves.
    parts = {} if held else node.parts
    for part, inner in parts.items():
        yield from _tensors(file, name + part, inner)


def _held(file: _File, name: str, node: MatNode) -> _Tensor | None:
    """A tensor of the tensor toolbox, of PLS_Toolbox or in a cell array of matrices."""
    fields = node.fields()
    for holder, numbers in (("sptensor", "vals"), ("tensor", "data")):
        needed = {"subs", "vals", "size"} if holder == "sptensor" else {"data", "size"}
        if needed == set(fields) and (shape := _size(file, fields["size"])):
            return _Tensor(name, shape, fields[numbers], node, holder)
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


def _size(file: _File, node: MatNode) -> tuple[int, ...] | None:
    """The mode dimensions that an object of the tensor toolbox holds."""
    if node.kind not in _DTYPES or math.prod(node.shape) > _LONGEST_SIZE:
        return None
    (stored,) = file.read([node])
    dims = tuple(int(dim) for dim in stored.reshape(-1))
    return dims if all(dim >= 0 for dim in dims) else None


def _observations(file: _File, tensor: _Tensor) -> Observations:
    fields = tensor.node.fields()
    match tensor.holder:
        case "sptensor":
            _logger.warning(
                "%s is an sptensor: what it does not store is unobserved, not zero.",
                shown(tensor.name),
            )
            parts = [fields["subs"], fields["vals"]]
            check_memory(8 * sum(math.prod(x.shape) for x in parts), "An sptensor")
            subs, vals = file.read(parts)
            return Observations.from_coordinates(
                subs.astype(np.float64) - 1, vals.reshape(-1), tensor.shape
            )
        case "cell":
            elements = file.read(tensor.node.parts.values())
            array = np.stack(elements, axis=-1)
        case _:
            (array,) = file.read([tensor.numbers])
    # MATLAB keeps no last modes of dimension one, and cells column by column.
    return Observations.from_array(array.reshape(tensor.shape, order="F"))


def _axes(file: _File, tensor: _Tensor) -> tuple[ModeAxis, ...]:
    """Names of the modes, and labels or else axis scales, of the first set."""
    fields = tensor.node.fields()
    axes = []
    for mode, dim in enumerate(tensor.shape, start=1):
        label, scale, title = (
            _names(
                file, fields[name].parts.get(f"{{{mode}}}") if name in fields else None
            )
            for name in ("label", "axisscale", "title")
        )
        fitting = (x for x in (label, scale) if x is not None and len(x) == dim)
        is_named = title is not None and len(title) == 1
        name = str(title[0]) if title is not None and is_named else ""
        axes.append(ModeAxis(name or None, next(fitting, None)))
    return tuple(axes)


def _names(file: _File, node: MatNode | None) -> npt.NDArray[Any] | None:
    """Rows of text, or numbers; None if it is neither."""
    is_text = node is not None and node.kind == "char" and len(node.shape) == 2
    if node is None or not (is_text or node.kind in _DTYPES):
        return None
    check_memory(8 * math.prod(node.shape), "What names its indices")
    (stored,) = file.read([node])
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
