"""Checks of any file that is read, its name in refusals, and its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rankrise._errors import InputError, printable
from rankrise.tensors.files._compressed import SUFFIXES, TEXTS


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
