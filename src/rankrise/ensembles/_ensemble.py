r"""Many predictors on shared data as columns of one table.

A predictor of CP rank $R$ gives a sample $x$ the value
$\sum_{r=1}^R \prod_n W_{nr}[x_n]$: the entry at $x$ of a tensor with one mode for
every feature.
Models of every rank, class and seed that share samples are trained by one program, for
the samples are what costs; each model's updates are those it would have alone.
"""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float, Int, UInt8

from rankrise._checks import check_whole
from rankrise._devices import alike, by_columns
from rankrise.factorizations import log_products
from rankrise.losses import AbstractLoss

FloatArray = npt.NDArray[np.floating]

# Numbers of columns that are compiled for: a program serves up to a quarter more.
_QUARTERS = (4, 5, 6, 7)
# Numbers in a block of rows when errors are measured.
_BLOCK_NUMBERS = 2**24


@dataclass(frozen=True)
class Member:
    """One model of an ensemble.

    Attributes
    ----------
    components
        How many, which is the CP rank it may have at most.
    task
        Which column of the targets it learns.
    seed
        Seed of its start.
    stream
        Which of the starts of that seed and number of components; by default that of
        the task's number. It tells apart models of one seed where tasks are some of
        many, so that a start does not depend on which others are there.
    """

    components: int
    task: int
    seed: int = 0
    stream: int | None = None

    def __post_init__(self) -> None:
        check_whole("components", self.components, 1)
        check_whole("task", self.task, 0)
        check_whole("seed", self.seed, 0)
        if self.stream is not None:
            check_whole("stream", self.stream, 0)


Table = Float[Array, "values modes columns"]


class Models(eqx.Module):
    """Which columns of a table are whose.

    Attributes
    ----------
    membership
        One where a column is of a model; columns to spare are of none.
    task
        Which target each model learns; models to spare have no columns.
    """

    membership: Float[Array, "columns models"]
    task: Int[Array, " models"]

    def predictions(
        self, codes: UInt8[Array, "samples modes"], table: Table
    ) -> Float[Array, "samples models"]:
        """What every model says of every sample; NaN for a model that overflowed."""
        return self.sums(log_products(codes, table))

    def sums(
        self, products: Float[Array, "samples columns"]
    ) -> Float[Array, "samples models"]:
        """Sums over each model's own columns."""
        # In a matrix product, zero times infinity would spoil the other models.
        broken = ~jnp.all(jnp.isfinite(products), axis=0)
        sums = _matmul(jnp.where(broken, 0, products), self.membership)
        spoiled = broken.astype(products.dtype) @ self.membership > 0
        return jnp.where(spoiled, jnp.nan, sums)

    def spread(
        self, each: Float[Array, "samples models"]
    ) -> Float[Array, "samples columns"]:
        """Every model's numbers for each of its columns; zero where not finite."""
        return _matmul(jnp.where(jnp.isfinite(each), each, 0), self.membership.T)


def _matmul(left: Array, right: Array) -> Array:
    # Matrix units would round single precision to ten bits or fewer.
    return jnp.matmul(left, right, precision=jax.lax.Precision.HIGHEST)


def start_table(
    shape: tuple[int, int],
    member: Member,
    *,
    init_mean: float,
    init_std: float,
    dtype: npt.DTypeLike,
) -> FloatArray:
    """Independent Gaussian factors, the same whichever ensemble the model is in."""
    stream = member.task if member.stream is None else member.stream
    seeds = np.random.SeedSequence([member.seed, member.components, stream])
    normal = np.random.default_rng(seeds).standard_normal((*shape, member.components))
    return (init_mean + init_std * normal).astype(dtype)


def side_by_side(tables: list[FloatArray], tasks: list[int]) -> tuple[Models, Table]:
    """Models as columns, padded to a number that is compiled for."""
    counts = [table.shape[-1] for table in tables]
    columns, models = rounded(sum(counts)), rounded(len(tables))
    dtype = tables[0].dtype
    table = np.ones((*tables[0].shape[:2], columns), dtype)
    table[..., : sum(counts)] = np.concatenate(tables, axis=-1)
    membership = np.zeros((columns, models), dtype)
    membership[np.arange(sum(counts)), np.repeat(np.arange(len(counts)), counts)] = 1
    task = np.zeros(models, np.int32)
    task[: len(tasks)] = tasks
    return Models(jnp.asarray(membership), jnp.asarray(task)), jnp.asarray(table)


def rounded(count: int) -> int:
    """The next number of the form 4, 5, 6 or 7 times a power of two, from 4 on."""
    unit = 1
    while True:
        for quarters in _QUARTERS:
            if quarters * unit >= count:
                return quarters * unit
        unit *= 2


class Course(eqx.Module):
    """What epochs of training need and leave as it is.

    Attributes
    ----------
    codes
        No rows where who trains has the samples already.
    key
        Key of the shuffling, which each epoch's number is folded into.
    optimizer
        An optimizer of optax, or a method with steps of its own.
    epoch, epochs
        The number of the first epoch, and how many, at most `most_epochs`.
    samples
        How many of the rows are samples, by default all; the rest only fill up a shape
        that is compiled for.
    batches
        Rows of each batch (last axis) of these epochs, with -1 where it has no more;
        None to shuffle them anew every epoch.
    """

    codes: UInt8[Array, "_ modes"]
    targets: Float[Array, "samples tasks"]
    models: Models
    key: Array
    epoch: Int[Array, ""]
    epochs: Int[Array, ""]
    optimizer: Any
    loss_function: AbstractLoss
    batch_size: int = eqx.field(static=True)
    most_epochs: int = eqx.field(static=True)
    samples: Int[Array, ""] | None = None
    batches: Int[Array, "most_epochs batches batch_size"] | None = None


