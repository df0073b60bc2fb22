"""Checks of an HDF5 file, made before HDF5 unpacks anything.

HDF5 itself unpacks whatever it finds. Here data in other places (links, external and
virtual data) are not read, and only common filters are run, once each chunk is known to
unpack to as many bytes as it declares.
"""

from __future__ import annotations

import math
import mmap
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rankrise._errors import InputError
from rankrise._memory import MAX_DENSE_BYTES
from rankrise.tensors.files._declared import check_memory, refuse_damaged, shown

_DEFLATE, _SHUFFLE, _CHECKSUM, _LZF = 1, 2, 3, 32000
_CHECKSUM_BYTES = 4
_LONGEST_TEXT = 1024
# To text and arrays of varying length: its length, a heap and a number there.
_REFERENCE_BYTES = 16
# A reference of three bytes repeats at most 264 bytes.
_LZF_RATIO = 88
# Start of a global heap, version 1, which holds text of varying length.
_HEAP = b"GCOL\x01\0\0\0"
_NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"
_HEAP_HEADER, _OBJECT_HEADER = 16, 16


@contextmanager
def open_hdf5(path: Path, form: str) -> Iterator[Any]:
    """Open an HDF5 file with its heaps checked; failures become one sentence."""
    import h5py

    with refuse_damaged(form):
        check_heaps(path)
        with h5py.File(path, "r") as content:
            if content.id.get_create_plist().get_sizes() != (8, 8):
                raise InputError(
                    "Its addresses are not eight bytes long; save it with HDF5's "
                    "defaults."
                )
            yield content


