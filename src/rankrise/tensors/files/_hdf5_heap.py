"""Damage to an HDF5 file that its libraries would not come back from."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from rankrise._errors import InputError

_SIGNATURE = b"GCOL\x01"
_HEADER_BYTES = 16


def check_hdf5(path: Path) -> None:
    """Refuse, as h5py or in a sentence, what h5netcdf and HDF5 do not survive.

    In a heap of texts and references HDF5 (1.14) goes from object to object by their
    sizes, for ever where that of free space is 0. The layout is that of "HDF5 File
    Format Specification", III.E.
    """
    import h5py

    # Where this fails, h5netcdf would leave a half-made object whose end prints a
    # traceback behind the sentence that the user is to see.
    with h5py.File(path, "r") as content:
        content.attrs.get("_nc3_strict")
    with (
        path.open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as stored,
    ):
        start = stored.find(_SIGNATURE)
        while start >= 0:
            _check_heap(stored, start)
            start = stored.find(_SIGNATURE, start + 1)


def _check_heap(content: mmap.mmap, start: int) -> None:
    size = struct.unpack("<Q", content[start + 8 : start + 16].ljust(8, b"\0"))[0]
    place, end = start + _HEADER_BYTES, min(start + size, len(content))
    while place + _HEADER_BYTES <= end:
        index, _, _, length = struct.unpack_from("<HHIQ", content, place)
        step = _HEADER_BYTES + length + -length % 8 if index else length
        if step == 0:
            raise InputError("A heap of its texts has no end; the file is damaged.")
        place += step
