"""Ctrl-C and SIGTERM around a run; while steps are taken, `solve` hears them itself."""

import os
import signal
import sys
from contextlib import suppress
from types import FrameType

from rankrise.cli._folder_lock import release_held
from rankrise.cli._status import INTERRUPTED

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = "\x1b[?25h"


def leave_when_interrupted() -> None:
    """End the program at an interrupt. For as long as nothing is written.

    A KeyboardInterrupt is lost where Python happens to be in a callback, of which
    imports and JAX's compiler have many: a traceback would be shown, and the run go on.
    """
    for number in _SIGNALS:
        signal.signal(number, _leave)


def raise_when_interrupted() -> None:
    """Raise KeyboardInterrupt from now on, so that no half-written file is left."""
    for number in _SIGNALS:
        if signal.getsignal(number) is _leave:
            signal.signal(number, signal.default_int_handler)


def _leave(number: int, frame: FrameType | None) -> None:
    # A progress bar hides the cursor.
    cursor = _SHOW_CURSOR if sys.stderr.isatty() else ""
    with suppress(BrokenPipeError):
        os.write(sys.stderr.fileno(), f"{cursor}rankrise: interrupted.\n".encode())
    release_held()
    os._exit(INTERRUPTED)
