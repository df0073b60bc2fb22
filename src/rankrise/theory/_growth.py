r"""Claim 2: how fast a component grows, when it is balanced and in general."""

import functools as ft
from collections.abc import Callable, Sequence
from typing import NamedTuple, Unpack

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rankrise._typing import Values
from rankrise.factorizations import AbstractFactorization, CPFactorization
from rankrise.problems import AbstractProblem
from rankrise.theory._claim import Claim, Theorem, check_tolerance
from rankrise.theory._integrated import Integrated, integrated
from rankrise.theory._measuring import (
    LOOSE,
    ROUNDING,
    Tolerances,
    change,
    judge,
    with_rounding,
)
from rankrise.theory._rates import (
    balance,
    dense_pull,
    end_gradient_of,
    rates_along,
    relative_unbalancedness,
    squared_norms,
    unbalance,
)
from rankrise.theory._run import (
    MOST_STEPS,
    Run,
    learned_run,
    require_cp,
    standing_still,
)

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


class _Laws(eqx.Module):
    """The balanced and the general rate of a factorization's components."""

    balanced: Callable[..., Array]
    general: Callable[..., Array]

    def __call__(
        self, problem: AbstractProblem, model: CPFactorization
    ) -> Float[Array, "2 r"]:
        gradient, _ = end_gradient_of(problem, model)
        norms, pull = model.component_norms(), dense_pull(gradient, model)
        squares = squared_norms(model)
        return jnp.stack(
            [
                self.balanced(norms, pull, len(squares)),
                self.general(norms, pull, squares),
            ]
        )


class _Comparison(NamedTuple):
    """Along a run: one row per time, one column per component.

    Errors are relative to the rate at which a component would grow if its direction
    were the gradient's own, so a pull near zero does not blow them up. The bounds are
    those of their errors of measuring.
    """

    norms: Values
    predicted: Values
    measured: Values
    errors: Values
    bounds: Values
    pull_errors: Values


def check_growth(
    problem: AbstractProblem, model: AbstractFactorization, *, tolerance: float = 1e-8
) -> Claim:
    r"""Rates of component norms, at many times of two runs and between them.

    One run starts from the balanced factorization with the components of `model`, one
    from an unbalanced one (`model` itself, where it is far from balance). Measured is
    the derivative of $\sigma_r$ along the flow's velocity; predicted is the formula,
    with a pull contracted from the end tensor's gradient. Then the formula is
    integrated along the flow, by the same adaptive steps, and its integral compared
    with the component norms, relative to the largest norm of each.
    """
    check_tolerance(tolerance)
    model = require_cp(model, GROWTH.name)
    far = float(relative_unbalancedness(model)) > _UNBALANCED
    starts = (balance(model), model if far else unbalance(model, _RATIO))
    runs = [learned_run(problem, start) for start in starts]
    balanced, general = (
        _compared(problem, run, balanced=which == 0) for which, run in enumerate(runs)
    )
    errors, bounds = [], []
    for each in (balanced, general):
        errors += [each.errors.ravel(), each.pull_errors.ravel()]
        bounds += [each.bounds.ravel()] * 2
    largest = [
        judge(off, bound, tolerance).error or 0.0
        for off, bound in zip(errors, bounds, strict=True)
    ]
    numbers = {
        "balanced_error": largest[0],
        "general_error": largest[2],
        "pull_error": max(largest[1], largest[3]),
        "component_times": float(balanced.errors.size + general.errors.size),
    }
    judged = judge(np.concatenate(errors), np.concatenate(bounds), tolerance)
    still = [run for run in runs if not run.moved_far]
    if judged.verdict == "holds" and not still:
        off, bound = _between(problem, starts, runs)
        judged = judge(
            np.concatenate([*errors, off]), np.concatenate([*bounds, bound]), tolerance
        )
        between = judge(off, bound, tolerance)
        if between.verdict == "not tested":
            judged = between
        numbers["integrated_times"] = float(between.compared)
        numbers["integrated_error"] = between.error or 0.0
    explanation = _explanation(numbers)
    if still:
        explanation = standing_still(still[0])
    elif judged.verdict == "not tested":
        explanation = judged.reason
    fastest = np.argmax(np.abs(balanced.predicted))
    return Claim(
        theorem=GROWTH,
        verdict="not tested" if still else judged.verdict,
        explanation=explanation,
        predicted=float(balanced.predicted.flat[fastest]),
        measured=float(balanced.measured.flat[fastest]),
        error=judged.error,
        measuring_error=judged.measuring_error,
        compared=judged.compared,
        tolerance=tolerance,
        moved=runs[0].moved,
        numbers=numbers,
        curves={
            "residuals": judged.residuals,
            "time": runs[0].times,
            "norms": balanced.norms,
            "predicted": balanced.predicted,
            "measured": balanced.measured,
        },
    )


