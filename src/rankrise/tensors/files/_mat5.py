"""MATLAB files of version 5, read without trust in the file.

`scipy.io.loadmat` uses some numbers in the file unchecked, so that one damaged byte can
end the whole process (SciPy 1.17). Here they are only keys of a table and lengths to
compare. The layout is that of MathWorks' "MAT-File Format".
"""

from __future__ import annotations

import functools as ft
import io
import math
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.tensors.files._declared import check_memory
from rankrise.tensors.files._mat_node import (
    MAX_NAME_BYTES,
    Budget,
    MatNode,
    check_shape,
    part_names,
)

_FILE_HEADER_BYTES = 128
# What comes before the numbers of an array lies within them.
_START_BYTES = 2**16
_LONGEST_FIELD_NAME = 1024

_MATRIX, _COMPRESSED, _UTF8 = 14, 15, 16
_STORED_TYPES = dict(enumerate(("i1", "u1", "i2", "u2", "i4", "u4", "f4"), start=1))
_STORED_TYPES |= {9: "f8", 12: "i8", 13: "u8", 16: "u1", 17: "u2", 18: "u4"}
# By number; there is no class 0.
_KINDS = (
    *("none", "cell", "struct", "object", "char", "sparse", "double", "single"),
    *("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("function", "opaque"),
)
_ARRAYS = {"char", *_KINDS[6:16]}
_HOLDERS = {"cell", "struct", "object", "sparse"}
_IS_LOGICAL, _IS_COMPLEX = 0x0200, 0x0800


def mat5_variables(stream: io.BufferedReader) -> dict[str, MatNode]:
    """All variables, by name."""
    orders = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}
    order = orders.get(stream.read(_FILE_HEADER_BYTES)[124:])
    if order is None:
        raise InputError(
            "It is not a MATLAB file of version 4, 5 or 7.3; save it with -v7."
        )
    # The last one alone is kept: many cells may lie in it.
    whole = ft.lru_cache(maxsize=1)(ft.partial(_unpacked, stream, order))
    found, position, budget = {}, _FILE_HEADER_BYTES, Budget()
    end = stream.seek(0, io.SEEK_END)
    while position < end:
        start = _unpacked(stream, order, position, _START_BYTES)
        variable = _Variable(start, order, ft.partial(whole, position), budget)
        name, node = variable.parsed()
        found[name] = node
        stream.seek(position)
        position += 8 + struct.unpack(order + "II", stream.read(8))[1]
    return found


def _unpacked(
    stream: io.BufferedReader, order: str, position: int, most: int | None = None
) -> bytes:
    """The variable at a position with its tag; `most` is how much of it is wanted."""
    end = stream.seek(0, io.SEEK_END)
    stream.seek(position)
    kind, byte_count = struct.unpack(order + "II", stream.read(8))
    if position + 8 + byte_count > end:
        raise InputError(
            f"It ends after {end} bytes, within a variable; it is truncated, so copy "
            "or save it again."
        )
    if kind != _COMPRESSED:
        stream.seek(position)
        return stream.read(min(8 + byte_count, most or 8 + byte_count))
    packed = stream.read(min(byte_count, most or byte_count))
    if most is not None:
        return zlib.decompressobj().decompress(packed, most)
    start = zlib.decompressobj().decompress(packed, 8)
    length = 8 + struct.unpack(order + "II", start)[1]
    check_memory(length, "A variable with all that lies in it")
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(packed, length)
    # zlib compares its checksum at the end; only padding may lie before it.
    unpacking.decompress(unpacking.unconsumed_tail, 8)
    if not unpacking.eof:
        raise InputError("It holds more data than it declares; it is damaged.")
    return content


