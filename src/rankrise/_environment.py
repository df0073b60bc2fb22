"""What a run depends on besides its settings and seed."""

import functools as ft
import os
import platform
import sys
from importlib.metadata import version
from typing import Any

from rankrise._version import __version__

_PACKAGES = ("jax", "jaxlib", "numba", "numpy", "optax", "scipy")


def environment() -> dict[str, Any]:
    """Versions of the software and the device arrays live on."""
    return {
        "versions": {
            "rankrise": __version__,
            "python": platform.python_version(),
            **_versions(),
        },
        "device": _device(),
    }


@ft.cache
def _versions() -> dict[str, str]:
    # Metadata is read from disk, which takes as long as a small run.
    return {name: version(name) for name in _PACKAGES}


def usable_cores() -> int:
    """Cores that this process may use; all of them if the system cannot tell."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _device() -> str:
    # What has not loaded JAX has not computed with it, and need not wait for it.
    if "jax" not in sys.modules:
        return "cpu"
    import jax

    device = jax.devices()[0]
    return f"{device.platform}: {device.device_kind}"
