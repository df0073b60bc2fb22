r"""How far completed entries are off, from entries that were held out.

The variance of a residual is taken to be a product of one factor a slice, times a
constant, so that rows that are noisier than others have wider intervals.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rankrise._typing import Indices, ModeDims, Values

# A slice's factor is shrunk as if so many typical residuals were in it.
_SHRINKING = 10.0
_ROUNDS = 5
# Of the mean square residual: exact fits leave some.
_LEAST = 1e-12


@dataclass(frozen=True, eq=False)
class Noise:
    r"""$\sigma^2_i = \sigma^2 \prod_n f^n_{i_n}$.

    Attributes
    ----------
    factors
        Of every mode's rows, and one for a row that was never observed.
    ratios
        Held-out residuals over their standard deviations, by size, rising.
    """

    variance: float
    factors: tuple[Values, ...]
    ratios: Values

    def variances(self, indices: Indices) -> Values:
        """Of the residuals at these indices."""
        return _variances(self.variance, self.factors, indices)

    def multiple(self, level: float) -> float:
        """Standard deviations that this share of held-out residuals lies within."""
        count = len(self.ratios)
        place = min(count - 1, int(np.ceil(level * (count + 1))) - 1)
        return float(self.ratios[max(0, place)])


def fit_noise(indices: Indices, residuals: Values, dims: ModeDims) -> Noise:
    """The noise of held-out entries."""
    squares = residuals**2
    variance = float(np.mean(squares))
    factors = [np.ones(dim + 1) for dim in dims]
    if variance > 0:
        least = _LEAST * variance
        for _ in range(_ROUNDS):
            for rows, own in zip(indices.T, factors, strict=True):
                others = _variances(variance, factors, indices)
                ratios = squares / np.maximum(others / own[rows], least)
                sums = np.bincount(rows, ratios, len(own)) + _SHRINKING
                own[:] = sums / (np.bincount(rows, minlength=len(own)) + _SHRINKING)
    deviations = np.sqrt(_variances(variance, factors, indices))
    ratios = np.abs(residuals) / np.where(deviations > 0, deviations, 1)
    return Noise(variance, tuple(factors), np.sort(ratios))


def _variances(variance: float, factors: Sequence[Values], indices: Indices) -> Values:
    total = np.full(len(indices), variance)
    for rows, factor in zip(indices.T, factors, strict=True):
        total *= factor[rows]
    return total
