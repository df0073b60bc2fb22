r"""What is taken off the values before components are learned, and put back.

For losses of residuals that is the mean and the scale, and on request main effects: a
number for every slice of every mode, shrunk towards zero. For labels and counts it is
the log-odds or the logarithm of the mean, which predictions begin from.
"""

import math
from dataclasses import dataclass

import numpy as np

from rankrise._typing import Indices, ModeDims, Values
from rankrise.data import Standardization
from rankrise.problems import AbstractLoss, LogisticLoss, PoissonLoss

# Losses whose predictions begin from the offset, in units of their own.
LINKED = (LogisticLoss, PoissonLoss)
_ROUNDS = 20
# Main effects are shrunk as if so many observations of zero were in every slice.
_SHRINKING = 1.0


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
    offset = float(np.mean(values)) if center else 0.0
    rest = values - offset
    if main_effects:
        effects = _main_effects(indices, rest, mode_dims)
        rest = rest - Baseline(0.0, 1.0, effects).at(indices)
    return Baseline(offset, Standardization.fit(rest, center=False).scale, effects)


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
