"""MATLAB files of version 5, read without trust in the file.

`scipy.io.loadmat` uses some numbers in the file unchecked, so that one damaged byte can
end the whole process (SciPy 1.17). Here they are only keys of a table and lengths to
compare. The layout is that of MathWorks' "MAT-File Format". Compressed variables are
unpacked piece by piece, and only the numbers that are asked for are kept.
"""

from __future__ import annotations

import io
import itertools
import math
import struct
import zlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.tensors.files._mat_node import (
    MAX_NAME_BYTES,
    Budget,
    MatNode,
    check_shape,
    part_names,
)

_FILE_HEADER_BYTES = 128
_PIECE_BYTES = 2**20
_LONGEST_FIELD_NAME = 1024

_MATRIX, _COMPRESSED, _UTF8 = 14, 15, 16
_STORED_TYPES = dict(enumerate(("i1", "u1", "i2", "u2", "i4", "u4", "f4"), start=1))
_STORED_TYPES |= {9: "f8", 12: "i8", 13: "u8", 16: "u1", 17: "u2", 18: "u4"}
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
_ARRAYS = {"char", *_KINDS[6:16]}
_IS_LOGICAL, _IS_COMPLEX = 0x0200, 0x0800


class _Place(NamedTuple):
    """Where numbers lie: an offset into the variable at a position of the file."""

    variable: int
    variable_bytes: int
    offset: int
    byte_count: int
    type_number: int


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
                raise InputError(
                    "It is not a MATLAB file of version 4, 5 or 7.3; save it with -v7."
                )

    def variables(self) -> dict[str, MatNode]:
        """All variables, by name."""
        found, position, budget = {}, _FILE_HEADER_BYTES, Budget()
        while position < self.byte_count:
            content = self._content(position)
            name, found_node = _Variable(content, position, budget).parsed()
            found[name] = found_node
            position = content.end
        return found

    def read(self, nodes: Iterable[MatNode]) -> list[npt.NDArray[Any]]:
        """Read arrays of numbers, or codes of text, in the type they are stored in."""
        arrays = []
        for position, group in itertools.groupby(nodes, lambda x: x.place.variable):
            content = self._content(position)
            for node in group:
                if node.place.offset < content.offset:
                    content = self._content(position)
                arrays.append(_numbers(content, node))
                variable_bytes = node.place.variable_bytes
            content.finish(variable_bytes)
        return arrays

    def _content(self, position: int) -> _Content:
        """The variable at a position, with its tag, unpacked."""
        self.stream.seek(position)
        tag = self.stream.read(8)
        kind, byte_count = struct.unpack(self.byte_order + "II", tag)
        end = position + 8 + byte_count
        if end > self.byte_count:
            raise InputError(
                f"It ends after {self.byte_count} bytes, within a variable; it is "
                "truncated, so copy or save it again."
            )
        if kind != _COMPRESSED:
            self.stream.seek(position)
        return _Content(self.stream, end, self.byte_order, kind == _COMPRESSED)


class _Content:
    """The bytes of a variable, in pieces; skipped ones are never kept."""

    def __init__(
        self, stream: io.BufferedReader, end: int, byte_order: str, is_packed: bool
    ) -> None:
        self.stream = stream
        self.end = end
        self.byte_order = byte_order
        self.offset = 0
        self._unpacking = zlib.decompressobj() if is_packed else None
        self._skipped = 0

    def skip(self, count: int) -> None:
        if count < 0:
            raise InputError("A part of it is longer than it declares; it is damaged.")
        self.offset += count
        self._skipped += count

    def read(self, count: int) -> bytes:
        while self._skipped:
            self._skipped -= len(self._piece(min(self._skipped, _PIECE_BYTES)))
        pieces, left = [], count
        while left:
            pieces.append(self._piece(left))
            left -= len(pieces[-1])
        self.offset += count
        return b"".join(pieces)

    def numbers(self, form: str, content: bytes) -> tuple[int, ...]:
        return struct.unpack(self.byte_order + form, content)

    def finish(self, byte_count: int) -> None:
        """Refuse a variable that goes on after this many bytes."""
        self.skip(byte_count - self.offset)
        self.read(0)
        if self._unpacking is None:
            return
        # zlib compares its checksum at the end; only padding may lie before it.
        self._unpacked(8)
        if not self._unpacking.eof:
            raise InputError("It holds more data than it declares; it is damaged.")

    def _piece(self, most: int) -> bytes:
        if self._unpacking is None:
            piece = self.stream.read(min(most, self.end - self.stream.tell()))
        else:
            piece = self._unpacked(most)
        if not piece:
            raise InputError("It ends within a variable; it is damaged.")
        return piece

    def _unpacked(self, most: int) -> bytes:
        assert self._unpacking is not None
        while not self._unpacking.eof:
            left = min(_PIECE_BYTES, self.end - self.stream.tell())
            packed = self._unpacking.unconsumed_tail or self.stream.read(left)
            piece = self._unpacking.decompress(packed, most)
            if piece or not packed:
                return piece
        return b""


