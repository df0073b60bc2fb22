"""What a command offers to sweeps: its settings checked, its runs, what they say."""

import functools as ft
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from rankrise._errors import InputError
from rankrise._settings import refused
from rankrise.experiments import ExpectedTime
from rankrise.runs import Checkpoint
from rankrise.tensors.files import content_sha256

# The longest that a run is tried for, to say how long all will take.
TRIED_SECONDS = 10.0

Given = Mapping[str, Any]


@dataclass(frozen=True)
class Produced:
    """What one run came to: its summary, and how to write what else there is of it."""

    summary: Mapping[str, Any]
    write: Any


@dataclass(frozen=True)
class Merit:
    """A figure of merit: its words with a unit, for the axis of a picture."""

    words: str
    logarithmic: bool = False


class AbstractCommand(ABC):
    """A command whose runs a sweep makes."""

    name: str
    # Settings that are checked together, and what is named besides.
    model: type[BaseModel]
    sources: tuple[str, ...] = ()
    # Those that are files, unless one of the names that are known.
    files: frozenset[str] = frozenset()
    known: tuple[str, ...] = ()
    # Files of a run besides its settings and summary.
    outputs: tuple[str, ...]
    # Figures of merit that a run's summary gives, those that matter most first.
    merits: ClassVar[Mapping[str, Merit]]
    # Lists of which a run has one value: the setting's name and the run's.
    single: ClassVar[Mapping[str, str]] = {}

    @ft.cached_property
    def fields(self) -> dict[str, Any]:
        """Settings by name."""
        return dict(self.model.model_fields)

    @property
    def names(self) -> tuple[str, ...]:
        """All that can be set."""
        return (*self.fields, *self.sources)

    def is_list(self, name: str) -> bool:
        """Whether a setting takes several values."""
        if name not in self.fields:
            return False
        kinds = (self.fields[name].annotation, *get_args(self.fields[name].annotation))
        return any(kind is tuple or get_origin(kind) is tuple for kind in kinds)

    def checked(self, given: Given) -> BaseModel:
        """The settings as an object of their class.

        Raises
        ------
        InputError
            Where they do not fit, in one sentence.
        """
        own = {name: value for name, value in given.items() if name in self.fields}
        try:
            return self.model(**own)
        except ValidationError as error:
            raise InputError(refused(error, list(self.fields))) from None

    def complete(self, given: Given) -> dict[str, Any]:
        """All settings with a value that can be compared, those by default too."""
        settings = self.checked(given)
        found = {name: getattr(settings, name) for name in self.fields}
        found |= {name: given.get(name) for name in self.sources}
        for name, alone in self.single.items():
            found[alone] = found[name] = _alone(found[name])
        return found

    def identity(self, given: Given) -> dict[str, Any]:
        """What tells a run from others: settings not by default, and its sources."""
        own = self.checked(given).model_dump(mode="json", exclude_defaults=True)
        own |= {name: given[name] for name in self.sources if name in given}
        for name in self.files & own.keys():
            if not isinstance(own[name], str):
                raise InputError(f"`{name}` is {own[name]!r}; give a path as text.")
            path = Path(own[name])
            if str(path) not in self.known:
                own[name] = [str(path), _content(path)]
        return own

    def shape(self, given: Given) -> Any:
        """Equal for runs that can share a batch; by default a run is alone."""
        return None

    @abstractmethod
    def run(
        self, batch: Sequence[Given], checkpoint: Checkpoint | None
    ) -> list[Produced]:
        """Do the runs of a batch, whose shapes are equal."""

    @abstractmethod
    def expected(self, given: Given) -> ExpectedTime:
        """How long a run may take, found by doing a little of it."""

    @abstractmethod
    def figures(self, summary: Given) -> dict[str, Any]:
        """Figures of merit, as `merits` names them, of a run's summary."""

    def ended(self, summary: Given) -> tuple[str, str]:
        """How a run ended, and why."""
        return str(summary["result"]), ""

    def seconds(self, summary: Given) -> float:
        """How long a run took."""
        return float(summary.get("seconds_run", summary.get("seconds", 0.0)))


def _content(path: Path) -> str:
    try:
        stat = path.stat()
        if path.is_dir():
            return content_sha256(path)
        return _content_at(path, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error


@ft.cache
def _content_at(path: Path, changed: int, size: int) -> str:
    """Of a file that many runs name, for as long as it stays as it is."""
    return content_sha256(path)


def _alone(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value
