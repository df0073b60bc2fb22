"""What a worker of this machine loads as it starts: Ctrl-C is for who started it.

A terminal sends the signal to all processes; workers would each end in a traceback.
"""

import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Ignore Ctrl-C; Dask calls this as the worker starts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
