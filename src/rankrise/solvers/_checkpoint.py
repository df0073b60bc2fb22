"""States of unfinished runs on disk, so that a killed run goes on where it was."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._atomic import atomic_path
from rankrise._errors import InputError

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often the state of a run is written.

    Attributes
    ----------
    path
        The file, an `.npz` without pickle, replaced atomically.
    seconds
        At least so long between two writes.
    resume
        Go on from the file if it is there. Without it an existing file is replaced.
    """

    path: Path
    seconds: float = 30.0
    resume: bool = False


def write_checkpoint(path: Path, arrays: Arrays, meta: Mapping[str, Any]) -> None:
    """Write arrays and JSON-able facts as one file, atomically."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, meta=np.array(json.dumps(dict(meta))), **arrays)  # type: ignore[arg-type]


def read_checkpoint(
    path: Path, settings: Mapping[str, Any]
) -> tuple[Arrays, dict[str, Any]]:
    """Read what `write_checkpoint` wrote, if it was written under these settings."""
    try:
        # Opened here, because np.load forgets to close a file it fails on.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name != "meta"}
            meta: dict[str, Any] = json.loads(str(file["meta"]))
        written = dict(meta["settings"])
    # A damaged file can fail anywhere inside a reader, with any exception.
    except Exception as error:
        raise InputError(
            f"{path} cannot be read as a checkpoint ({error}); start again without "
            "resuming."
        ) from error
    # Through JSON, so that tuples and lists compare equal.
    wanted = json.loads(json.dumps(dict(settings)))
    changed = sorted(
        name for name in {*written, *wanted} if written.get(name) != wanted.get(name)
    )
    if changed:
        name = changed[0]
        raise InputError(
            f"{path} was written with {name} = {written.get(name)!r}, not "
            f"{wanted.get(name)!r}; resume with the same settings or start again."
        )
    return arrays, meta
