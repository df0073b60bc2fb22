"""Gradient flow: the differential equation that gradient descent discretizes."""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rankrise._checks import check_real
from rankrise._errors import InputError
from rankrise.factorizations import AbstractFactorization
from rankrise.problems import AbstractProblem
from rankrise.solvers._chebyshev import STABILITY, coefficients
from rankrise.solvers._contract import AbstractSolver, Step, tree_norm
from rankrise.solvers._spectral_radius import (
    EVALUATIONS_A_PRODUCT,
    Radius,
    spectral_radius,
)

# As in the published RKC code: how much a step size may change, and how carefully.
_LEAST, _MOST, _CARE = 0.1, 10.0, 0.8
_ORDER = 2
# A step that is this much shorter than what remains is stretched to end there.
_STRETCH = 1.1
_MOST_ATTEMPTS = 25
# For the power iteration, for the gradient and for the first step size.
_GRADIENTS_AT_FIRST = 3
# Time is counted in floating point; a flow at rest must not run out of it.
_LONGEST_SHARE = 1e-6


class _FlowState(NamedTuple):
    gradient: Any
    loss: Float[Array, ""]
    step_size: Float[Array, ""]
    last_size: Float[Array, ""]
    last_error: Float[Array, ""]
    radius: Radius


class _Attempt(NamedTuple):
    """A step of one size: where it leads, and how wrong it is in its tolerance."""

    model: Any
    gradient: Any
    loss: Float[Array, ""]
    size: Float[Array, ""]
    error: Float[Array, ""]
    evaluations: Int[Array, ""]
    attempts: Int[Array, ""]


