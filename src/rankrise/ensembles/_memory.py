"""Whether an ensemble fits in memory, before any of it is taken."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from rankrise._errors import InputError
from rankrise._memory import free_memory
from rankrise.ensembles._ensemble import Member, measured_at_once, rounded
from rankrise.ensembles._levenberg_marquardt import LevenbergMarquardt
from rankrise.ensembles._training import Training
from rankrise.tables import CategoricalData

# Of arrays alive at once, as measured: tables beside the optimizer's state (the start
# on the host, the factors, their logarithms, differences and gradient, and copies made
# to compile), and arrays of samples by columns in a batch.
_TABLES, _STATES, _ACTIVATIONS = 8, 2, 6
# Of `LevenbergMarquardt`: gradient, diagonal, shares, residual, direction and what they
# are made from.
_KEPT_TABLES = 8
_REMEDY = "fit fewer or lower ranks, fewer classes or seeds, or smaller batches"


def check_memory(
    train: CategoricalData,
    test: CategoricalData | None,
    members: Sequence[Member],
    training: Training,
    *,
    remedy: str = _REMEDY,
) -> None:
    """Refuse more components than fit in the memory that is free.

    Parameters
    ----------
    remedy
        What to do, in the words of who asks.

    Raises
    ------
    InputError
        What they need, what there is and what to do.
    """
    free = free_memory()
    needed = needed_memory(train, test, members, training)
    if free is not None and needed > free:
        columns = sum(member.components for member in members)
        raise InputError(
            f"{columns} components ({len(members)} models) of {train.features} "
            f"features with up to {train.values} values need about "
            f"{_size(needed)} of memory in batches of "
            f"{min(training.batch_size, train.samples)} samples, and {_size(free)} are "
            f"free; {remedy}."
        )


def needed_memory(
    train: CategoricalData,
    test: CategoricalData | None,
    members: Sequence[Member],
    training: Training,
) -> int:
    """About how many bytes training takes."""
    dtype = jnp.zeros(0).dtype
    columns = rounded(sum(member.components for member in members))
    table = jax.ShapeDtypeStruct((train.values, train.features, columns), dtype)
    state = jax.eval_shape(training.method.init, table)
    tasks = 1 + max(member.task for member in members)
    samples = train.samples + (0 if test is None else test.samples)
    batch = min(training.batch_size, train.samples)
    block = 0
    if test is not None:
        block = measured_at_once(test.samples, test.features, columns)
    kept = 0
    if isinstance(training.method, LevenbergMarquardt):
        kept = _KEPT_TABLES * _count(table) + 2 * train.samples * columns
    numbers = (
        kept
        + _TABLES * _count(table)
        + _STATES * sum(map(_count, jax.tree.leaves(state)))
        + _ACTIVATIONS * max(batch, block) * columns
        + max(batch, block) * train.features
        + samples * tasks
        + training.epochs * len(members)
    )
    return numbers * dtype.itemsize + samples * train.features


def _count(array: jax.ShapeDtypeStruct) -> int:
    return math.prod(array.shape)


def _size(byte_count: int) -> str:
    if byte_count >= 2**30:
        return f"{byte_count / 2**30:.1f} GiB"
    return f"{byte_count / 2**20:.0f} MiB"
