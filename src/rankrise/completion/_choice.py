"""Which variant of models is best on held-out entries: smooth, loss and centering.

What completes a tensor is the mean of the models, and models that differ gain more by
it. On entries that none of them has seen, the mean square error of their mean is that
of one of them less the variance between them (Krogh and Vedelsby 1995, "Neural network
ensembles, cross validation, and active learning"). So it is decided whether
neighbouring rows may be alike.
"""

import math
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rankrise._typing import Indices, Values
from rankrise.completion._arrangement import unseen_entries
from rankrise.completion._model import Model, Variant
from rankrise.completion._model_runs import ModelRuns
from rankrise.completion._path import Path
from rankrise.completion._plain_fit import mean_and_error
from rankrise.completion._settings import Centering
from rankrise.losses import AbstractLoss, SquaredLoss, negative_log_likelihood
from rankrise.runs import Ending

# Smooth or not: what is worse after this many models is given up, and at once if its
# loss is larger than what a mean of models could gain. Models are smooth only where
# that lowers the expected loss by a large share, or held-out losses by more than so
# many standard errors of the difference.
_TRIED, _MUCH, _CLEARLY = 3, 0.07, 2.5
# One of two losses of counts is given up at once where held-out likelihoods differ by
# more than so many standard errors.
_SURELY = 5.0
# Share of the loss that a mean of very many models is taken to gain at most: models of
# few observations may differ wildly where held-out entries are too few to show it.
_MOST_GAIN = 0.28
# Main effects are tried where without components they leave at most so many times the
# loss of the best model.
_NEAR = 1.5
# Standard errors of the difference that ask for a centering other than the usual one.
# Nothing is less than a mean, and main effects are many numbers.
_FOR = {Centering.NONE: 1.0, Centering.MAIN_EFFECTS: 3.0}
# With more observations the mean is taken off, and components stay as they are.
MANY = 100_000

# On entries that were held out from a model.
Errors = Callable[[Model, AbstractLoss], Values]


def choose(runs: ModelRuns) -> tuple[Variant, dict[str, float], Ending | None]:
    """Compare variants by a few models of each.

    Returns
    -------
        The best variant; the mean negative log-likelihood of entries that were held out
        from models of either loss of counts, by name of the loss, empty where there was
        one loss; and what ended the comparison early, if something did.
    """
    return _Comparison(runs).choice()


