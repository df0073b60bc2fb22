"""Text files as they are or compressed: their bytes, and files to write."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from rankrise.tensors.files._declared import (
    FEWER_ROWS,
    check_memory,
    imported,
    refuse_damaged,
)

TEXTS = ("csv", "tsv", "txt", "tns")
SUFFIXES = (".gz", ".zst", ".xz")
_BLOCK = 2**20
# Bytes of memory per byte of text while it becomes numbers, at most, about.
_GROWTH = 2


def unpacked(path: Path) -> bytes:
    """All bytes of a text, refused as soon as they exceed the memory allowed."""
    blocks, count = [], 0
    with ExitStack() as stack:
        stream: Any = stack.enter_context(path.open("rb"))
        if path.suffix.lower() not in SUFFIXES:
            check_memory(_GROWTH * path.stat().st_size, "Its text", advice=FEWER_ROWS)
            return stream.read()
        stack.enter_context(refuse_damaged(f"{path.suffix} of text"))
        stream = stack.enter_context(_unpacking(stream, path.suffix.lower()))
        while block := stream.read(_BLOCK):
            count += len(block)
            check_memory(_GROWTH * count, "Its text", advice=FEWER_ROWS)
            blocks.append(block)
    return b"".join(blocks)


def _unpacking(stream: BinaryIO, suffix: str) -> Any:
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=stream)
    if suffix == ".xz":
        return lzma.LZMAFile(stream)
    return _pyarrow().CompressedInputStream(stream, "zstd")


@contextmanager
def packing(path: Path, suffix: str) -> Iterator[BinaryIO]:
    """A file to write to, compressed as `suffix` says."""
    with ExitStack() as stack:
        stream: Any = stack.enter_context(path.open("wb"))
        if suffix == ".gz":
            # The same entries make the same file, whenever it is written.
            stream = gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0)
        elif suffix == ".xz":
            stream = lzma.LZMAFile(stream, "wb")  # noqa: SIM115
        elif suffix == ".zst":
            stream = _pyarrow().CompressedOutputStream(stream, "zstd")
        yield cast(BinaryIO, stack.enter_context(stream))


def _pyarrow() -> Any:
    what = "Files compressed by zstd"
    return imported("pyarrow", "parquet", what, "compress it by gzip")