def check_heaps(path: Path) -> None:
    """Refuse a heap in which HDF5 would look for the next object without end."""
    import h5py

    if not h5py.is_hdf5(path):
        return  # Whoever opens it says so, sooner than all of it is looked through.
    with (
        path.open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        start = content.find(_HEAP)
        while start >= 0:
            size = int.from_bytes(content[start + 8 : start + 16], "little")
            end = min(start + size, len(content))
            place = start + _HEAP_HEADER
            while place + _OBJECT_HEADER <= end:
                number = int.from_bytes(content[place : place + 2], "little")
                length = int.from_bytes(content[place + 8 : place + 16], "little")
                if length > size or (number == 0 and length == 0):
                    raise InputError(
                        "Its global heap is damaged; copy or save the file again."
                    )
                place += _OBJECT_HEADER + -(-length // 8) * 8 if number else length
            start = content.find(_HEAP, start + len(_HEAP))


def walk_datasets(content: Any) -> Iterator[tuple[str, Any]]:
    """Paths and datasets of a file; None for a link, which is not followed."""
    import h5py

    seen = {h5py.h5o.get_info(content["/"].id).addr}
    waiting = [("", content)]
    while waiting:
        path, group = waiting.pop(0)
        for name in group:
            inner = f"{path}/{name}" if path else name
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                yield inner, None
                continue
            found = group[name]
            address = h5py.h5o.get_info(found.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(found, h5py.Dataset):
                yield inner, found
            elif isinstance(found, h5py.Group):
                waiting.append((inner, found))


def lies_elsewhere(dataset: Any) -> bool:
    """Whether it is a link, or its data lie in other files."""
    return dataset is None or dataset.is_virtual or dataset.external is not None


def is_dimension_alone(dataset: Any) -> bool:
    """Whether it only says how long a dimension of netCDF is."""
    return not lies_elsewhere(dataset) and short_text(dataset, "NAME").startswith(
        _NO_VARIABLE
    )


def short_text(found: Any, name: str) -> bytes:
    """An attribute of one text of fixed length; nothing where it is none, or long."""
    if name not in found.attrs:
        return b""
    stored = found.attrs.get_id(name)
    # A longer one is damaged, and would take as much memory as it says.
    is_text = stored.shape == () and stored.dtype.kind == "S"
    is_short = is_text and stored.dtype.itemsize <= _LONGEST_TEXT
    return bytes(found.attrs[name]) if is_short else b""


def check_hdf5(path: Path, form: str) -> None:
    """Refuse a file if a part lies elsewhere, or unpacks to more than it declares."""
    byte_count, declared = path.stat().st_size, 0
    with open_hdf5(path, form) as content:
        for name, dataset in walk_datasets(content):
            if not is_dimension_alone(dataset):
                check_stored(dataset, name, byte_count, written=False)
                declared += (dataset.size or 0) * dataset.dtype.itemsize
        check_memory(declared, "What it holds")
        # If this fails later, inside h5netcdf, a half-made object prints a traceback of
        # its own after the message.
        content.attrs.get("_nc3_strict")


def check_stored(
    dataset: Any, name: str, byte_count: int, *, written: bool = True
) -> None:
    """Refuse data that lie elsewhere, are not there, or unpack to more than declared.

    Parameters
    ----------
    byte_count
        Size of the file.
    written
        Whether data are required; grid mappings of netCDF are often never written.
    """
    if lies_elsewhere(dataset):
        raise InputError(
            f"The data of {shown(name)} lie in other files, which are not read; save "
            "them in this file."
        )
    name = shown(name)
    is_varying = dataset.dtype.metadata is not None and "vlen" in dataset.dtype.metadata
    item_bytes = _REFERENCE_BYTES if is_varying else dataset.dtype.itemsize
    declared = (dataset.size or 0) * item_bytes
    check_memory(declared, name)
    stored = dataset.id.get_storage_size()
    if not (stored or written):
        return
    if stored > byte_count or (dataset.chunks is None and stored < declared):
        raise InputError(
            f"{name} declares {declared} bytes, but {min(stored, byte_count)} "
            "are there; the file is truncated, so copy or save it again."
        )
    if dataset.chunks is not None:
        _check_chunks(dataset, name, byte_count, math.prod(dataset.chunks) * item_bytes)
    if is_varying and dataset.shape:
        # Many items may refer to one text.
        step, total = max(1, MAX_DENSE_BYTES // 64 // byte_count), 0
        for place in range(0, len(dataset), step):
            total += sum(map(len, dataset[place : place + step].ravel()))
            check_memory(total, name)


def _check_chunks(dataset: Any, name: str, byte_count: int, chunk_bytes: int) -> None:
    check_memory(chunk_bytes, f"A chunk of {name}")
    filters = _filters(dataset, name)
    # Chunks that were never written are absent, and read as the fill value.
    chunks: list[Any] = []
    dataset.id.chunk_iter(chunks.append)
    for chunk in chunks:
        if chunk.size > byte_count:
            raise InputError(f"{name} is longer than the file, which is damaged.")
        skipped, packed = dataset.id.read_direct_chunk(chunk.chunk_offset)
        active = [x for place, x in enumerate(filters) if not skipped >> place & 1]
        _check_unpacks(packed, active, chunk_bytes, name)


def _filters(dataset: Any, name: str) -> list[int]:
    """HDF5's filters of a dataset, in the order they were applied."""
    made = dataset.id.get_create_plist()
    filters = [made.get_filter(place)[0] for place in range(made.get_nfilters())]
    known = {_DEFLATE, _SHUFFLE, _CHECKSUM, _LZF}
    if len(set(filters)) < len(filters) or not known.issuperset(filters):
        raise InputError(
            f"{name} is packed in a way that is not read (HDF5 filters {filters}); "
            "pack it with gzip, as h5repack -f GZIP=4 does."
        )
    return filters


def _check_unpacks(
    packed: bytes, filters: list[int], chunk_bytes: int, name: str
) -> None:
    """Refuse a chunk that does not unpack to `chunk_bytes`, without unpacking more."""
    if _LZF in filters:
        check_memory(len(packed) * _LZF_RATIO, f"A chunk of {name}")
        return
    place = filters.index(_DEFLATE) if _DEFLATE in filters else len(filters)
    expected = chunk_bytes + _CHECKSUM_BYTES * (_CHECKSUM in filters[:place])
    if _CHECKSUM in filters[place:]:
        packed = packed[:-_CHECKSUM_BYTES]
    fits = len(packed) == expected
    if _DEFLATE in filters:
        unpacking = zlib.decompressobj()
        fits = len(unpacking.decompress(packed, expected)) == expected
        # Only at its end is zlib's checksum compared.
        fits &= not unpacking.decompress(unpacking.unconsumed_tail, 1) and unpacking.eof
    if not fits:
        raise InputError(
            f"A chunk of {name} does not unpack to the {chunk_bytes} bytes that it "
            "declares; the file is damaged."
        )
