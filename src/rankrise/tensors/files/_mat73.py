"""MATLAB files of version 7.3, which are HDF5.

MATLAB stores arrays column by column, so HDF5 shows them with their modes reversed.
Data in other places (links, external and virtual data) are not read.
"""

from __future__ import annotations

import functools as ft
import io
import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.tensors.files._declared import shown
from rankrise.tensors.files._hdf5_checks import check_stored, short_text
from rankrise.tensors.files._mat_node import Budget, MatNode, part_names

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_HEADER_TEXT = b"MATLAB 7.3 MAT-file, Created by: rankrise HDF5 schema 1.00 ."
# The version and, read in this byte order, the letters MI.
_HEADER_END = b"\x00\x02IM"
_HEADER_END_BIG = b"\x02\x00MI"
_HEADER_BYTES = 128
_USER_BLOCK_BYTES = 512

_CLASS, _SPARSE, _EMPTY = "MATLAB_class", "MATLAB_sparse", "MATLAB_empty"


def is_mat73(start: bytes) -> bool:
    """Whether a file that begins with these 128 bytes is of version 7.3."""
    ends = (_HEADER_END, _HEADER_END_BIG)
    return start.startswith(_HDF5_MAGIC) or start[124:128] in ends


def mat73_variables(content: Any, byte_count: int) -> dict[str, MatNode]:
    """All variables of an open file of this size, by name, as headers declare them."""
    return _Nodes(content, byte_count).members(content, 0)


class _Nodes:
    """What lies in a file, group by group."""

    def __init__(self, content: Any, byte_count: int) -> None:
        self.content = content
        self.byte_count = byte_count
        self.budget = Budget()

    def members(self, group: Any, depth: int) -> dict[str, MatNode]:
        import h5py

        if not self.budget.covers(len(group), depth):
            return {}
        # Cells lie in #refs#, to which cell arrays refer.
        names = [name for name in group if not name.startswith("#")]
        links = {name: group.get(name, getlink=True) for name in names}
        return {
            name: self._node(group[name], depth)
            if isinstance(link, h5py.HardLink)
            else MatNode((), "link")
            for name, link in links.items()
        }

    def _node(self, found: Any, depth: int) -> MatNode:
        import h5py

        if isinstance(found, h5py.Dataset):
            shape, kind = (found.shape or ())[::-1], _kind(found)
            if kind == "cell":
                return MatNode(shape, kind, self._cells(found, depth))
            return MatNode(shape, kind, read=ft.partial(self._array, found))
        if not isinstance(found, h5py.Group):
            return MatNode((), "unknown")
        members = self.members(found, depth + 1)
        if _SPARSE in found.attrs:
            return _sparse(found, members)
        kind = _class_name(found)
        # In an array of structs, fields are references, which have no class.
        if any(node.kind == "unknown" for node in members.values()):
            members = {}
        kind = kind if kind == "struct" else f"{kind} object"
        return MatNode((1, 1), kind, {f".{x}": node for x, node in members.items()})

    def _cells(self, dataset: Any, depth: int) -> dict[str, MatNode]:
        import h5py

        is_cell = h5py.check_ref_dtype(dataset.dtype) is h5py.Reference
        if not is_cell or not self.budget.covers(dataset.size, depth):
            return {}
        references = self._array(dataset, "O").reshape(-1, order="F")
        names = part_names("cell", len(references), [])
        return {
            name: self._node(self.content[reference], depth + 1)
            for name, reference in zip(names, references, strict=True)
        }

    def _array(self, dataset: Any, kinds: str = "fiu") -> npt.NDArray[Any]:
        name = str(dataset.name).removeprefix("/")
        if dataset.dtype.kind not in kinds:
            raise InputError(
                f"{shown(name)} is stored as {dataset.dtype}, not as numbers; the file "
                "is damaged."
            )
        check_stored(dataset, name, self.byte_count)
        return np.asarray(dataset[()]).T


def _sparse(group: Any, members: dict[str, MatNode]) -> MatNode:
    """A sparse matrix: its attribute is the number of rows, its class the values'."""
    stored = group.attrs.get_id(_SPARSE)
    data = members.get("data", MatNode((), "unknown"))
    is_plain = stored.shape in ((), (1,)) and stored.dtype.kind in "iu"
    if not is_plain or {*members} != {"data", "ir", "jc"} or data.read is None:
        return MatNode((), "sparse")
    rows = int(np.ravel(group.attrs[_SPARSE])[0])
    kind = "complex double" if group["data"].dtype.names else _class_name(group)
    parts = {f".{name}": node for name, node in members.items()}
    columns = math.prod(members["jc"].shape) - 1
    return MatNode(
        (rows, columns), "sparse", parts | {".data": replace(data, kind=kind)}
    )


def mat73_bytes(name: str, array: npt.NDArray[Any]) -> bytes:
    """A file of version 7.3 that holds one array of floating point."""
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w", userblock_size=_USER_BLOCK_BYTES) as content:
        dataset = content.create_dataset(name, data=np.ascontiguousarray(array.T))
        kind = {"float32": "single", "float64": "double"}[array.dtype.name]
        dataset.attrs[_CLASS] = np.bytes_(kind)
    # MATLAB's own header lies in the block that HDF5 leaves to its users: a text, eight
    # zero bytes, the version.
    header = _HEADER_TEXT.ljust(_HEADER_BYTES - 12) + bytes(8) + _HEADER_END
    stream.seek(0)
    stream.write(header)
    return stream.getvalue()


def _class_name(found: Any) -> str:
    """MATLAB's class of a dataset or group, "unknown" where it says none."""
    kind = short_text(found, _CLASS).decode("ascii", "replace")
    return kind if kind.isidentifier() else "unknown"


def _kind(dataset: Any) -> str:
    """MATLAB's class of a dataset, or "complex" or "empty" and the class."""
    kind = _class_name(dataset)
    if kind == "unknown":
        return kind
    if _EMPTY in dataset.attrs:
        return f"empty {kind}"
    return f"complex {kind}" if dataset.dtype.names is not None else kind
