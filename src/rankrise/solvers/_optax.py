"""Any optax optimizer as a solver."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from rankrise.factorizations import AbstractFactorization
from rankrise.problems import AbstractProblem
from rankrise.solvers._contract import AbstractSolver, Step, tree_norm


class OptaxDescent(AbstractSolver[optax.OptState]):
    """The update rule of an optax optimizer (Adam, momentum, a schedule, ...).

    Such rules scale parameters apart or remember old gradients, so they have no
    reading on the clock of gradient flow: a trajectory's `time` is NaN. Numbers that
    the optimizer closes over are rounded to the precision of the problem before the
    rule computes with them, as by `optax.inject_hyperparams`.

    Examples
    --------
    >>> import jax, optax, rankrise as rr
    >>> target = rr.synthetic.random_target((4, 4, 4), cp_rank=1, seed=0)
    >>> indices = rr.synthetic.sample_indices((4, 4, 4), 40, seed=0)
    >>> seen = rr.synthetic.observe(target, indices, seed=0)
    >>> problem = rr.CompletionProblem.from_observations(seen)
    >>> key = jax.random.key(0)
    >>> start = rr.factorizations.near_zero((4, 4, 4), 3, init_scale=0.1, key=key)
    >>> adam = rr.OptaxDescent(optax.adam(0.01))
    >>> trajectory = rr.solve(problem, start, adam, max_steps=200)
    >>> bool(trajectory.loss[-1] < trajectory.loss[0])
    True
    """

    optimizer: optax.GradientTransformation

    def init(
        self, problem: AbstractProblem, model: AbstractFactorization
    ) -> optax.OptState:
        return self.optimizer.init(model)

    def step(
        self,
        problem: AbstractProblem,
        model: AbstractFactorization,
        state: optax.OptState,
        remaining: Float[Array, ""],
    ) -> Step:
        loss, gradient = eqx.filter_value_and_grad(problem.loss)(model)
        parameters: Any = model
        # optax counts steps in integers and divides by them: no strict promotion.
        with jax.numpy_dtype_promotion("standard"):
            updates, state = self.optimizer.update(gradient, state, parameters)
        moved = eqx.apply_updates(model, updates)
        no_time = jnp.full((), jnp.nan, loss.dtype)
        return Step(moved, state, loss, no_time, tree_norm(gradient))
