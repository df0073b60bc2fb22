r"""Claim 7: singular values of a deep matrix grow like components of a tensor."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float

from rankrise._errors import InputError
from rankrise._typing import Values
from rankrise.factorizations import DeepMatrixFactorization
from rankrise.problems import AbstractProblem
from rankrise.theory._claim import Claim, Theorem, check_tolerance, verdict_of
from rankrise.theory._matrix_start import balanced_matrix
from rankrise.theory._rates import end_gradient_of, measured_rates
from rankrise.theory._run import Run, learned_run, standing_still
from rankrise.theory._unfolding import unfolded

MATRIX_GROWTH = Theorem(
    "matrix-growth",
    "Growth of singular values",
    "Arora et al. (2019), Theorem 3",
    "For a balanced product of L matrices, "
    "d s_r/dt = L s_r^(2-2/L) <-grad L, u_r v_r^T>.",
)
_INIT_SCALE = 0.3
# Singular vectors are not determined where two singular values are this close, nor
# where one is this far below the largest.
_GAP, _SMALLEST = 1e-4, 1e-8


def matrix_rate(
    values: Float[Array, "t r"], pull: Float[Array, "t r"], depth: int
) -> Float[Array, "t r"]:
    r"""$L s_r^{2-2/L} \langle -\nabla\mathcal{L}, u_r v_r^\top \rangle$."""
    return depth * values ** (2 - 2 / depth) * pull


class _Depth(NamedTuple):
    """One run. Rows are times, columns singular values; those apart from others."""

    depth: int
    run: Run
    predicted: Values
    measured: Values
    errors: Values
    apart: npt.NDArray[np.bool_]

    @property
    def error(self) -> float:
        return float(np.max(self.errors[self.apart], initial=0.0))


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
    relative to the rate at which a value would grow under all of the gradient; values
    too near to one another to tell their vectors apart are left out.
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
        )
        for depth in depths
    ]
    error = max(each.error for each in checks)
    still = [each.run for each in checks if not each.run.fell_tenfold]
    compared = sum(int(np.sum(each.apart)) for each in checks)
    reason = standing_still(still[0]) if still else _none_apart(checks)
    listed = ", ".join(map(str, depths))
    first = checks[0]
    largest = np.argmax(np.abs(first.predicted))
    return Claim(
        theorem=MATRIX_GROWTH,
        verdict="not tested" if reason else verdict_of(error, tolerance),
        explanation=reason
        or (
            f"At depths {listed} the formula is off by {error:.1e} of the largest "
            f"possible rate, over {compared} singular values along the runs."
        ),
        predicted=float(first.predicted.flat[largest]),
        measured=float(first.measured.flat[largest]),
        error=error,
        tolerance=tolerance,
        moved=first.run.moved,
        numbers={
            **{f"error_depth_{each.depth}": each.error for each in checks},
            "compared": float(compared),
            "left_out": float(sum(int(np.sum(~each.apart)) for each in checks)),
        },
        curves={
            f"{name}_depth_{each.depth}": values[each.apart]
            for each in checks
            for name, values in (
                ("predicted", each.predicted),
                ("measured", each.measured),
            )
        },
    )


def _none_apart(checks: list[_Depth]) -> str:
    """Why a depth was not put to the test, if one was not."""
    blank = [check.depth for check in checks if not check.apart.any()]
    if not blank:
        return ""
    return (
        f"At depth {blank[0]} no two singular values are far enough apart to tell "
        "their vectors; give another --seed."
    )


def _checked_depth(problem: AbstractProblem, start: DeepMatrixFactorization) -> _Depth:
    run = learned_run(problem, start)
    values, pull, steepness, measured = _along(problem, run.models)
    predicted = matrix_rate(values, pull, start.depth)
    scale = steepness[:, None] * start.depth * values ** (2 - 2 / start.depth)
    errors = jnp.abs(measured - predicted) / scale
    return _Depth(
        start.depth,
        run,
        np.asarray(predicted),
        np.asarray(measured),
        np.asarray(errors),
        apart(np.asarray(values)),
    )


def apart(values: Values) -> npt.NDArray[np.bool_]:
    """Which singular values determine their vectors, row by row."""
    largest = values[:, :1]
    gaps = np.abs(values[:, :, None] - values[:, None, :])
    gaps += np.where(np.eye(values.shape[1], dtype=bool), np.inf, 0.0)
    return (np.min(gaps, axis=2) > _GAP * largest) & (values > _SMALLEST * largest)


@eqx.filter_jit
def _along(problem: AbstractProblem, models: Any) -> tuple[Array, ...]:
    def at(model: DeepMatrixFactorization) -> tuple[Array, ...]:
        left, values, right = jnp.linalg.svd(model.end_tensor(), full_matrices=False)
        gradient, steepness = end_gradient_of(problem, model)
        pull = -jnp.einsum("dr,de,re->r", left, gradient, right)
        return values, pull, steepness, measured_rates(problem, model)

    return eqx.filter_vmap(at)(models)