class _Comparison:
    def __init__(self, runs: ModelRuns) -> None:
        self._runs, self._folds, self._losses = runs, runs.folds, runs.losses

    def choice(self) -> tuple[Variant, dict[str, float], Ending | None]:
        runs, (first, *others) = self._runs, self._losses
        usual, *centerings = runs.settings.centerings
        best, ending = self._smooth_or_not(Variant(False, first, usual))
        link_losses: dict[str, float] = {}
        for name in others if ending is None else []:
            best, link_losses, ending = self._link(name, best)
        for centering in centerings if len(runs.arrangement) <= MANY else []:
            if ending is not None:
                break
            best, ending = self._centered(centering, best)
        return best, link_losses, ending

    # One decision each.

    def _smooth_or_not(self, variant: Variant) -> tuple[Variant, Ending | None]:
        """Whether neighbouring rows may be alike, by up to three models."""
        smooth = self._runs.settings.smooth
        rivals = [variant._replace(smooth=each) for each in (False, True)]
        if smooth is not None:
            rivals = [rivals[smooth]]
        ending = None
        for number in range(self._folds.count):
            ending = self._runs.run([number], *rivals)
            if len(rivals) == 1:
                break
            # A run that goes on may have more models, which decided nothing before.
            plain, smooth_ones = (
                [model for model in self._runs.of(each) if model.number <= number]
                for each in rivals
            )
            counts = len(plain), len(smooth_ones)
            if ending is not None and (counts[0] != counts[1] or not plain):
                return rivals[counts[1] > counts[0]], ending
            last = ending is not None or number + 1 in (_TRIED, self._folds.count)
            loss = self._losses[variant.loss]
            kept = self._still_rivals(plain, smooth_ones, loss, last=last)
            rivals = [rivals[each] for each in kept]
            if ending is not None or len(rivals) == 1:
                break
        return rivals[0], ending

    def _link(
        self, name: str, best: Variant
    ) -> tuple[Variant, dict[str, float], Ending | None]:
        """Whether another loss of counts makes held-out entries likelier."""
        other, ending = self._smooth_or_not(best._replace(loss=name))
        gain, error = self._gain(other, best, self._likelihoods)
        if ending is None and not abs(gain) > _SURELY * error:
            ending = self._run_some(best, other)
            gain, _ = self._gain(other, best, self._likelihoods)
        variants = best, other
        pairs = zip(variants, self._pooled(self._likelihoods, variants), strict=True)
        losses = {v.loss: float(np.mean(own)) for v, own in pairs if len(own)}
        return (other if gain > 0 else best), losses, ending

    def _centered(
        self, centering: Centering, best: Variant
    ) -> tuple[Variant, Ending | None]:
        """Whether another centering lowers held-out losses."""
        if not self._is_promising(centering, best):
            return best, None
        other = best._replace(centering=centering)
        ending = self._runs.run([0], other)
        if ending is not None or self._gain(other, best, self._errors)[0] <= 0:
            return best, ending
        other, ending = self._smooth_or_not(other)
        ending = ending or self._run_some(best, other)
        gain, error = self._gain(other, best, self._errors)
        is_better = ending is None and gain > _FOR[centering] * error
        return (other if is_better else best), ending

    def _run_some(self, *variants: Variant) -> Ending | None:
        return self._runs.run(range(min(_TRIED, self._folds.count)), *variants)

    # Smooth or not.

    def _still_rivals(
        self, plain: list[Model], smooth: list[Model], loss: AbstractLoss, *, last: bool
    ) -> list[bool]:
        """Which of not smooth and smooth are still to be tried."""
        losses = _single_loss(plain), _single_loss(smooth)
        if not any(any(m.path.best_point.correlations) for m in smooth):
            return [False]
        if min(losses) < (1 - self._most_gain) * max(losses):
            return [losses[1] < losses[0]]
        return [self._is_better(smooth, plain, loss)] if last else [False, True]

    def _is_better(
        self, smooth: Sequence[Model], plain: Sequence[Model], loss: AbstractLoss
    ) -> bool:
        """Whether smooth models should be better, by much or as held-out entries show.

        Entries alone would not do: few of them, with errors of all sizes, show little.
        """
        ratio = self._loss(smooth, loss) / max(self._loss(plain, loss), math.ulp(0.0))
        if ratio >= 1 or ratio < 1 - _MUCH:
            return ratio < 1
        pairs = zip(plain, smooth, strict=True)
        gains = [self._errors(a, loss) - self._errors(b, loss) for a, b in pairs]
        gain, error = mean_and_error(np.concatenate(gains))
        return gain > _CLEARLY * error

    def _loss(self, models: Sequence[Model], loss: AbstractLoss) -> float:
        """Expected loss, in units of the data, of the mean of as many such models."""
        single, unseen = _single_loss(models), self._unseen
        if len(models) < 2 or not len(unseen) or not isinstance(loss, SquaredLoss):
            return single
        predictions = [model.predictions(unseen, loss) for model in models]
        variance = float(np.mean(np.var(predictions, axis=0, ddof=1)))
        gain = (1 - 1 / self._folds.count) * variance
        return single - min(gain, self._most_gain * single)

    @property
    def _most_gain(self) -> float:
        return (1 - 1 / self._folds.count) * _MOST_GAIN

    @cached_property
    def _unseen(self) -> Indices:
        arrangement, seed = self._runs.arrangement, self._runs.settings.seed
        return unseen_entries(arrangement.indices, arrangement.rows.dims, seed)

    # Losses of counts.

    def _likelihoods(self, model: Model, loss: AbstractLoss) -> Values:
        """Negative log-likelihoods of entries that were held out, weighted."""
        rates, counts, held_out = self._heldout(model, loss)
        found, weights = negative_log_likelihood(rates, counts), self._runs.weights
        return found if weights is None else found * weights[held_out]

    # Centering.

    def _is_promising(self, centering: Centering, best: Variant) -> bool:
        """Whether other models are worth their time."""
        runs, loss = self._runs, self._losses[best.loss]
        model = runs.models[0, best]
        if not centering.has_effects:
            # Merging decides where models are not smooth.
            return best.smooth and model.cancels_offset
        baseline = runs.baseline((0, best._replace(centering=centering)))
        start = Path(model.path.points[:1], 0, model.path.factors[:, :0])
        alone = Model.at_best(runs.arrangement.rows, start, baseline, 0, False)
        losses = [float(np.mean(self._errors(each, loss))) for each in (alone, model)]
        return losses[0] < _NEAR * losses[1]

    # Held-out entries.

    def _gain(
        self, variant: Variant, best: Variant, errors: Errors
    ) -> tuple[float, float]:
        """Mean by which the errors of a variant are smaller, and its standard error."""
        more, less = self._pooled(errors, (best, variant))
        return mean_and_error(more - less) if len(more) else (0.0, math.inf)

    def _pooled(self, errors: Errors, variants: Sequence[Variant]) -> list[Values]:
        """Errors of each variant on the same entries, of the models that all have."""
        numbers = ({model.number for model in self._runs.of(v)} for v in variants)
        shared, models = sorted(set.intersection(*numbers)), self._runs.models
        return [
            np.concatenate(
                [
                    np.empty(0),
                    *(errors(models[n, v], self._losses[v.loss]) for n in shared),
                ]
            )
            for v in variants
        ]

    def _errors(self, model: Model, loss: AbstractLoss) -> Values:
        """Squares of held-out residuals; of losses for outliers, their sizes."""
        predictions, values, _ = self._heldout(model, loss)
        residuals = values - predictions
        return np.abs(residuals) if loss.is_robust else residuals**2

    def _heldout(
        self, model: Model, loss: AbstractLoss
    ) -> tuple[Values, Values, npt.NDArray[np.bool_]]:
        """Predictions and values of the entries held out from a model, and which."""
        held_out = self._folds.part == model.number
        indices = self._runs.arrangement.indices[held_out]
        values = self._runs.observations.values[held_out]
        return model.predictions(indices, loss), values, held_out


def _single_loss(models: Sequence[Model]) -> float:
    """Mean loss of models, in units of the data, on entries held out from each."""
    losses = [m.baseline.scale**2 * m.path.best_point.heldout_loss for m in models]
    return float(np.mean(losses))
