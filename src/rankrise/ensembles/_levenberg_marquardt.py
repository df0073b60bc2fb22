r"""Damped Gauss-Newton steps for all models of an ensemble at once.

A step changes every factor by a share $u$ of itself, which changes a component's
product on sample $s$ by $P_{sr} \sum_n u_{nr}[x_{sn}]$ to first order. So the Jacobian
is never formed: a product with it is a matrix product of the data, as the predictions
are, and one with its transpose is another. In shares of the factors, steps do not
depend on how a component's size is spread over its modes.
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rankrise._checks import check_whole
from rankrise._devices import alike, by_columns
from rankrise._errors import InputError
from rankrise.ensembles._ensemble import Course, Table
from rankrise.factorizations import log_products, plane_products, plane_sums

PerColumn = Float[Array, " columns"]
PerModel = Float[Array, " models"]
PerSample = Float[Array, "rows models"]

# Where a step made a model worse, a shorter one along the same line is tried.
_SHORTER = 0.25
_TRIES = 3
_LEAST_DAMPING, _MOST_DAMPING = 1e-8, 1e8
# Shares of the predicted decrease beyond which the quadratic model is trusted more, and
# below which less.
_GOOD, _POOR = 0.75, 0.25
# Of a column's largest entry: values that are almost never seen have next to none.
_LEAST_DIAGONAL = 1e-6
# Instead of zero in denominators; a normal number in single precision too.
_TINY = 1e-37


class LevenbergMarquardt(eqx.Module):
    """Gauss-Newton steps on all samples, damped model by model (Marquardt 1963).

    Attributes
    ----------
    damping
        At the start, in units of the diagonal of the Gauss-Newton matrix. It falls
        while the quadratic model predicts the loss well and rises where it does not.
    inner_passes
        Most iterations of conjugate gradients in a step; each costs about as much as
        an epoch of gradient descent.
    inner_tolerance
        A model's iterations end once its residual is below this share of the first.
    """

    damping: float = 1.0
    inner_passes: int = 20
    inner_tolerance: float = 0.1

    def __check_init__(self) -> None:
        check_whole("inner_passes", self.inner_passes, 1)
        if not 0 < self.damping < math.inf or not 0 <= self.inner_tolerance < 1:
            raise InputError(
                f"damping is {self.damping} and inner_tolerance "
                f"{self.inner_tolerance}; the first must be positive and finite, and "
                "the second from 0 to below 1."
            )

    def init(self, table: Table) -> PerColumn:
        """The damping that every column's model begins with."""
        return jnp.full(table.shape[-1], self.damping, table.dtype)


class _Point(eqx.Module):
    """Where the models are, with derivatives by shares of the factors."""

    table: Table
    products: Float[Array, "samples columns"]
    losses: PerModel
    gradient: Table
    diagonal: Table


@eqx.filter_jit(donate="all-except-first")
def levenberg_marquardt_steps(
    course: Course, table: Table, damping: PerColumn
) -> tuple[Table, PerColumn, Float[Array, "most_epochs models"]]:
    """As many steps as the course has epochs; the losses after each of them.

    No step makes a model worse: where none of those tried is better, it stays.
    """

    # An iteration looks at where the last step led before it takes the next; one more
    # than there are steps only looks. So every point comes from the same instructions,
    # whether or not it is where a call began: from others it would round otherwise,
    # and a run depend on how many steps a call takes, which is up to the clock.
    def look_and_step(number: Array, carry: tuple[Any, ...]) -> tuple[Any, ...]:
        table, damping, step, history = carry
        table = by_columns(table)
        point = _point(course, table)
        stepped = number > 0
        damping = jnp.where(stepped, _damped(course, damping, step, point), damping)
        before = jnp.maximum(number - 1, 0)
        history = history.at[before].set(jnp.where(stepped, point.losses, 0))

        def take() -> tuple[Table, _Step]:
            shares, decrease = _conjugate_gradients(course, point, damping)
            table, length = _shortened(course, point, shares)
            return table, _Step(point.losses, decrease(length), length)

        table, step = jax.lax.cond(number < course.epochs, take, lambda: (table, step))
        return table, damping, step, history

    zeros = jnp.zeros(course.models.task.shape, table.dtype)
    history = jnp.zeros((course.most_epochs, *zeros.shape), table.dtype)
    table, damping, _, history = jax.lax.fori_loop(
        0,
        course.epochs + 1,
        look_and_step,
        (table, damping, _Step(zeros, zeros, zeros), history),
    )
    return alike((table, damping, history))


