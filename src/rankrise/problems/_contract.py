"""What every problem offers to solvers and observables."""

import math
from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from rankrise._compiling import prepare
from rankrise._errors import InputError, reason
from rankrise._tracing import compiling
from rankrise._typing import ModeDims, Values
from rankrise.factorizations import AbstractFactorization
from rankrise.losses import AbstractLoss, SquaredLoss


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

    # Traced once for a shape, rather than by every loop and derivative anew.
    @eqx.filter_jit
    def loss(self, model: AbstractFactorization) -> Float[Array, ""]:
        r"""$\mathcal{L}(\mathcal{W}_e)$."""
        return self.loss_at(self.predictions(model))

    def loss_at(self, predictions: Float[Array, " m"]) -> Float[Array, ""]:
        """The weighted mean of the losses of these predictions."""
        losses = self.loss_function(predictions, self.values)
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
        """Refuse what is no factorization of these mode dimensions and precision."""
        if not isinstance(model, AbstractFactorization):
            raise InputError(
                f"A start is of type {type(model).__name__}; give a factorization, "
                "such as `near_zero` makes."
            )
        for leaf in jax.tree.leaves(model):
            if not eqx.is_array(leaf):
                raise InputError(
                    f"{type(model).__name__} has a field with {leaf!r}, which is no "
                    "parameter; declare it by `eqx.field(static=True)`."
                )
            if not jnp.issubdtype(leaf.dtype, jnp.floating):
                raise InputError(
                    f"{type(model).__name__} has an array of {leaf.dtype} among its "
                    "fields; parameters are floating-point numbers, so convert it."
                )
        if model.mode_dims != self.mode_dims:
            raise InputError(
                f"The factorization has mode dimensions {model.mode_dims} but the "
                f"problem has {self.mode_dims}; build it with "
                "`near_zero(problem.mode_dims, ...)`."
            )
        kinds = {leaf.dtype for leaf in jax.tree.leaves(model)}
        if kinds != {self.values.dtype}:
            raise InputError(
                f"The factorization is in {', '.join(sorted(map(str, kinds)))} but the "
                f"problem in {self.values.dtype}; build both under one precision."
            )


def problem_scale(problem: AbstractProblem) -> float:
    """Frobenius norm the observations suggest for the whole tensor.

    Root mean square of the observed values times the root of the number of entries:
    unbiased in the square for entries, and for both kinds of sensing.
    """
    entries = math.prod(problem.mode_dims)
    return math.sqrt(float(jnp.mean(problem.values**2)) * entries)


def checked_loss(loss_function: AbstractLoss | None, values: Values) -> AbstractLoss:
    """The loss, squared by default, of values that fit it, and which JAX can take."""
    loss = SquaredLoss() if loss_function is None else loss_function
    name, some = type(loss).__name__, jnp.zeros(2)
    if not isinstance(loss, AbstractLoss) or type(loss).__hash__ is None:
        raise InputError(
            f"The loss is {loss!r}; give one such as `SquaredLoss()`, or of a class of "
            "your own that is an `AbstractLoss` and a frozen dataclass."
        )
    loss.check_values(values)
    try:
        with compiling(f"The loss {name}"):
            losses = jax.eval_shape(loss, some, some)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"The loss {name} fails on two predictions and two values "
            f"({reason(error)}); it has to take arrays of any equal length."
        ) from error
    fits = getattr(losses, "shape", None) == some.shape
    if not (fits and jnp.issubdtype(losses.dtype, jnp.floating)):
        raise InputError(
            f"The loss {name} gives {losses} for predictions of shape {some.shape}; "
            "one loss of each prediction, a real number, is needed, for the problem "
            "takes the mean."
        )
    return loss


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
