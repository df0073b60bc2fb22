"""MATLAB files of version 7.3, which are HDF5.

MATLAB stores arrays column by column, so HDF5 shows them with their modes reversed.
Data in other places (links, external and virtual data) are not read.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
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


class Mat73File:
    """A MATLAB file of version 7.3, open for reading."""

    def __init__(self, stream: io.BufferedReader) -> None:
        import h5py

        self.byte_count = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        self.content = h5py.File(stream, "r")

    def close(self) -> None:
        self.content.close()

    def variables(self) -> dict[str, MatNode]:
        """All variables, by name, as their headers declare them."""
        return self._members(self.content, Budget(), 0)

    def read(self, nodes: Iterable[MatNode]) -> list[npt.NDArray[Any]]:
        """Read arrays of numbers, or codes of text, in the type they are stored in."""
        return [self._array(node.place) for node in nodes]

    def _members(self, group: Any, budget: Budget, depth: int) -> dict[str, MatNode]:
        import h5py

        if not budget.covers(len(group), depth):
            return {}
        # Cells lie in #refs#, to which cell arrays refer.
        names = [name for name in group if not name.startswith("#")]
        links = {name: group.get(name, getlink=True) for name in names}
        return {
            name: self._node(group[name], budget, depth)
            if isinstance(link, h5py.HardLink)
            else MatNode((), "link")
            for name, link in links.items()
        }

    def _node(self, found: Any, budget: Budget, depth: int) -> MatNode:
        import h5py

        if isinstance(found, h5py.Dataset):
            shape, kind = (found.shape or ())[::-1], _kind(found)
            if kind != "cell":
                return MatNode(shape, kind, place=found)
            return MatNode(shape, kind, self._cells(found, budget, depth))
        if not isinstance(found, h5py.Group) or _SPARSE in found.attrs:
            return MatNode((), "sparse" if _SPARSE in found.attrs else "unknown")
        kind = _class_name(found)
        # In an array of structs, fields are references, which have no class.
        members = self._members(found, budget, depth + 1)
        if any(node.kind == "unknown" for node in members.values()):
            members = {}
        kind = kind if kind == "struct" else f"{kind} object"
        parts = {f".{name}": node for name, node in members.items()}
        return MatNode((1, 1), kind, parts)

    def _cells(self, dataset: Any, budget: Budget, depth: int) -> dict[str, MatNode]:
        import h5py

        is_cell = h5py.check_ref_dtype(dataset.dtype) is h5py.Reference
        if not is_cell or not budget.covers(dataset.size, depth):
            return {}
        references = self._array(dataset, "O").reshape(-1, order="F")
        names = part_names("cell", len(references), [])
        return {
            name: self._node(self.content[reference], budget, depth + 1)
            for name, reference in zip(names, references, strict=True)
        }

    def _array(self, dataset: Any, kinds: str = "fiu") -> npt.NDArray[Any]:
        name = shown(str(dataset.name).removeprefix("/"))
        if dataset.dtype.kind not in kinds:
            raise InputError(
                f"{name} is stored as {dataset.dtype}, not as numbers; the file is "
                "damaged."
            )
        check_stored(dataset, str(dataset.name).removeprefix("/"), self.byte_count)
        return np.asarray(dataset[()]).T


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
