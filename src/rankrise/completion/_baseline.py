r"""What is taken off the values before components are learned, and put back.

For losses of residuals that is the mean and the scale, and on request main effects: a
number for every slice of every mode, shrunk towards zero. For labels and counts it is
the log-odds or the logarithm of the mean, which predictions begin from.
"""

import math
from dataclasses import dataclass

import numpy as np

from rankrise._typing import Indices, ModeDims, Values
from rankrise.losses import (
    AbsoluteLoss,
    AbstractLoss,
    HuberLoss,
    LogisticLoss,
    PoissonLoss,
    SmoothL1Loss,
)

# Losses whose predictions begin from the offset, in units of their own.
LINKED = (LogisticLoss, PoissonLoss)
# Losses that outliers do not move; nor may they move the offset and the scale.
ROBUST = (AbsoluteLoss, HuberLoss, SmoothL1Loss)
# Standard deviation of normal values over their median absolute deviation.
_NORMAL = 1.4826
_ROUNDS = 20
# Main effects are shrunk as if so many observations of zero were in every slice.
_SHRINKING = 1.0
# Of the largest value.
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Baseline:
    """Predictions are the inverse link of `offset` + effects + `scale` * components.

    Attributes
    ----------
    effects
        Main effects of every mode's slices, in units of the data; none by default.
    """

    offset: float
    scale: float
    effects: tuple[Values, ...] = ()

    def at(self, indices: Indices) -> Values:
        """Offset and main effects."""
        total = np.full(len(indices), self.offset)
        for mode, effect in enumerate(self.effects):
            total += effect[indices[:, mode]]
        return total


def fit_baseline(
    indices: Indices,
    values: Values,
    mode_dims: ModeDims,
    loss: AbstractLoss,
    *,
    center: bool,
    main_effects: bool,
) -> Baseline:
    """The baseline of the entries trained on."""
    if isinstance(loss, LINKED):
        return Baseline(_link(float(np.mean(values)), len(values), loss), 1.0)
    effects: tuple[Values, ...] = ()
    robust = isinstance(loss, ROBUST)
    middle = np.median if robust else np.mean
    offset = float(middle(values)) if center else 0.0
    rest = values - offset
    if main_effects:
        effects = _main_effects(indices, rest, mode_dims)
        rest = rest - Baseline(0.0, 1.0, effects).at(indices)
    scale = _robust_size(rest) if robust else math.sqrt(float(np.mean(rest**2)))
    # Values shown to one model can be all the same but for rounding.
    varies = scale > _ROUNDING * float(np.abs(values).max())
    return Baseline(offset, scale if varies else 1.0, effects)


def _robust_size(values: Values) -> float:
    """What is the standard deviation of normal values, whatever outliers there are."""
    size = float(np.median(np.abs(values))) * _NORMAL
    return size if size > 0 else math.sqrt(float(np.mean(values**2)))


def _link(mean: float, count: int, loss: AbstractLoss) -> float:
    # As if half an observation of either kind were there, so nothing is infinite.
    if isinstance(loss, LogisticLoss):
        ones = mean * count + 0.5
        return math.log(ones / (count + 1 - ones))
    return math.log(mean + 0.5 / count)


def _main_effects(
    indices: Indices, values: Values, mode_dims: ModeDims
) -> tuple[Values, ...]:
    """Mode by mode, the mean of what the other modes leave."""
    effects = [np.zeros(dim) for dim in mode_dims]
    rest = values.copy()
    for _ in range(_ROUNDS):
        for mode, dim in enumerate(mode_dims):
            rows = indices[:, mode]
            rest += effects[mode][rows]
            counts = np.bincount(rows, minlength=dim)
            effects[mode] = np.bincount(rows, rest, dim) / (counts + _SHRINKING)
            rest -= effects[mode][rows]
    return tuple(effects)
