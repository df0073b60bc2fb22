"""What every problem offers to solvers and observables."""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from rankrise._compiling import prepare
from rankrise._errors import InputError
from rankrise._typing import ModeDims, Values
from rankrise.factorizations import AbstractFactorization
from rankrise.losses import AbstractLoss


class AbstractProblem(eqx.Module):
    r"""Observations of a tensor, and a loss $\mathcal{L}$ for end tensors.

    The loss is the weighted mean of `loss_function` over observations.
    """

    values: eqx.AbstractVar[Float[Array, " m"]]
    weights: eqx.AbstractVar[Float[Array, " m"] | None]
    mode_dims: eqx.AbstractVar[ModeDims]
    loss_function: eqx.AbstractVar[AbstractLoss]

    @abstractmethod
    def predictions(self, model: AbstractFactorization) -> Float[Array, " m"]:
        """What the factorization says each observation is."""

    @abstractmethod
    def take(self, rows: Int[Array, " b"]) -> "AbstractProblem":
        """The problem of some of the observations, for minibatches."""

    @property
    def observations(self) -> int:
        """How many observations."""
        return int(self.values.shape[0])

    def loss(self, model: AbstractFactorization) -> Float[Array, ""]:
        r"""$\mathcal{L}(\mathcal{W}_e)$."""
        losses = self.loss_function(self.predictions(model), self.values)
        if self.weights is None:
            return jnp.mean(losses)
        total = jnp.sum(self.weights)
        # Every observation of a minibatch may have the weight zero: it asks nothing.
        return jnp.sum(self.weights * losses) / jnp.where(total > 0, total, 1)

    def relative_error(self, model: AbstractFactorization) -> Float[Array, ""]:
        """Euclidean norm of the residuals over that of the observed values.

        A perfect fit has 0; any other of observed values that are all zero, infinity.
        """
        missed = jnp.sum((self.predictions(model) - self.values) ** 2)
        size = jnp.sum(self.values**2)
        # A derivative takes both branches of a choice, so neither may divide by zero
        # or take the root of it. A run that diverged has NaN in `missed`, and keeps it.
        ratio = jnp.where(missed == 0, 1, missed) / jnp.where(size > 0, size, 1)
        error = jnp.where(size > 0, jnp.sqrt(ratio), jnp.inf)
        return jnp.where(missed == 0, 0, error)

    def check_model(self, model: AbstractFactorization) -> None:
        """Refuse a factorization of other mode dimensions or another precision."""
        if model.mode_dims != self.mode_dims:
            raise InputError(
                f"The factorization has mode dimensions {model.mode_dims} but the "
                f"problem has {self.mode_dims}; build it with "
                "`near_zero(problem.mode_dims, ...)`."
            )
        kinds = {leaf.dtype for leaf in _arrays(model)}
        if kinds != {self.values.dtype}:
            raise InputError(
                f"The factorization is in {', '.join(sorted(map(str, kinds)))} but the "
                f"problem in {self.values.dtype}; build both under one precision."
            )


def _arrays(model: AbstractFactorization) -> list[Array]:
    return [leaf for leaf in jax.tree.leaves(model) if eqx.is_array(leaf)]


def as_values(values: Values) -> Float[Array, " m"]:
    """Observed values on the device, in JAX's current floating-point precision."""
    prepare()
    with np.errstate(over="ignore"):  # refused below, by number
        converted = jnp.asarray(values, dtype=float)
    if not np.isfinite(converted).all():
        row = int(np.argmin(np.isfinite(converted)))
        raise InputError(
            f"Observation {row} has the value {values[row]}, which is not finite in "
            f"{converted.dtype}; scale the values down or use float64."
        )
    return converted


def as_weights(weights: Values | None) -> Float[Array, " m"] | None:
    """Observation weights on the device."""
    return None if weights is None else jnp.asarray(weights, dtype=float)
