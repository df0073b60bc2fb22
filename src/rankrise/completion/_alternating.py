"""Alternating least squares with a penalty, and components that enter one by one."""

import functools as ft
import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rankrise.completion._layout import Layout
from rankrise.completion._neighbours import (
    neighbour_correlation,
    penalties,
    solve_rows,
    spread_along,
)
from rankrise.completion._non_negative import solve_non_negative
from rankrise.completion._normal_equations import (
    FactorMatrices,
    Targets,
    normal_equations,
    pulls,
)
from rankrise.completion._parabola import parabola
from rankrise.factorizations import CPFactorization
from rankrise.problems import AbstractLoss

# How often a direction is turned towards the pull.
_TURNS = 10
# A component enters with this share of the norm it is drawn to.
_ENTRY_SHARE = 0.3
# A component this much smaller than the largest is none.
_VANISHED = 1e-3
# Sweeps end when the objective falls by less than this share.
_TOLERANCE = 1e-4


class CompletionData(eqx.Module):
    """Observed entries, and how predictions of them are judged.

    Attributes
    ----------
    heldout
        One where an observation is held out, else zero.
    """

    indices: Int[Array, "m order"]
    layout: Layout
    targets: Targets
    heldout: Float[Array, " m"]
    loss: AbstractLoss
    non_negative: bool = eqx.field(static=True)


class Stage(NamedTuple):
    """Where the components are.

    Attributes
    ----------
    factors
        Columns beyond the `learned` ones are zero; the others' norms fall.
    correlations
        Between neighbouring rows, mode by mode.
    """

    factors: FactorMatrices
    learned: Int[Array, ""]
    correlations: tuple[Float[Array, ""], ...]
    objective: Float[Array, ""]
    train_loss: Float[Array, ""]
    heldout_loss: Float[Array, ""]


class Move(NamedTuple):
    """What is asked of `advance`.

    Attributes
    ----------
    enter
        Whether a component enters first.
    smooth
        Whether neighbouring rows may be taken to be alike.
    directions
        In which a component may enter, some as columns; they need not be normalized.
    """

    penalty: Float[Array, ""]
    enter: Bool[Array, ""]
    smooth: Bool[Array, ""]
    sweeps: Int[Array, ""]
    directions: FactorMatrices


@eqx.filter_jit
def advance(data: CompletionData, stage: Stage, move: Move) -> Stage:
    """Let a component enter, sweep over the modes, drop what vanished, measure."""
    dtype = stage.objective.dtype
    correlations = tuple(
        jnp.where(move.smooth, neighbour_correlation(matrix), jnp.zeros((), dtype))
        for matrix in stage.factors
    )
    factors = jax.lax.cond(
        move.enter,
        lambda: _entered(data, stage, correlations, move.directions),
        lambda: stage.factors,
    )
    factors, objective = _sweeps(data, factors, correlations, move)
    factors, count = _sorted_by_norm(factors)
    train_loss, heldout_loss = _losses(data, factors)
    return Stage(factors, count, correlations, objective, train_loss, heldout_loss)


def _predictions(data: CompletionData, factors: FactorMatrices) -> Float[Array, " m"]:
    return data.targets.offset + CPFactorization(factors).entries(data.indices)


def _losses(data: CompletionData, factors: FactorMatrices) -> tuple[Array, Array]:
    """Mean losses of the entries trained on and of those held out."""
    losses = data.loss(_predictions(data, factors), data.targets.values)
    means = []
    for weights in (data.targets.weights, data.heldout):
        total = jnp.sum(weights)
        means.append(jnp.sum(weights * losses) / jnp.where(total > 0, total, 1))
    return means[0], means[1]


def _entered(
    data: CompletionData,
    stage: Stage,
    correlations: tuple[Array, ...],
    directions: FactorMatrices,
) -> FactorMatrices:
    r"""With one more component, along the largest pull that was found.

    Each direction climbs the pull by alternating over the modes, as that of a component
    near zero does under gradient flow (Razin et al. 2021, Theorem 1); directions have
    norm one by their penalties $u^\top Q_\rho u$.
    """
    predictions = _predictions(data, stage.factors)
    weight, wanted = parabola(data.loss, predictions, data.targets.values)
    weight = weight * data.targets.weights
    residuals = weight * (wanted - predictions)

    def turn(_: Array, carry: tuple[FactorMatrices, Array]) -> tuple[Any, Any]:
        units, strength = carry
        for mode, correlation in enumerate(correlations):
            pull = pulls(data.layout[mode], units, mode, residuals)
            towards = spread_along(pull, correlation)
            if data.non_negative:
                towards = jnp.maximum(towards, 0)
            sizes = jnp.sqrt(jnp.maximum(penalties(towards, correlation), 0))
            towards = towards / jnp.where(sizes > 0, sizes, 1)
            strength = jnp.sum(pull * towards, axis=0)
            units = (*units[:mode], towards, *units[mode + 1 :])
        return units, strength

    zero = jnp.zeros_like(directions[0][0])
    units, strength = jax.lax.fori_loop(0, _TURNS, turn, (directions, zero))
    best = jnp.argmax(strength)
    chosen = tuple(matrix[:, best] for matrix in units)
    along = CPFactorization(tuple(vector[:, None] for vector in chosen))
    curvature = jnp.sum(weight * along.entries(data.indices) ** 2)
    drawn = jnp.maximum(strength[best], 0) / jnp.where(curvature > 0, curvature, 1)
    size = (_ENTRY_SHARE * drawn) ** (1 / len(stage.factors))
    return tuple(
        matrix.at[:, stage.learned].set(size * vector, mode="drop")
        for matrix, vector in zip(stage.factors, chosen, strict=True)
    )


