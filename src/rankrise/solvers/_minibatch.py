"""Minibatches for any solver."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt32

from rankrise._errors import InputError
from rankrise._tracing import compiling
from rankrise.factorizations import AbstractFactorization
from rankrise.problems import AbstractProblem
from rankrise.solvers._contract import AbstractSolver, Step


def _seed(seed: int | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.asarray(seed, np.int64)


class _Epoch(NamedTuple):
    inner: Any
    key: UInt32[Array, "_"]
    rows: Int[Array, " rows"]
    position: Int[Array, ""]


def shuffled(key: PRNGKeyArray, problem: AbstractProblem) -> Int[Array, " m"]:
    """All observations in random order."""
    return jax.random.permutation(key, problem.observations)


class Minibatch(AbstractSolver[_Epoch]):
    """Another solver's step, on some of the observations at a time.

    The last batch of an epoch is left out where it would be smaller than the others.

    Attributes
    ----------
    solver
        The solver whose step is taken.
    batch_size
        Observations per step.
    seed
        Seed of the order; every run of a batch of runs sees the same one.
    order
        Called as `order(key, problem)` before each epoch, it gives the rows of its
        observations, in any number, one after another; all of them shuffled by
        default. Rows out of range are not detected.

    Examples
    --------
    >>> import jax, rankrise as rr
    >>> target = rr.synthetic.random_target((4, 4, 4), cp_rank=1, seed=0)
    >>> indices = rr.synthetic.sample_indices((4, 4, 4), 40, seed=0)
    >>> seen = rr.synthetic.observe(target, indices, seed=0)
    >>> problem = rr.CompletionProblem.from_observations(seen)
    >>> key = jax.random.key(0)
    >>> start = rr.factorizations.near_zero((4, 4, 4), 3, init_scale=0.1, key=key)
    >>> solver = rr.Minibatch(rr.GradientDescent(0.1), batch_size=8)
    >>> trajectory = rr.solve(problem, start, solver, max_steps=200)
    >>> bool(trajectory.loss[-1] < trajectory.loss[0])
    True
    """

    solver: AbstractSolver[Any]
    batch_size: int
    # An array, which is no part of what is compiled.
    seed: int | npt.NDArray[np.int64] = eqx.field(default=0, converter=_seed)
    order: Callable[[Any, Any], Any] = shuffled

    def init(self, problem: AbstractProblem, model: AbstractFactorization) -> _Epoch:
        key, rows = self._ordered(
            problem, jax.random.key_data(jax.random.key(self.seed))
        )
        if not 1 <= self.batch_size <= len(rows):
            raise InputError(
                f"The batch size is {self.batch_size} for {len(rows)} "
                "observations; it must lie between 1 and their number."
            )
        inner = self.solver.init(problem, model)
        return _Epoch(inner, key, rows, jnp.zeros((), jnp.int32))

    def step(
        self,
        problem: AbstractProblem,
        model: AbstractFactorization,
        state: _Epoch,
        remaining: Float[Array, ""],
    ) -> Step:
        over = state.position + self.batch_size > len(state.rows)
        key, rows = jax.lax.cond(
            over,
            lambda: self._ordered(problem, state.key),
            lambda: (state.key, state.rows),
        )
        position = jnp.where(over, 0, state.position)
        batch = jax.lax.dynamic_slice_in_dim(rows, position, self.batch_size)
        taken = self.solver.step(problem.take(batch), model, state.inner, remaining)
        position = position + self.batch_size
        return taken._replace(state=_Epoch(taken.state, key, rows, position))

    def _ordered(
        self, problem: AbstractProblem, key: UInt32[Array, "_"]
    ) -> tuple[UInt32[Array, "_"], Int[Array, " rows"]]:
        next_key, use = jax.random.split(jax.random.wrap_key_data(key))
        with compiling("The order of a minibatch"):
            rows = jnp.asarray(self.order(use, problem))
        if rows.ndim != 1 or rows.dtype.kind not in "iu":
            raise InputError(
                f"The order of a minibatch gives an array of shape {rows.shape} "
                f"({rows.dtype}); give one list of whole numbers, rows from 0."
            )
        return jax.random.key_data(next_key), rows.astype(jnp.int32)
