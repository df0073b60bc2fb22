"""The compiled loops, loaded when first used: that takes a second, at first 20."""

import functools
import importlib
import logging
import threading
from typing import Any

# Seconds of waiting after which it is said what is waited for.
_SILENT = 4.0

logger = logging.getLogger("rankrise")


class _Kernels:
    """A module of kernels, imported when one is first asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def load(self) -> None:
        """Import the module."""
        _ = self.__file__

    def __getattr__(self, name: str) -> Any:
        module = importlib.import_module(f"rankrise.completion.{self._name}")
        self.__dict__.update(vars(module))
        return getattr(module, name)


kernels = _Kernels("_kernels")
wide_kernels = _Kernels("_wide_kernels")
plain_kernels = _Kernels("_plain_kernels")


def load_kernels(which: _Kernels = kernels) -> None:
    """Load some, and log what is waited for if it takes longer than a moment."""
    timer = threading.Timer(_SILENT, _tell)
    timer.daemon = True
    timer.start()
    try:
        which.load()
    finally:
        timer.cancel()


@functools.cache
def _tell() -> None:
    logger.warning(
        "loading what completes tensors; a first run compiles it, for half a minute"
    )
