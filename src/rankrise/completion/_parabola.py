"""Least squares that stand for a loss, touching it at the predictions."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rankrise.losses import (
    AbsoluteLoss,
    AbstractLoss,
    HuberLoss,
    LogisticLoss,
    PoissonLoss,
    SmoothL1Loss,
    SquaredLoss,
)

# Nearer to zero than this, a quotient is taken at this distance.
_SMALL = 1e-6
_SYMMETRIC = (SquaredLoss, AbsoluteLoss, HuberLoss, SmoothL1Loss)


def parabola(
    loss: AbstractLoss, predictions: Float[Array, "*m"], values: Float[Array, "*m"]
) -> tuple[Float[Array, "*m"], Float[Array, "*m"]]:
    """$a$ and $t$ of $a (q - t)^2$ with the slope that the loss has at a prediction.

    For all losses but Poisson's the parabola that touches there lies above the loss, so
    minimizing it lowers the loss (iteratively reweighted least squares).
    """
    if isinstance(loss, _SYMMETRIC):
        residuals = predictions - values
        near = jnp.abs(residuals) < _SMALL
        residuals = jnp.where(near, _SMALL, residuals)
        return _slopes(loss, values + residuals, values) / (2 * residuals), values
    if isinstance(loss, LogisticLoss):
        # The bound of Jaakkola and Jordan (2000), which touches at both signs.
        near = jnp.abs(predictions) < _SMALL
        halves = jnp.where(near, _SMALL, predictions) / 2
        curvature = jnp.tanh(halves) / (4 * halves)
    elif isinstance(loss, PoissonLoss):
        # There is no bound. Taking the count where it is larger keeps a step from a
        # rate far too small from being as far too large.
        curvature = jnp.maximum(jnp.exp(predictions), values)
    else:
        raise TypeError(f"There is no parabola for {type(loss).__name__}.")
    return curvature / 2, predictions - _slopes(loss, predictions, values) / curvature


def _slopes(loss: AbstractLoss, predictions: Array, values: Array) -> Array:
    _, back = jax.vjp(lambda p: loss(p, values), predictions)
    return back(jnp.ones_like(predictions))[0]
