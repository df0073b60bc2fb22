"""Losses of one prediction against one observed value."""

import math
from abc import abstractmethod
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rankrise._errors import InputError
from rankrise._typing import Values


class AbstractLoss(eqx.Module):
    r"""A loss $\ell(p, y)$; a problem takes its weighted mean over observations.

    Attributes
    ----------
    takes_labels
        Whether it is defined for the observed values 0 and 1 only.
    takes_counts
        Whether it is defined for observed values from 0 on only.
    """

    takes_labels: eqx.AbstractClassVar[bool]
    takes_counts: ClassVar[bool] = False

    @abstractmethod
    def __call__(
        self, predictions: Float[Array, "*m"], values: Float[Array, "*m"]
    ) -> Float[Array, "*m"]:
        """Loss of each prediction."""

    def check_values(self, values: Values) -> None:
        """Refuse observed values the loss is not defined for."""
        if self.takes_counts and (values < 0).any():
            row = int(np.argmax(values < 0))
            raise InputError(
                f"Observation {row} has the value {values[row]}, but "
                f"{type(self).__name__} takes counts from 0; choose another loss."
            )
        if not self.takes_labels:
            return
        wrong = (values != 0) & (values != 1)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"Observation {row} has the value {values[row]}, but "
                f"{type(self).__name__} takes labels 0 and 1; recode them or choose "
                "another loss."
            )


class SquaredLoss(AbstractLoss):
    r"""$z^2$ with $z = p - y$, without a factor of one half."""

    takes_labels: ClassVar[bool] = False

    def __call__(
        self, predictions: Float[Array, "*m"], values: Float[Array, "*m"]
    ) -> Float[Array, "*m"]:
        return (predictions - values) ** 2


class AbsoluteLoss(AbstractLoss):
    r"""$|z|$ with $z = p - y$."""

    takes_labels: ClassVar[bool] = False

    def __call__(
        self, predictions: Float[Array, "*m"], values: Float[Array, "*m"]
    ) -> Float[Array, "*m"]:
        # JAX's absolute value has slope 1 at zero, which would move a perfect fit.
        residuals = predictions - values
        return residuals * jnp.sign(residuals)


class HuberLoss(AbstractLoss):
    r"""$z^2/2$ for $|z| \le \delta$, else $\delta(|z| - \delta/2)$, with $z = p - y$.

    A threshold above every $|z|$ leaves half the squared loss: it changes a run only
    where it is well below the observed values.
    """

    takes_labels: ClassVar[bool] = False
    delta: float = 1.0

    def __check_init__(self) -> None:
        _check_delta(self.delta)

    def __call__(
        self, predictions: Float[Array, "*m"], values: Float[Array, "*m"]
    ) -> Float[Array, "*m"]:
        return _huber(predictions, values, self.delta)


class SmoothL1Loss(AbstractLoss):
    r"""Huber loss divided by $\delta$: $z^2/(2\delta)$, else $|z| - \delta/2$.

    The public code of the paper uses this under the name Huber.
    """

    takes_labels: ClassVar[bool] = False
    delta: float = 1.0

    def __check_init__(self) -> None:
        _check_delta(self.delta)

    def __call__(
        self, predictions: Float[Array, "*m"], values: Float[Array, "*m"]
    ) -> Float[Array, "*m"]:
        return _huber(predictions, values, self.delta) / self.delta


class LogisticLoss(AbstractLoss):
    r"""$\log(1 + e^p) - y p$ for labels $y \in \{0, 1\}$: predictions are log-odds."""

    takes_labels: ClassVar[bool] = True

    def __call__(
        self, predictions: Float[Array, "*m"], values: Float[Array, "*m"]
    ) -> Float[Array, "*m"]:
        return jax.nn.softplus(predictions) - values * predictions


class PoissonLoss(AbstractLoss):
    r"""$e^p - y p$ for counts $y \ge 0$: predictions are logarithms of rates."""

    takes_labels: ClassVar[bool] = False
    takes_counts: ClassVar[bool] = True

    def __call__(
        self, predictions: Float[Array, "*m"], values: Float[Array, "*m"]
    ) -> Float[Array, "*m"]:
        return jnp.exp(predictions) - values * predictions


def _huber(
    predictions: Float[Array, "*m"],
    values: Float[Array, "*m"],
    delta: float | Float[Array, ""],
) -> Float[Array, "*m"]:
    distance = jnp.abs(predictions - values)
    inside = jnp.minimum(distance, delta)
    return inside * (distance - inside / 2)


def _check_delta(delta: float) -> None:
    if not (delta > 0 and math.isfinite(delta)):
        raise InputError(
            f"The loss threshold delta is {delta}; give a positive, finite number."
        )
