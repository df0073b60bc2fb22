"""Files that are either whole or not there."""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rankrise._errors import InputError

_PREFIX = ".rankrise-tmp-"
# `mkstemp` puts eight characters of its own before the suffix.
_TEMPORARY = re.compile(re.escape(_PREFIX) + r".*-[a-z0-9_]{8}(\.[^.]*)?", re.DOTALL)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it when the block succeeds.

    The bytes are on disk (fsync) before the name changes, so after a crash `path`
    holds either the old content or the new, never a part of it. When the block
    raises, the temporary file is removed and `path` is left alone.

    Raises
    ------
    InputError
        If it is a folder.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it.")
    # The suffix stays, because some writers choose the format by it.
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f"{_PREFIX}{path.stem}-", suffix=path.suffix
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        # mkstemp makes files private; results get the permissions of any new file.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def is_temporary(path: Path) -> bool:
    """Whether `path` has the name of a temporary file of `atomic_path`."""
    return _TEMPORARY.fullmatch(path.name) is not None


def clear_temporary(folder: Path) -> None:
    """Remove what writers that were killed left in `folder`, where none writes now."""
    for path in folder.iterdir():
        if is_temporary(path) and not path.is_dir():
            path.unlink(missing_ok=True)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write strict JSON (no NaN, no Infinity) atomically."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
