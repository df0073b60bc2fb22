"""`.npy` files: one dense array, NaN where unobserved."""

from __future__ import annotations

import functools as ft
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise._typing import ModeDims, Values
from rankrise.tensors._layout import Layout, as_stored
from rankrise.tensors._observations import Observations
from rankrise.tensors.files._declared import check_tensor, refuse_damaged

# NumPy itself refuses longer headers; no more than this is ever read to find out.
_MAX_HEADER_BYTES = 12 + 10_000

_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True)
class ArrayHeader:
    """The shape and data type that a `.npy` stream declares, and where data begin."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    data_offset: int


def read_npy(
    path: Path, _variable: None, mode_dims: ModeDims | None
) -> tuple[Observations, Layout, None]:
    """Read the entries that are not NaN."""
    with path.open("rb") as stream:
        header = read_header(stream)
        check_tensor(header.shape, header.dtype, mode_dims)
        stream.seek(0)
        array = read_array(stream, header, path.stat().st_size)
    layout = Layout(ft.partial(_write, header.dtype))
    return Observations.from_array(array), layout, None


def _write(dtype: np.dtype[Any], completed: Values, path: Path) -> None:
    with path.open("wb") as stream:
        np.lib.format.write_array(stream, as_stored(completed, dtype))


def read_header(stream: io.BufferedIOBase) -> ArrayHeader:
    """Read what the stream declares, and nothing of its data."""
    with refuse_damaged("a .npy array"):
        start = io.BytesIO(stream.read(_MAX_HEADER_BYTES))
        version = np.lib.format.read_magic(start)
        if version not in _HEADER_READERS:
            raise InputError(
                f"It is .npy version {version[0]}.{version[1]}, for named fields; save "
                "a plain array of real numbers."
            )
        shape, _, dtype = _HEADER_READERS[version](start)
    if any(dim < 0 for dim in shape):
        raise InputError(f"It declares the shape {shape}; the file is damaged.")
    return ArrayHeader(shape, dtype, start.tell())


def read_array(
    stream: io.BufferedIOBase, header: ArrayHeader, byte_count: int
) -> npt.NDArray[Any]:
    """Read a whole array of `byte_count` bytes with its header, never unpickling.

    Refuses a stream that is not as long as it declares: no more is ever unpacked.
    """
    data_bytes = math.prod(header.shape) * header.dtype.itemsize
    surplus = byte_count - header.data_offset - data_bytes
    if surplus < 0:
        raise InputError(
            f"Its header declares the shape {header.shape} of {header.dtype}, but the "
            f"data end after {byte_count} bytes; it is truncated, so copy or save it "
            "again."
        )
    if surplus > 0:
        raise InputError(
            f"It goes on for {surplus} bytes after the array of shape {header.shape} "
            "that its header declares; save one array alone."
        )
    with refuse_damaged("a .npy array"):
        array: npt.NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return array
