"""The folder of a run: refused, replaced or resumed."""

import json
import logging
import os
import re
import reprlib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from rankrise._atomic import atomic_path, clear_temporary, is_temporary, write_json
from rankrise._errors import InputError
from rankrise._settings import option
from rankrise.cli._folder_lock import LOCK, hold
from rankrise.cli._options import OutputOptions
from rankrise.cli._source import Source
from rankrise.cli._terminal import say
from rankrise.experiments import CLAIM_NAMES

AnySettings = TypeVar("AnySettings", bound=BaseModel)

SETTINGS = "settings.json"
SUMMARY = "summary.json"
CHECKPOINT = "checkpoint.npz"
CLAIMS = "claims.json"
_PICTURES = (
    *("dynamics", "completion", "rank", "agreement", "complexity", "claims"),
    *("sweep", "staircases"),
)
_RESULTS = (
    SUMMARY,
    CHECKPOINT,
    CLAIMS,
    "trajectory.nc",
    "factors.npz",
    "rank.csv",
    *("sweep.json", "sweep.parquet", "sweep.nc"),
    *(
        f"{name}.{form}"
        for name in (*_PICTURES, *CLAIM_NAMES)
        for form in ("png", "pdf", "svg", "txt")
    ),
    "comparison.md",
    "comparison.csv",
)
_PARTS = ("checkpoint-*.npz", "trajectory-*.nc", "factors-*.npz")
# Files with every entry, in the form of the input.
COMPLETED, STD, LOWER, UPPER = (
    "completed",
    "completed-std",
    "completed-lower",
    "completed-upper",
)
_logger = logging.getLogger(__name__)
_COMPLETED_FORMS = re.compile(
    r"\.(npy|npz|mat|nc|h5|hdf5|parquet|feather|xlsx|(csv|tsv|txt|tns)(\.(gz|zst|xz))?)"
)


