"""The folder of a run: refused, replaced or resumed."""

import json
import os
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from rankrise._atomic import write_json
from rankrise._errors import InputError
from rankrise._settings import option
from rankrise.cli._options import OutputOptions
from rankrise.experiments import CLAIM_NAMES

AnySettings = TypeVar("AnySettings", bound=BaseModel)

SETTINGS = "settings.json"
SUMMARY = "summary.json"
CHECKPOINT = "checkpoint.npz"
CLAIMS = "claims.json"
_RESULTS = (
    SUMMARY,
    CHECKPOINT,
    CLAIMS,
    "trajectory.nc",
    "factors.npz",
    "dynamics.png",
    "dynamics.pdf",
    "completion.png",
    "completion.pdf",
    *(f"{claim}.{form}" for claim in CLAIM_NAMES for form in ("png", "pdf")),
    "agreement.png",
    "agreement.pdf",
    "complexity.png",
    "complexity.pdf",
    "comparison.md",
    "comparison.csv",
)
# Of every entry, in the form of the input.
COMPLETED, STD, LOWER, UPPER = (
    "completed",
    "completed-std",
    "completed-lower",
    "completed-upper",
)
_COMPLETED_FORMS = (".npy", ".npz", ".csv", ".parquet", ".tns", ".mat", ".nc")


class RunFolder:
    """A run's folder. Nothing in it changes before `begin`."""

    def __init__(self, options: OutputOptions, command: str) -> None:
        self.path = options.out or Path("runs") / command.replace(" ", "-")
        self._command = command
        self._options = options
        if options.force and options.resume:
            raise InputError(
                "--force replaces a run and --resume continues it; give one of them."
            )
        self._check_place()
        if options.resume:
            self._stored = self._read_settings()
        elif not options.force and self.path.is_dir() and any(self.path.iterdir()):
            raise InputError(
                f"The folder {self.path} is not empty; name another with --out, add "
                "--force to replace the results in it, or --resume to go on."
            )

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
        result = _read_json(summary).get("result")
        if result == "interrupted":
            return False
        if not self._options.quiet:
            print(f"The run in {self.path} is finished ({result}).")
        return True

    def result(self) -> str | None:
        """The outcome in the summary of a finished run."""
        return _read_json(self.path / SUMMARY).get("result")

    def settings(self, given: AnySettings) -> AnySettings:
        """The settings to run with: those given, or those of the run to resume."""
        if not self._options.resume:
            return given
        stored = self._stored["settings"]
        for name, value in given.model_dump(mode="json", exclude_unset=True).items():
            self.check_unchanged(name, value, stored.get(name))
        try:
            return type(given).model_validate(stored)
        except ValidationError as error:
            raise self._unusable_settings() from error

    def source(self) -> dict[str, Any]:
        """What the run to resume was made from."""
        source: dict[str, Any] = self._stored["source"]
        return source

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
        file = file.resolve()
        if file.parent == self.path.resolve() and _is_result(file):
            raise InputError(
                f"A result would replace the input {file}; name another folder with "
                "--out."
            )

    def begin(self, settings: BaseModel, source: dict[str, Any] | None = None) -> None:
        """Make the folder, note the settings, clear old results where asked to."""
        if self._options.resume:
            return
        content = {
            "command": self._command,
            "settings": settings.model_dump(mode="json"),
            "source": source or {},
        }
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            # Before anything is cleared: on a full disk the old results stay.
            write_json(self.path / SETTINGS, content)
        except OSError as error:
            raise InputError(
                f"The folder {self.path} cannot be written to ({error.strerror}); "
                "make it writable or name another with --out."
            ) from error
        for old in self.path.iterdir():
            if _is_result(old) and not old.is_dir():
                old.unlink()

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the summary last, so that it stands for a complete folder."""
        write_json(self.path / SUMMARY, summary)
        if summary["result"] != "interrupted":
            self.checkpoint.unlink(missing_ok=True)
            for part in self.path.glob("checkpoint-*.npz"):
                part.unlink()

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
        path = self.path / SETTINGS
        if not path.exists():
            raise InputError(
                f"There is no run to resume in {self.path}; start it without --resume."
            )
        stored = _read_json(path)
        if not all(isinstance(stored.get(x), dict) for x in ("settings", "source")):
            raise self._unusable_settings()
        if stored.get("command") != self._command:
            raise InputError(
                f"The run in {self.path} is of `rankrise {stored.get('command')}`; "
                "resume it with that command."
            )
        return stored

    def _unusable_settings(self) -> InputError:
        return InputError(
            f"{self.path / SETTINGS} does not hold the settings of a run; start it "
            "anew with --force."
        )


def _is_result(path: Path) -> bool:
    # An experiment of several parts has a checkpoint for each.
    if path.match("checkpoint-*.npz"):
        return True
    names = (COMPLETED, STD, LOWER, UPPER)
    is_completed = path.stem in names and path.suffix.lower() in _COMPLETED_FORMS
    return is_completed or path.name in _RESULTS


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path} is not valid JSON ({error}); start the run anew with --force."
        ) from error
    return content if isinstance(content, dict) else {}
