"""The numeric arrays in a MATLAB file of version 7.3, which is HDF5.

MATLAB stores arrays column by column, so HDF5 shows them with their modes reversed.
What a file could refer to elsewhere (links, external and virtual data) is left alone.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.tensors.files._declared import shown
from rankrise.tensors.files._hdf5_checks import check_stored

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_HEADER_TEXT = b"MATLAB 7.3 MAT-file, Created by: rankrise HDF5 schema 1.00 ."
# The version and, read in this byte order, the letters MI.
_HEADER_END = b"\x00\x02IM"
_HEADER_END_BIG = b"\x02\x00MI"
_HEADER_BYTES = 128
_USER_BLOCK_BYTES = 512

_LONGEST_CLASS_NAME = 64
_CLASS, _SPARSE, _EMPTY = "MATLAB_class", "MATLAB_sparse", "MATLAB_empty"


@dataclass(frozen=True)
class Mat73Variable:
    """What a file says of a variable.

    Attributes
    ----------
    kind
        MATLAB's class, "complex" or "empty" and the class, or what it is instead.
    """

    name: str
    shape: tuple[int, ...]
    kind: str


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

    def variables(self) -> Iterator[Mat73Variable]:
        """All variables, each known from what is declared of it."""
        import h5py

        for name in self.content:
            link = self.content.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                yield Mat73Variable(name, (), "link")
                continue
            found = self.content[name]
            if isinstance(found, h5py.Dataset):
                yield Mat73Variable(name, (found.shape or ())[::-1], _kind(found))
            else:
                kind = "sparse" if _SPARSE in found.attrs else "struct"
                yield Mat73Variable(name, (), kind)

    def read(self, variable: Mat73Variable) -> npt.NDArray[Any]:
        """Read an array of real numbers, in the type it is stored in."""
        dataset = self.content[variable.name]
        if dataset.dtype.kind not in "fiu":
            raise InputError(
                f"{shown(variable.name)} is stored as {dataset.dtype}, not as numbers; "
                "the file is damaged."
            )
        check_stored(dataset, variable.name, self.byte_count)
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


def _kind(dataset: Any) -> str:
    """MATLAB's class of a dataset, "complex" or "empty" and the class, or "unknown"."""
    if _CLASS not in dataset.attrs:
        return "unknown"
    stored = dataset.attrs.get_id(_CLASS)
    # A longer one is damaged, and would take as much memory as it says.
    is_name = stored.shape == () and stored.dtype.kind == "S"
    if not is_name or stored.dtype.itemsize > _LONGEST_CLASS_NAME:
        return "unknown"
    kind = bytes(dataset.attrs[_CLASS]).decode("ascii", "replace")
    if not kind.isidentifier():
        return "unknown"
    if _EMPTY in dataset.attrs:
        return f"empty {kind}"
    if dataset.dtype.names is not None:
        return f"complex {kind}"
    return kind
