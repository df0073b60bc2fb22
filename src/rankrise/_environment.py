"""What a result depends on beside its settings and seed."""

import platform
from functools import cache
from importlib.metadata import version
from typing import Any

from rankrise._version import __version__


@cache
def environment() -> dict[str, Any]:
    """Versions of the software and the device arrays live on."""
    import jax

    device = jax.devices()[0]
    return {
        "versions": {
            "rankrise": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("jax", "jaxlib", "numpy", "optax")},
        },
        "device": f"{device.platform}: {device.device_kind}",
    }
