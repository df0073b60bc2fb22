"""The folder of a run, which is there with all that is in it or not at all."""

import functools as ft
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rankrise._atomic import clear_temporary, write_json
from rankrise._errors import InputError, reason
from rankrise.sweeps._commands import COMMANDS
from rankrise.sweeps._plan import Batch, Run

RUNS, UNFINISHED = "runs", "unfinished"
SUMMARY, SETTINGS = "summary.json", "settings.json"
_TEMPORARY = ".rankrise-tmp-"
# A file system of Linux that takes no disk.
_IN_MEMORY = Path("/dev/shm")
_KEY = re.compile(r"[0-9a-f]{16}")


def folder_of(out: Path, run: Run) -> Path:
    """Where a run of a sweep lies."""
    return out / RUNS / run.key


def is_done(out: Path, run: Run) -> bool:
    """Whether a run is there with all of its files: somebody may take some away."""
    folder, names = folder_of(out, run), (SUMMARY, *COMMANDS[run.command].outputs)
    return all((folder / name).is_file() for name in names)


def write_run(
    out: Path,
    run: Run,
    summary: Mapping[str, Any],
    write: Callable[[Path], None],
) -> None:
    """Write a run's folder under another name, bring it to disk and rename it."""
    with _renamed(out, run) as temporary:
        stored = {"command": run.command, "settings": dict(summary["settings"])}
        write_json(temporary / SETTINGS, {**stored, "source": dict(run.given)})
        write(temporary)
        write_json(temporary / SUMMARY, dict(summary))


def packed_run(
    run: Run, summary: Mapping[str, Any], write: Callable[[Path], None]
) -> dict[str, bytes]:
    """The same as the content of files, for where the folder is not in reach."""
    try:
        return _packed(run, summary, write, None)
    except OSError:
        # The disk for what is temporary is full too.
        if not _IN_MEMORY.is_dir():
            raise
        return _packed(run, summary, write, _IN_MEMORY)


def _packed(
    run: Run,
    summary: Mapping[str, Any],
    write: Callable[[Path], None],
    parent: Path | None,
) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory(dir=parent) as name:
        out = Path(name)
        (out / RUNS).mkdir()
        write_run(out, run, summary, write)
        files = folder_of(out, run).iterdir()
        return {file.name: file.read_bytes() for file in files}


def unpack_run(out: Path, run: Run, files: Mapping[str, bytes]) -> None:
    """Write what `packed_run` gave."""
    with _renamed(out, run) as temporary:
        for name, content in files.items():
            if Path(name).name != name:
                raise InputError(f"A run gives a file {name!r}, which lies elsewhere.")
            with (temporary / name).open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())


def read_summary(out: Path, run: Run) -> dict[str, Any]:
    """The summary of a run that is done."""
    path = folder_of(out, run) / SUMMARY
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} cannot be read ({reason(error)}); remove its folder, and the run "
            "is done again."
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is no summary; remove its folder.")
    return content


def state_of(out: Path, batch: Batch) -> Path:
    """Where the state of runs that are computed as one lies while they go on."""
    keys = [run.key for run in batch]
    if len(keys) > 1:
        # Of other runs together it would be another state.
        keys = [hashlib.sha256(" ".join(keys).encode()).hexdigest()[: len(keys[0])]]
    return out / UNFINISHED / f"{keys[0]}.npz"


def clear_state(out: Path, batch: Batch) -> None:
    """Remove the state of runs that do not go on from it any more."""
    state = state_of(out, batch)
    # A study has a state for each of its parts.
    for path in state.parent.glob(f"{state.stem}*"):
        path.unlink(missing_ok=True)


def clear_unfinished(out: Path) -> None:
    """Remove what runs that were killed have left, where none is written now."""
    for path in (out / RUNS).glob(f"{_TEMPORARY}*"):
        shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        clear_temporary(out / UNFINISHED)
        # Not where there is a state that a run can go on from.
        (out / UNFINISHED).rmdir()


def runs_left(runs: Sequence[Run], out: Path) -> int:
    """How many are not done."""
    return sum(not is_done(out, run) for run in runs)


def clear_runs(out: Path) -> None:
    """Remove all runs, and nothing else, whatever else lies there."""
    for path in (out / RUNS).glob("*"):
        if _KEY.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
    shutil.rmtree(out / UNFINISHED, ignore_errors=True)


class _renamed:  # noqa: N801
    """A temporary folder that becomes the run's when the block succeeds."""

    def __init__(self, out: Path, run: Run) -> None:
        self._final = folder_of(out, run)
        self._is_done = ft.partial(is_done, out, run)

    def __enter__(self) -> Path:
        parent, name = self._final.parent, f"{_TEMPORARY}{self._final.name}-"
        self._temporary = Path(tempfile.mkdtemp(dir=parent, prefix=name))
        # mkdtemp makes folders private; results get the permissions of any new folder.
        umask = os.umask(0)
        os.umask(umask)
        self._temporary.chmod(0o777 & ~umask)
        return self._temporary

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        try:
            if error is None:
                _sync(self._temporary)
                # Where another worker was first, its folder holds the same.
                with suppress(OSError):
                    if self._final.is_dir() and not self._is_done():
                        shutil.rmtree(self._final)
                    os.rename(self._temporary, self._final)
                    _sync(self._final.parent)
                if not self._is_done():
                    raise OSError(f"{self._final} cannot be made")
        finally:
            shutil.rmtree(self._temporary, ignore_errors=True)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
