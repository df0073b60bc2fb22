r"""Claim 4: under a constant pull, growth is exponential or ends in finite time."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rankrise._errors import InputError
from rankrise._typing import Values
from rankrise.factorizations import (
    CPFactorization,
    DenseTensor,
    end_gradient,
    near_zero,
)
from rankrise.losses import AbstractLoss
from rankrise.problems import AbstractProblem, SensingProblem
from rankrise.solvers import reference_flow
from rankrise.theory._claim import Claim, Theorem, check_tolerance
from rankrise.theory._critical_direction import contract_all_but, critical_direction
from rankrise.theory._measuring import LOOSE, ROUNDING, TIGHT, change, judge

ESCAPE = Theorem(
    "escape",
    "Escape from zero",
    "Razin et al. (2021), Theorem 1",
    "With gamma_r > 0 constant, u = sigma_r^(1/N) obeys u' = gamma u^(N-1): "
    "u_0 exp(gamma t) for N=2, and for N>=3 it escapes at 1/((N-2) gamma u_0^(N-2)).",
)
# The component's vectors at the start, and how often their norm grows by: near the time
# of escape an error of the start is multiplied by the growth to the order less two.
_START_NORM = 0.1
_GROWTH, _MOST_MULTIPLIED = 20.0, 1000.0
_TIMES = 50
_OTHER_DIM = 4


@dataclass(frozen=True)
class ConstantPullLoss(AbstractLoss):
    r"""$-p\,y$: its gradient by the end tensor is the same everywhere."""

    def __call__(
        self, predictions: Float[Array, " m"], values: Float[Array, " m"]
    ) -> Float[Array, " m"]:
        return -predictions * values


def escape_time(pull: float, start_norm: float, order: int) -> float:
    r"""$1/((N-2) \gamma u_0^{N-2})$; infinite for order two."""
    if order == 2:
        return float("inf")
    return 1 / ((order - 2) * pull * start_norm ** (order - 2))


def constant_pull_norm(
    times: Values, pull: float, start_norm: float, order: int
) -> Values:
    r"""$u(t)$: $u_0 e^{\gamma t}$ for $N=2$, else
    $(u_0^{2-N} - (N-2) \gamma t)^{-1/(N-2)}$."""
    if order == 2:
        return start_norm * np.exp(pull * times)
    left = 1 - times / escape_time(pull, start_norm, order)
    return start_norm * left ** (-1 / (order - 2))


class _Escape(NamedTuple):
    """One component alone under a constant gradient."""

    order: int
    times: Values
    predicted: Values
    measured: Values
    bounds: Values
    escape: float

    @property
    def errors(self) -> Values:
        return np.abs(self.measured / self.predicted - 1)


def check_escape(
    problem: AbstractProblem,
    *,
    orders: tuple[int, ...] = (2, 3, 4),
    tolerance: float = 1e-8,
    seed: int = 0,
) -> Claim:
    r"""Vectors of a component followed until they are twenty times as long.

    From order five on they grow less, so that errors of the start stay small.

    The constant gradient is the problem's own at zero; for the other orders it is a
    Gaussian tensor. The component starts along a critical direction of it, found by
    the higher-order power method, so that its pull stays what it is.
    """
    check_tolerance(tolerance)
    if any(order < 2 for order in orders):
        raise InputError(f"The orders are {orders}; a tensor has at least two modes.")
    zero = DenseTensor(jnp.zeros(problem.mode_dims, problem.values.dtype))
    tensors = [-end_gradient(problem.loss, zero)]
    for order in orders:
        if order != len(problem.mode_dims):
            key = jax.random.key(seed + order)
            tensors.append(jax.random.normal(key, (_OTHER_DIM,) * order))
    escapes = [_escape(tensor, seed) for tensor in tensors]
    judged = judge(
        np.concatenate([each.errors for each in escapes]),
        np.concatenate([each.bounds for each in escapes]),
        tolerance,
    )
    growth = min(float(each.measured[-1] / each.measured[0]) for each in escapes)
    listed = ", ".join(str(each.order) for each in escapes)
    first = escapes[0]
    return Claim(
        theorem=ESCAPE,
        verdict=judged.verdict,
        explanation=(
            f"At orders {listed} vectors that grow {growth:.3g}-fold or more are "
            f"within a relative {judged.error:.1e} of the solution with a constant "
            "pull."
            if judged.error is not None and judged.verdict != "not tested"
            else judged.reason
        ),
        predicted=float(first.predicted[-1]),
        measured=float(first.measured[-1]),
        error=judged.error,
        measuring_error=judged.measuring_error,
        compared=judged.compared,
        tolerance=tolerance,
        moved={"norm_growth": growth**first.order, "time": float(first.times[-1])},
        numbers={
            **{
                f"error_order_{each.order}": float(np.max(each.errors))
                for each in escapes
            },
            **{
                f"escape_time_order_{each.order}": each.escape
                for each in escapes
                if np.isfinite(each.escape)
            },
        },
        curves={
            "residuals": judged.residuals,
            **{
                f"{name}_order_{each.order}": values
                for each in escapes
                for name, values in (
                    ("time", each.times),
                    ("predicted", each.predicted),
                    ("measured", each.measured),
                )
            },
        },
    )


def _escape(tensor: Float[Array, "..."], seed: int) -> _Escape:
    order = tensor.ndim
    random = near_zero(tensor.shape, 1, init_scale=1.0, key=jax.random.key(seed))
    direction = critical_direction(tensor, random)
    pull = float(jnp.sum(tensor * direction.end_tensor()))
    start = CPFactorization(
        tuple(_START_NORM * unit for unit in direction.factor_matrices)
    )
    times = np.linspace(0, _grown_time(pull, order), _TIMES)
    constant = SensingProblem.from_dense(
        np.asarray(tensor)[None], np.ones(1), ConstantPullLoss()
    )
    measured, loose = (
        _vector_norms(reference_flow(constant, start, times, **tolerances).models)
        for tolerances in (TIGHT, LOOSE)
    )
    # An error of the start, or of its direction, grows with the vectors.
    multiplied = (measured / _START_NORM) ** max(order - 2, 1)
    bounds = change(measured, loose) / measured
    bounds += (ROUNDING + _turning(tensor, direction, pull)) * multiplied
    return _Escape(
        order,
        times,
        constant_pull_norm(times, pull, _START_NORM, order),
        measured,
        bounds,
        escape_time(pull, _START_NORM, order),
    )


def _vector_norms(models: CPFactorization) -> Values:
    """The norm of the one component's vectors, time by time."""
    norms = jax.vmap(CPFactorization.component_norms)(models)[:, 0]
    return np.asarray(norms ** (1 / len(models.factor_matrices)))


def _turning(
    tensor: Float[Array, "..."], direction: CPFactorization, pull: float
) -> float:
    """How far unit vectors are from the direction in which they are pulled."""
    vectors = [unit[:, 0] for unit in direction.factor_matrices]
    gaps = [
        contract_all_but(tensor, vectors, mode) / pull - vector
        for mode, vector in enumerate(vectors)
    ]
    return max(float(jnp.sqrt(jnp.sum(gap * gap))) for gap in gaps)


def _grown_time(pull: float, order: int) -> float:
    """When the vectors should have grown by the factor."""
    if order == 2:
        return float(np.log(_GROWTH)) / pull
    growth = min(_GROWTH, _MOST_MULTIPLIED ** (1 / (order - 2)))
    share = 1 - growth ** (2 - order)
    return share * escape_time(pull, _START_NORM, order)
