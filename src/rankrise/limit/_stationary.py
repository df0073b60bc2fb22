r"""From a learned set to the stationary point that gradient flow takes it to.

The flow itself decides which basin it is: it is followed until it is slow. From there
Newton's method takes over, with one Hessian kept for several steps, since the scaling
of factors against one another leaves directions along which nothing changes. The same
Hessian tells a minimum from a saddle.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float, Int

from rankrise.factorizations import AbstractFactorization
from rankrise.limit._flat import flattened, unflattened
from rankrise.limit._hessian import hessian_at, slopes
from rankrise.problems import AbstractProblem
from rankrise.solvers import AbstractSolver

FloatArray = npt.NDArray[np.floating]
Active = npt.NDArray[np.integer]

_MOST_HESSIANS, _CHORD_STEPS = 12, 12
# A step of Newton's method is at most this share of the parameters' norm: the flow has
# all but arrived, so a longer one means that it has not.
_LONGEST_STEP = 0.1
# What is accepted leaves room for rounding; most plateaus come this much nearer.
_AIM = 1e-2
# Where the gradient is accepted, a Hessian that leaves more than this share of it was
# the last.
_PAYS = 0.5
# A step that leaves more than this share of the gradient asks for a new Hessian.
_WORTH = 0.2


class Stationary(NamedTuple):
    """Where the learned set came to rest.

    Attributes
    ----------
    residual
        Norm of the gradient times that of the parameters, over the scale given.
    eigenvalue, direction
        The smallest of the Hessian over its largest, and its unit vector by
        `ravel_pytree` of the factorization.
    arrived
        Whether the residual is below the tolerance.
    evaluations
        Gradients of the loss; a row of a Hessian counts as one.
    """

    model: AbstractFactorization
    residual: float
    eigenvalue: float
    direction: FloatArray
    arrived: bool
    evaluations: int


@eqx.filter_jit
def follow_flow(
    problem: AbstractProblem,
    model: AbstractFactorization,
    solver: AbstractSolver[Any],
    slow: Float[Array, ""],
    most_evaluations: Int[Array, ""],
) -> tuple[AbstractFactorization, Int[Array, ""]]:
    """Follow gradient flow until parameters change by less than the rate `slow`.

    Returns the gradients of the loss it took, too: the flow ends when it has taken so
    many.
    """

    def running(carry: tuple[Any, Any, Array, Array]) -> Array:
        _, _, rate, evaluations = carry
        return (rate > slow) & (evaluations < most_evaluations)

    def body(carry: tuple[Any, Any, Array, Array]) -> tuple[Any, ...]:
        model, state, _, evaluations = carry
        taken = solver.step(problem, model, state, jnp.asarray(jnp.inf, slow.dtype))
        rate = _rate(model, taken.model) / taken.duration
        # Where no step is short enough, the flow ends, too.
        rate = jnp.where(taken.stalled, 0, rate)
        used = evaluations + jnp.asarray(taken.evaluations, jnp.int32)
        return taken.model, taken.state, rate, used

    zero = jnp.zeros((), jnp.int32)
    begin = (model, solver.init(problem, model), slow + jnp.inf, zero)
    moved, _, _, evaluations = jax.lax.while_loop(running, body, begin)
    return moved, evaluations


def _rate(before: AbstractFactorization, after: AbstractFactorization) -> Array:
    """Largest relative change of a group of parameters that is not zero."""
    change = jax.tree.map(jnp.subtract, after, before).parameter_norms()
    size = after.parameter_norms()
    return jnp.max(jnp.where(size > 0, change / jnp.where(size > 0, size, 1), 0))


def settle(
    problem: AbstractProblem,
    model: AbstractFactorization,
    active: Active,
    *,
    scale: float,
    tolerance: float,
) -> Stationary:
    """Newton's method to the stationary point nearby.

    Parameters
    ----------
    active
        Which parameters, by `ravel_pytree`; the others are zero and stay so.
    scale
        What the gradient is compared with.
    """
    newton = _Newton(problem, model, active, scale, tolerance)
    for _ in range(_MOST_HESSIANS):
        newton.look()
        # Away from the stationary point, the gradient bends what is flat there.
        suspicious = newton.hessian.smallest < -100 * newton.cut
        before = newton.residual
        if newton.is_exact() or not newton.descend():
            break
        pays = not newton.is_exact() and newton.residual < _PAYS * before
        if newton.arrived and not pays and not suspicious:
            break
    direction = np.zeros_like(newton.point)
    direction[active] = newton.hessian.lowest
    return Stationary(
        model=jax.tree.map(jnp.asarray, newton.model),
        residual=newton.residual,
        eigenvalue=newton.hessian.smallest,
        direction=direction,
        arrived=newton.arrived,
        evaluations=newton.evaluations,
    )


class _Newton:
    """Newton's method with one Hessian for several steps (the chord method)."""

    def __init__(
        self,
        problem: AbstractProblem,
        model: AbstractFactorization,
        active: Active,
        scale: float,
        tolerance: float,
    ) -> None:
        self._like = model
        self._problem, self._active = problem, active
        self._scale, self._tolerance = scale, tolerance
        self.evaluations = 0
        self.point = flattened(model)
        self.gradient, self.residual = self._slope(self.point)
        # Below this share of the largest, an eigenvalue is rounding.
        self.cut = 100 * float(np.finfo(self.point.dtype).eps)

    @property
    def model(self) -> AbstractFactorization:
        """The factorization here."""
        here: AbstractFactorization = unflattened(self._like, self.point)
        return here

    @property
    def arrived(self) -> bool:
        """Whether the gradient is zero to tolerance."""
        return self.residual <= self._tolerance

    def is_exact(self) -> bool:
        """Whether it is as near to zero as is asked for where rounding allows it."""
        return self.residual <= _AIM * self._tolerance

    def look(self) -> None:
        """Take the Hessian here."""
        self.hessian = hessian_at(self._problem, self.model, self._active, self.cut)
        self.evaluations += self.hessian.evaluations

    def descend(self) -> bool:
        """Steps with this Hessian as long as they pay; whether any did."""
        before = self.residual
        for _ in range(_CHORD_STEPS):
            step = -self.hessian.solve(self.gradient)
            length = float(np.linalg.norm(step) / np.linalg.norm(self.point))
            tried = self.point.copy()
            tried[self._active] += step * min(1.0, _LONGEST_STEP / max(length, 1e-300))
            gradient, residual = self._slope(tried)
            slow = not residual < _WORTH * self.residual
            if residual < self.residual:
                self.point, self.gradient, self.residual = tried, gradient, residual
            if slow or self.is_exact():
                break
        return self.residual < before

    def _slope(self, point: FloatArray) -> tuple[FloatArray, float]:
        self.evaluations += 1
        whole, _ = slopes(self._problem, unflattened(self._like, point), point)
        gradient = whole[self._active]
        size = np.linalg.norm(point) * np.linalg.norm(gradient)
        return gradient, float(size / self._scale)
