"""A completed tensor: several models, their mean, and how far it may be off."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import expit

from rankrise._errors import InputError
from rankrise._typing import Indices, Values
from rankrise.completion._baseline import ROBUST, Baseline
from rankrise.completion._gaps import Folds
from rankrise.completion._matching import match_scores
from rankrise.completion._noise import Noise
from rankrise.completion._path import Path
from rankrise.data import Observations, cp_component_norms, cp_entries
from rankrise.losses import AbstractLoss, LogisticLoss, PoissonLoss
from rankrise.trajectories import RISEN_SHARE

if TYPE_CHECKING:
    from rankrise.completion._completer import Completing

# Entries that are worked on at once.
_BLOCK = 2**20


@dataclass(frozen=True, eq=False)
class Member:
    """One model, which was not shown one part of the observations.

    Attributes
    ----------
    number
        Which part.
    factor_matrices
        In units of the data: column r of every matrix makes component r, falling norms.
    path
        How it was found, in standardized units.
    smooth
        Whether neighbouring rows could be alike.
    """

    number: int
    factor_matrices: tuple[Values, ...]
    baseline: Baseline
    path: Path
    smooth: bool

    @property
    def rank(self) -> int:
        """Components whose norm is above a hundredth of the largest."""
        norms = cp_component_norms(self.factor_matrices)
        return int(np.sum(norms > RISEN_SHARE * norms[0])) if len(norms) else 0

    def predictions(self, indices: Indices, loss: AbstractLoss) -> Values:
        """Entries as this model says: probabilities of labels, rates of counts."""
        total = self.baseline.at(indices)
        if self.factor_matrices[0].shape[1]:
            total = total + cp_entries(self.factor_matrices, indices)
        if isinstance(loss, LogisticLoss):
            return np.asarray(expit(total))
        return np.exp(total) if isinstance(loss, PoissonLoss) else total


def member_of(path: Path, baseline: Baseline, number: int, smooth: bool) -> Member:
    """The best point of a path, in units of the data."""
    share = baseline.scale ** (1 / len(path.factors))
    factors = tuple(share * matrix for matrix in path.factors)
    return Member(number, factors, baseline, path, smooth)


class Whole(NamedTuple):
    """Every entry of a completed tensor; NaN in slices without any observation.

    Attributes
    ----------
    models
        As the models say, observed entries too.
    completed
        With observed entries as they came.
    std
        Standard deviations; zero where observed.
    """

    models: Values
    completed: Values
    std: Values


@dataclass(frozen=True, eq=False)
class Completion:
    """A completed tensor.

    Attributes
    ----------
    members
        The models whose mean the completed entries are.
    folds
        Which observations each of them was not shown.
    noise
        Of single models on entries they were not shown.
    result
        `finished`, `interrupted` or `time limit`; then fewer models were made.
    seconds
        It took, with compiling; of a resumed run since it was resumed.
    """

    observations: Observations
    completing: Completing
    folds: Folds
    members: tuple[Member, ...]
    noise: Noise
    heldout_predictions: Values
    result: str
    seconds: float = math.nan

    @cached_property
    def reference(self) -> Member:
        """The model with the smallest held-out loss, whose components are reported."""
        return min(self.members, key=lambda m: m.path.best_point.heldout_loss)

    @property
    def rank(self) -> int:
        """Of the reference: components above a hundredth of the largest."""
        return self.reference.rank

    @property
    def component_norms(self) -> Values:
        """Of the reference, in units of the data, largest first."""
        return cp_component_norms(self.reference.factor_matrices)

    @cached_property
    def reproducibility(self) -> Values:
        """Mean factor match score of the reference's components over other models.

        One is found again by all, zero by none; NaN where there is no other model.
        """
        others = [member for member in self.members if member is not self.reference]
        own = self.reference.factor_matrices
        if not others:
            return np.full(own[0].shape[1], np.nan)
        scores = [match_scores(own, other.factor_matrices) for other in others]
        return np.asarray(np.mean(scores, axis=0))

    @cached_property
    def unobserved_slices(self) -> list[tuple[int, int]]:
        """Mode and index, both from 0, of every slice without an observed entry."""
        return self.observations.unobserved_slices()

    def entries(self, indices: Indices) -> Values:
        """The mean of the models; where a slice was never observed, their guess."""
        return self._moments(indices)[0]

    def std(self, indices: Indices) -> Values:
        """Standard deviation of the errors of completed entries.

        From the spread of the models and from their residuals on entries that were
        held out, whose variance is taken as a product of one factor a slice.
        """
        return self._mean_and_std(indices)[1]

    def interval(self, indices: Indices, level: float = 0.9) -> tuple[Values, Values]:
        """Bounds between which a share `level` of entries like these should lie.

        As many standard deviations to either side as that share of held-out residuals
        lies within.
        """
        return self.bounds_about(*self._mean_and_std(indices), level)

    def completed(self, *, keep_observed: bool = True) -> Values:
        """The whole tensor; NaN in slices without any observation.

        Parameters
        ----------
        keep_observed
            Observed entries as they came, rather than as the models say.
        """
        whole = self.whole()
        return whole.completed if keep_observed else whole.models

    def completed_std(self) -> Values:
        """`std` of every entry; zero where it is observed, NaN as in `completed`."""
        return self.whole().std

    def bounds(self, level: float = 0.9) -> tuple[Values, Values]:
        """`interval` of every entry; both are the value where it is observed."""
        whole = self.whole()
        # Where it is observed the width is zero.
        return self.bounds_about(whole.completed, whole.std, level)

    def bounds_about(
        self, mean: Values, std: Values, level: float
    ) -> tuple[Values, Values]:
        """As many standard deviations to either side as `level` asks for."""
        width = self.noise.multiple(_checked(level)) * std
        lower, upper = mean - width, mean + width
        # No label is outside [0, 1], and no count negative.
        if isinstance(self.completing.loss, LogisticLoss):
            return np.maximum(lower, 0), np.minimum(upper, 1)
        if isinstance(self.completing.loss, PoissonLoss):
            return np.maximum(lower, 0), upper
        return lower, upper

    def whole(self) -> Whole:
        """All entries with their standard deviations, evaluated once."""
        observed = tuple(self.observations.indices.T)
        models, std = self._everywhere()
        completed = models.copy()
        completed[observed] = self.observations.values
        std[observed] = 0
        return Whole(models, completed, std)

    def errors(self) -> dict[str, float]:
        """Errors of single models on entries they were not shown, and were shown.

        Those on entries that were shown are of the reference alone.

        `heldout_error` and `train_error` are root mean squares in units of the data;
        `..._relative_error` is over the root mean square of the values, and
        `..._centered_error` over their deviation from the mean of all observed: a
        guess of the mean has 1. The mean of several models is nearer than they are.
        """
        errors = {}
        for name, part in (("train", self._shown), ("heldout", self._hidden)):
            residuals, values = part
            deviations = values - np.mean(self.observations.values)
            error, size, spread = (
                math.sqrt(np.mean(each**2)) for each in (residuals, values, deviations)
            )
            errors[f"{name}_error"] = error
            errors[f"{name}_relative_error"] = error / size if size else math.nan
            errors[f"{name}_centered_error"] = error / spread if spread else math.nan
        return errors

    def typical_error(self) -> float:
        """The held-out error about the mean; of losses that outliers do not move, the
        median of the residuals' sizes over that of deviations from the median.
        """
        if not isinstance(self.completing.loss, ROBUST):
            return self.errors()["heldout_centered_error"]
        residuals, _ = self._hidden
        values = self.observations.values
        size = float(np.median(np.abs(values - np.median(values))))
        error = float(np.median(np.abs(residuals)))
        return error / size if size else math.nan

    @property
    def _hidden(self) -> tuple[Values, Values]:
        """Residuals on held-out entries, each of the model that was not shown it."""
        known = ~np.isnan(self.heldout_predictions)
        values = self.observations.values[known]
        return values - self.heldout_predictions[known], values

    @cached_property
    def _shown(self) -> tuple[Values, Values]:
        """Residuals of the reference on the entries that it was shown."""
        shown = self.folds.part != self.reference.number
        values = self.observations.values[shown]
        indices = self.observations.indices[shown]
        predictions = self.reference.predictions(indices, self.completing.loss)
        return values - predictions, values

    def _mean_and_std(self, indices: Indices) -> tuple[Values, Values]:
        mean, spread = self._moments(indices)
        return mean, np.sqrt(self.noise.variances(indices) + spread)

    def _moments(self, indices: Indices) -> tuple[Values, Values]:
        """Mean of the models, and the variance of one of them."""
        loss = self.completing.loss
        mean, squares = np.zeros(len(indices)), np.zeros(len(indices))
        for count, member in enumerate(self.members, start=1):
            change = member.predictions(indices, loss) - mean
            mean += change / count
            squares += change**2 * (count - 1) / count
        return mean, squares / max(1, len(self.members) - 1)

    def _everywhere(self) -> tuple[Values, Values]:
        dims = self.observations.mode_dims
        mean, std = np.empty(math.prod(dims)), np.empty(math.prod(dims))
        for begin in range(0, len(mean), _BLOCK):
            block = np.arange(begin, min(begin + _BLOCK, len(mean)))
            indices = np.stack(np.unravel_index(block, dims), axis=1)
            mean[block], std[block] = self._mean_and_std(indices)
        tensors = mean.reshape(dims), std.reshape(dims)
        for mode, index in self.unobserved_slices:
            for tensor in tensors:
                tensor[(slice(None),) * mode + (index,)] = np.nan
        return tensors


def _checked(level: float) -> float:
    if not 0 < level < 1:
        raise InputError(f"The level is {level}; it must lie between 0 and 1.")
    return level
