"""Losses of labels and counts, by the link between predictions and means."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rankrise._array_namespace import array_namespace
from rankrise._typing import Values
from rankrise.losses._contract import SMALL, AbstractLoss

# Rates nearer to zero count as this, so that all logarithms are finite.
_LEAST_RATE = 1e-37
# Share of their mean that additive rates begin from.
_BACKGROUND = 0.01


@dataclass(frozen=True)
class LogisticLoss(AbstractLoss):
    r"""$\log(1 + e^p) - y p$ for labels $y \in \{0, 1\}$: predictions are log-odds.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> rr.losses.LogisticLoss()(np.array([0.0, 10.0]), np.array([1.0, 1.0])).round(4)
    array([0.6931, 0.    ])
    """

    takes_labels: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    is_linked: ClassVar[bool] = True
    smoothness: ClassVar[int] = 2

    def __call__(self, predictions: Any, values: Any) -> Any:
        softplus = array_namespace(predictions, values).logaddexp(predictions, 0.0)
        return softplus - values * predictions

    def mean(self, predictions: Values) -> Values:
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-predictions))

    def link_of_mean(self, mean: float, count: int) -> float:
        # As if half an observation of either kind were there, so nothing is infinite.
        ones = mean * count + 0.5
        return math.log(ones / (count + 1 - ones))

    def majorizer(self, predictions: Values, values: Values) -> tuple[Values, Values]:
        # The bound of Jaakkola and Jordan (2000), which touches at both signs.
        distances = np.abs(predictions)
        np.maximum(distances, SMALL, out=distances)
        weights = np.tanh(0.5 * distances)
        weights /= 4 * distances
        # The slope is tanh(p/2)/2 + 1/2 - y, whose first part leads to zero.
        return weights, (values - 0.5) / (2 * weights)


@dataclass(frozen=True)
class PoissonLoss(AbstractLoss):
    r"""$e^p - y p - y + y \log y$ for counts: predictions are logarithms of rates.

    Components multiply rates. It is half the deviance, which is zero where the rate is
    the count: minus the log-likelihood but for a constant.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> loss = rr.losses.PoissonLoss()
    >>> loss(np.log([4.0, 2.0]), np.array([4.0, 4.0])).round(4) + 0.0
    array([0.    , 0.7726])
    """

    takes_counts: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    is_linked: ClassVar[bool] = True
    has_bound: ClassVar[bool] = False
    smoothness: ClassVar[int] = 2

    def __call__(self, predictions: Any, values: Any) -> Any:
        # As in JAX, what overflows is infinite and no warning.
        with np.errstate(over="ignore"):
            rates = array_namespace(predictions, values).exp(predictions)
        return rates - values * predictions - values + _times_own_logarithm(values)

    def mean(self, predictions: Values) -> Values:
        with np.errstate(over="ignore"):
            return np.exp(predictions)

    def link_of_mean(self, mean: float, count: int) -> float:
        # As if half an observation were there, so nothing is infinite.
        return math.log(mean + 0.5 / count)

    def majorizer(self, predictions: Values, values: Values) -> tuple[Values, Values]:
        # Taking the count where it is larger keeps a step from a rate far too small
        # from being as far too large.
        rates = self.mean(predictions)
        curvatures = np.maximum(rates, values)
        with np.errstate(invalid="ignore"):
            return curvatures / 2, predictions - (rates - values) / curvatures


@dataclass(frozen=True)
class IdentityPoissonLoss(AbstractLoss):
    r"""$p - y \log p - y + y \log y$ for counts: predictions are rates.

    Components add to rates, so factors are non-negative, as in CP-APR (Chi and Kolda
    2012) and generalized CP with identity link (Hong, Kolda and Duersch 2020). Rates
    begin from a background of one percent of the mean, so a count where no component
    is has a finite loss. Its values compare with those of `PoissonLoss`.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> loss = rr.losses.IdentityPoissonLoss()
    >>> loss(np.array([4.0, 2.0]), np.array([4.0, 4.0])).round(4) + 0.0
    array([0.    , 0.7726])
    """

    takes_counts: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    is_linked: ClassVar[bool] = True
    is_additive: ClassVar[bool] = True
    has_bound: ClassVar[bool] = False
    smoothness: ClassVar[int] = 2

    def __call__(self, predictions: Any, values: Any) -> Any:
        xp = array_namespace(predictions, values)
        logarithms = xp.log(xp.maximum(predictions, _LEAST_RATE))
        return predictions - values * logarithms - values + _times_own_logarithm(values)

    def mean(self, predictions: Values) -> Values:
        return np.maximum(predictions, 0)

    def link_of_mean(self, mean: float, count: int) -> float:
        return mean + 0.5 / count

    def start(self, mean: float, count: int) -> float:
        return _BACKGROUND * self.link_of_mean(mean, count)

    def majorizer(self, predictions: Values, values: Values) -> tuple[Values, Values]:
        # The variance of a count is its rate, and a step from above it ends at the
        # count; one from below doubles the rate at most.
        rates = np.maximum(predictions, _LEAST_RATE)
        weights = np.maximum(rates, values) / rates**2 / 2
        return weights, predictions - (1 - values / rates) / (2 * weights)


def negative_log_likelihood(rates: Values, counts: Values) -> Values:
    """For Poisson counts, all constants included; zero rates count as tiny ones."""
    found, places = np.unique(counts, return_inverse=True)
    constants = np.array([math.lgamma(count + 1) for count in found.tolist()])
    logarithms = np.log(np.maximum(rates, _LEAST_RATE))
    return np.asarray(rates - counts * logarithms + constants[places])


def _times_own_logarithm(counts: Any) -> Any:
    xp = array_namespace(counts)
    return counts * xp.log(xp.maximum(counts, _LEAST_RATE))
