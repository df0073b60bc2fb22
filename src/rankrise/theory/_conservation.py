r"""Claim 1: differences of squared norms are conserved."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rankrise._typing import Values
from rankrise.factorizations import AbstractFactorization, CPFactorization
from rankrise.problems import AbstractProblem
from rankrise.solvers import velocity
from rankrise.theory._claim import Claim, Theorem, check_tolerance
from rankrise.theory._measuring import ROUNDING, change, judge, with_rounding
from rankrise.theory._rates import squared_norms
from rankrise.theory._run import (
    Run,
    learned_run,
    loosely,
    require_cp,
    standing_still,
)

CONSERVATION = Theorem(
    "conservation",
    "Conservation",
    "Razin et al. (2021), Lemma 1",
    "||w_r^n||^2 - ||w_r^m||^2 is constant under gradient flow; a step of gradient "
    "descent changes it by exactly eta^2 (||g_r^n||^2 - ||g_r^m||^2).",
)
# A step of gradient descent is this share of the distance to zero.
_STEP_SHARE = 0.1


def conserved(squares: Float[Array, "... order r"]) -> Float[Array, "... order r"]:
    r"""$\|w_r^n\|^2 - \|w_r^1\|^2$, mode by mode: what gradient flow leaves alone."""
    return squares - squares[..., :1, :]


def descent_change(
    learning_rate: Float[Array, "..."],
    gradient_squares: Float[Array, "... order r"],
) -> Float[Array, "... order r"]:
    r"""$\eta^2 (\|g_r^n\|^2 - \|g_r^1\|^2)$ of one step of gradient descent."""
    return learning_rate[..., None, None] ** 2 * conserved(gradient_squares)


def check_conservation(
    problem: AbstractProblem, model: AbstractFactorization, *, tolerance: float = 1e-10
) -> Claim:
    """Drift along a run of the flow, and the change in a step of gradient descent.

    Both errors are relative to the largest squared norm at that time. Descent takes
    one step from each saved state of the flow, a tenth of the way to zero in length.

    Examples
    --------
    >>> import jax, rankrise as rr
    >>> jax.config.update("jax_enable_x64", True)
    >>> target = rr.synthetic.random_target((4, 4, 4), cp_rank=1, seed=0)
    >>> indices = rr.synthetic.sample_indices((4, 4, 4), 40, seed=0)
    >>> seen = rr.synthetic.observe(target, indices, seed=0)
    >>> problem = rr.CompletionProblem.from_observations(seen)
    >>> key = jax.random.key(0)
    >>> start = rr.factorizations.near_zero((4, 4, 4), 3, init_scale=0.1, key=key)
    >>> claim = rr.theory.check_conservation(problem, start)
    >>> claim.verdict, claim.error < claim.tolerance
    ('holds', True)
    """
    check_tolerance(tolerance)
    model = require_cp(model, CONSERVATION.name)
    run = learned_run(problem, model)
    squares, stepped, learning_rates, gradient_squares = _along(problem, run.models)
    scale = jnp.max(squares, axis=(1, 2), keepdims=True)
    before = conserved(squares)
    drift = _drift(squares, model)
    loose_drift = _drift(_along(problem, loosely(problem, run))[0], model)
    changes = np.asarray((conserved(stepped) - before) / scale)
    predicted = np.asarray(descent_change(learning_rates, gradient_squares) / scale)
    saved = min(len(drift), len(loose_drift))
    drift = drift[:saved]
    off = np.abs(changes - predicted)
    errors = np.append(np.abs(drift), off)
    integrator = change(drift, loose_drift[:saved])
    bounds = np.append(integrator, _rounding(problem, run)) + ROUNDING
    judged = judge(errors, bounds, tolerance)
    size = float(np.max(np.abs(changes)))
    told = size > 100 * tolerance or judged.verdict == "violated"
    tested = run.moved_far and told and judged.verdict != "not tested"
    told_off = off.ravel()[judged.counted[drift.size :]]
    flow_error = float(np.max(np.abs(drift)))
    descent_error = float(np.max(told_off, initial=0.0))
    if not run.moved_far:
        explanation = standing_still(run)
    elif judged.verdict == "not tested":
        explanation = judged.reason
    elif not told:
        explanation = (
            f"Steps of gradient descent change the differences by {size:.1e} only, "
            "too little to tell their formula from nothing."
        )
    else:
        explanation = (
            f"Under the flow the differences drift by {flow_error:.1e} of the largest "
            f"squared norm; a step of descent changes them by up to {size:.1e}, and "
            f"is {descent_error:.1e} from the formula."
        )
    return Claim(
        theorem=CONSERVATION,
        verdict=judged.verdict if tested else "not tested",
        explanation=explanation,
        predicted=0.0,
        measured=flow_error,
        error=judged.error,
        measuring_error=judged.measuring_error,
        compared=judged.compared,
        tolerance=tolerance,
        moved=run.moved,
        numbers={
            "flow_drift": flow_error,
            "descent_change": size,
            "descent_error": descent_error,
        },
        curves={
            "residuals": judged.residuals,
            "time": run.times[:saved],
            "drift": np.max(np.abs(drift), axis=(1, 2)),
            "predicted": predicted.ravel(),
            "measured": changes.ravel(),
        },
    )


def _rounding(problem: AbstractProblem, run: Run) -> Values:
    """What rounding may do to a step's change of differences, relative.

    Near rest the gradient is what rounding leaves of one observation less another.
    """

    def terms(models: Any) -> Array:
        squares, stepped, learning_rates, gradient_squares = _along(problem, models)
        scale = jnp.max(squares, axis=(1, 2), keepdims=True)
        steps = learning_rates[:, None, None] ** 2 * gradient_squares
        return jnp.stack([stepped - squares, steps]) / scale

    moved = np.sum(with_rounding(terms, run.models)[1], axis=0)
    # Of a difference that happened to change little, what the others changed by.
    largest = np.max(moved, axis=(1, 2), keepdims=True)
    return np.broadcast_to(2 * largest, moved.shape)


def _drift(squares: Float[Array, "t order r"], start: CPFactorization) -> Values:
    """How far the differences are from those of the start, over the largest square."""
    scale = jnp.max(squares, axis=(1, 2), keepdims=True)
    return np.asarray((conserved(squares) - conserved(squared_norms(start))) / scale)


@eqx.filter_jit
def _along(problem: AbstractProblem, models: Any) -> tuple[Array, ...]:
    """Squared norms at each time, those after a step of descent from there, its
    learning rate, and squared norms of the gradient."""

    def at(model: CPFactorization) -> tuple[Array, ...]:
        squares = squared_norms(model)
        downhill: Any = velocity(problem, model)
        gradient_squares = squared_norms(downhill)
        length = jnp.sqrt(jnp.sum(squares) / jnp.sum(gradient_squares))
        learning_rate = _STEP_SHARE * length
        updates = jax.tree.map(lambda slope: learning_rate * slope, downhill)
        stepped = squared_norms(eqx.apply_updates(model, updates))
        return squares, stepped, learning_rate, gradient_squares

    return eqx.filter_vmap(at)(models)
