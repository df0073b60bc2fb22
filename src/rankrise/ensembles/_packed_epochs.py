"""Epochs on a processor with samples as bits: those of `train_epochs`, in less time.

Products and their derivatives are compiled loops; loss and optimizer are JAX's, so any
will do.
"""

import functools as ft
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax
from jaxtyping import Array, Float, Int

from rankrise._devices import mesh_of_run
from rankrise.ensembles._ensemble import Course, Models, Table, shuffled
from rankrise.ensembles._packed_products import PackedProducts
from rankrise.ensembles._packed_samples import MOST_VALUES, Blocks, PackedSamples
from rankrise.losses import AbstractLoss
from rankrise.tables import CategoricalData

# Samples that are measured at a time.
_AT_ONCE = 8192


def can_be_packed(data: CategoricalData) -> bool:
    """Whether features have few enough values, and one processor computes."""
    is_few = int(data.codes.max(initial=0)) < MOST_VALUES
    return is_few and jax.default_backend() == "cpu" and mesh_of_run() is None


class Packed:
    """Samples as bits, with room for the products of the models asked for last."""

    def __init__(self, data: CategoricalData) -> None:
        self._samples = PackedSamples.of(data.codes)
        self._models: Models | None = None
        self._products: PackedProducts

    def __len__(self) -> int:
        return len(self._samples)

    def products(self, models: Models, rows: int, dtype: Any) -> PackedProducts:
        """Those of so many samples at a time, for a table of these models."""
        if self._models is not models:
            membership = np.asarray(models.membership)
            components = membership.sum(axis=0).astype(int)
            blocks = Blocks.of(components[components > 0].tolist(), dtype)
            self._products = PackedProducts(
                self._samples, blocks, len(components), rows, dtype
            )
            self._models = models
        return self._products


class PackedEpochs:
    """Trains as `train_epochs` does, with the samples it was made with."""

    def __init__(self, data: CategoricalData) -> None:
        self._packed = Packed(data)

    def __call__(
        self, course: Course, table: Table, state: Any
    ) -> tuple[Table, Any, Float[Array, "most_epochs models"]]:
        """Epochs of minibatches, from a table and an optimizer's state.

        They are used up; the course's codes are not looked at. A call for no epoch only
        compiles, and what it gives back has no meaning.
        """
        history = np.zeros((course.most_epochs, len(course.models.task)), table.dtype)
        if not course.epochs:
            rows = np.zeros(course.batch_size, np.int32)
            table, state, _ = self._batch(course, rows, 1, table, state, history[0])
            return table, state, jnp.asarray(history)
        epochs = int(course.epochs)
        coming = self._order(course, 0)
        for number in range(epochs):
            order = np.asarray(coming)
            if number + 1 < epochs:
                # It is computed beside this epoch.
                coming = self._order(course, number + 1)
            taken = (order >= 0).sum()
            total: Any = np.zeros(course.models.task.shape, table.dtype)
            for rows in order:
                table, state, total = self._batch(
                    course, rows, taken, table, state, total
                )
            history[number] = total
        return table, state, jnp.asarray(history)

    def _order(self, course: Course, number: int) -> npt.ArrayLike:
        """Rows of every batch of an epoch."""
        if course.batches is not None:
            return np.asarray(course.batches)[number]
        epoch = np.int32(int(course.epoch) + number)
        return _shuffled(course.key, epoch, len(self._packed), course.batch_size)

    def _batch(
        self,
        course: Course,
        rows: npt.NDArray[np.int32],
        taken: int | np.integer,
        table: Table,
        state: Any,
        total: Any,
    ) -> tuple[Table, Any, Array]:
        size, dtype = course.batch_size, table.dtype
        products = self._packed.products(course.models, size, dtype)
        sums = products.forward(np.asarray(table), np.maximum(rows, 0))
        wanted = course.targets, course.models.task
        # NumPy's arrays go into a program faster than out of `jnp.asarray`.
        given: tuple[Any, ...] = rows, np.asarray(taken, dtype), sums, total
        slopes, total = _slopes(course.loss_function, wanted, *given)
        gradient = np.zeros(table.shape, dtype)
        products.backward(np.asarray(slopes), gradient)
        table, state = _updated(course.optimizer)(gradient, state, table)
        return table, state, total


