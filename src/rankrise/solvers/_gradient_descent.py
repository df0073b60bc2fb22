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
    r"""One step is $W \leftarrow W - \eta \nabla \phi(W)$.

    Examples
    --------
    >>> import jax, rankrise as rr
    >>> target = rr.synthetic.random_target((4, 4, 4), cp_rank=1, seed=0)
    >>> indices = rr.synthetic.sample_indices((4, 4, 4), 40, seed=0)
    >>> seen = rr.synthetic.observe(target, indices, seed=0)
    >>> problem = rr.CompletionProblem.from_observations(seen)
    >>> key = jax.random.key(0)
    >>> start = rr.factorizations.near_zero((4, 4, 4), 3, init_scale=0.1, key=key)
    >>> trajectory = rr.solve(problem, start, rr.GradientDescent(0.1), max_steps=200)
    >>> bool(trajectory.loss[-1] < trajectory.loss[0])
    True
    """

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
