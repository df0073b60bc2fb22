"""Gradient descent with a fixed learning rate."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rankrise.factorizations import AbstractFactorization
from rankrise.problems import AbstractProblem
from rankrise.solvers._contract import AbstractSolver, Step, tree_norm
from rankrise.solvers._learning_rate import check_learning_rate


class GradientDescent(AbstractSolver[None]):
    r"""One step is $W \leftarrow W - \eta \nabla \phi(W)$."""

    learning_rate: float | Float[Array, ""]

    def __check_init__(self) -> None:
        check_learning_rate(self.learning_rate)

    def step(
        self,
        problem: AbstractProblem,
        model: AbstractFactorization,
        state: None,
        remaining: Float[Array, ""],
    ) -> Step:
        loss, gradient = eqx.filter_value_and_grad(problem.loss)(model)
        updates = jax.tree.map(lambda slope: -self.learning_rate * slope, gradient)
        moved = eqx.apply_updates(model, updates)
        duration = jnp.asarray(self.learning_rate, loss.dtype)
        return Step(moved, state, loss, duration, tree_norm(gradient))