class _Variable:
    """A variable, and what lies within it, parsed from its headers alone."""

    def __init__(self, content: _Content, position: int, budget: Budget) -> None:
        self.content = content
        self.position = position
        self.budget = budget

    def parsed(self) -> tuple[str, MatNode]:
        self.byte_count = 8
        type_number, byte_count, _ = self._tag()
        self._check(type_number == _MATRIX)
        self.byte_count += byte_count
        return self._matrix(self.byte_count, depth=0)

    def _matrix(self, end: int, depth: int) -> tuple[str, MatNode]:
        """The name and content of a matrix element, whose tag has been read."""
        flags, _ = self.content.numbers("II", self._bytes(8))
        kind = _KINDS[flags & 0xFF]
        shape: tuple[int, ...] = ()
        if kind != "opaque":
            dims = self._bytes(MAX_NAME_BYTES)
            shape = check_shape(self.content.numbers(f"{len(dims) // 4}i", dims))
        name = self._text()
        place, parts = None, dict[str, MatNode]()
        if kind in _ARRAYS:
            place = self._place()
        elif kind == "cell":
            parts = self._parts(kind, math.prod(shape), [], end, depth)
        elif kind in ("struct", "object"):
            if kind == "object":
                kind = f"{self._text()} object"
            (longest,) = self.content.numbers("i", self._bytes(4))
            self._check(0 < longest <= _LONGEST_FIELD_NAME)
            listed = self._bytes(longest * MAX_NAME_BYTES)
            names = [
                listed[at : at + longest].split(b"\0")[0].decode("latin-1")
                for at in range(0, len(listed), longest)
            ]
            parts = self._parts(kind, math.prod(shape), names, end, depth)
        self.content.skip(end - self.content.offset)
        if flags & _IS_LOGICAL and kind in _ARRAYS:
            kind = "logical"
        if flags & _IS_COMPLEX:
            kind = f"complex {kind}"
        return name, MatNode(shape, kind, parts, place)

    def _parts(
        self, kind: str, count: int, names: list[str], end: int, depth: int
    ) -> dict[str, MatNode]:
        parts: dict[str, MatNode] = {}
        if not self.budget.covers(count * (len(names) or 1), depth):
            return parts
        for part in part_names(kind, count, names):
            type_number, byte_count, _ = self._tag()
            part_end = self.content.offset + byte_count
            self._check(type_number == _MATRIX and part_end <= end)
            # MATLAB leaves out all that an empty array has.
            parts[part] = MatNode((0, 0), "empty double")
            if byte_count:
                _, parts[part] = self._matrix(part_end, depth + 1)
        return parts

    def _tag(self) -> tuple[int, int, bytes | None]:
        """Type and length of a data element, and its data where they lie within."""
        start = self.content.read(8)
        kind, byte_count = self.content.numbers("II", start)
        if kind >> 16:
            # The small format keeps up to four bytes of data within the tag.
            self._check(kind >> 16 <= 4)
            return kind & 0xFFFF, kind >> 16, start[4:]
        return kind, byte_count, None

    def _bytes(self, most: int) -> bytes:
        _, byte_count, within = self._tag()
        if within is not None:
            return within[:byte_count]
        self._check(byte_count <= most)
        content = self.content.read(byte_count)
        self.content.skip(-byte_count % 8)
        return content

    def _text(self) -> str:
        return self._bytes(MAX_NAME_BYTES).decode("latin-1")

    def _place(self) -> _Place:
        type_number, byte_count, within = self._tag()
        offset = self.content.offset if within is None else self.content.offset - 4
        if within is None:
            self.content.skip(byte_count)
        return _Place(self.position, self.byte_count, offset, byte_count, type_number)

    def _check(self, fits: bool) -> None:
        if not fits:
            raise InputError(
                "It holds something that is not a variable; it is damaged."
            )


def _numbers(content: _Content, node: MatNode) -> npt.NDArray[Any]:
    place: _Place = node.place
    dtype = np.dtype(content.byte_order + _STORED_TYPES[place.type_number])
    if place.type_number != _UTF8:
        needed = math.prod(node.shape) * dtype.itemsize
        if place.byte_count != needed:
            raise InputError(
                f"An array of shape {node.shape} has {place.byte_count} bytes of "
                f"{dtype}; the file is damaged."
            )
    content.skip(place.offset - content.offset)
    stored = content.read(place.byte_count)
    if place.type_number == _UTF8:
        flat = np.array([*map(ord, stored.decode())], np.uint32)
    else:
        flat = np.frombuffer(stored, dtype)
    return flat.reshape(node.shape, order="F")
