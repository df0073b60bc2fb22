"""Whether an optimizer's updates of a column depend on that column alone."""

import functools as ft
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax

from rankrise._errors import InputError
from rankrise.ensembles._ensemble import Table

_STEPS = 3
# What the other column's slopes are multiplied by: a norm that is clipped at some size
# passes it for one of them, and NaN is what a model that overflowed has.
_FACTORS = (1e-3, 1e12, np.nan)


def check_columns_apart(
    optimizer: optax.GradientTransformation, table: Table, state: Any
) -> None:
    """Refuse an optimizer under which models of one table would not be alone.

    Parameters
    ----------
    state
        State of the optimizer for the table; columns of its leaves are dropped as those
        of the table are.

    Raises
    ------
    InputError
        For layer-wise rates such as those of LAMB, clipping by a norm, or numbers kept
        for rows and columns.
    """
    for leaf in jax.tree.leaves(state):
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        if is_key or leaf.shape not in ((), table.shape):
            raise InputError(
                f"The optimizer keeps numbers of shape {leaf.shape}, neither one in "
                "all nor one a factor, so models could not be trained together; choose "
                "one that goes entry by entry, such as optax.adam."
            )
    if not _goes_apart(optimizer):
        raise InputError(
            "The optimizer's updates of one model depend on the others, as those of a "
            "layer-wise rate or of clipping by a norm do; choose one that goes entry "
            "by entry, such as optax.adam or optax.clip."
        )


@ft.lru_cache(maxsize=64)
def _goes_apart(optimizer: optax.GradientTransformation) -> bool:
    """Whether updates of a column stay the same to the bit, whatever another's are."""
    rng = np.random.default_rng(0)
    # Outside of any precision that is asked for: the same numbers everywhere.
    table = rng.normal(1.0, 0.1, (2, 3, 2)).astype(np.float32)
    slopes = rng.normal(size=(_STEPS, 2, 3, 2)).astype(np.float32)
    updates = _updates(optimizer)
    alone = updates(table, slopes)
    for factor in _FACTORS:
        beside = updates(table, slopes * np.array([1.0, factor], np.float32))
        if not np.array_equal(beside, alone, equal_nan=True):
            return False
    return True


def _updates(
    optimizer: optax.GradientTransformation,
) -> Callable[[Any, Any], npt.NDArray[Any]]:
    """The updates of the first of two columns, step by step."""

    @jax.jit
    def updates(table: Any, slopes: Any) -> Any:
        state = optimizer.init(table)
        found = []
        for slope in slopes:
            update, state = optimizer.update(slope, state, table)
            table = optax.apply_updates(table, update)
            found.append(update[..., 0])
        return jnp.stack(found)

    def call(table: Any, slopes: Any) -> npt.NDArray[Any]:
        with jax.numpy_dtype_promotion("standard"):
            return np.asarray(updates(table, slopes))

    return call
