"""Matrices in a MATLAB file of version 4, as MathWorks' "MAT-File Format" has them."""

from __future__ import annotations

import functools as ft
import io
import math
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.tensors.files._mat_node import MAX_NAME_BYTES, MatNode, check_shape

_HEADER_BYTES = 20
_STORED_TYPES = ("f8", "f4", "i4", "i2", "u2", "u1")
_KINDS = ("double", "char", "sparse")


def is_mat4(start: bytes) -> bool:
    """Whether a file begins with the header of a matrix of version 4."""
    return _digits(start) is not None


def mat4_variables(stream: io.BufferedReader) -> dict[str, MatNode]:
    """All variables, by name."""
    found, position = {}, 0
    end = stream.seek(0, io.SEEK_END)
    while position < end:
        stream.seek(position)
        header = stream.read(_HEADER_BYTES)
        digits = _digits(header)
        if digits is None:
            raise InputError("It holds something that is not a matrix; it is damaged.")
        order, stored, what = digits
        rows, columns, is_complex, length = struct.unpack(order + "4i", header[4:])
        shape = check_shape((rows, columns))
        name = stream.read(length).split(b"\0")[0].decode("latin-1")
        kind = "single" if (stored, what) == (1, 0) else _KINDS[what]
        kind = f"complex {kind}" if is_complex else kind
        dtype = np.dtype(order + _STORED_TYPES[stored])
        position += _HEADER_BYTES + length
        read = ft.partial(_matrix, stream, position, shape, dtype)
        found[name] = MatNode(shape, kind, read=read)
        position += math.prod(shape) * dtype.itemsize * (2 if is_complex else 1)
    if position > end:
        raise InputError("It ends within a matrix; it is truncated.")
    return found


def _matrix(
    stream: io.BufferedReader,
    position: int,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> npt.NDArray[Any]:
    stream.seek(position)
    content = stream.read(math.prod(shape) * dtype.itemsize)
    return np.frombuffer(content, dtype).reshape(shape, order="F")


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
