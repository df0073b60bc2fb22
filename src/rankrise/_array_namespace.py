"""One formula for NumPy's arrays and JAX's, without importing JAX for the former."""

from typing import Any

import numpy as np


def array_namespace(*arrays: Any) -> Any:
    """NumPy if all are its own or plain numbers, else `jax.numpy`.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> rr.losses.array_namespace(np.ones(2)) is np
    True
    """
    if all(isinstance(each, np.ndarray | np.generic | float | int) for each in arrays):
        return np
    import jax.numpy as jnp

    return jnp
