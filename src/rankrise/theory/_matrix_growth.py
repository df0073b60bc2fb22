r"""Claim 7: singular values of a deep matrix grow like components of a tensor."""

import functools as ft
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rankrise._errors import InputError
from rankrise._typing import Values
from rankrise.factorizations import DeepMatrixFactorization
from rankrise.problems import AbstractProblem
from rankrise.theory._claim import Claim, Theorem, Verdict, check_tolerance
from rankrise.theory._matrix_start import balanced_matrix
from rankrise.theory._measuring import (
    ROUNDING,
    Judgement,
    change,
    judge,
    with_rounding,
)
from rankrise.theory._rates import end_gradient_of, measured_rates
from rankrise.theory._run import Run, learned_run, loosely, standing_still
from rankrise.theory._unfolding import unfolded

MATRIX_GROWTH = Theorem(
    "matrix-growth",
    "Growth of singular values",
    "Arora et al. (2019), Theorem 3",
    "For a balanced product of L matrices, "
    "d s_r/dt = L s_r^(2-2/L) <-grad L, u_r v_r^T>.",
)
_INIT_SCALE = 0.3


def matrix_rate(
    values: Float[Array, "t r"], pull: Float[Array, "t r"], depth: int
) -> Float[Array, "t r"]:
    r"""$L s_r^{2-2/L} \langle -\nabla\mathcal{L}, u_r v_r^\top \rangle$."""
    return depth * values ** (2 - 2 / depth) * pull


class _Rates(NamedTuple):
    """Singular values, their pulls and rates, and the gradient's norm, by time."""

    values: Array
    pull: Array
    steepness: Array
    measured: Array


class _Depth(NamedTuple):
    """One run. Rows are times, columns singular values."""

    depth: int
    run: Run
    predicted: Values
    measured: Values
    judged: Judgement


def check_matrix_growth(
    problem: AbstractProblem,
    *,
    depths: tuple[int, ...] = (2, 3, 4),
    init_scale: float = _INIT_SCALE,
    tolerance: float = 1e-8,
    seed: int = 0,
) -> Claim:
    """Rates of singular values along runs of the flow, one for each depth.

    A problem of higher order is unfolded to a matrix. Measured is the derivative of
    the singular values along the flow's velocity in the layers; predicted is the
    formula, from the singular vectors and gradient of the product alone. Errors are
    relative to the rate at which a value would grow under all of the gradient; small
    values, and those too near to one another to tell their vectors apart, are measured
    with an error that may be larger than the tolerance, and then do not count.
    """
    check_tolerance(tolerance)
    if not depths or min(depths) < 1:
        raise InputError(f"The depths are {depths}; give numbers of layers from 1 on.")
    problem = unfolded(problem)
    checks = [
        _checked_depth(
            problem,
            balanced_matrix(
                problem.mode_dims,
                depth,
                init_scale=init_scale,
                key=jax.random.key(seed),
            ),
            tolerance,
        )
        for depth in depths
    ]
    numbers = {
        f"error_depth_{each.depth}": each.judged.error
        for each in checks
        if each.judged.error is not None
    }
    compared = sum(each.judged.compared for each in checks)
    errors = [each.judged.measuring_error or 0.0 for each in checks]
    listed = ", ".join(map(str, depths))
    error = float(np.max(list(numbers.values()))) if numbers else None
    first = checks[0]
    largest = np.argmax(np.abs(first.predicted))
    reason = _why_not(checks)
    verdict: Verdict = "not tested" if reason else "holds"
    if any(each.judged.verdict == "violated" for each in checks):
        verdict, reason = "violated", ""
    return Claim(
        theorem=MATRIX_GROWTH,
        verdict=verdict,
        explanation=reason
        or (
            f"At depths {listed} the formula is off by {error:.1e} of the largest "
            f"possible rate, over {compared} singular values along the runs."
        ),
        predicted=float(first.predicted.flat[largest]),
        measured=float(first.measured.flat[largest]),
        error=error,
        measuring_error=max(errors) if compared else None,
        compared=compared,
        tolerance=tolerance,
        moved=first.run.moved,
        numbers={
            **numbers,
            "compared": float(compared),
            "left_out": float(sum(each.predicted.size for each in checks) - compared),
        },
        curves={
            f"{name}_depth_{each.depth}": values
            for each in checks
            for name, values in (
                ("predicted", each.predicted.ravel()[each.judged.counted]),
                ("measured", each.measured.ravel()[each.judged.counted]),
                ("residuals", each.judged.residuals),
            )
        },
    )


def _why_not(checks: list[_Depth]) -> str:
    """Why a depth was not put to the test, if one was not."""
    for check in checks:
        if not check.run.moved_far:
            return f"At depth {check.depth}: {standing_still(check.run)}"
        if check.judged.verdict == "not tested":
            return f"At depth {check.depth}: {check.judged.reason}"
    return ""


def _checked_depth(
    problem: AbstractProblem, start: DeepMatrixFactorization, tolerance: float
) -> _Depth:
    run = learned_run(problem, start)
    found, rounded = with_rounding(ft.partial(_along, problem), run.models)
    values = np.asarray(found.values)
    predicted, errors = _off(found, start.depth)
    loose = _off(_along(problem, loosely(problem, run)), start.depth)[1]
    saved = min(len(errors), len(loose))
    bounds = np.asarray(rounded.measured) / _full_rate(found, start.depth)
    bounds += rounded.pull / np.asarray(found.steepness)[:, None]
    bounds += start.depth * (2 * rounded.values / values + 8 * ROUNDING)
    bounds += _vector_error(values, start.depth)
    bounds = bounds[:saved] + change(errors[:saved], loose[:saved])
    return _Depth(
        start.depth,
        run,
        predicted[:saved],
        np.asarray(found.measured)[:saved],
        judge(np.abs(errors[:saved]), bounds, tolerance),
    )


def _vector_error(values: Values, depth: int) -> Values:
    r"""What rounding does to a rate through its singular vectors, relative.

    They turn by up to a rounding of $s_1$ over the gap to the next value (Wedin 1972),
    and so have a share of the rate of $s_1$, which may be many times their own.
    """
    largest = values[:, :1]
    gaps = np.abs(values[:, :, None] - values[:, None, :])
    gaps += np.where(np.eye(values.shape[1], dtype=bool), values[:, None, :], 0.0)
    with np.errstate(divide="ignore", over="ignore"):
        turning = ROUNDING / 4 * largest / np.min(gaps, axis=2)
        return turning * (largest / values) ** (2 - 2 / depth)


def _off(found: _Rates, depth: int) -> tuple[Values, Values]:
    """What the formula says, and how far the rates are from that, relative."""
    predicted = np.asarray(matrix_rate(found.values, found.pull, depth))
    off = np.asarray(found.measured) - predicted
    return predicted, off / _full_rate(found, depth)


def _full_rate(found: _Rates, depth: int) -> Values:
    """The rates of singular values under all of the gradient."""
    powers = found.values ** (2 - 2 / depth)
    return np.asarray(found.steepness[:, None] * depth * powers)


@eqx.filter_jit
def _along(problem: AbstractProblem, models: Any) -> _Rates:
    def at(model: DeepMatrixFactorization) -> _Rates:
        left, values, right = jnp.linalg.svd(model.end_tensor(), full_matrices=False)
        gradient, steepness = end_gradient_of(problem, model)
        pull = -jnp.einsum("dr,de,re->r", left, gradient, right)
        return _Rates(values, pull, steepness, measured_rates(problem, model))

    rates: _Rates = eqx.filter_vmap(at)(models)
    return rates
