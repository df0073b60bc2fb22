r"""Claim 3: bounds on growth off balance, by the unbalancedness magnitude alone."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rankrise._typing import Values
from rankrise.factorizations import AbstractFactorization, CPFactorization
from rankrise.problems import AbstractProblem
from rankrise.theory._claim import Claim, Theorem, check_tolerance, verdict_of
from rankrise.theory._rates import (
    balance,
    dense_pull,
    end_gradient_of,
    measured_rates,
    unbalance,
)
from rankrise.theory._run import Run, learned_run, require_cp, standing_still

GROWTH_BOUNDS = Theorem(
    "growth-bounds",
    "Bounds on growth off balance",
    "Razin et al. (2021), Theorem 1 extended to unbalanced starts",
    "With unbalancedness magnitude eps and gamma_r >= 0, "
    "N gamma sigma^2/(sigma^(2/N)+eps) <= d sigma/dt <= "
    "N gamma (sigma^(2/N)+eps)^(N-1); gamma_r < 0 reverses both.",
)
# So many values of a component norm at a time are the least that are looked at.
_FEWEST = 10_000
# Ratios of the first mode's norms to the last's, from nearly balanced to far off.
_NARROWEST, _WIDEST = 1.01, 10.0


def small_bound(
    norms: Float[Array, "t r"],
    pull: Float[Array, "t r"],
    unbalancedness: Float[Array, ""],
    order: int,
) -> Float[Array, "t r"]:
    r"""$N \gamma_r \sigma_r^2 / (\sigma_r^{2/N} + \epsilon)$, the bound nearer to
    zero."""
    return order * pull * norms**2 / (norms ** (2 / order) + unbalancedness)


def large_bound(
    norms: Float[Array, "t r"],
    pull: Float[Array, "t r"],
    unbalancedness: Float[Array, ""],
    order: int,
) -> Float[Array, "t r"]:
    r"""$N \gamma_r (\sigma_r^{2/N} + \epsilon)^{N-1}$, the bound farther from zero."""
    return order * pull * (norms ** (2 / order) + unbalancedness) ** (order - 1)


def check_growth_bounds(
    problem: AbstractProblem,
    model: AbstractFactorization,
    *,
    tolerance: float = 1e-10,
    component_times: int = _FEWEST,
) -> Claim:
    """Count where a rate leaves its bounds, over runs from many unbalanced starts.

    The starts have the components of `model`, with norms shared out over modes ever
    less evenly; `model` itself is among them, and so is a balanced one, on whose run
    both bounds must meet the rate. A violation counts where it exceeds the tolerance
    times the larger bound's size at full pull.
    """
    check_tolerance(tolerance)
    model = require_cp(model, GROWTH_BOUNDS.name)
    runs, rows = _runs(problem, model, component_times)
    rates, lower, upper, scale, pull = (
        np.concatenate(part) for part in zip(*rows, strict=True)
    )
    excess = np.maximum(lower - rates, rates - upper) / scale
    # The first run is balanced: there the bounds leave no room.
    slack = float(np.max(np.abs(rows[0][2] - rows[0][1]) / rows[0][3]))
    numbers = {
        "component_times": float(rates.size),
        "positive_pulls": float(np.sum(pull > 0)),
        "negative_pulls": float(np.sum(pull < 0)),
        "violations": float(np.sum(~(excess <= tolerance))),
        "slack_at_balance": slack,
    }
    still = [run for run in runs if not run.fell_tenfold]
    both_signs = numbers["positive_pulls"] > 0 and numbers["negative_pulls"] > 0
    tested = not still and both_signs
    error = max(float(np.max(excess)), slack, 0.0)
    if still:
        explanation = standing_still(still[0])
    elif not both_signs:
        explanation = (
            f"Of {rates.size} pulls {numbers['positive_pulls']:.0f} were positive, so "
            "only one of the two cases occurred; start with more components."
        )
    else:
        explanation = (
            f"{numbers['violations']:.0f} of {rates.size} rates left their bounds "
            f"({numbers['negative_pulls']:.0f} with a negative pull), and at balance "
            f"the bounds are {slack:.1e} apart."
        )
    return Claim(
        theorem=GROWTH_BOUNDS,
        verdict=verdict_of(error, tolerance) if tested else "not tested",
        explanation=explanation,
        predicted=0.0,
        measured=numbers["violations"],
        error=error,
        tolerance=tolerance,
        moved=runs[0].moved,
        numbers=numbers,
        curves={
            "measured": rates / scale,
            "lower": lower / scale,
            "upper": upper / scale,
        },
    )


def _runs(
    problem: AbstractProblem, model: CPFactorization, component_times: int
) -> tuple[list[Run], list[tuple[Values, ...]]]:
    """The balanced run, the model's own, and as many off balance as are needed."""
    runs, rows = [], []

    def follow(start: CPFactorization) -> None:
        runs.append(learned_run(problem, start))
        rows.append(_bounded(problem, start, runs[-1]))

    follow(balance(model))
    follow(model)
    count = -(-component_times // rows[0][0].size) - 1
    for ratio in np.geomspace(_NARROWEST, _WIDEST, max(count, 3)):
        # The others would not move either.
        if runs[-1].fell_tenfold:
            follow(unbalance(model, float(ratio)))
    return runs, rows


def _bounded(
    problem: AbstractProblem, start: CPFactorization, run: Run
) -> tuple[Values, ...]:
    """Rates, their lower and upper bounds, the larger bound at full pull, and pulls."""
    norms, pull, steepness, rates = _along(problem, run.models)
    order = len(start.factor_matrices)
    # The flow conserves it, and rounding at the end of a run does not count.
    unbalancedness = start.unbalancedness()
    small = small_bound(norms, pull, unbalancedness, order)
    large = large_bound(norms, pull, unbalancedness, order)
    full = jnp.broadcast_to(steepness[:, None], norms.shape)
    scale = order * full * (norms ** (2 / order) + unbalancedness) ** (order - 1)
    rising = pull >= 0
    lower, upper = jnp.where(rising, small, large), jnp.where(rising, large, small)
    return tuple(
        np.asarray(each).ravel() for each in (rates, lower, upper, scale, pull)
    )


@eqx.filter_jit
def _along(problem: AbstractProblem, models: Any) -> tuple[Array, ...]:
    def at(model: CPFactorization) -> tuple[Array, ...]:
        gradient, steepness = end_gradient_of(problem, model)
        return (
            model.component_norms(),
            dense_pull(gradient, model),
            steepness,
            measured_rates(problem, model),
        )

    return eqx.filter_vmap(at)(models)
