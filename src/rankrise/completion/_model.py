r"""One model of a tensor: its baseline, its components, and how far it is off.

The baseline is what is taken off the values before components are learned, and put
back. For losses of residuals that is the mean and the scale, and on request main
effects: a number for every slice of every mode, shrunk towards zero. For labels and
counts it is the log-odds or the logarithm of the mean, which predictions begin from.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rankrise._defaults import RISEN_SHARE
from rankrise._typing import Indices, ModeDims, Values
from rankrise.completion._arrangement import Rows, stacked, sums_of_components
from rankrise.completion._path import Path
from rankrise.completion._settings import Centering
from rankrise.losses import AbstractLoss

# Standard deviation of normal values over their median absolute deviation.
_NORMAL = 1.4826
# Rounds of fitting main effects.
_ROUNDS = 20
# Main effects are shrunk as if every slice had this many observations of zero more.
_SHRINKING = 1.0
# A component with a larger cosine to a constant tensor is nearly constant.
_CONSTANT = 0.95
# Of the largest value.
_ROUNDING = 1e-12


class Variant(NamedTuple):
    """How models are fitted, where held-out entries decide it.

    Attributes
    ----------
    smooth
        Whether neighbouring rows may be alike.
    loss
        The name of one of the losses of the settings.
    """

    smooth: bool
    loss: str
    centering: Centering


# The number of the part that is held out, and the variant: which model it is.
Key = tuple[int, Variant]


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
    rest = values[shown]
    if loss.is_linked:
        return Baseline(loss.start(float(np.mean(rest)), len(rest)), 1.0)
    effects: tuple[Values, ...] = ()
    middle = np.median if loss.is_robust else np.mean
    offset = float(middle(rest)) if center else 0.0
    largest = max(float(rest.max()), -float(rest.min()))
    rest -= offset
    if main_effects:
        effects = _main_effects(indices[shown], rest, dims)
        rest -= Baseline(0.0, 1.0, effects).at(indices[shown])
    scale = math.sqrt(float(np.einsum("i,i", rest, rest)) / len(rest))
    if loss.is_robust:
        scale = float(np.median(np.abs(rest))) * _NORMAL or scale
    # Values shown to one model can be all the same but for rounding.
    varies = scale > _ROUNDING * largest
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


@dataclass(frozen=True, eq=False)
class Model:
    """A sum of components over rows that were observed.

    Attributes
    ----------
    number
        Which part it was not shown.
    smooth
        Whether neighbouring rows could be alike.
    path
        How it was found, in standardized units.
    factors
        In units of the data, mode after mode and by falling norm; the last row of every
        mode is zero and stands for all that were never observed.
    """

    rows: Rows
    number: int
    smooth: bool
    baseline: Baseline
    path: Path
    factors: tuple[Values, ...]

    @classmethod
    def at_best(
        cls, rows: Rows, path: Path, baseline: Baseline, number: int, smooth: bool
    ) -> "Model":
        """The best point of a path, in units of the data."""
        share = baseline.scale ** (1 / len(rows.dims))
        factors = tuple(
            np.pad(share * matrix, ((0, 1), (0, 0)))
            for matrix in rows.split(path.factors)
        )
        return cls(rows, number, smooth, baseline, path, factors)

    def with_baseline(self) -> list[Values]:
        """Factors whose further components are the offset and the main effects."""
        columns = list(self.factors)
        if self.baseline.offset:
            columns = with_constant(columns, 0, self.baseline.offset)
        for mode, effect in enumerate(self.baseline.effects):
            columns = with_constant(columns, mode, effect)
        return columns

    @property
    def component_norms(self) -> Values:
        """Largest first."""
        return norms_of(self.factors)

    @property
    def components(self) -> int:
        """Components whose norm is above a hundredth of the largest."""
        norms = self.component_norms
        return int(np.sum(norms > RISEN_SHARE * norms[0])) if len(norms) else 0

    @property
    def cancels_offset(self) -> bool:
        """Whether a component that is nearly constant opposes the offset."""
        own = [matrix[:-1] for matrix in self.factors]
        means = np.prod([matrix.mean(axis=0) for matrix in own], axis=0)
        sizes = self.component_norms / math.sqrt(math.prod(self.rows.dims))
        is_constant = np.abs(means) > _CONSTANT * sizes
        return bool(np.any(is_constant & (means * self.baseline.offset < 0)))

    def predictions(self, places: Indices, loss: AbstractLoss) -> Values:
        """Entries as this model says: probabilities of labels, rates of counts.

        Parameters
        ----------
        places
            Places of rows within modes, as `Rows.places` gives them.
        """
        total = self.baseline.at(places)
        if self.factors[0].shape[1]:
            starts = np.cumsum([0, *map(len, self.factors)])
            stack = np.concatenate(self.factors)
            total += sums_of_components(stack, stacked(places, starts))
        return loss.mean(total)


def with_constant(
    factors: Sequence[Values], mode: int, column: Values | float
) -> list[Values]:
    """Factors with a last component that is constant but in one mode."""
    further = [np.ones(len(factor)) for factor in factors]
    further[mode] *= column
    return [np.column_stack(pair) for pair in zip(factors, further, strict=True)]


def norms_of(factors: Sequence[Values]) -> Values:
    """Component norms."""
    norms = [np.linalg.norm(matrix, axis=0) for matrix in factors]
    return np.asarray(np.prod(norms, axis=0))


def by_falling_norm(factors: Sequence[Values]) -> npt.NDArray[np.intp]:
    """The order in which component norms fall."""
    return np.argsort(-norms_of(factors), kind="stable")


def match_scores(reference: Sequence[Values], other: Sequence[Values]) -> Values:
    r"""Factor match score of every component of the first with its partner.

    The product over modes of the cosines between two components' vectors, up to sign,
    maximized over pairings (Acar et al. 2011); zero without a partner.
    """
    # Half a second that most completions don't need.
    from scipy.optimize import linear_sum_assignment

    scores = np.ones((reference[0].shape[1], other[0].shape[1]))
    for left, right in zip(reference, other, strict=True):
        scores *= np.abs(unit_columns(left).T @ unit_columns(right))
    found = np.zeros(len(scores))
    rows, columns = linear_sum_assignment(-scores)
    found[rows] = scores[rows, columns]
    return found


def signed(factors: Sequence[Values]) -> list[Values]:
    """The same components with the largest entry positive in every mode but the last.

    Signs flip in pairs, so that no component changes.
    """
    found = [np.asarray(matrix) for matrix in factors]
    if not found[0].size:
        return found
    for mode, matrix in enumerate(found[:-1]):
        largest = np.argmax(np.abs(matrix), axis=0)
        flip = np.where(matrix[largest, np.arange(matrix.shape[1])] < 0, -1.0, 1.0)
        found[mode], found[-1] = matrix * flip, found[-1] * flip
    return found


def unit_columns(matrix: Values) -> Values:
    """Columns of norm one; zero where they are."""
    norms = np.linalg.norm(matrix, axis=0)
    return matrix / np.where(norms > 0, norms, 1)
