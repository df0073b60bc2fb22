"""Results in files: named arrays and what JSON can say, without pickle."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._atomic import atomic_path
from rankrise._errors import InputError, reason
from rankrise._version import __version__
from rankrise.tensors.files._any_file import check_usable, named_refusals
from rankrise.tensors.files._npz import open_arrays

Stored = Mapping[str, npt.NDArray[Any]]
_FACTS = "facts"
_HDF5 = b"\x89HDF\r\n\x1a\n"
# Raised when what was saved before cannot be read any more.
_FORMAT = 1


class StoredArrays:
    """Arrays of a file, each checked as it is asked for."""

    def __init__(self, arrays: Stored) -> None:
        self._arrays = arrays

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def get(
        self, name: str, shape: Iterable[int | None], kinds: str = "f"
    ) -> npt.NDArray[Any]:
        """An array of this shape (None: any length) and kind of numbers."""
        if name not in self._arrays:
            raise InputError(f"It lacks {name}; it is damaged, or of something else.")
        array, wanted = self._arrays[name], tuple(shape)
        fits = len(array.shape) == len(wanted) and all(
            want in (None, has) for want, has in zip(wanted, array.shape, strict=True)
        )
        if not fits or array.dtype.kind not in kinds:
            raise InputError(
                f"Its {name} has shape {array.shape} and type {array.dtype}, which "
                "does not fit the rest; the file is damaged."
            )
        return array


def save_result(path: Path | str, kind: str, facts: Any, arrays: Stored) -> Path:
    """Write a result as one `.npz` file, atomically.

    Parameters
    ----------
    kind
        What it is a result of.
    facts
        What JSON can say.
    """
    path = Path(path)
    text = json.dumps(
        {"kind": kind, "format": _FORMAT, "version": __version__, "facts": facts}
    )
    content = {_FACTS: np.frombuffer(text.encode(), np.uint8), **arrays}
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **content)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            f"There is no folder {path.parent}; make it first, or save elsewhere."
        ) from error
    return path


@contextmanager
def loaded_result(
    path: Path | str, *kinds: str
) -> Iterator[tuple[str, dict[str, Any], StoredArrays]]:
    """Kind, facts and arrays of what `save_result` wrote; none of it is trusted.

    What goes wrong inside the block is a damaged file.
    """
    path = Path(path)
    with named_refusals(path):
        check_usable(path, "a result of rankrise")
        try:
            with open_arrays(path) as members:
                arrays = members.read(members.headers, text=True)
            stored = json.loads(arrays.pop(_FACTS).tobytes().decode())
            kind, facts = stored["kind"], stored["facts"]
            if stored["format"] != _FORMAT or kind not in kinds:
                raise InputError(
                    f"It holds {kind} of rankrise {stored['version']}, and "
                    f"{' or '.join(kinds)} is read here."
                )
            yield kind, facts, StoredArrays(arrays)
        except (InputError, MemoryError, KeyboardInterrupt):
            raise
        # A damaged file can fail anywhere, with any exception.
        except Exception as error:
            raise InputError(
                f"It is no result that rankrise saved ({reason(error)}); give a file "
                "that `save` wrote."
            ) from error


def saved_kind(path: Path | str, *kinds: str) -> str:
    """What a file holds a result of: of HDF5 it is a trajectory."""
    path = Path(path)
    with named_refusals(path):
        check_usable(path, "a result of rankrise")
        with path.open("rb") as stream:
            if stream.read(len(_HDF5)) == _HDF5:
                return "a trajectory"
    with loaded_result(path, *kinds) as (kind, _, _):
        return kind


def stored_labels(labels: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], str]:
    """Labels as an array that needs no pickle, and the type to make of it again."""
    array = np.asarray(labels)
    if array.dtype.kind in "mM":
        return array.view(np.int64), str(array.dtype)
    if array.dtype.kind not in "biufUS":
        array = np.array([str(label) for label in array.ravel()]).reshape(array.shape)
    return array, ""


def loaded_labels(stored: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """What `stored_labels` was given; objects as text."""
    if not dtype:
        return stored
    kind = np.dtype(dtype)
    if kind.kind not in "mM" or stored.dtype != np.int64:
        raise InputError("Its labels are damaged.")
    return stored.view(kind)
