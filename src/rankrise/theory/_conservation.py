r"""Claim 1: differences of squared norms are conserved."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rankrise.factorizations import AbstractFactorization, CPFactorization
from rankrise.problems import AbstractProblem
from rankrise.solvers import velocity
from rankrise.theory._claim import Claim, Theorem, check_tolerance, verdict_of
from rankrise.theory._rates import squared_norms
from rankrise.theory._run import learned_run, require_cp, standing_still

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
    """
    check_tolerance(tolerance)
    model = require_cp(model, CONSERVATION.name)
    run = learned_run(problem, model)
    squares, stepped, learning_rates, gradient_squares = _along(problem, run.models)
    scale = jnp.max(squares, axis=(1, 2), keepdims=True)
    before = conserved(squares)
    drift = np.asarray((before - conserved(squared_norms(model))) / scale)
    changes = np.asarray((conserved(stepped) - before) / scale)
    predicted = np.asarray(descent_change(learning_rates, gradient_squares) / scale)
    flow_error = float(np.max(np.abs(drift)))
    descent_error = float(np.max(np.abs(changes - predicted)))
    error = max(flow_error, descent_error)
    change = float(np.max(np.abs(changes)))
    tested = run.fell_tenfold and change > 100 * tolerance
    if not run.fell_tenfold:
        explanation = standing_still(run)
    elif not tested:
        explanation = (
            f"Steps of gradient descent change the differences by {change:.1e} only, "
            "too little to tell their formula from nothing."
        )
    else:
        explanation = (
            f"Under the flow the differences drift by {flow_error:.1e} of the largest "
            f"squared norm; a step of descent changes them by up to {change:.1e}, and "
            f"is {descent_error:.1e} from the formula."
        )
    return Claim(
        theorem=CONSERVATION,
        verdict=verdict_of(error, tolerance) if tested else "not tested",
        explanation=explanation,
        predicted=0.0,
        measured=flow_error,
        error=error,
        tolerance=tolerance,
        moved=run.moved,
        numbers={
            "flow_drift": flow_error,
            "descent_change": change,
            "descent_error": descent_error,
        },
        curves={
            "time": run.times,
            "drift": np.max(np.abs(drift), axis=(1, 2)),
            "predicted": predicted.ravel(),
            "measured": changes.ravel(),
        },
    )


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