class GradientFlow(AbstractSolver[_FlowState]):
    r"""The flow $\dot w = -\nabla\phi(w)$, with error control.

    A Runge-Kutta-Chebyshev method of second order (Sommeijer, Shampine and Verwer
    1998): explicit, and stable for $h\rho$ up to a multiple of its stages squared. It
    is made for flows like this one, mildly stiff with real eigenvalues. The number of
    stages follows from the spectral radius $\rho$ of the Hessian, which a power
    iteration keeps up to date. The local error is measured component by component
    against the component's own size, so that those still near zero, which decide what
    rises next, are followed as faithfully as those that rose.

    On the clock of gradient flow a step moves by its size. `rejected_steps` of an
    `Outcome` are steps taken again, shorter; a run in which none is short enough is
    stopped and says so. Where a loss has kinks (absolute loss), steps become as short
    as the tolerance.

    Attributes
    ----------
    rtol, atol
        Local error allowed in a component, relative to the norm of its parameters and
        absolute. Errors of the steps add up, to about `rtol` to the power 2/3. In
        float32, rounding limits `rtol` to about 1e-5.
    most_stages
        Most stages of one step. Rounding grows with their square, so a tolerance near
        the precision allows fewer.

    Examples
    --------
    >>> import jax, rankrise as rr
    >>> target = rr.synthetic.random_target((4, 4, 4), cp_rank=1, seed=0)
    >>> indices = rr.synthetic.sample_indices((4, 4, 4), 40, seed=0)
    >>> seen = rr.synthetic.observe(target, indices, seed=0)
    >>> problem = rr.CompletionProblem.from_observations(seen)
    >>> key = jax.random.key(0)
    >>> start = rr.factorizations.near_zero((4, 4, 4), 3, init_scale=0.1, key=key)
    >>> trajectory = rr.solve(problem, start, rr.GradientFlow(), end_time=50.0)
    >>> round(float(trajectory.time[-1]), 3)
    50.0
    """

    rtol: float | Float[Array, ""] = 3e-3
    atol: float | Float[Array, ""] = 0.0
    most_stages: int = 200

    def __check_init__(self) -> None:
        for name in ("rtol", "atol"):
            tolerance = getattr(self, name)
            check_real(name, tolerance)
            if not (tolerance >= 0 and math.isfinite(tolerance)):
                raise InputError(
                    f"{name} is {tolerance}; give a finite number that is not negative."
                )
        if not self.rtol + self.atol > 0:
            raise InputError("rtol and atol are both zero; give one of them.")
        if not 2 <= self.most_stages <= 1000:
            raise InputError(
                f"most_stages is {self.most_stages}; it must lie between 2 and 1000."
            )

    def init(
        self, problem: AbstractProblem, model: AbstractFactorization
    ) -> _FlowState:
        loss, gradient = eqx.filter_value_and_grad(problem.loss)(model)
        radius = spectral_radius(problem, model)
        zero = jnp.zeros((), loss.dtype)
        return _FlowState(
            gradient=gradient,
            loss=loss,
            step_size=self._first_size(problem, model, gradient, radius.value),
            last_size=zero,
            last_error=zero,
            radius=radius,
        )

    def step(
        self,
        problem: AbstractProblem,
        model: AbstractFactorization,
        state: _FlowState,
        remaining: Float[Array, ""],
    ) -> Step:
        radius = spectral_radius(problem, model, state.radius)
        longest = self._longest(radius.value)
        wanted = jnp.minimum(state.step_size, longest)
        size = jnp.where(_STRETCH * wanted >= remaining, remaining, wanted)
        size = jnp.minimum(size, longest)

        def again(attempt: _Attempt) -> Bool[Array, ""]:
            return ~(attempt.error <= 1) & (attempt.attempts < _MOST_ATTEMPTS)

        def attempt(last: _Attempt) -> _Attempt:
            # A value that is not finite fails every comparison.
            shrink = jnp.where(last.error > 1, _CARE * _root(last.error), _LEAST)
            shrink = jnp.where(last.attempts > 0, jnp.clip(shrink, _LEAST, 0.9), 1.0)
            return self._attempted(
                problem, model, state, last, last.size * shrink, radius.value
            )

        none = _Attempt(
            model,
            state.gradient,
            state.loss,
            size,
            jnp.full_like(size, jnp.inf),
            jnp.zeros((), jnp.int32),
            jnp.zeros((), jnp.int32),
        )
        taken = jax.lax.while_loop(again, attempt, none)
        proposed = _next_size(state, taken)
        # A step cut short to end at a save says little about the next.
        proposed = jnp.where(
            (taken.attempts == 1) & (taken.size < wanted),
            jnp.maximum(proposed, wanted),
            proposed,
        )
        stalled = ~(taken.error <= 1)
        moved = _FlowState(
            taken.gradient, taken.loss, proposed, taken.size, taken.error, radius
        )
        kept_model, kept_state = jax.tree.map(
            lambda old, new: jnp.where(stalled, old, new),
            (model, state),
            (taken.model, moved),
        )
        # The first step pays for what was computed at the start.
        begun = jnp.where(
            state.last_size > 0,
            0,
            _GRADIENTS_AT_FIRST + EVALUATIONS_A_PRODUCT * state.radius.products,
        )
        products = EVALUATIONS_A_PRODUCT * radius.products
        return Step(
            model=kept_model,
            state=kept_state,
            loss=state.loss,
            duration=taken.size,
            gradient_norm=tree_norm(state.gradient),
            evaluations=taken.evaluations + products + begun,
            rejected=taken.attempts - 1,
            stalled=stalled,
        )

    def _attempted(
        self,
        problem: AbstractProblem,
        model: AbstractFactorization,
        state: _FlowState,
        last: _Attempt,
        size: Float[Array, ""],
        radius: Float[Array, ""],
    ) -> _Attempt:
        needed = jnp.sqrt(size * radius / STABILITY + 1).astype(jnp.int32) + 1
        stages = jnp.clip(needed, 2, self._stage_limit(size.dtype))
        table = jnp.asarray(coefficients(self.most_stages), size.dtype)
        moved, loss, gradient = _chebyshev_step(
            problem, model, state, size, table[stages], stages
        )
        reached = jax.tree.map(jnp.add, model, moved)
        wrong = jax.tree.map(
            lambda d, old, new: -0.8 * d - 0.4 * size * (old + new),
            moved,
            state.gradient,
            gradient,
        )
        error = self._error(wrong, model, reached)
        return _Attempt(
            reached,
            gradient,
            loss,
            size,
            jnp.where(jnp.isfinite(loss), error, jnp.nan),
            last.evaluations + stages,
            last.attempts + 1,
        )

    def _error(
        self,
        wrong: AbstractFactorization,
        before: AbstractFactorization,
        after: AbstractFactorization,
    ) -> Float[Array, ""]:
        """The largest error of a component in its tolerance."""
        size = jnp.maximum(before.parameter_norms(), after.parameter_norms())
        rtol, atol = (jnp.asarray(t, size.dtype) for t in (self.rtol, self.atol))
        allowed = atol + rtol * size
        errors = wrong.parameter_norms()
        # A component that is exactly zero stays so, without an error.
        return jnp.max(jnp.where(errors > 0, errors / allowed, errors))

    def _first_size(
        self,
        problem: AbstractProblem,
        model: AbstractFactorization,
        gradient: Any,
        radius: Float[Array, ""],
    ) -> Float[Array, ""]:
        size = jnp.minimum(
            1 / jnp.maximum(radius, np.finfo(radius.dtype).tiny),
            self._longest(radius),
        )
        probe = jax.tree.map(lambda w, g: w - size * g, model, gradient)
        there = eqx.filter_grad(problem.loss)(probe)
        bend = jax.tree.map(lambda a, b: size * (a - b), there, gradient)
        error = self._error(bend, model, probe)
        shorter = 0.1 * size / jnp.sqrt(jnp.maximum(error, 0.01))
        return jnp.where(jnp.isfinite(shorter), shorter, 1e-3 * size)

    def _longest(self, radius: Float[Array, ""]) -> Float[Array, ""]:
        """The longest step that is stable with all stages there are."""
        stages = self._stage_limit(radius.dtype).astype(radius.dtype)
        limit = np.finfo(radius.dtype).max * _LONGEST_SHARE
        stable = STABILITY * (stages**2 - 1) / jnp.maximum(radius, 1 / limit)
        return jnp.minimum(stable, limit)

    def _stage_limit(self, dtype: Any) -> Int[Array, ""]:
        # Rounding errors of a step are about the stages squared times the precision.
        most = jnp.sqrt(jnp.asarray(self.rtol, dtype) / (10 * np.finfo(dtype).eps))
        return jnp.clip(most.astype(jnp.int32), 2, self.most_stages)


