"""One formula for NumPy's arrays and JAX's, without importing JAX for the former."""

from typing import Any

import numpy as np


def array_namespace(*arrays: Any) -> Any:
    """NumPy if all are its own or plain numbers, else `jax.numpy`."""
    if all(isinstance(each, np.ndarray | np.generic | float | int) for each in arrays):
        return np
    import jax.numpy as jnp

    return jnp