def _explanation(numbers: dict[str, float]) -> str:
    beyond = (
        f"; integrated along the flow it misses {numbers['integrated_times']:.0f} "
        f"component norms by {numbers['integrated_error']:.1e} of their largest"
        if "integrated_error" in numbers
        else ""
    )
    return (
        f"Over {numbers['component_times']:.0f} component-times the formula is off by "
        f"{numbers['balanced_error']:.1e} of the largest possible rate when balanced "
        f"and {numbers['general_error']:.1e} when not{beyond}."
    )


def _between(
    problem: AbstractProblem, starts: Sequence[CPFactorization], runs: Sequence[Run]
) -> tuple[Values, Values]:
    """Norms of both runs off the integrals of their laws, and the bounds of these."""
    gaps = [
        _gaps(problem, start, run, law)
        for law, (start, run) in enumerate(zip(starts, runs, strict=True))
    ]
    off, bound = (np.concatenate(part) for part in zip(*gaps, strict=True))
    return off, bound


def _gaps(
    problem: AbstractProblem, start: CPFactorization, run: Run, law: int
) -> tuple[Values, Values]:
    """Norms off the integral of one of the laws, over the largest norm of each
    component, and by how much that depends on the integrator's tolerance."""

    def followed(**tolerances: Unpack[Tolerances]) -> Integrated:
        laws = _Laws(balanced_rate, general_rate)
        return integrated(
            problem, start, laws, run.times, max_steps=MOST_STEPS, **tolerances
        )

    tight, loose = followed(), followed(**LOOSE)
    finite = np.isfinite(tight.norms).all(axis=1) & np.isfinite(loose.norms).all(axis=1)
    largest = np.max(tight.norms[finite], axis=0)
    off, loosely_off = (
        (each.norms[finite] - each.predicted[finite, law]) / largest
        for each in (tight, loose)
    )
    # Every step rounds what it adds to.
    bounds = change(off, loosely_off) + MOST_STEPS * ROUNDING / 16
    return np.abs(off[1:]).ravel(), bounds[1:].ravel()


def _compared(problem: AbstractProblem, run: Run, *, balanced: bool) -> _Comparison:
    found, rounded = with_rounding(ft.partial(rates_along, problem), run.models)
    norms, squares, pull = found.norms, found.squares, found.pull
    order = squares.shape[-2]
    if balanced:
        predicted = balanced_rate(norms, pull, order)
    else:
        predicted = general_rate(norms, pull, squares)
    # What the rate would be if the pull were all of the gradient.
    steepness = found.steepness[:, None]
    scale = steepness * norms**2 * jnp.sum(1 / squares, axis=-2)
    errors = jnp.abs(found.measured - predicted) / scale
    pull_errors = jnp.abs(pull - found.same_pull) / steepness
    bounds = rounded.measured / np.asarray(scale) + 8 * order * ROUNDING
    bounds += np.maximum(rounded.pull, rounded.same_pull) / np.asarray(steepness)
    if balanced:
        # As far off balance as the integrator let it drift, to second order.
        spread = jnp.max(squares, axis=1) / jnp.min(squares, axis=1) - 1
        bounds += np.asarray(spread) ** 2
    arrays = (norms, predicted, found.measured, errors, bounds, pull_errors)
    return _Comparison(*map(np.asarray, arrays))
