"""The numeric arrays in a MATLAB file of version 5, read without trust in the file.

`scipy.io.loadmat` uses some numbers in the file unchecked, so that one damaged byte can
end the whole process (SciPy 1.17). Here they are only ever keys of a table and lengths
to compare. The layout is that of MathWorks' "MAT-File Format".
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.tensors.files._declared import shown

_FILE_HEADER_BYTES = 128
# Flags, dimensions and name of a variable, with room for the longest that MATLAB has.
_VARIABLE_HEADER_BYTES = 4096

_MATRIX, _COMPRESSED = 14, 15
_STORED_TYPES = dict(enumerate(("i1", "u1", "i2", "u2", "i4", "u4", "f4"), start=1))
_STORED_TYPES |= {9: "f8", 12: "i8", 13: "u8"}
# By number; there is no class 0.
_KINDS = (
    "none",
    "cell",
    "struct",
    "object",
    "char",
    "sparse",
    "double",
    "single",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "function",
    "opaque",
)
_NUMERIC_CLASSES = range(6, 16)
_IS_LOGICAL, _IS_COMPLEX = 0x0200, 0x0800


@dataclass(frozen=True)
class MatVariable:
    """What a file says of a variable, and where its data are.

    Attributes
    ----------
    kind
        MATLAB's class, "logical", or "complex" and the class.
    position, byte_count
        The element in the file, without its tag.
    data_offset
        The data within the element with its tag, unpacked.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    position: int
    byte_count: int
    is_compressed: bool
    data_offset: int


class Mat5File:
    """A MATLAB file of version 5, open for reading."""

    def __init__(self, stream: io.BufferedReader) -> None:
        start = stream.read(_FILE_HEADER_BYTES)
        self.stream = stream
        self.byte_count = stream.seek(0, io.SEEK_END)
        match start[124:128]:
            case b"\x00\x01IM":
                self.byte_order = "<"
            case b"\x01\x00MI":
                self.byte_order = ">"
            case _:
                raise InputError("It is no MATLAB file of version 5; save it with -v7.")

    def variables(self) -> Iterator[MatVariable]:
        """All variables, each known from its header alone."""
        position = _FILE_HEADER_BYTES
        while position < self.byte_count:
            self.stream.seek(position)
            tag = self.stream.read(8)
            kind, byte_count = self._unpack("II", tag, 0)
            position += len(tag)
            if position + byte_count > self.byte_count:
                raise InputError(
                    f"It ends after {self.byte_count} bytes, within a variable; it is "
                    "truncated, so copy or save it again."
                )
            start = self.stream.read(min(byte_count, _VARIABLE_HEADER_BYTES))
            if kind == _COMPRESSED:
                start = zlib.decompressobj().decompress(start, _VARIABLE_HEADER_BYTES)
            else:
                start = tag + start
            yield self._variable(start, position, byte_count, kind == _COMPRESSED)
            position += byte_count

    def read(self, variable: MatVariable) -> npt.NDArray[Any]:
        """Read an array of real numbers, in the type it is stored in."""
        # A tag and eight bytes a number: never more is unpacked.
        longest = variable.data_offset + 8 + 8 * math.prod(variable.shape)
        if variable.is_compressed:
            self.stream.seek(variable.position)
            element = _unpacked(self.stream.read(variable.byte_count), longest)
        else:
            self.stream.seek(variable.position - 8)
            element = self.stream.read(longest)
        kind, byte_count, start, _ = self._tag(element, variable.data_offset)
        dtype = np.dtype(self.byte_order + _STORED_TYPES[kind])
        count = math.prod(variable.shape)
        if byte_count != count * dtype.itemsize:
            raise InputError(
                f"{shown(variable.name)} has the shape {variable.shape} but "
                f"{byte_count} bytes of {dtype}; the file is damaged."
            )
        flat = np.frombuffer(element, dtype, count, start)
        return flat.reshape(variable.shape, order="F")

    def _variable(
        self, start: bytes, position: int, byte_count: int, is_compressed: bool
    ) -> MatVariable:
        if self._tag(start, 0)[0] != _MATRIX:
            raise InputError("It holds something that is no variable; it is damaged.")
        _, _, flags_at, offset = self._tag(start, 8)
        (flags,) = self._unpack("I", start, flags_at)
        class_number = flags & 0xFF
        kind = _KINDS[class_number]
        shape: tuple[int, ...] = ()
        if kind != "opaque":
            _, length, shape_at, offset = self._tag(start, offset)
            shape = self._unpack(f"{length // 4}i", start, shape_at)
        _, length, name_at, offset = self._tag(start, offset)
        name = start[name_at : name_at + length].decode("latin-1")
        if any(dim < 0 for dim in shape):
            raise InputError(
                f"{shown(name)} has the shape {shape}; the file is damaged."
            )
        if flags & _IS_LOGICAL and class_number in _NUMERIC_CLASSES:
            kind = "logical"
        if flags & _IS_COMPLEX:
            kind = f"complex {kind}"
        return MatVariable(
            name, shape, kind, position, byte_count, is_compressed, offset
        )

    def _tag(self, element: bytes, offset: int) -> tuple[int, int, int, int]:
        """Type and length of a data element, where its data begin, where it ends."""
        kind, byte_count = self._unpack("II", element, offset)
        if kind >> 16:
            # The small format keeps up to four bytes of data within the tag.
            return kind & 0xFFFF, kind >> 16, offset + 4, offset + 8
        padded = -(-byte_count // 8) * 8
        return kind, byte_count, offset + 8, offset + 8 + padded

    def _unpack(self, form: str, element: bytes, offset: int) -> tuple[int, ...]:
        return struct.unpack_from(self.byte_order + form, element, offset)


def _unpacked(packed: bytes, longest: int) -> bytes:
    unpacking = zlib.decompressobj()
    element = unpacking.decompress(packed, longest)
    # Only at its end is the checksum compared; up to there is nothing but padding.
    unpacking.decompress(unpacking.unconsumed_tail, 8)
    if not unpacking.eof:
        raise InputError("It holds more data than it declares; it is damaged.")
    return element
