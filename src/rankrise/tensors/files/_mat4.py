"""Matrices in a MATLAB file of version 4, as MathWorks' "MAT-File Format" has them."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.tensors.files._mat_node import MAX_NAME_BYTES, MatNode, check_shape

_HEADER_BYTES = 20
_STORED_TYPES = ("f8", "f4", "i4", "i2", "u2", "u1")
_KINDS = ("double", "char", "sparse")


class _Place(NamedTuple):
    position: int
    dtype: np.dtype[Any]


def is_mat4(start: bytes) -> bool:
    """Whether a file begins with the header of a matrix of version 4."""
    return _digits(start) is not None


class Mat4File:
    """A MATLAB file of version 4, open for reading."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self.stream = stream
        self.byte_count = stream.seek(0, io.SEEK_END)

    def variables(self) -> dict[str, MatNode]:
        """All variables, by name."""
        found, position = {}, 0
        while position < self.byte_count:
            self.stream.seek(position)
            header = self.stream.read(_HEADER_BYTES)
            digits = _digits(header)
            if digits is None:
                raise InputError(
                    "It holds something that is not a matrix; it is damaged."
                )
            order, stored, what = digits
            rows, columns, is_complex, length = struct.unpack(order + "4i", header[4:])
            shape = check_shape((rows, columns))
            name = self.stream.read(length).split(b"\0")[0].decode("latin-1")
            kind = "single" if (stored, what) == (1, 0) else _KINDS[what]
            if is_complex:
                kind = f"complex {kind}"
            dtype = np.dtype(order + _STORED_TYPES[stored])
            position += _HEADER_BYTES + length
            found[name] = MatNode(shape, kind, place=_Place(position, dtype))
            byte_count = math.prod(shape) * dtype.itemsize
            position += byte_count * (2 if is_complex else 1)
        if position > self.byte_count:
            raise InputError("It ends within a matrix; it is truncated.")
        return found

    def read(self, nodes: Iterable[MatNode]) -> list[npt.NDArray[Any]]:
        """Read matrices, in the type they are stored in."""
        return [self._matrix(node) for node in nodes]

    def _matrix(self, node: MatNode) -> npt.NDArray[Any]:
        position, dtype = node.place
        self.stream.seek(position)
        content = self.stream.read(math.prod(node.shape) * dtype.itemsize)
        return np.frombuffer(content, dtype).reshape(node.shape, order="F")


def _digits(start: bytes) -> tuple[str, int, int] | None:
    """Byte order, type and kind of a matrix, None where there is none."""
    if len(start) < _HEADER_BYTES:
        return None
    for order, first in (("<", 0), (">", 1)):
        number, *_, length = struct.unpack_from(order + "5i", start)
        machine, rest = divmod(number, 1000)
        stored, what = divmod(rest, 10)
        is_known = stored < len(_STORED_TYPES) and what < len(_KINDS)
        if machine == first and is_known and 0 < length <= MAX_NAME_BYTES:
            return order, stored, what
    return None
