"""Where the parts of a study are done: here, or by other processes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rankrise._errors import InputError

# Rounds in which tasks are tried whose workers ended.
_ROUNDS = 2


@dataclass(frozen=True)
class Finished:
    """A task that ended.

    Attributes
    ----------
    place
        Its place among the tasks.
    error
        What it raised, if it did.
    lost
        Whether workers ended under it, again and again.
    """

    place: int
    value: Any = None
    error: BaseException | None = None
    lost: bool = False


@dataclass(frozen=True)
class PartsProgress:
    """How many parts of a study are done."""

    done: int
    count: int
    workers: int

    @property
    def words(self) -> str:
        """How far it is, for a person to read."""
        workers = f"{self.workers} worker{'s' * (self.workers != 1)}"
        return f"{self.done} of {self.count} parts, {workers}"

    @property
    def share(self) -> float:
        """What is done of the parts."""
        return self.done / self.count


class Pool(ABC):
    """Somewhere to do tasks."""

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many tasks go on at a time, as far as is known."""

    @abstractmethod
    def each(
        self,
        function: Callable[..., Any],
        tasks: Sequence[tuple[Any, ...]],
        stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[Finished]:
        """Call a function with the arguments of each task, in any order.

        Ends early, leaving out what is not done, once `stopped` says so.
        """

    def call_all(
        self,
        function: Callable[..., Any],
        tasks: Sequence[tuple[Any, ...]],
        *,
        stopped: Callable[[], bool] = lambda: False,
        progress: Callable[[PartsProgress], None] | None = None,
    ) -> list[Any]:
        """What each call gives, in the order of tasks.

        Where it was stopped, what is not done is missing at the end.

        Raises
        ------
        InputError
            If workers ended under a task, and did so again when it was tried once more.
        Exception
            What a call raised.
        """
        values: dict[int, Any] = {}
        places = list(range(len(tasks)))
        for _ in range(_ROUNDS):
            lost: list[int] = []
            for finished in self.each(function, [tasks[k] for k in places], stopped):
                place = places[finished.place]
                if finished.lost:
                    lost.append(place)
                    continue
                if finished.error is not None:
                    raise finished.error
                values[place] = finished.value
                if progress is not None:
                    progress(PartsProgress(len(values), len(tasks), self.workers))
            places = sorted(lost)
            if not places:
                break
        else:
            raise InputError(
                f"{len(places)} of {len(tasks)} parts ended their workers at every "
                "attempt, by a crash or for want of memory; give workers more memory, "
                "or do without workers."
            )
        first = next((k for k in range(len(tasks)) if k not in values), len(tasks))
        return [values[place] for place in range(first)]


class ThisProcess(Pool):
    """One task after another, here."""

    workers = 1

    def each(
        self,
        function: Callable[..., Any],
        tasks: Sequence[tuple[Any, ...]],
        stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[Finished]:
        for place, arguments in enumerate(tasks):
            if stopped():
                return
            try:
                yield Finished(place, function(*arguments))
            except Exception as error:
                yield Finished(place, error=error)
