"""Losses of the residual $z = p - y$ alone."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rankrise._array_namespace import array_namespace
from rankrise._errors import InputError
from rankrise._typing import Values
from rankrise.losses._contract import AbstractLoss


@dataclass(frozen=True)
class SquaredLoss(AbstractLoss):
    r"""$z^2$ with $z = p - y$, without a factor of one half.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> rr.losses.SquaredLoss()(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    array([0., 4.])
    """

    smoothness: ClassVar[int] = 2

    def __call__(self, predictions: Any, values: Any) -> Any:
        return (predictions - values) ** 2

    def majorizer(self, predictions: Values, values: Values) -> tuple[Values, Values]:
        return np.ones_like(predictions), values


@dataclass(frozen=True)
class AbsoluteLoss(AbstractLoss):
    r"""$|z|$ with $z = p - y$.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> rr.losses.AbsoluteLoss()(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    array([0., 2.])
    """

    is_robust: ClassVar[bool] = True
    smoothness: ClassVar[int] = 0

    def __call__(self, predictions: Any, values: Any) -> Any:
        # JAX's absolute value has slope 1 at zero, which would move a perfect fit.
        residuals = predictions - values
        return residuals * array_namespace(residuals).sign(residuals)

    def slopes(self, distances: Values) -> Values:
        return np.ones_like(distances)


@dataclass(frozen=True)
class HuberLoss(AbstractLoss):
    r"""$z^2/2$ for $|z| \le \delta$, else $\delta(|z| - \delta/2)$, with $z = p - y$.

    A threshold above every $|z|$ gives half the squared loss: it changes a run only
    where it is well below the observed values.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> rr.losses.HuberLoss(delta=1.0)(np.array([0.5, 3.0]), np.array([0.0, 0.0]))
    array([0.125, 2.5  ])
    """

    is_robust: ClassVar[bool] = True
    delta: float = 1.0

    def __post_init__(self) -> None:
        _check_delta(self)

    def __call__(self, predictions: Any, values: Any) -> Any:
        return _huber(predictions - values, self.delta)

    def slopes(self, distances: Values) -> Values:
        return np.minimum(distances, self.delta)


@dataclass(frozen=True)
class SmoothL1Loss(AbstractLoss):
    r"""Huber loss divided by $\delta$: $z^2/(2\delta)$, else $|z| - \delta/2$.

    The public code of the paper uses this under the name Huber.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> rr.losses.SmoothL1Loss(delta=2.0)(np.array([1.0, 3.0]), np.array([0.0, 0.0]))
    array([0.25, 2.  ])
    """

    is_robust: ClassVar[bool] = True
    delta: float = 1.0

    def __post_init__(self) -> None:
        _check_delta(self)

    def __call__(self, predictions: Any, values: Any) -> Any:
        return _huber(predictions - values, self.delta) / self.delta

    def slopes(self, distances: Values) -> Values:
        return np.minimum(distances, self.delta) / self.delta


def _huber(residuals: Any, delta: Any) -> Any:
    xp = array_namespace(residuals)
    distance = xp.abs(residuals)
    inside = xp.minimum(distance, delta)
    return inside * (distance - inside / 2)


def _check_delta(loss: HuberLoss | SmoothL1Loss) -> None:
    # A number of NumPy's would turn single precision into double.
    object.__setattr__(loss, "delta", float(loss.delta))
    if not (loss.delta > 0 and math.isfinite(loss.delta)):
        raise InputError(
            f"The loss threshold delta is {loss.delta}; give a positive, finite number."
        )