def shuffled(
    key: Array, epoch: Array, samples: int, batch_size: int
) -> Int[Array, "batches batch_size"]:
    """Rows of every batch of an epoch, each sample once, with -1 for none."""
    key = jax.random.fold_in(key, epoch)
    # One sort, a quarter of the time of jax.random.permutation, which sorts again
    # because of ties; among 60,000 random numbers of 32 bits there is hardly one.
    order = jnp.argsort(jax.random.bits(key, (samples,))).astype(jnp.int32)
    order = jnp.pad(order, (0, -samples % batch_size), constant_values=-1)
    return order.reshape(-1, batch_size)


@eqx.filter_jit(donate="all-except-first")
def train_epochs(
    course: Course, table: Table, state: Any
) -> tuple[Table, Any, Float[Array, "most_epochs models"]]:
    """Epochs of minibatches, from a table and an optimizer's state, which are used up.

    Returns, for every epoch, the mean over its batches of each model's loss as it was
    before the batch's update.
    """
    codes, targets, models = course.codes, course.targets, course.models
    batch_size = course.batch_size
    samples = len(codes)
    batches = -(-samples // batch_size)
    dtype = targets.dtype

    def derivatives(table: Array, rows: Array, weights: Array) -> tuple[Array, Array]:
        """Each model's loss on some samples, and the table's gradient of all."""
        wanted = targets[rows][:, models.task]
        products, to_table = jax.vjp(
            lambda table: log_products(codes[rows], table), table
        )
        losses, to_predictions = jax.vjp(
            lambda found: course.loss_function(found, wanted), models.sums(products)
        )
        shares = jnp.broadcast_to(weights[:, None], losses.shape)
        # Models share nothing, so the gradient of a sum is each one's own. It must not
        # go backward through the sums: a slope that is not finite times the zeros of
        # membership would be NaN in every column.
        (slopes,) = to_predictions(shares)
        (gradient,) = to_table(models.spread(slopes))
        return jnp.sum(shares * losses, axis=0), gradient

    def one_epoch(number: Array, carry: tuple[Any, ...]) -> tuple[Any, ...]:
        if course.batches is None:
            order = shuffled(course.key, course.epoch + number, samples, batch_size)
        else:
            order = course.batches[number]
        taken = jnp.sum(order >= 0).astype(dtype)

        def one_batch(batch: Array, carry: tuple[Any, ...]) -> tuple[Any, ...]:
            table, state, total = carry
            table = by_columns(table)
            rows = order[batch]
            weights = (rows >= 0).astype(dtype)
            share = jnp.sum(weights)
            rows = jnp.maximum(rows, 0)
            means, gradient = derivatives(table, rows, weights / share)
            with jax.numpy_dtype_promotion("standard"):
                updates, state = course.optimizer.update(gradient, state, table)
            return table + updates, state, total + means * share / taken

        table, state, history = carry
        zero = jnp.zeros(models.task.shape, dtype)
        table, state, total = jax.lax.fori_loop(
            0, batches, one_batch, (table, state, zero)
        )
        return table, state, history.at[number].set(total)

    history = jnp.zeros((course.most_epochs, *models.task.shape), dtype)
    start = table, state, history
    return alike(jax.lax.fori_loop(0, course.epochs, one_epoch, start))


def measured_at_once(samples: int, modes: int, columns: int) -> int:
    """How many samples are in a block when losses are measured."""
    return max(1, min(samples, _BLOCK_NUMBERS // max(modes, columns, 1)))


@eqx.filter_jit
def mean_losses(
    data: tuple[UInt8[Array, "samples modes"], Float[Array, "samples tasks"]],
    models: Models,
    table: Table,
    loss_function: AbstractLoss,
    largest: Float[Array, ""],
    samples: Int[Array, ""] | None = None,
) -> Float[Array, " models"]:
    """Mean loss of every model, each sample's counted as `largest` at most."""
    codes, targets = data
    table = by_columns(table)
    rows_there, modes = codes.shape
    count = jnp.asarray(rows_there if samples is None else samples, int)
    block = measured_at_once(rows_there, modes, table.shape[-1])
    blocks = -(-rows_there // block)

    def add(number: Array, total: Array) -> Array:
        rows = number * block + jnp.arange(block)
        there = rows < count
        rows = jnp.where(there, rows, 0)
        losses = loss_function(
            models.predictions(codes[rows], table), targets[rows][:, models.task]
        )
        losses = jnp.where(there[:, None], jnp.minimum(losses, largest), 0)
        return total + jnp.sum(losses, axis=0) / count.astype(targets.dtype)

    zero = jnp.zeros(models.task.shape, targets.dtype)
    return alike(jax.lax.fori_loop(0, blocks, add, zero))
