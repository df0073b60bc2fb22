r"""Claim 2: how fast a component grows, when it is balanced and in general."""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rankrise._typing import Values
from rankrise.factorizations import AbstractFactorization, CPFactorization
from rankrise.problems import AbstractProblem
from rankrise.theory._claim import Claim, Theorem, check_tolerance, verdict_of
from rankrise.theory._quadrature import INTERVALS, increments, integrals
from rankrise.theory._rates import (
    balance,
    dense_pull,
    end_gradient_of,
    measured_rates,
    relative_unbalancedness,
    squared_norms,
    unbalance,
)
from rankrise.theory._run import Run, learned_run, require_cp, standing_still

GROWTH = Theorem(
    "growth",
    "Growth of balanced components",
    "Razin et al. (2021), Theorem 1",
    "d sigma_r/dt = N sigma_r^(2-2/N) gamma_r when balanced; in general "
    "gamma_r sigma_r^2 sum_n ||w_r^n||^-2.",
)
# How much longer vectors of the first mode are than of the last, off balance.
_RATIO = 3.0
# A start is taken as it comes when it is this far from balance.
_UNBALANCED = 1e-3


def balanced_rate(
    norms: Float[Array, "*t r"], pull: Float[Array, "*t r"], order: int
) -> Float[Array, "*t r"]:
    r"""$N \sigma_r^{2-2/N} \gamma_r$."""
    return order * norms ** (2 - 2 / order) * pull


def general_rate(
    norms: Float[Array, "*t r"],
    pull: Float[Array, "*t r"],
    squares: Float[Array, "*t order r"],
) -> Float[Array, "*t r"]:
    r"""$\gamma_r \sigma_r^2 \sum_n \|w_r^n\|^{-2}$."""
    return pull * norms**2 * jnp.sum(1 / squares, axis=-2)


class _Comparison(NamedTuple):
    """Along a run: one row per time, one column per component.

    Errors are relative to the rate at which a component would grow if its direction
    were the gradient's own, so a pull near zero does not blow them up.
    """

    norms: Values
    predicted: Values
    measured: Values
    errors: Values
    pull_errors: Values


def check_growth(
    problem: AbstractProblem, model: AbstractFactorization, *, tolerance: float = 1e-8
) -> Claim:
    r"""Rates of component norms, at many times of two runs and between them.

    One run starts from the balanced factorization with the components of `model`, one
    from an unbalanced one (`model` itself, where it is far from balance). Measured is
    the derivative of $\sigma_r$ along the flow's velocity; predicted is the formula,
    with a pull contracted from the end tensor's gradient. Between saved times, the
    change of $\sigma_r$ is compared with the integral of the formula.
    """
    check_tolerance(tolerance)
    model = require_cp(model, GROWTH.name)
    far = float(relative_unbalancedness(model)) > _UNBALANCED
    run = learned_run(problem, balance(model))
    general_run = learned_run(problem, model if far else unbalance(model, _RATIO))
    balanced = _compared(problem, run, balanced=True)
    general = _compared(problem, general_run, balanced=False)
    numbers = {
        "balanced_error": float(np.max(balanced.errors)),
        "general_error": float(np.max(general.errors)),
        "pull_error": float(
            max(np.max(balanced.pull_errors), np.max(general.pull_errors))
        ),
        "component_times": float(balanced.errors.size + general.errors.size),
    }
    # Rates have kinks where those of the loss do, and there quadrature is no judge.
    if problem.loss_function.smoothness > 1:
        numbers["integrated_error"] = max(
            _integrated(run, balanced), _integrated(general_run, general)
        )
    error = max(value for name, value in numbers.items() if name.endswith("error"))
    worst = np.unravel_index(
        np.argmax(np.abs(balanced.predicted)), balanced.predicted.shape
    )
    tested = run.fell_tenfold and general_run.fell_tenfold
    return Claim(
        theorem=GROWTH,
        verdict=verdict_of(error, tolerance) if tested else "not tested",
        explanation=_explanation(numbers)
        if tested
        else standing_still(general_run if run.fell_tenfold else run),
        predicted=float(balanced.predicted[worst]),
        measured=float(balanced.measured[worst]),
        error=error,
        tolerance=tolerance,
        moved=run.moved,
        numbers=numbers,
        curves={
            "time": run.times,
            "norms": balanced.norms,
            "predicted": balanced.predicted,
            "measured": balanced.measured,
        },
    )


def _explanation(numbers: dict[str, float]) -> str:
    integrated = (
        f"integrated over {INTERVALS} intervals of each run it misses the change of "
        f"norm by {numbers['integrated_error']:.1e} of the largest norm"
        if "integrated_error" in numbers
        else "it was not integrated, as quadrature is for losses without kinks"
    )
    return (
        f"Over {numbers['component_times']:.0f} component-times the formula is off by "
        f"{numbers['balanced_error']:.1e} of the largest possible rate when balanced "
        f"and {numbers['general_error']:.1e} when not; {integrated}."
    )


def _integrated(run: Run, comparison: _Comparison) -> float:
    """Change of the norms off the formula's integral, over the largest norm."""
    change = increments(run.times, comparison.norms)
    gaps = np.abs(change - integrals(run.times, comparison.predicted))
    return float(np.max(gaps) / np.max(comparison.norms))


def _compared(problem: AbstractProblem, run: Run, *, balanced: bool) -> _Comparison:
    norms, squares, pull, same_pull, steepness, measured = _along(problem, run.models)
    if balanced:
        predicted = balanced_rate(norms, pull, squares.shape[-2])
    else:
        predicted = general_rate(norms, pull, squares)
    # What the rate would be if the pull were all of the gradient.
    scale = steepness[:, None] * norms**2 * jnp.sum(1 / squares, axis=-2)
    errors = jnp.abs(measured - predicted) / scale
    pull_errors = jnp.abs(pull - same_pull) / steepness[:, None]
    arrays = (norms, predicted, measured, errors, pull_errors)
    return _Comparison(*map(np.asarray, arrays))


@eqx.filter_jit
def _along(problem: AbstractProblem, models: Any) -> tuple[Array, ...]:
    """What the formulas need and what was measured, time by time."""

    def at(model: CPFactorization) -> tuple[Array, ...]:
        gradient, steepness = end_gradient_of(problem, model)
        return (
            model.component_norms(),
            squared_norms(model),
            dense_pull(gradient, model),
            model.pull(problem.loss),
            steepness,
            measured_rates(problem, model),
        )

    return eqx.filter_vmap(at)(models)