class _Step(eqx.Module):
    """What a step promised: the losses before it, their decrease, and its length."""

    losses: PerModel
    decrease: PerModel
    length: PerModel


def _damped(
    course: Course, damping: PerColumn, step: _Step, after: _Point
) -> PerColumn:
    """Less damping where the step kept its promise, more where it did not."""
    gain = (step.losses - after.losses) / jnp.maximum(step.decrease, _TINY)
    whole = step.length == 1
    factor = jnp.where(
        whole & (gain > _GOOD), 1 / 3, jnp.where(whole & (gain > _POOR), 1.0, 4.0)
    )
    factor = jnp.where(step.length > 0, factor, 16.0).astype(damping.dtype)
    damping = damping * course.models.spread(factor[None])[0]
    return jnp.clip(damping, _LEAST_DAMPING, _MOST_DAMPING)


def _blocks(course: Course, term: Any, zero: Any) -> Any:
    """Sum over the samples, block by block, of what `term` gives for some rows.

    The last block begins early enough to be whole; what was counted before it weighs
    nothing.
    """
    rows_there, block = len(course.codes), course.batch_size
    dtype = course.targets.dtype
    samples = jnp.asarray(rows_there if course.samples is None else course.samples)

    def add(number: Array, total: Any) -> Any:
        begin = jnp.minimum(number * block, rows_there - block).astype(jnp.int32)
        rows = begin + jnp.arange(block, dtype=jnp.int32)
        counted = (rows >= number * block) & (rows < samples)
        weights = counted.astype(dtype) / samples.astype(dtype)
        return term(begin, weights[:, None], total)

    return jax.lax.fori_loop(0, -(-rows_there // block), add, zero)


def _rows(course: Course, array: Array, begin: Int[Array, ""]) -> Array:
    return jax.lax.dynamic_slice_in_dim(array, begin, course.batch_size)


def _point(course: Course, table: Table) -> _Point:
    models = course.models
    samples, columns = len(course.codes), table.shape[-1]

    def term(begin: Array, weights: Array, total: _Point) -> _Point:
        codes = _rows(course, course.codes, begin)
        products = log_products(codes, table)
        losses, slopes, curvatures = _derivatives(course, begin, models.sums(products))
        slopes, curvatures = weights * slopes, weights * curvatures
        return _Point(
            table,
            jax.lax.dynamic_update_slice_in_dim(total.products, products, begin, 0),
            total.losses + jnp.sum(weights * losses, axis=0),
            total.gradient + _sums(codes, products * models.spread(slopes), table),
            total.diagonal
            + _sums(codes, products**2 * models.spread(curvatures), table),
        )

    zero = _Point(
        table,
        jnp.zeros((samples, columns), table.dtype),
        jnp.zeros(course.models.task.shape, table.dtype),
        jnp.zeros_like(table),
        jnp.zeros_like(table),
    )
    return _blocks(course, term, zero)


def _derivatives(
    course: Course, begin: Array, predictions: PerSample
) -> tuple[PerSample, PerSample, PerSample]:
    """Losses of some samples, with slopes and curvatures by the predictions."""
    wanted = _rows(course, course.targets, begin)[:, course.models.task]

    def slope(predictions: Array) -> tuple[Array, Array]:
        losses, back = jax.vjp(lambda p: course.loss_function(p, wanted), predictions)
        return back(jnp.ones_like(losses))[0], losses

    slopes, curvatures, losses = jax.jvp(
        slope, (predictions,), (jnp.ones_like(predictions),), has_aux=True
    )
    return losses, slopes, curvatures


def _sums(codes: Array, slopes: Array, table: Table) -> Table:
    # Factors of one: where a difference would cancel is asked of the factors' sizes.
    return plane_sums(codes, slopes, jnp.ones_like(table))


def _curve(course: Course, point: _Point, shares: Table) -> Table:
    """The Gauss-Newton matrix applied to shares."""
    models = course.models

    def term(begin: Array, weights: Array, total: Array) -> Array:
        codes = _rows(course, course.codes, begin)
        products = _rows(course, point.products, begin)
        curvatures = _derivatives(course, begin, models.sums(products))[2]
        change = models.sums(products * plane_products(codes, shares))
        pull = weights * curvatures * change
        return total + _sums(codes, products * models.spread(pull), shares)

    return _blocks(course, term, jnp.zeros_like(shares))


def _conjugate_gradients(
    course: Course, point: _Point, damping: PerColumn
) -> tuple[Table, Any]:
    """Shares that solve the damped equations, and the decrease they promise."""
    models, method = course.models, course.optimizer
    least = _LEAST_DIAGONAL * jnp.max(point.diagonal, axis=(0, 1))
    diagonal = jnp.maximum(point.diagonal, jnp.where(least > 0, least, 1))

    def dot(left: Array, right: Array) -> PerModel:
        return models.sums(jnp.einsum("vnc,vnc->c", left, right)[None])[0]

    def spread(each: PerModel) -> Array:
        return models.spread(each[None])[0]

    def going(carry: Any) -> Array:
        number, _, _, _, left = carry
        return (number < method.inner_passes) & jnp.any(left > enough)

    def iterate(carry: Any) -> Any:
        number, shares, residual, direction, left = carry
        curved = _curve(course, point, direction) + damping * diagonal * direction
        length = left / jnp.maximum(dot(direction, curved), _TINY)
        length = jnp.where(left > enough, length, 0)
        shares = shares + spread(length) * direction
        residual = residual - spread(length) * curved
        scaled = residual / diagonal
        after = dot(residual, scaled)
        ratio = jnp.where(left > enough, after / jnp.maximum(left, _TINY), 0)
        direction = scaled + spread(ratio) * direction
        return number + 1, shares, residual, direction, after

    downhill = -point.gradient
    scaled = downhill / diagonal
    first = dot(downhill, scaled)
    enough = method.inner_tolerance**2 * first
    start = (jnp.int32(0), jnp.zeros_like(scaled), downhill, scaled, first)
    _, shares, residual, _, _ = jax.lax.while_loop(going, iterate, start)
    slope = dot(downhill, shares)
    curvature = dot(shares, downhill - residual - damping * diagonal * shares)

    def decrease(length: PerModel) -> PerModel:
        return length * slope - length**2 * curvature / 2

    return shares, decrease


def _shortened(course: Course, point: _Point, shares: Table) -> tuple[Table, PerModel]:
    """The table after the longest step tried that lowers each model's loss."""
    models = course.models

    def losses(table: Table) -> PerModel:
        def term(begin: Array, weights: Array, total: Array) -> Array:
            codes = _rows(course, course.codes, begin)
            wanted = _rows(course, course.targets, begin)[:, course.models.task]
            found = course.models.predictions(codes, table)
            return total + jnp.sum(weights * course.loss_function(found, wanted), 0)

        return _blocks(course, term, jnp.zeros_like(point.losses))

    def stepped(length: PerModel) -> Table:
        return point.table * (1 + models.spread(length[None])[0] * shares)

    def going(carry: Any) -> Array:
        number, _, found = carry
        return (number < _TRIES) & ~jnp.all(found)

    def shorten(carry: Any) -> Any:
        number, length, found_before = carry
        better = losses(stepped(length)) < point.losses
        better |= found_before
        return number + 1, jnp.where(better, length, _SHORTER * length), better

    start = (
        jnp.int32(0),
        jnp.ones_like(point.losses),
        # Models to spare have no columns, and nothing to find.
        jnp.sum(models.membership, axis=0) == 0,
    )
    _, length, better = jax.lax.while_loop(going, shorten, start)
    length = jnp.where(better, length, 0)
    return stepped(length), length
