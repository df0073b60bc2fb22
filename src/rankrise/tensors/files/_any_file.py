"""Any file: checks before it is read, its text as it is or unpacked, its hash."""

from __future__ import annotations

import gzip
import hashlib
import lzma
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from rankrise._errors import InputError, printable
from rankrise._optional import imported
from rankrise.tensors.files._declared import (
    FEWER_ROWS,
    check_memory,
    refuse_damaged,
)


@contextmanager
def named_refusals(path: Path) -> Iterator[None]:
    """Let every refusal begin with the file's name, also those of the system."""
    try:
        yield
    except InputError as error:
        raise InputError(printable(f"{path.name}: {error}")) from error
    except OSError as error:
        raise InputError(
            f"{printable(path.name)}: It cannot be read ({error.strerror or error}); "
            "check the file and its permissions."
        ) from error


def form_of(path: Path, forms: Sequence[str]) -> str:
    """Which of some forms a file's extension says; text may be compressed besides."""
    form = extension(path).lower().split(".")[1:2]
    if form and form[0] in forms:
        return form[0]
    raise InputError(
        f"The extension '{path.suffix}' is not known; use one of "
        f"{', '.join('.' + form for form in forms)}; text may be compressed "
        f"({', '.join(SUFFIXES)})."
    )


def extension(path: Path) -> str:
    """What its name ends with; of compressed text both extensions."""
    inner = Path(path.stem).suffix
    is_packed = path.suffix.lower() in SUFFIXES and inner.lower()[1:] in TEXTS
    return (inner if is_packed else "") + path.suffix


def check_usable(path: Path, content: str) -> None:
    """Refuse what is not a file, or is empty; `content` is what it should hold."""
    if not path.exists():
        raise InputError(f"There is no such file in {path.parent.absolute()}.")
    if not path.is_file():
        what = "a directory" if path.is_dir() else "not a regular file"
        raise InputError(f"It is {what}; name a file that holds {content}.")
    if path.stat().st_size == 0:
        raise InputError(f"It is empty; {content} is needed.")


def content_sha256(path: Path) -> str:
    """Hash of a file's bytes, or of all files in a folder, in hexadecimal."""
    if path.is_dir():
        whole = hashlib.sha256()
        for inner in sorted(x for x in path.rglob("*") if x.is_file()):
            named = f"{inner.relative_to(path).as_posix()}\0{content_sha256(inner)}\0"
            whole.update(named.encode("utf-8", "surrogateescape"))
        return whole.hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
    needs = "Files compressed by zstd need"
    return imported("pyarrow", "parquet", needs, "compress it by gzip")