def packed_mean_losses(
    packed: Packed,
    targets: Float[Array, "samples tasks"],
    models: Models,
    table: Table,
    loss_function: AbstractLoss,
    largest: Float[Array, ""],
) -> Float[Array, " models"]:
    """Mean loss of every model, as `mean_losses` has it."""
    samples = len(packed)
    size = min(samples, _AT_ONCE)
    products = packed.products(models, size, table.dtype)
    total = jnp.zeros(models.task.shape, table.dtype)
    for begin in range(0, samples, size):
        rows = np.arange(begin, min(begin + size, samples), dtype=np.int32)
        count = np.int32(len(rows))
        rows = np.pad(rows, (0, size - len(rows)))
        # A copy, for the next samples' sums are written to the same place.
        sums = jnp.array(products.forward(np.asarray(table), rows))
        given = jnp.asarray(rows), jnp.asarray(count), sums
        wanted = targets, models.task
        total = _capped(wanted, *given, loss_function, largest, total)
    return total / jnp.asarray(samples, total.dtype)


_shuffled = jax.jit(shuffled, static_argnums=(2, 3))


def _slopes(loss_function: AbstractLoss, *given: Any) -> tuple[Array, Array]:
    """`_slopes_of`, compiled; by Equinox, whose calls take longer, where it must be."""
    try:
        hash(loss_function)
    except TypeError:
        found: tuple[Array, Array] = _slopes_of_arrays(loss_function, *given)
    else:
        found = _slopes_of_settings(loss_function, *given)
    return found


def _slopes_of(
    loss_function: AbstractLoss,
    wanted: tuple[Float[Array, "samples tasks"], Int[Array, " models"]],
    rows: Int[Array, " rows"],
    taken: Float[Array, ""],
    sums: Float[Array, "rows models"],
    total: Float[Array, " models"],
) -> tuple[Float[Array, "rows models"], Float[Array, " models"]]:
    """Slopes of the mean loss of a batch; adds its share of an epoch's mean to a total.

    A row of -1 is none, and an epoch has `taken` others.
    """
    targets, task = wanted
    there = (rows >= 0)[:, None]
    weights = there.astype(sums.dtype) / jnp.sum(there).astype(sums.dtype)
    found = targets[jnp.maximum(rows, 0)][:, task]
    losses, back = jax.vjp(lambda sums: loss_function(sums, found), sums)
    (slopes,) = back(jnp.broadcast_to(weights, losses.shape))
    total = total + jnp.sum(jnp.where(there, losses, 0), axis=0) / taken
    return jnp.where(jnp.isfinite(slopes), slopes, 0), total


_slopes_of_arrays = eqx.filter_jit(_slopes_of)
_slopes_of_settings = jax.jit(_slopes_of, static_argnums=0)


@eqx.filter_jit
def _capped(
    wanted: tuple[Float[Array, "samples tasks"], Int[Array, " models"]],
    rows: Int[Array, " rows"],
    count: Int[Array, ""],
    sums: Float[Array, "rows models"],
    loss_function: AbstractLoss,
    largest: Float[Array, ""],
    total: Float[Array, " models"],
) -> Float[Array, " models"]:
    """Add to each model's total the losses of the first of some samples."""
    targets, task = wanted
    losses = jnp.minimum(loss_function(sums, targets[rows][:, task]), largest)
    there = (jnp.arange(len(rows), dtype=jnp.int32) < count)[:, None]
    return total + jnp.sum(jnp.where(there, losses, 0), axis=0)


@ft.lru_cache(maxsize=8)
def _updated(optimizer: optax.GradientTransformation) -> Any:
    @ft.partial(jax.jit, donate_argnums=(1, 2))
    def updated(gradient: Array, state: Any, table: Table) -> tuple[Table, Any]:
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimizer.update(gradient, state, table)
        return table + updates, state

    return updated