class _Variable:
    """A variable, and what lies within it, parsed from its headers alone."""

    def __init__(
        self, start: bytes, order: str, whole: Callable[[], bytes], budget: Budget
    ) -> None:
        self.content = start
        self.order = order
        self.whole = whole
        self.budget = budget
        self.offset = 0

    def parsed(self) -> tuple[str, MatNode]:
        kind, offset, byte_count = self._tag()
        _check(kind == _MATRIX)
        return self._matrix(offset + byte_count, depth=0)

    def _matrix(self, end: int, depth: int) -> tuple[str, MatNode]:
        """The name and content of a matrix element, whose tag has been read."""
        flags, _ = self._numbers("II", self._bytes(8))
        kind = _KINDS[flags & 0xFF]
        shape: tuple[int, ...] = ()
        if kind != "opaque":
            dims = self._bytes(MAX_NAME_BYTES)
            shape = check_shape(self._numbers(f"{len(dims) // 4}i", dims))
        name = self._text()
        read, parts, count = None, dict[str, MatNode](), math.prod(shape)
        if kind in _HOLDERS and depth == 0:
            self.content = self.whole()
        if kind in _ARRAYS:
            kind = "logical" if flags & _IS_LOGICAL else kind
            _, read = self._placed(shape)
        elif kind == "sparse" and not flags & _IS_COMPLEX:
            value_kind = "logical" if flags & _IS_LOGICAL else "double"
            for part in (".ir", ".jc", ".data"):
                length, part_read = self._placed(None)
                parts[part] = MatNode((length,), value_kind, read=part_read)
        elif kind == "cell":
            parts = self._parts(kind, count, [], end, depth)
        elif kind in ("struct", "object"):
            kind = f"{self._text()} object" if kind == "object" else kind
            (longest,) = self._numbers("i", self._bytes(4))
            _check(0 < longest <= _LONGEST_FIELD_NAME)
            listed = self._bytes(longest * MAX_NAME_BYTES)
            names = [
                listed[at : at + longest].split(b"\0")[0].decode("latin-1")
                for at in range(0, len(listed), longest)
            ]
            parts = self._parts(kind, count, names, end, depth)
        _check(self.offset <= end)
        self.offset = end
        kind = f"complex {kind}" if flags & _IS_COMPLEX else kind
        return name, MatNode(shape, kind, parts, read)

    def _parts(
        self, kind: str, count: int, names: list[str], end: int, depth: int
    ) -> dict[str, MatNode]:
        parts: dict[str, MatNode] = {}
        if not self.budget.covers(count * (len(names) or 1), depth):
            return parts
        for part in part_names(kind, count, names):
            type_number, offset, byte_count = self._tag()
            _check(type_number == _MATRIX and offset + byte_count <= end)
            # MATLAB leaves out all that an empty array has.
            parts[part] = MatNode((0, 0), "empty double")
            if byte_count:
                _, parts[part] = self._matrix(offset + byte_count, depth + 1)
        return parts

    def _numbers(self, form: str, content: bytes) -> tuple[int, ...]:
        return struct.unpack(self.order + form, content)

    def _tag(self) -> tuple[int, int, int]:
        """Type of a data element, where its data begin, and their length."""
        start = self.content[self.offset : self.offset + 8]
        _check(len(start) == 8)
        self.offset += 8
        kind, byte_count = self._numbers("II", start)
        if kind >> 16:
            # The small format keeps up to four bytes of data within the tag.
            _check(kind >> 16 <= 4)
            return kind & 0xFFFF, self.offset - 4, kind >> 16
        return kind, self.offset, byte_count

    def _element(self) -> tuple[int, int, int]:
        """The same, and go on to the next."""
        kind, offset, byte_count = self._tag()
        if offset == self.offset:
            self.offset += byte_count + -byte_count % 8
        return kind, offset, byte_count

    def _bytes(self, most: int) -> bytes:
        _, offset, byte_count = self._element()
        content = self.content[offset : offset + byte_count]
        _check(byte_count <= most and len(content) == byte_count)
        return content

    def _text(self) -> str:
        return self._bytes(MAX_NAME_BYTES).decode("latin-1")

    def _placed(
        self, shape: tuple[int, ...] | None
    ) -> tuple[int, Callable[[], npt.NDArray[Any]]]:
        """How many numbers an element has (of text, bytes), and what reads them."""
        kind, offset, byte_count = self._element()
        dtype = np.dtype(self.order + _STORED_TYPES[kind])
        length = byte_count // dtype.itemsize
        shape = (length,) if shape is None else shape
        is_text, whole = kind == _UTF8, self.whole

        def read() -> npt.NDArray[Any]:
            if is_text:
                text = whole()[offset : offset + byte_count].decode()
                flat = np.array([*map(ord, text)], np.uint32)
            elif byte_count == math.prod(shape) * dtype.itemsize:
                flat = np.frombuffer(whole(), dtype, length, offset)
            else:
                raise InputError(
                    f"An array of shape {shape} has {byte_count} bytes of {dtype}; the "
                    "file is damaged."
                )
            return flat.reshape(shape, order="F")

        return length, read


def _check(fits: bool) -> None:
    if not fits:
        raise InputError("It holds something that is not a variable; it is damaged.")
