"""Gradient descent with the adaptive learning rate of the paper's runs."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rankrise._checks import check_real
from rankrise._errors import InputError
from rankrise.factorizations import AbstractFactorization
from rankrise.problems import AbstractProblem
from rankrise.solvers._contract import AbstractSolver, Step
from rankrise.solvers._learning_rate import check_learning_rate

# At a near-zero start the root of the average is far below this constant of the
# paper's rule, so it sets how many steps the first rise takes.
_STABILIZER = 1e-6


class _Average(NamedTuple):
    squared_norm: Float[Array, ""]
    steps: Int[Array, ""]


class AdaptiveGradientDescent(AbstractSolver[_Average]):
    r"""Gradient descent whose learning rate follows the size of the gradient.

    With $g$ the gradient by all parameters and $a$ the `decay`,
    $v_t = a v_{t-1} + (1-a) \|g\|^2$ and
    $\eta_t = \eta / (\sqrt{v_t / (1 - a^t)} + 10^{-6})$: one learning rate for all
    parameters, so the direction, and the theory of gradient flow, is untouched
    (Razin et al. 2021, Appendix on experiments).

    A `weight_decay` $\lambda$ stands for the objective $\phi + \lambda \|w\|^2 / 2$:
    as in the authors' public code, $\lambda w$ is a part of the gradient $g$, in its
    size as in its direction. The loss that is recorded is without it.
    """

    learning_rate: float | Float[Array, ""] = 0.01
    decay: float | Float[Array, ""] = 0.99
    weight_decay: float | Float[Array, ""] = 0.0

    def __check_init__(self) -> None:
        check_learning_rate(self.learning_rate)
        check_real("The decay", self.decay)
        check_real("The weight decay", self.weight_decay)
        if not 0 < self.decay < 1:
            raise InputError(f"The decay is {self.decay}; it must lie between 0 and 1.")
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(
                f"The weight decay is {self.weight_decay}; give a finite number from 0."
            )

    def init(self, problem: AbstractProblem, model: AbstractFactorization) -> _Average:
        dtype = problem.values.dtype
        return _Average(jnp.zeros((), dtype), jnp.zeros((), jnp.int32))

    def step(
        self,
        problem: AbstractProblem,
        model: AbstractFactorization,
        state: _Average,
        remaining: Float[Array, ""],
    ) -> Step:
        loss, gradient = eqx.filter_value_and_grad(problem.loss)(model)
        gradient = jax.tree.map(
            lambda slope, w: slope + self.weight_decay * w, gradient, model
        )
        squared_norm = sum(
            (jnp.sum(slope * slope) for slope in jax.tree.leaves(gradient)),
            start=jnp.zeros((), loss.dtype),
        )
        decay = jnp.asarray(self.decay, loss.dtype)
        average = decay * state.squared_norm + (1 - decay) * squared_norm
        steps = state.steps + 1
        # 1 - a^t, without cancellation in the first steps.
        correction = -jnp.expm1(steps.astype(loss.dtype) * jnp.log(decay))
        rate = self.learning_rate / (jnp.sqrt(average / correction) + _STABILIZER)
        moved = jax.tree.map(lambda w, slope: w - rate * slope, model, gradient)
        norm = jnp.sqrt(squared_norm)
        return Step(moved, _Average(average, steps), loss, rate, norm)
