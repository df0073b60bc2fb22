"""The one clock of a long run: its time limit, its interrupts, when to write."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from rankrise.runs._checkpoint import (
    Arrays,
    Checkpoint,
    Facts,
    check_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from rankrise.runs._display import note_cut_off, note_limit
from rankrise.runs._ending import Ending
from rankrise.runs._interrupts import hearing_interrupts

# In the order in which one goes before another.
_ENDINGS = (None, Ending.TIME_LIMIT, Ending.INTERRUPTED)

_began: ContextVar[float | None] = ContextVar("began", default=None)


@contextmanager
def counting_seconds() -> Iterator[None]:
    """Within, the clock of a run has begun already: loading counts to its time limit.

    The outermost counts of several, one within another.
    """
    token = _began.set(time.monotonic() if _began.get() is None else _began.get())
    try:
        yield
    finally:
        _began.reset(token)


def is_counting() -> bool:
    """Whether `counting_seconds` has begun."""
    return _began.get() is not None


class Watch:
    """Time limit, interrupts and checkpoint of one run, asked between its steps.

    Within it the first Ctrl-C is noted, so that `ending` tells of it and the state can
    be written; when it is left, KeyboardInterrupt is raised, but not under
    `keeping_interrupted`. A second Ctrl-C is heard at once. Watches may be nested.
    Where several processes share a run, what ends it in one ends it in all, and the
    first of them writes the state.

    Parameters
    ----------
    checkpoint
        File for the state, if any.
    fingerprint
        What a run must agree with to go on from the checkpoint, for JSON; a function
        of it is called only where there is one.
    max_seconds
        Time limit, anew each time the run is resumed, from where the outermost
        `counting_seconds` began, or else from here.
    """

    def __init__(
        self,
        *,
        checkpoint: Checkpoint | None = None,
        fingerprint: Facts | Callable[[], Facts] | None = None,
        max_seconds: float | None = None,
    ) -> None:
        check_checkpoint(checkpoint)
        self._checkpoint = checkpoint
        self._given = {} if fingerprint is None else fingerprint
        self._fingerprint: Facts | None = None
        self._max_seconds = max_seconds
        self._earlier = 0.0
        began = _began.get()
        self._began = time.monotonic() if began is None else began
        self._ended: float | None = None
        self._is_written = False
        # Where the first write is due at once, the one before lies far back.
        self._written = -math.inf
        if checkpoint is not None and not checkpoint.at_once:
            self._written = time.monotonic()
        self._hearing = hearing_interrupts()

    def __enter__(self) -> "Watch":
        self._interrupt = self._hearing.__enter__()
        most = self._max_seconds
        if most is not None:
            note_limit(lambda: most - self._seconds_now)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended = time.monotonic()
        self._hearing.__exit__(kind, error, traceback)

    @property
    def seconds(self) -> float:
        """Running time, including earlier parts of a resumed run."""
        return self._earlier + self._seconds_now

    @property
    def _seconds_now(self) -> float:
        now = time.monotonic() if self._ended is None else self._ended
        return now - self._began

    def ending(self) -> Ending | None:
        """What ends the run here, if it is not done."""
        ending = None
        if self._interrupt.requested:
            ending = Ending.INTERRUPTED
        elif (most := self._max_seconds) is not None and self._seconds_now >= most:
            ending = Ending.TIME_LIMIT
        ending = _ENDINGS[_agreed(_ENDINGS.index(ending))]
        if ending is not None:
            note_cut_off(ending)
        return ending

    @property
    def is_due(self) -> bool:
        """Whether it is time to write the state."""
        if self._checkpoint is None:
            return False
        since = time.monotonic() - self._written
        return bool(_agreed(since >= self._checkpoint.seconds))

    def load(self) -> tuple[Arrays, dict[str, Any]] | None:
        """The state to go on from, if there is one.

        Raises
        ------
        InputError
            Where it cannot be read, or is another run's.
        """
        checkpoint = self._checkpoint
        if checkpoint is None or not checkpoint.resume or not checkpoint.path.exists():
            return None
        arrays, facts, self._earlier = read_checkpoint(
            checkpoint.path, self._wanted_fingerprint()
        )
        self._written, self._is_written = time.monotonic(), True
        return arrays, facts

    def save(self, arrays: Arrays, facts: Facts) -> None:
        """Write the state, where there is a checkpoint and the run is no short one."""
        if self._checkpoint is None:
            return
        if not (self._checkpoint.at_once or self._is_written or self.is_due):
            return
        if _is_first():
            write_checkpoint(
                self._checkpoint.path,
                arrays,
                facts,
                fingerprint=self._wanted_fingerprint(),
                seconds=self.seconds,
            )
        self._written, self._is_written = time.monotonic(), True

    def _wanted_fingerprint(self) -> Facts:
        if self._fingerprint is None:
            given = self._given
            self._fingerprint = given() if callable(given) else given
        return self._fingerprint


# What has not loaded JAX is a process of its own.
def _agreed(number: int) -> int:
    if "jax" not in sys.modules:
        return number
    from rankrise._devices import agreed

    return agreed(number)


def _is_first() -> bool:
    if "jax" not in sys.modules:
        return True
    from rankrise._devices import is_first_process

    return is_first_process()