class RunFolder:
    """A run's folder, held from its making to `finish` or the end of the command.

    Nothing of an earlier run changes before `begin`.
    """

    def __init__(self, options: OutputOptions, command: str) -> None:
        self.path = options.out or Path("runs") / command.replace(" ", "-")
        self._command = command
        self._options = options
        if options.force and options.resume:
            raise InputError(
                "--force replaces a run and --resume continues it; give one of them."
            )
        self._check_place()
        if options.resume and not (self.path / SETTINGS).exists():
            raise InputError(
                f"There is no run to resume in {self.path}; start it without --resume."
            )
        try:
            self._lock = hold(self.path)
        except OSError as error:
            raise self._unwritable(error) from error
        self._stored: dict[str, Any] = {}
        if options.resume:
            self._stored = self._read_settings()
        elif not options.force and not self._is_empty():
            raise InputError(
                f"The folder {self.path} is not empty; name another with --out, add "
                "--force to replace the results in it, or --resume to go on."
            )
        clear_temporary(self.path)

    @property
    def checkpoint(self) -> Path:
        """Where the state of an unfinished run lies."""
        return self.path / CHECKPOINT

    def has_state(self) -> bool:
        """Whether there is a state to go on from, if of a part alone."""
        return any(self.path.glob("checkpoint*.npz"))

    def is_finished(self) -> bool:
        """Whether the run to be resumed has nothing left to do; says so."""
        summary = self.path / SUMMARY
        if not self._options.resume or not summary.exists():
            return False
        result = self.result()
        if result == "interrupted" or (result == "time limit" and self.has_state()):
            return False
        if not self._options.quiet:
            say(f"The run in {self.path} is finished ({result}).")
        self._lock.release()
        return True

    def result(self) -> str:
        """The outcome in the summary of a finished run."""
        path = self.path / SUMMARY
        content = _read_json(path)
        result = content.get("result") if isinstance(content, dict) else None
        if not isinstance(result, str):
            raise InputError(
                f"{path} does not hold the summary of a run; remove it to go on, or "
                "start the run anew with --force."
            )
        return result

    def settings(self, given: AnySettings) -> AnySettings:
        """The settings to run with: those given, or those of the run to resume."""
        if not self._options.resume:
            return given
        stored = dict(self._stored["settings"])
        for name, value in given.model_dump(mode="json", exclude_unset=True).items():
            if name == "max_seconds":  # When to leave off, not what comes out.
                stored[name] = value
            self.check_unchanged(name, value, stored.get(name))
        try:
            return type(given).model_validate(stored)
        except ValidationError as error:
            raise self._unusable_settings(_reason(error)) from error

    def source(self, kind: type[Source]) -> dict[str, Any]:
        """What the run to resume was made from, in the form of its command."""
        try:
            source = kind.model_validate(self._stored["source"])
        except ValidationError as error:
            raise self._unusable_settings(_reason(error, "source")) from error
        return source.model_dump(exclude_unset=True)

    def check_unchanged(self, name: str, given: object, stored: object) -> None:
        """Refuse to resume with another value than the run began with."""
        if given != stored:
            had = "unset" if stored is None else stored
            raise InputError(
                f"The run in {self.path} has {option(name)} {had}, not {given}; resume "
                "it without that option, or start another run with --out."
            )

    def check_not_replaced(self, file: Path) -> None:
        """Refuse an input that a result would replace."""
        # Unlike `Path.resolve`, links that lead in circles raise nothing here.
        file = Path(os.path.realpath(file))
        if file.parent == self.path.resolve() and _is_result(file):
            raise InputError(
                f"A result would replace the input {file}; name another folder with "
                "--out."
            )

    def begin(self, settings: BaseModel, source: dict[str, Any] | None = None) -> None:
        """Note the settings and clear old results; called again, check the folder.

        A folder that was removed during the run is made again, for the results.
        """
        if self._stored:
            if not self.path.exists():
                self._make_again(self._stored)
            return
        content = {
            "command": self._command,
            "settings": settings.model_dump(mode="json"),
            "source": source or {},
        }
        try:
            with atomic_path(self.path / SETTINGS) as temporary:
                # On disk before anything is cleared, so that old results stay if it is
                # full, and named after: no kill leaves them beside new settings.
                write_json(temporary, content)
                self._clear_results()
        except OSError as error:
            raise self._unwritable(error) from error
        self._stored = content

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the summary last, so that it stands for all; release the folder."""
        write_json(self.path / SUMMARY, summary)
        if summary["result"] not in ("interrupted", "time limit"):
            self.checkpoint.unlink(missing_ok=True)
            for part in self.path.glob("checkpoint-*.npz"):
                part.unlink()
        self._lock.release()

    def _make_again(self, settings: dict[str, Any]) -> None:
        self.path.mkdir(parents=True)
        write_json(self.path / SETTINGS, settings)
        _logger.warning(
            "the folder %s was removed during the run, with all that was in it; it is "
            "made again for the results.",
            self.path,
        )

    def _clear_results(self) -> None:
        # First the summary, without which no run counts as finished.
        for old in sorted(self.path.iterdir(), key=lambda each: each.name != SUMMARY):
            if _is_result(old) and not old.is_dir():
                old.unlink()

    def _is_empty(self) -> bool:
        """Whether nothing is there but what a run left that was killed at its start."""
        return all(
            each.name == LOCK or is_temporary(each) for each in self.path.iterdir()
        )

    def _check_place(self) -> None:
        """Refuse early, before minutes of work, what `begin` could not write to."""
        path = self.path.absolute()
        nearest = next(each for each in (path, *path.parents) if each.exists())
        if not nearest.is_dir():
            raise InputError(
                f"--out is {self.path} but {nearest} is a file; name a folder."
            )
        if not os.access(nearest, os.W_OK):
            raise InputError(
                f"The folder {nearest} cannot be written to; name another with --out."
            )

    def _read_settings(self) -> dict[str, Any]:
        stored = _read_json(self.path / SETTINGS)
        if not isinstance(stored, dict):
            raise self._unusable_settings("it is no JSON object")
        kinds = {"command": str, "settings": dict, "source": dict}
        for name, kind in kinds.items():
            if not isinstance(stored.get(name), kind):
                given = reprlib.repr(stored[name]) if name in stored else "missing"
                raise self._unusable_settings(f"its {name} is {given}")
        if stored["command"] != self._command:
            raise InputError(
                f"The run in {self.path} is of `rankrise {stored['command']}`; "
                "resume it with that command."
            )
        return stored

    def _unusable_settings(self, reason: str) -> InputError:
        return InputError(
            f"{self.path / SETTINGS} does not hold the settings of a run ({reason}); "
            "start it anew with --force."
        )

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(
            f"The folder {self.path} cannot be written to ({error.strerror}); make it "
            "writable or name another with --out."
        )


def _is_result(path: Path) -> bool:
    # An experiment of several parts has files for each.
    if any(map(path.match, _PARTS)):
        return True
    name, dot, form = path.name.partition(".")
    is_completed = name in (COMPLETED, STD, LOWER, UPPER)
    is_completed &= _COMPLETED_FORMS.fullmatch(dot + form.lower()) is not None
    return is_completed or path.name in _RESULTS


def _reason(error: ValidationError, *outer: str) -> str:
    """The first thing wrong, by its place in the file."""
    first = error.errors()[0]
    place = ".".join(map(str, (*outer, *first["loc"])))
    if first["type"] == "missing":
        return f"{place} is missing"
    if not first["loc"]:
        return first["msg"].removeprefix("Value error, ").removesuffix(".")
    message = first["msg"]
    return (
        f"{place} is {reprlib.repr(first['input'])}: {message[:1].lower()}{message[1:]}"
    )


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    # Brackets within brackets without end are no ValueError.
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not valid JSON ({error}); start the run anew with --force."
        ) from error