def _chebyshev_step(
    problem: AbstractProblem,
    model: AbstractFactorization,
    state: _FlowState,
    size: Float[Array, ""],
    row: Float[Array, "j 4"],
    stages: Int[Array, ""],
) -> tuple[Any, Float[Array, ""], Any]:
    """How far all stages move, and the loss and the gradient there.

    Stages are differences to the start, which round less. The gradient at the end is
    one more round of the same loop, so that it is compiled once.
    """

    def stage(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        last, before, _, _, j = carry
        mu, nu, mu_tilde, gamma_tilde = row[j]
        here = jax.tree.map(jnp.add, model, last)
        loss, slope = eqx.filter_value_and_grad(problem.loss)(here)
        new = jax.tree.map(
            lambda a, b, g, g0: (
                mu * a + nu * b - size * (mu_tilde * g + gamma_tilde * g0)
            ),
            last,
            before,
            slope,
            state.gradient,
        )
        return new, last, loss, slope, j + 1

    first = jax.tree.map(lambda g: -size * row[1, 2] * g, state.gradient)
    start = jax.tree.map(jnp.zeros_like, first)
    _, moved, loss, slope, _ = jax.lax.while_loop(
        lambda carry: carry[4] <= stages + 1,
        stage,
        (first, start, state.loss, state.gradient, jnp.asarray(2, jnp.int32)),
    )
    return moved, loss, slope


def _root(error: Float[Array, ""]) -> Float[Array, ""]:
    return error ** (-1 / (_ORDER + 1))


def _next_size(state: _FlowState, taken: _Attempt) -> Float[Array, ""]:
    """The predictive controller of Watts, as in RKC."""
    # An error of zero would allow any step.
    error = jnp.maximum(taken.error, 1e-6)
    growth = _CARE * _root(error)
    known = state.last_size > 0
    last_size = jnp.where(known, state.last_size, taken.size)
    last_error = jnp.where(known, jnp.maximum(state.last_error, 1e-6), error)
    predicted = growth * taken.size / last_size * _root(error) / _root(last_error)
    growth = jnp.where(known, jnp.minimum(growth, predicted), growth)
    # After a rejection, no growth.
    most = jnp.where(taken.attempts > 1, 1.0, _MOST)
    return taken.size * jnp.clip(growth, _LEAST, most)
