"""Losses whose predictions are log-odds or logarithms of the mean."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rankrise._array_namespace import array_namespace
from rankrise._typing import Values
from rankrise.losses._contract import SMALL, AbstractLoss


@dataclass(frozen=True)
class LogisticLoss(AbstractLoss):
    r"""$\log(1 + e^p) - y p$ for labels $y \in \{0, 1\}$: predictions are log-odds."""

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
    r"""$e^p - y p$ for counts $y \ge 0$: predictions are logarithms of rates."""

    takes_counts: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    is_linked: ClassVar[bool] = True
    smoothness: ClassVar[int] = 2

    def __call__(self, predictions: Any, values: Any) -> Any:
        # As in JAX, what overflows is infinite and no warning.
        with np.errstate(over="ignore"):
            rates = array_namespace(predictions, values).exp(predictions)
        return rates - values * predictions

    def mean(self, predictions: Values) -> Values:
        with np.errstate(over="ignore"):
            return np.exp(predictions)

    def link_of_mean(self, mean: float, count: int) -> float:
        # As if half an observation were there, so nothing is infinite.
        return math.log(mean + 0.5 / count)

    def majorizer(self, predictions: Values, values: Values) -> tuple[Values, Values]:
        # There is no bound. Taking the count where it is larger keeps a step from a
        # rate far too small from being as far too large.
        rates = self.mean(predictions)
        curvatures = np.maximum(rates, values)
        with np.errstate(invalid="ignore"):
            return curvatures / 2, predictions - (rates - values) / curvatures
