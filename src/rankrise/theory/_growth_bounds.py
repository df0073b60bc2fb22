r"""Claim 3: bounds on growth off balance, by the unbalancedness magnitude alone."""

import functools as ft
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rankrise._typing import Values
from rankrise.factorizations import AbstractFactorization, CPFactorization
from rankrise.problems import AbstractProblem
from rankrise.theory._claim import Claim, Theorem, check_tolerance
from rankrise.theory._measuring import ROUNDING, judge, with_rounding
from rankrise.theory._rates import (
    balance,
    rates_along,
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
_MOST_RUNS = 12
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
    r"""Count where a rate leaves its bounds, over runs from many unbalanced starts.

    The starts have the components of `model`, with norms shared out over modes ever
    less evenly; `model` itself is among them, and so is a balanced one, on whose run
    both bounds must meet the rate. A violation counts where it exceeds the tolerance
    times the larger bound's size at full pull. Both bounds suppose that no squared norm
    of a vector exceeds $\sigma_r^{2/N} + \epsilon$, so what each of them supposes is
    held against the largest squared norm, relative to it.
    """
    check_tolerance(tolerance)
    model = require_cp(model, GROWTH_BOUNDS.name)
    runs, rows = _runs(problem, model, component_times)
    whole = _Bounded(*(np.concatenate(part) for part in zip(*rows, strict=True)))
    excess = np.maximum(whole.lower - whole.rates, whole.rates - whole.upper)
    excess /= whole.scale
    # The first run is balanced: there the bounds leave no room.
    slack = np.abs(rows[0].upper - rows[0].lower) / rows[0].scale
    judged = judge(
        np.concatenate([excess, whole.beyond, slack]),
        np.concatenate([whole.bounds, whole.bounds, rows[0].bounds]),
        tolerance,
    )
    numbers = {
        "component_times": float(whole.rates.size),
        "positive_pulls": float(np.sum(whole.pull > 0)),
        "negative_pulls": float(np.sum(whole.pull < 0)),
        "violations": float(np.sum(~(excess - whole.bounds <= tolerance))),
        "slack_at_balance": float(np.max(slack)),
        "largest_square": float(np.max(whole.beyond)) + 1,
    }
    still = [run for run in runs[:2] if not run.moved_far]
    both_signs = numbers["positive_pulls"] > 0 and numbers["negative_pulls"] > 0
    tested = not still and both_signs and judged.verdict != "not tested"
    if still:
        explanation = standing_still(still[0])
    elif not both_signs:
        explanation = (
            f"Of {whole.rates.size} pulls {numbers['positive_pulls']:.0f} were "
            "positive, so only one of the two cases occurred; start with more "
            "components."
        )
    elif not tested:
        explanation = judged.reason
    else:
        explanation = (
            f"{numbers['violations']:.0f} of {whole.rates.size} rates left their "
            f"bounds ({numbers['negative_pulls']:.0f} with a negative pull), which at "
            f"balance are {numbers['slack_at_balance']:.1e} apart; the largest squared "
            f"norm is {numbers['largest_square']:.3g} of what they suppose."
        )
    return Claim(
        theorem=GROWTH_BOUNDS,
        verdict=judged.verdict if tested else "not tested",
        explanation=explanation,
        predicted=0.0,
        measured=numbers["violations"],
        error=None if judged.error is None else max(judged.error, 0.0),
        measuring_error=judged.measuring_error,
        compared=judged.compared,
        tolerance=tolerance,
        moved=runs[0].moved,
        numbers=numbers,
        curves={
            "residuals": judged.residuals,
            "measured": whole.rates / whole.scale,
            "lower": whole.lower / whole.scale,
            "upper": whole.upper / whole.scale,
        },
    )


def _runs(
    problem: AbstractProblem, model: CPFactorization, component_times: int
) -> "tuple[list[Run], list[_Bounded]]":
    """The balanced run, the model's own, and as many off balance as are needed."""
    runs: list[Run] = []
    rows: list[_Bounded] = []

    def follow(start: CPFactorization) -> None:
        runs.append(learned_run(problem, start))
        rows.append(_bounded(problem, start, runs[-1]))

    follow(balance(model))
    follow(model)
    if not all(run.moved_far for run in runs):
        return runs, rows  # the others would not move either
    count = min(-(-component_times // rows[0].rates.size) - 1, _MOST_RUNS)
    for ratio in np.geomspace(_NARROWEST, _WIDEST, max(count, 3)):
        follow(unbalance(model, float(ratio)))
    if all(np.all(row.pull > 0) for row in rows):
        # The first vectors turned around turn the pull around, so components shrink.
        first, *others = unbalance(model, _WIDEST).factor_matrices
        follow(CPFactorization((-first, *others)))
    return runs, rows


class _Bounded(NamedTuple):
    """Rates of a run and what the bounds say of them, flat.

    Attributes
    ----------
    scale
        The larger bound at full pull.
    beyond
        How far the largest squared norm exceeds what the bounds suppose, relative.
    bounds
        Bounds of the error of measuring, over the scale.
    """

    rates: Values
    lower: Values
    upper: Values
    scale: Values
    pull: Values
    beyond: Values
    bounds: Values


def _bounded(problem: AbstractProblem, start: CPFactorization, run: Run) -> _Bounded:
    found, rounded = with_rounding(ft.partial(rates_along, problem), run.models)
    norms, pull, squares = found.norms, found.pull, found.squares
    order = len(start.factor_matrices)
    # The flow conserves it; what it drifts by is an error of measuring.
    unbalancedness = start.unbalancedness()
    small = small_bound(norms, pull, unbalancedness, order)
    large = large_bound(norms, pull, unbalancedness, order)
    largest = norms ** (2 / order) + unbalancedness
    full = jnp.broadcast_to(found.steepness[:, None], norms.shape)
    scale = order * full * largest ** (order - 1)
    rising = pull >= 0
    lower, upper = jnp.where(rising, small, large), jnp.where(rising, large, small)
    one = jnp.ones_like(pull)
    supposed = jnp.minimum(
        order * norms**2 / small_bound(norms, one, unbalancedness, order),
        (large_bound(norms, one, unbalancedness, order) / order) ** (1 / (order - 1)),
    )
    share = rounded.pull / np.asarray(full)
    drift = jnp.max(squares, axis=1) * ROUNDING
    drift += jnp.abs(found.unbalancedness - unbalancedness)[:, None]
    balance_share = order**2 * drift / norms ** (2 / order)
    if order * float(unbalancedness) < ROUNDING * float(jnp.max(squares)):
        # At balance the bounds are apart by what rounding left of unbalancedness.
        balance_share += order**2 * unbalancedness / norms ** (2 / order)
    bounds = rounded.measured / np.asarray(scale) + share + np.asarray(balance_share)
    bounds += 8 * order * ROUNDING
    beyond = jnp.max(squares, axis=1) / supposed - 1
    arrays = (found.measured, lower, upper, scale, pull, beyond, bounds)
    return _Bounded(*(np.asarray(each).ravel() for each in arrays))
