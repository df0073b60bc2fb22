"""Errors on training and held-out entries, and those that noise alone would give.

The variance of a residual on entries that were held out is taken to be a product of one
factor a slice, times a constant, so that rows that are noisier than others have wider
intervals.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rankrise._typing import Indices, ModeDims, Values
from rankrise.completion._holdout import Folds
from rankrise.completion._model import Model
from rankrise.losses import AbstractLoss, SquaredLoss
from rankrise.tensors import Observations

# Noise is told of so many observations, and so many for each slice, where training
# errors are at least this share of held-out ones.
_FEWEST_FOR_NOISE, _FOR_NOISE, _LEAST_TRAINED = 300, 10, 0.7
# Rounds of fitting the noise factors of slices, each of which is shrunk as if the slice
# had ten typical residuals more.
_ROUNDS, _SHRINKING = 5, 10.0
# Least variance, as a share of the mean square residual: exact fits leave some.
_LEAST = 1e-12
# Entries that are worked on at once.
_BLOCK = 2**20


@dataclass(frozen=True, eq=False)
class Accuracy:
    """Errors of models.

    Attributes
    ----------
    reference
        The model whose training error it is.
    heldout_predictions
        Prediction of each observation by the model it was held out from; NaN where it
        was held out from none.
    """

    models: Sequence[Model]
    reference: Model
    observations: Observations
    folds: Folds
    loss: AbstractLoss
    heldout_predictions: Values

    def errors(self) -> dict[str, float]:
        """As `Completion.errors` says."""
        errors = {}
        squares = dict(self._mean_squares)
        squares["noise"] = [self.noise_error**2, *squares["heldout"][1:]]
        for name, own in squares.items():
            error, size, spread = map(math.sqrt, own)
            errors[f"{name}_error"] = error
            errors[f"{name}_relative_error"] = error / size if size else math.nan
            errors[f"{name}_centered_error"] = error / spread if spread else math.nan
        return errors

    @property
    def noise_error(self) -> float:
        """As `Completion.noise_error` says."""
        observed, rows = self.observations, sum(self.reference.rows.dims)
        if observed.weights is not None:
            return math.nan
        if self.loss.takes_counts:
            counts = observed.values[~np.isnan(self.heldout_predictions)]
            # The variance of rates is their mean over an exposure that is not known.
            is_whole = bool(np.all(counts == np.rint(counts)))
            return math.sqrt(float(np.mean(counts))) if is_whole else math.nan
        is_told = (
            isinstance(self.loss, SquaredLoss)
            and self.folds.blocks is None
            and len(observed) >= max(_FEWEST_FOR_NOISE, _FOR_NOISE * rows)
        )
        best = [(m.baseline.scale**2, m.path.best_point) for m in self.models]
        train = math.sqrt(np.mean([scale * each.train_loss for scale, each in best]))
        held_out = math.sqrt(
            np.mean([scale * each.heldout_loss for scale, each in best])
        )
        error = math.sqrt(self._mean_squares["heldout"][0])
        # One outlier may be all of the error of one model.
        is_told = is_told and held_out <= 2 * error
        if not is_told or train < _LEAST_TRAINED * held_out:
            return math.nan
        return min(math.sqrt(train * held_out), error)

    def typical_error(self) -> float:
        """As `Completion.typical_error` says."""
        if not self.loss.is_robust:
            return self.errors()["heldout_centered_error"]
        values = self.observations.values
        residuals = values - self.heldout_predictions
        size = float(np.median(np.abs(values - np.median(values))))
        error = float(np.nanmedian(np.abs(residuals)))
        return error / size if size else math.nan

    def learned(self) -> float:
        """Share of the held-out mean square error that is not in the training error."""
        errors = self.errors()
        ratio = errors["train_error"] / (errors["heldout_error"] or math.inf)
        return max(0.0, 1 - ratio**2)

    @cached_property
    def _mean_squares(self) -> dict[str, list[float]]:
        """Mean squares of residuals, values and deviations from the overall mean."""
        loss, reference = self.loss, self.reference
        mean = np.mean(self.observations.values)

        def of_some(chosen: npt.NDArray[np.bool_], *, held_out: bool) -> list[float]:
            sums, numbers = np.zeros(3), np.flatnonzero(chosen)
            for begin in range(0, len(numbers), _BLOCK):
                block = numbers[begin : begin + _BLOCK]
                values = self.observations.values[block]
                predictions = self.heldout_predictions[block]
                if not held_out:
                    places, _ = reference.rows.places(self.observations.indices[block])
                    predictions = reference.predictions(places, loss)
                each = values - predictions, values, values - mean
                sums += [np.einsum("i,i", array, array) for array in each]
            return [float(total) for total in sums / len(numbers)]

        return {
            "train": of_some(self.folds.part != reference.number, held_out=False),
            "heldout": of_some(~np.isnan(self.heldout_predictions), held_out=True),
        }


@dataclass(frozen=True, eq=False)
class Noise:
    r"""$\sigma^2_i = \sigma^2 \prod_n f^n_{i_n}$.

    Attributes
    ----------
    factors
        One for every slice of each mode, and a last one for slices never observed.
    ratios
        Held-out residuals over their standard deviations, in absolute value, sorted.
    of_kind
        One factor for every kind of gap, if some are blocks.
    """

    variance: float
    factors: tuple[Values, ...]
    ratios: Values
    of_kind: Values = field(default_factory=lambda: np.ones(1))

    def variances(self, indices: Indices) -> Values:
        """Variances of residuals at these indices, without the factors `of_kind`."""
        total = np.full(len(indices), self.variance)
        for rows, factor in zip(indices.T, self.factors, strict=True):
            total *= factor[rows]
        return total

    def multiple(self, level: float) -> float:
        """Number of standard deviations that hold this share of held-out residuals."""
        count = len(self.ratios)
        place = min(count - 1, int(np.ceil(level * (count + 1))) - 1)
        return float(self.ratios[max(0, place)])


def fit_noise(
    indices: Indices,
    residuals: Values,
    dims: ModeDims,
    kinds: npt.NDArray[np.integer] | None = None,
    kind_count: int = 0,
) -> Noise:
    """Fit the noise to residuals of held-out entries, which stand for kinds of gap."""
    if kinds is not None:
        indices = np.column_stack([indices, kinds])
        dims = (*dims, kind_count)
    squares = residuals**2
    noise = Noise(
        float(np.mean(squares)), tuple(np.ones(dim + 1) for dim in dims), np.empty(0)
    )
    least = _LEAST * noise.variance
    for _ in range(_ROUNDS if noise.variance > 0 else 0):
        for rows, own in zip(indices.T, noise.factors, strict=True):
            ratios = squares / np.maximum(noise.variances(indices) / own[rows], least)
            sums = np.bincount(rows, ratios, len(own)) + _SHRINKING
            counts = np.bincount(rows, minlength=len(own))
            own[:] = sums / (counts + _SHRINKING)
    deviations = np.sqrt(noise.variances(indices))
    ratios = np.abs(residuals) / np.where(deviations > 0, deviations, 1)
    noise = replace(noise, ratios=np.sort(ratios))
    if kinds is None:
        return noise
    *factors, of_kind = noise.factors
    return replace(noise, factors=tuple(factors), of_kind=of_kind)
