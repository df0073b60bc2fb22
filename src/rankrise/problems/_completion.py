"""Tensor completion: the observations are entries."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rankrise._typing import ModeDims
from rankrise.factorizations import AbstractFactorization
from rankrise.losses import AbstractLoss
from rankrise.problems._contract import (
    AbstractProblem,
    as_values,
    as_weights,
    checked_loss,
)
from rankrise.problems._loss_tree import as_tree
from rankrise.tensors import Observations


class CompletionProblem(AbstractProblem):
    """Find the tensor from some of its entries. Build one with `from_observations`.

    Examples
    --------
    >>> import rankrise as rr
    >>> target = rr.synthetic.random_target((4, 4, 4), cp_rank=1, seed=0)
    >>> indices = rr.synthetic.sample_indices((4, 4, 4), 40, seed=0)
    >>> seen = rr.synthetic.observe(target, indices, seed=0)
    >>> problem = rr.CompletionProblem.from_observations(seen)
    >>> problem.observations, problem.mode_dims
    (40, (4, 4, 4))
    """

    indices: Int[Array, "m order"]
    values: Float[Array, " m"]
    mode_dims: ModeDims = eqx.field(static=True)
    loss_function: AbstractLoss = eqx.field(converter=as_tree)
    weights: Float[Array, " m"] | None

    @classmethod
    def from_observations(
        cls, observations: Observations, loss_function: AbstractLoss | None = None
    ) -> "CompletionProblem":
        """The problem of these observed entries, squared loss by default."""
        loss_function = checked_loss(loss_function, observations.values)
        return cls(
            indices=jnp.asarray(observations.indices),
            values=as_values(observations.values),
            mode_dims=observations.mode_dims,
            loss_function=loss_function,
            weights=as_weights(observations.weights),
        )

    @eqx.filter_jit
    def predictions(self, model: AbstractFactorization) -> Float[Array, " m"]:
        return model.entries(self.indices)

    def take(self, rows: Int[Array, " b"]) -> "CompletionProblem":
        return CompletionProblem(
            indices=self.indices[rows],
            values=self.values[rows],
            mode_dims=self.mode_dims,
            loss_function=self.loss_function,
            weights=None if self.weights is None else self.weights[rows],
        )
