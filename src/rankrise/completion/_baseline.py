r"""What is taken off the values before components are learned, and put back.

For losses of residuals that is the mean and the scale, and on request main effects: a
number for every slice of every mode, shrunk towards zero. For labels and counts it is
the log-odds or the logarithm of the mean, which predictions begin from.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankrise._typing import Indices, ModeDims, Values
from rankrise.losses import AbstractLoss

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
        Main effects of every mode's rows, in units of the data, and zero for a row that
        was never observed; none by default.
    """

    offset: float
    scale: float
    effects: tuple[Values, ...] = ()

    def taken_off(self, indices: Indices, values: Values) -> Values:
        """Values of observations in units of `scale`."""
        rest = values - self.offset
        for rows, effect in zip(indices.T, self.effects, strict=False):
            rest -= effect[rows]
        rest /= self.scale
        return rest

    def at(self, indices: Indices) -> Values:
        """Offset and main effects."""
        total = np.full(len(indices), self.offset)
        for mode, effect in enumerate(self.effects):
            total += effect[indices[:, mode]]
        return total


def fit_baseline(
    indices: Indices,
    values: Values,
    shown: npt.NDArray[np.bool_],
    dims: ModeDims,
    loss: AbstractLoss,
    *,
    center: bool,
    main_effects: bool,
) -> Baseline:
    """The baseline of the entries that are shown."""
    values = values[shown]
    if loss.is_linked:
        return Baseline(loss.link_of_mean(float(np.mean(values)), len(values)), 1.0)
    effects: tuple[Values, ...] = ()
    middle = np.median if loss.is_robust else np.mean
    offset = float(middle(values)) if center else 0.0
    rest = values - offset
    if main_effects:
        effects = _main_effects(indices[shown], rest, dims)
        rest = rest - Baseline(0.0, 1.0, effects).at(indices[shown])
    scale = math.sqrt(float(np.einsum("i,i", rest, rest)) / len(rest))
    if loss.is_robust:
        scale = float(np.median(np.abs(rest))) * _NORMAL or scale
    # Values shown to one model can be all the same but for rounding.
    varies = scale > _ROUNDING * float(np.abs(values).max())
    return Baseline(offset, scale if varies else 1.0, effects)


def _main_effects(
    indices: Indices, values: Values, dims: ModeDims
) -> tuple[Values, ...]:
    """Mode by mode, the mean of what the other modes leave."""
    effects = [np.zeros(dim + 1) for dim in dims]
    rest = values.copy()
    for _ in range(_ROUNDS):
        for rows, effect in zip(indices.T, effects, strict=True):
            rest += effect[rows]
            counts = np.bincount(rows, minlength=len(effect))
            effect[:] = np.bincount(rows, rest, len(effect)) / (counts + _SHRINKING)
            rest -= effect[rows]
    return tuple(effects)
