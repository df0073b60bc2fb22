"""States of unfinished runs on disk, so that a killed run goes on where it was."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._atomic import atomic_path
from rankrise._checks import check_real
from rankrise._errors import InputError
from rankrise._version import __version__

Arrays = dict[str, npt.NDArray[Any]]
Facts = Mapping[str, Any]

# Raised when a state of before cannot be gone on from any more.
FORMAT = 1
# Letters of a fact that is shown; hashes and long lists say nothing to a person.
_SHOWN = 40


@dataclass(frozen=True, init=False)
class Checkpoint:
    """Where and how often the state of a run is written.

    Attributes
    ----------
    path
        The file, an `.npz` without pickle, replaced atomically.
    seconds
        Minimum time between two writes.
    resume
        Go on from the file if it is there. Without it an existing file is replaced.
    at_once
        Write as the run begins, too: where the file cannot be written is found before
        hours of work. Without it a run that is over within `seconds` writes none.

    Examples
    --------
    >>> import tempfile, numpy as np, rankrise as rr
    >>> tensor = np.add.outer(np.arange(8.0), np.arange(6.0))
    >>> tensor[::3, ::2] = np.nan
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     state = rr.Checkpoint(f"{folder}/state.npz", resume=True)
    ...     found = rr.complete(tensor, models=2, checkpoint=state)
    >>> found.ending == "converged"
    True
    """

    path: Path
    seconds: float
    resume: bool
    at_once: bool

    def __init__(
        self,
        path: Path | str,
        seconds: float = 30.0,
        resume: bool = False,
        at_once: bool = True,
    ) -> None:
        if not isinstance(path, str | Path) or not isinstance(resume, bool):
            raise InputError(
                f"A checkpoint has a path and True or False for resume, not "
                f"{path!r} and {resume!r}."
            )
        check_real("seconds", seconds)
        if not 0 <= seconds < math.inf:
            raise InputError(
                f"seconds is {seconds}; give a finite number from 0 between two "
                "writes of a checkpoint."
            )
        # Frozen from here on.
        vars(self).update(
            path=Path(path), seconds=seconds, resume=resume, at_once=at_once
        )

    def part(self, name: str) -> "Checkpoint":
        """The checkpoint of one part of a run, in a file of its own beside this one."""
        path = self.path.with_name(f"{self.path.stem}-{name}{self.path.suffix}")
        return replace(self, path=path)


def check_checkpoint(given: object) -> None:
    """Refuse what is no checkpoint, such as the path of one."""
    if not isinstance(given, Checkpoint | None):
        raise InputError(f"`checkpoint` is {given!r}; give a Checkpoint(path).")


def write_checkpoint(
    path: Path,
    arrays: Arrays,
    facts: Facts,
    *,
    fingerprint: Facts,
    seconds: float = 0.0,
) -> None:
    """Write arrays and JSON-able facts as one file, atomically.

    Parameters
    ----------
    fingerprint
        What a run must agree with to go on from here.
    seconds
        How long the run has taken so far.
    """
    meta = {
        "format": FORMAT,
        "version": __version__,
        "fingerprint": dict(fingerprint),
        "seconds": seconds,
        "facts": dict(facts),
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, meta=np.array(json.dumps(meta)), **arrays)  # type: ignore[arg-type]


def read_checkpoint(
    path: Path, fingerprint: Facts
) -> tuple[Arrays, dict[str, Any], float]:
    """Arrays, facts and seconds of a state written under this fingerprint."""
    try:
        # Opened here, because np.load forgets to close a file it fails on.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name != "meta"}
            meta: dict[str, Any] = dict(json.loads(str(file["meta"])))
        seconds = float(meta.get("seconds", 0.0))
        written, facts = meta.get("fingerprint"), meta.get("facts")
    # A damaged file can fail anywhere inside a reader, with any exception.
    except Exception as error:
        raise InputError(
            f"{path} cannot be read as a checkpoint ({error}); start again without "
            "resuming."
        ) from error
    if meta.get("format") != FORMAT:
        raise InputError(
            f"{path} was written by rankrise {meta.get('version', 'of before')}, whose "
            "checkpoints this version does not read; start again without resuming."
        )
    if not isinstance(written, dict) or not isinstance(facts, dict):
        raise InputError(
            f"{path} does not hold the state of a run; start again without resuming."
        )
    # Through JSON, so that tuples and lists compare equal.
    _check_same(path, written, json.loads(json.dumps(dict(fingerprint))))
    return arrays, facts, seconds


def _check_same(path: Path, written: Facts, wanted: Facts) -> None:
    for name in [*wanted, *(set(written) - set(wanted))]:
        old, new = written.get(name), wanted.get(name)
        # A time limit says when to leave off, not what comes out.
        if old == new or name == "max_seconds":
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            _check_same(path, old, new)
            continue
        if not (_is_short(old) and _is_short(new)):
            raise InputError(
                f"{path} is the state of a run with other {name.replace('_', ' ')}; "
                "resume with the same or start again."
            )
        raise InputError(
            f"{path} was written with {name} = {old!r}, not {new!r}; resume with the "
            "same settings or start again."
        )


def _is_short(value: Any) -> bool:
    parts = value if isinstance(value, list) else [value]
    plain = not any(isinstance(part, (list, dict)) for part in parts)
    return plain and len(repr(value)) <= _SHOWN