def _sweeps(
    data: CompletionData,
    factors: FactorMatrices,
    correlations: tuple[Array, ...],
    move: Move,
) -> tuple[FactorMatrices, Array]:
    """Solve for one factor matrix after another until the objective is flat."""
    solve = solve_non_negative if data.non_negative else solve_rows

    def running(carry: tuple[FactorMatrices, Array, Array, Array]) -> Array:
        _, before, now, number = carry
        moved = before - now > _TOLERANCE * jnp.abs(now)
        return (number < move.sweeps) & ((number < 2) | moved)

    def sweep(carry: tuple[FactorMatrices, Array, Array, Array]) -> Any:
        factors, _, before, number = carry
        for mode, layout in enumerate(data.layout):
            equations = normal_equations(layout, factors, mode, data.targets, data.loss)
            solved = solve(equations, move.penalty, correlations[mode], factors[mode])
            factors = (*factors[:mode], solved, *factors[mode + 1 :])
        factors = _balanced(factors, correlations)
        now = _objective(data, factors, correlations, move.penalty)
        return factors, before, now, number + 1

    infinite = jnp.full((), jnp.inf, move.penalty.dtype)
    begin = (factors, infinite, infinite, jnp.zeros((), jnp.int32))
    factors, _, objective, _ = jax.lax.while_loop(running, sweep, begin)
    return factors, objective


def _objective(
    data: CompletionData,
    factors: FactorMatrices,
    correlations: tuple[Array, ...],
    penalty: Array,
) -> Array:
    losses = data.loss(_predictions(data, factors), data.targets.values)
    sizes = [
        jnp.sum(penalties(matrix, correlation))
        for matrix, correlation in zip(factors, correlations, strict=True)
    ]
    return jnp.sum(data.targets.weights * losses) + penalty * ft.reduce(jnp.add, sizes)


def _balanced(
    factors: FactorMatrices, correlations: tuple[Array, ...]
) -> FactorMatrices:
    """Every component's penalty spread evenly over modes, where it is smallest."""
    roots = jnp.stack(
        [
            jnp.sqrt(jnp.maximum(penalties(matrix, correlation), 0))
            for matrix, correlation in zip(factors, correlations, strict=True)
        ]
    )
    there = jnp.all(roots > 0, axis=0)
    roots = jnp.where(there, roots, 1)
    mean = jnp.exp(jnp.mean(jnp.log(roots), axis=0))
    return tuple(
        jnp.where(there, matrix * (mean / root), 0)
        for matrix, root in zip(factors, roots, strict=True)
    )


def _sorted_by_norm(factors: FactorMatrices) -> tuple[FactorMatrices, Array]:
    """Falling norms; what vanished is zero."""
    norms = CPFactorization(factors).component_norms()
    order = jnp.argsort(-norms)
    alive = norms[order] > _VANISHED * jnp.max(norms)
    kept = tuple(jnp.where(alive, matrix[:, order], 0) for matrix in factors)
    return kept, jnp.sum(alive, dtype=jnp.int32)


def nothing(data: CompletionData, mode_dims: tuple[int, ...], width: int) -> Stage:
    """No component yet, with room for so many."""
    dtype = data.targets.values.dtype
    factors = tuple(jnp.zeros((dim, width), dtype) for dim in mode_dims)
    zero = jnp.zeros((), dtype)
    train_loss, heldout_loss = _losses(data, factors)
    return Stage(
        factors,
        jnp.zeros((), jnp.int32),
        (zero,) * len(mode_dims),
        zero + math.inf,
        train_loss,
        heldout_loss,
    )


def widened(stage: Stage, width: int) -> Stage:
    """The same with room for more components."""
    more = width - stage.factors[0].shape[1]
    factors = tuple(jnp.pad(matrix, ((0, 0), (0, more))) for matrix in stage.factors)
    return stage._replace(factors=factors)
