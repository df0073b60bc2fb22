"""What a run left in its folder, read as data from a stranger."""

import json
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankrise._errors import InputError, printable, reason
from rankrise.tensors.files import open_arrays

if TYPE_CHECKING:
    from rankrise.sweeps import SweepResult

SETTINGS, SUMMARY, CLAIMS = "settings.json", "summary.json", "claims.json"
# Summaries have kilobytes, and claims with their curves a few megabytes.
_LARGEST_JSON = 64 * 2**20
_MOST_FOLDERS = 24


@dataclass(frozen=True)
class StoredRun:
    """A run, by its folder.

    Attributes
    ----------
    name
        What it is called beside the others of a page.
    summary
        Empty while there is none, for the run goes on or was killed.
    """

    path: Path
    name: str
    command: str
    settings: dict[str, Any]
    source: dict[str, Any]
    summary: dict[str, Any] = field(repr=False)

    @property
    def is_finished(self) -> bool:
        """Whether nothing more is to be expected."""
        return bool(self.summary) and self.summary.get("result") != "interrupted"

    @cached_property
    def sweep(self) -> "SweepResult":
        """What the folder of a sweep holds."""
        from rankrise.sweeps import load_sweep

        return load_sweep(self.path)

    def file(self, name: str) -> Path | None:
        """A regular file of the folder, None where it has none of the name."""
        path = self.path / name
        return path if path.is_file() else None


def read_runs(folders: list[Path]) -> list[StoredRun]:
    """The runs in some folders; one that holds the folders of runs stands for them.

    Raises
    ------
    InputError
        If a folder is of no run, or is damaged.
    """
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            what = "a file, not a folder" if folder.exists() else "not there"
            raise InputError(
                f"{printable(str(folder))} is {what}; name the folder of a run, as "
                "`--out` did."
            )
        parts = sorted(each for each in folder.iterdir() if (each / SETTINGS).is_file())
        if not (folder / SETTINGS).exists() and not parts:
            raise InputError(
                f"The folder {printable(str(folder))} is of no run: it has no "
                f"{SETTINGS}; name one that a command wrote."
            )
        found += [folder] if (folder / SETTINGS).exists() else parts
    if len(found) > _MOST_FOLDERS:
        raise InputError(
            f"{len(found)} runs came, and one page holds at most {_MOST_FOLDERS}; name "
            "fewer."
        )
    names = _names(found)
    return [_read(path, name) for path, name in zip(found, names, strict=True)]


@contextmanager
def refusing_damage(path: Path) -> Iterator[None]:
    """One sentence for whatever a file of other content makes the reader stumble over.

    A file that was changed by hand can hold anything of any type in any place.
    """
    try:
        yield
    except InputError as error:
        where = printable(str(path))
        if str(path) in str(error) or where in str(error):
            raise
        raise InputError(f"{where}: {printable(str(error))}") from error
    except OSError as error:
        raise InputError(
            f"{printable(str(path))} cannot be read ({error.strerror or reason(error)})"
            "; check the folder and its permissions."
        ) from error
    except Exception as error:
        raise InputError(
            f"{printable(str(path))} does not hold what a run writes "
            f"({type(error).__name__}: {reason(error)}); leave the folder out, or run "
            "it again."
        ) from error


def stored_claims(run: StoredRun) -> dict[str, Any]:
    """The claims of `claims.json` by name, none where it is missing."""
    path = run.file(CLAIMS)
    return {} if path is None else _object(path)


def stored_progress(run: StoredRun) -> tuple[dict[str, Any], dict[str, Any]]:
    """Facts and histories, `history_RUN_NAME`, of the checkpoint of a run."""
    path = run.file("checkpoint.npz")
    if path is None:
        return {}, {}
    try:
        with open_arrays(path) as members:
            wanted = [name for name in members.headers if name.startswith("history_")]
            texts = members.read(["meta"], text=True)
            histories = members.read(wanted)
    except (FileNotFoundError, zipfile.BadZipFile):
        # Another one took its place, or the run has ended meanwhile.
        return {}, {}
    return json.loads(str(texts["meta"]))["facts"], histories


def _read(path: Path, name: str) -> StoredRun:
    stored = _object(path / SETTINGS)
    with refusing_damage(path / SETTINGS):
        command, settings = stored["command"], stored["settings"]
        source = stored.get("source", {})
        if not (isinstance(command, str) and isinstance(settings, dict)):
            raise InputError("It holds no command with settings; name another folder.")
        if not isinstance(source, dict):
            raise InputError("Its source is no object; name another folder.")
    try:
        summary = _object(path / SUMMARY) if (path / SUMMARY).exists() else {}
    except FileNotFoundError:
        summary = {}
    return StoredRun(path, name, command, settings, source, summary)


def _object(path: Path) -> dict[str, Any]:
    with refusing_damage(path):
        # A pipe would wait for ever.
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_JSON:
            raise InputError("It is no file of JSON that a run writes.")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise InputError("It holds no JSON object; name another folder.")
    return content


def _names(paths: list[Path]) -> list[str]:
    """The last part of each, with as many before it as tell them apart."""
    absolute = [path.absolute() for path in paths]
    for count in (1, 2, 3):
        names = ["/".join(path.parts[-count:]) for path in absolute]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in absolute]
