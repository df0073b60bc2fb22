"""Minibatches for any solver."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float, Int, UInt32

from rankrise._errors import InputError
from rankrise.factorizations import AbstractFactorization
from rankrise.problems import AbstractProblem
from rankrise.solvers._contract import AbstractSolver, Step


def _seed(seed: int | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.asarray(seed, np.int64)


class _Epoch(NamedTuple):
    inner: Any
    key: UInt32[Array, "_"]
    permutation: Int[Array, " m"]
    position: Int[Array, ""]


class Minibatch(AbstractSolver[_Epoch]):
    """Another solver's step, on some of the observations at a time.

    The observations are shuffled anew each epoch; the last batch of an epoch is left
    out where it would be smaller than the others.

    Attributes
    ----------
    solver
        Whose step is taken.
    batch_size
        Observations per step.
    seed
        Of the shuffling; every run of a batch of runs sees the same permutation.
    """

    solver: AbstractSolver[Any]
    batch_size: int
    # An array, which is no part of what is compiled.
    seed: int | npt.NDArray[np.int64] = eqx.field(default=0, converter=_seed)

    def init(self, problem: AbstractProblem, model: AbstractFactorization) -> _Epoch:
        if not 1 <= self.batch_size <= problem.observations:
            raise InputError(
                f"The batch size is {self.batch_size} for {problem.observations} "
                "observations; it must lie between 1 and their number."
            )
        key, permutation = self._shuffle(
            problem, jax.random.key_data(jax.random.key(self.seed))
        )
        inner = self.solver.init(problem, model)
        return _Epoch(inner, key, permutation, jnp.zeros((), jnp.int32))

    def step(
        self,
        problem: AbstractProblem,
        model: AbstractFactorization,
        state: _Epoch,
        remaining: Float[Array, ""],
    ) -> Step:
        over = state.position + self.batch_size > problem.observations
        key, permutation = jax.lax.cond(
            over,
            lambda: self._shuffle(problem, state.key),
            lambda: (state.key, state.permutation),
        )
        position = jnp.where(over, 0, state.position)
        rows = jax.lax.dynamic_slice_in_dim(permutation, position, self.batch_size)
        taken = self.solver.step(problem.take(rows), model, state.inner, remaining)
        position = position + self.batch_size
        return taken._replace(state=_Epoch(taken.state, key, permutation, position))

    def _shuffle(
        self, problem: AbstractProblem, key: UInt32[Array, "_"]
    ) -> tuple[UInt32[Array, "_"], Int[Array, " m"]]:
        next_key, use = jax.random.split(jax.random.wrap_key_data(key))
        permutation = jax.random.permutation(use, problem.observations)
        return jax.random.key_data(next_key), permutation.astype(jnp.int32)
