"""Ctrl-C between two steps of a run, instead of in the middle of one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType
from typing import Any

_keeping: ContextVar[bool] = ContextVar("keeping", default=False)


@dataclass
class Interrupt:
    """Whether one was asked for."""

    requested: bool = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: the first is noted, a second interrupts at once."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


# Heard by the outermost of nested runs, for all of them.
_heard: Interrupt | None = None


@contextmanager
def keeping_interrupted() -> Iterator[None]:
    """Within, an interrupted run returns what it has, instead of raising.

    SIGTERM is heard too. For programs that write what a run returns and say that it is
    a part; whoever calls a function expects the whole of its result.
    """
    token = _keeping.set(True)
    try:
        yield
    finally:
        _keeping.reset(token)


@contextmanager
def hearing_interrupts() -> Iterator[Interrupt]:
    """Within, an interrupt is noted; at the end it is raised, unless it is kept.

    Signals can only be handled in the main thread; elsewhere they are left alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield Interrupt()
    elif _heard is not None:
        yield _heard
        _raise_unless_kept(_heard)
    else:
        interrupt = Interrupt()
        with _handling(interrupt):
            yield interrupt
        _raise_unless_kept(interrupt)


@contextmanager
def _handling(interrupt: Interrupt) -> Iterator[None]:
    global _heard
    also = (signal.SIGTERM,) if _keeping.get() else ()
    previous: dict[signal.Signals, Any] = {}
    _heard = interrupt
    try:
        for number in (signal.SIGINT, *also):
            previous[number] = signal.signal(number, interrupt)
        yield
    finally:
        _heard = None
        for number, handler in previous.items():
            signal.signal(number, handler)


def _raise_unless_kept(interrupt: Interrupt) -> None:
    if interrupt.requested and not _keeping.get():
        raise KeyboardInterrupt
