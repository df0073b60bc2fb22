"""Several models of one tensor, each of which is not shown a part of it.

What completes a tensor is the mean of the models, and models that differ gain more by
it. On entries that none of them has seen, the mean square error of their mean is that
of one of them less the variance between them (Krogh and Vedelsby 1995, "Neural network
ensembles, cross validation, and active learning"). So it is decided whether
neighbouring rows may be alike.
"""

import functools as ft
import math
import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, ThreadPoolExecutor, wait
from contextlib import ExitStack
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from rankrise._errors import InputError
from rankrise._typing import Indices, Values
from rankrise.completion._alternating import Alternation
from rankrise.completion._arrangement import Arrangement, Rows, unseen_entries
from rankrise.completion._holdout import Folds
from rankrise.completion._merging import Merging, are_few
from rankrise.completion._model import Baseline, Model, fit_baseline
from rankrise.completion._path import Path, PathPoint, Walk, WalkState
from rankrise.completion._settings import Centering, CompletionSettings
from rankrise.data import Observations
from rankrise.losses import AbstractLoss, SquaredLoss, negative_log_likelihood
from rankrise.runs import Ending, Watch

# Smooth or not: what is worse after this many models is given up, and at once if its
# loss is larger than what a mean of models could gain. Models are smooth only where
# that lowers the expected loss by a large share, or held-out losses by more than so
# many standard errors of the difference.
_TRIED, _MUCH, _CLEARLY = 3, 0.07, 2.5
# Of two losses of counts one is given up at once where held-out likelihoods differ by
# more than so many standard errors.
_SURELY = 5.0
# Of the loss, that their mean is taken to gain at most: models of few observations may
# differ wildly where held-out entries are too few to show it.
_MOST_GAIN = 0.25
# Main effects are tried where without components they leave at most so many times the
# loss of the best model.
_NEAR = 1.5
# Standard errors of the difference that ask for something else than the usual. Nothing
# is less than a mean, and main effects are many numbers.
_FOR = {Centering.NONE: 1.0, Centering.MAIN_EFFECTS: 3.0}
# With more observations the mean is taken off, and components stay as they are.
_MANY = 300_000
# With more observations one model at a time takes all cores.
_SHARED = 500_000
# Seconds between two looks at what threads report.
_LOOK = 0.05

Report = Callable[["CompletionProgress"], None]


class Way(NamedTuple):
    """How models are fitted.

    Attributes
    ----------
    smooth
        Whether neighbouring rows may be alike.
    loss
        Which of the losses it is.
    """

    smooth: bool
    loss: str
    centering: Centering


class CompletionProgress(NamedTuple):
    """How far a completion is; given to `progress` at every point of a path.

    Attributes
    ----------
    model, models
        Which of how many, from 1; models are fitted several at a time.
    point
        Where its path is.
    """

    model: int
    models: int
    point: PathPoint


# Which part a model is not shown, and how it is fitted.
Key = tuple[int, Way]
Run = Callable[[Sequence[Key]], Ending | None]


class Fitted(NamedTuple):
    """Models, and the loss they were fitted by.

    Attributes
    ----------
    link_losses
        Of counts, by name of the loss, the mean negative log-likelihood of entries that
        were held out from models of both; else empty.
    """

    models: list[Model]
    ending: Ending
    loss: AbstractLoss
    link_losses: dict[str, float]


class Fitting:
    """Makes the models of one completion."""

    def __init__(
        self,
        observations: Observations,
        folds: Folds,
        settings: CompletionSettings,
        watch: Watch,
        progress: Report | None,
    ) -> None:
        self._observations, self._settings, self._folds = observations, settings, folds
        self._watch, self._progress = watch, progress
        rows = Rows.of(observations.indices, observations.mode_dims)
        self._arrangement = Arrangement.of(observations.indices, rows)
        self._parts = self._arrangement.spread(folds.part.astype(np.uint8))
        self._models: dict[Key, Model] = {}
        self._baselines: dict[Key, Baseline] = {}
        self._walks: dict[Key, WalkState] = {}
        self._lock = threading.Lock()
        self._reports: queue.SimpleQueue[CompletionProgress] = queue.SimpleQueue()
        self._leave_off = False
        self._losses = settings.loss_functions
        self._load()

    def models(self) -> Fitted:
        """The models of the best way, as far as they went."""
        count = self._folds.count
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        with ExitStack() as stack:
            pool: Executor | None = None
            if len(self._arrangement) > _SHARED:
                pool = stack.enter_context(ThreadPoolExecutor(cores))
                cores = 1
            workers = stack.enter_context(ThreadPoolExecutor(cores))
            run = ft.partial(self._run, workers=workers, pool=pool)
            way, link_losses, ending = self._way(run)
            ending = ending or run([(number, way) for number in range(count)])
            ways = [way, *sorted({way for _, way in self._models} - {way})]
            way = max(ways, key=lambda each: len(self._of(each)))
            found = self._of(way)
            if ending is None:
                found = self._merged(found, way, workers)
                ending = self._watch.ending()
        if ending is not None:
            self._save()
        if not found:
            # What a path found before it was ended counts only if nothing else.
            key = min(self._walks)
            way, ending = key[1], ending or Ending.STOPPED
            found = [self._model(key, self._walked(key).path)]
        ended = ending or Ending.CONVERGED
        return Fitted(found, ended, self._losses[way.loss], link_losses)

    def _way(self, run: Run) -> tuple[Way, dict[str, float], Ending | None]:
        """What is better on held-out entries, and likelihoods of losses of counts."""
        first, *others = self._losses
        centering, *centerings = self._settings.centerings
        best, ending = self._smooth(Way(False, first, centering), run)
        link_losses: dict[str, float] = {}
        for name in others if ending is None else []:
            best, link_losses, ending = self._link(name, best, run)
        if len(self._arrangement) > _MANY:
            centerings = []
        for other in centerings:
            if ending is not None or not self._is_promising(other, best):
                continue
            way = best._replace(centering=other)
            ending = run([(0, way)])
            if ending is not None or self._gain(way, best)[0] <= 0:
                continue
            way, ending = self._smooth(way, run)
            ending = ending or self._run_some(run, best, way)
            gain, error = self._gain(way, best)
            if ending is None and gain > _FOR[other] * error:
                best = way
        return best, link_losses, ending

    def _link(
        self, name: str, best: Way, run: Run
    ) -> tuple[Way, dict[str, float], Ending | None]:
        """Whether another loss of counts makes held-out entries likelier."""
        way, ending = self._smooth(best._replace(loss=name), run)
        gain, error = _mean_of(self._gains(way, best, self._likelihoods))
        if ending is None and not abs(gain) > _SURELY * error:
            ending = self._run_some(run, best, way)
            gain, _ = _mean_of(self._gains(way, best, self._likelihoods))
        losses = self._link_losses(best, way)
        return (way if gain > 0 else best), losses, ending

    def _run_some(self, run: Run, *ways: Way) -> Ending | None:
        """So many models of each as are compared."""
        tried = range(min(_TRIED, self._folds.count))
        return run([(number, way) for number in tried for way in ways])

    def _smooth(self, way: Way, run: Run) -> tuple[Way, Ending | None]:
        """Whether neighbouring rows may be alike, by up to three models."""
        smooth = self._settings.smooth
        ways = [way._replace(smooth=each) for each in (False, True)]
        if smooth is not None:
            ways = [ways[smooth]]
        ending = None
        for number in range(self._folds.count):
            ending = run([(number, each) for each in ways])
            if len(ways) == 1:
                break
            plain, smoothed = (len(self._of(each)) for each in ways)
            if ending is not None and (plain != smoothed or not plain):
                return ways[smoothed > plain], ending
            last = ending is not None or number + 1 in (_TRIED, self._folds.count)
            ways = self._better(ways, last=last)
            if ending is not None or len(ways) == 1:
                break
        return ways[0], ending

    def _merged(self, models: list[Model], way: Way, workers: Executor) -> list[Model]:
        """Models without components that are not needed, such as cancel an offset."""
        observations, settings = self._observations, self._settings
        loss = self._losses[way.loss]
        if (
            loss.is_linked
            or settings.non_negative
            or len(observations) > _MANY
            or not are_few(models)
        ):
            return models
        offsets = [False, True] if settings.center is None else [settings.center]
        if models[0].baseline.effects:
            offsets = [settings.center is not False]
        return Merging(
            models,
            observations,
            self._folds,
            loss,
            offsets,
            workers,
            lambda: self._watch.ending() is not None,
        ).models()

    def _better(self, ways: list[Way], *, last: bool) -> list[Way]:
        """Which of the ways, not smooth and smooth, are still to be tried."""
        plain, smooth = map(self._of, ways)
        losses = _single_loss(plain), _single_loss(smooth)
        if not any(any(m.path.best_point.correlations) for m in smooth):
            return ways[:1]
        if min(losses) < (1 - _MOST_GAIN) * max(losses):
            return [ways[losses[1] < losses[0]]]
        if not last:
            return ways
        return [ways[self._is_better(smooth, plain, self._losses[ways[0].loss])]]

    def _is_promising(self, centering: Centering, best: Way) -> bool:
        """Whether other models are worth their time."""
        model, loss = self._models[0, best], self._losses[best.loss]
        if not centering.has_effects:
            # Of models that are not smooth merging decides.
            return best.smooth and model.cancels_offset
        baseline = self._baseline((0, best._replace(centering=centering)))
        start = Path(model.path.points[:1], 0, model.path.factors[:, :0])
        alone = Model.at_best(self._arrangement.rows, start, baseline, 0, False)
        losses = [float(np.mean(self._errors(each, loss))) for each in (alone, model)]
        return losses[0] < _NEAR * losses[1]

    def _gain(self, way: Way, best: Way) -> tuple[float, float]:
        """Mean by which held-out losses are smaller, and its standard error."""
        return _mean_of(self._gains(way, best, self._errors))

    def _gains(
        self, way: Way, best: Way, errors: Callable[[Model, AbstractLoss], Values]
    ) -> Values:
        """By how much the errors of a way are smaller, of models that both have."""
        found = [np.empty(0)]
        for number in range(self._folds.count):
            keys = (number, best), (number, way)
            if all(key in self._models for key in keys):
                one, other = (
                    errors(self._models[key], self._losses[key[1].loss]) for key in keys
                )
                found.append(one - other)
        return np.concatenate(found)

    def _link_losses(self, one: Way, other: Way) -> dict[str, float]:
        """Mean negative log-likelihoods of the same entries, where there are some."""
        numbers = {m.number for m in self._of(one)} & {
            m.number for m in self._of(other)
        }
        found = {}
        for way in (one, other) if numbers else ():
            loss = self._losses[way.loss]
            models = [self._models[number, way] for number in sorted(numbers)]
            losses = [self._likelihoods(model, loss) for model in models]
            found[way.loss] = float(np.mean(np.concatenate(losses)))
        return found

    def _likelihoods(self, model: Model, loss: AbstractLoss) -> Values:
        """Negative log-likelihoods of entries that were held out, weighted."""
        held_out = self._folds.part == model.number
        rates = model.predictions(self._arrangement.indices[held_out], loss)
        counts = self._observations.values[held_out]
        found, weights = negative_log_likelihood(rates, counts), self._weights
        return found if weights is None else found * weights[held_out]

    def _of(self, way: Way) -> list[Model]:
        return [self._models[key] for key in sorted(self._models) if key[1] == way]

    def _run(
        self, keys: Sequence[Key], *, workers: Executor, pool: Executor | None
    ) -> Ending | None:
        """Fit models by threads; what ended it early, if something did."""
        new = [key for key in keys if key not in self._models]
        pending = {workers.submit(self._fit, key, pool) for key in new}
        endings = []
        try:
            while pending:
                done, pending = wait(pending, _LOOK, FIRST_EXCEPTION)
                endings += [each.result() for each in done]
                self._report()
        finally:
            self._leave_off = True
            wait(pending)
        self._leave_off = False
        return next((each for each in endings if each is not None), None)

    def _report(self) -> None:
        # In the caller's thread, where its callback may do what it likes.
        for _ in range(self._reports.qsize()):
            at = self._reports.get()
            if self._progress is not None and self._watch.ending() is None:
                self._progress(at)

    def _fit(self, key: Key, pool: Executor | None) -> Ending | None:
        walk, reported = self._walked(key, pool), 0
        while not walk.is_over:
            points = walk.path.points
            if len(points) > reported:
                reported, last = len(points), points[-1]
                self._reports.put(
                    CompletionProgress(key[0] + 1, self._folds.count, last)
                )
            ending = self._watch.ending()
            if ending or self._leave_off or self._watch.is_due:
                with self._lock:
                    self._walks[key] = walk.state()
                    self._save()
            if ending or self._leave_off:
                return ending
            walk.move()
        with self._lock:
            self._models[key] = self._model(key, walk.path)
            self._walks.pop(key, None)
        return None

    def _model(self, key: Key, path: Path) -> Model:
        rows, baseline = self._arrangement.rows, self._baseline(key)
        return Model.at_best(rows, path, baseline, key[0], key[1].smooth)

    def _baseline(self, key: Key) -> Baseline:
        if key not in self._baselines:
            self._baselines[key] = self._fitted_baseline(*key)
        return self._baselines[key]

    def _fitted_baseline(self, number: int, way: Way) -> Baseline:
        return fit_baseline(
            self._arrangement.indices,
            self._observations.values,
            self._folds.part != number,
            self._arrangement.rows.dims,
            self._losses[way.loss],
            center=way.centering.has_offset,
            main_effects=way.centering.has_effects,
        )

    @cached_property
    def _weights(self) -> Values | None:
        """Of mean one; large ones have no finite sum."""
        weights = self._observations.weights
        if weights is None:
            return None
        weights = weights / np.max(weights)
        return weights / np.mean(weights)

    def _walked(self, key: Key, pool: Executor | None = None) -> Walk:
        """A model's path, from where it was left off."""
        number, way = key
        dims = self._arrangement.rows.dims
        settings, baseline = self._settings, self._baseline(key)
        values, weights = self._observations.values, self._weights
        loss = self._losses[way.loss]
        if not loss.is_linked:
            values = baseline.taken_off(self._arrangement.indices, values)
        alternation = Alternation(
            self._arrangement,
            values,
            weights,
            self._parts,
            number,
            loss=loss,
            offset=baseline.offset if loss.is_linked else 0.0,
            non_negative=settings.non_negative or loss.is_additive,
            pool=pool,
        )
        return Walk(
            alternation,
            penalties=settings.penalties,
            # No tensor of these dimensions needs more.
            max_components=min(settings.max_components, math.prod(dims) // max(dims)),
            smooth=way.smooth,
            seed=settings.seed + number,
            state=self._walks.get(key),
        )

    # Which way is better.

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
        gains = np.concatenate(
            [self._errors(a, loss) - self._errors(b, loss) for a, b in pairs]
        )
        error = float(np.std(gains)) / math.sqrt(len(gains))
        return float(np.mean(gains)) > _CLEARLY * error

    def _errors(self, model: Model, loss: AbstractLoss) -> Values:
        """Squares of held-out residuals; of losses for outliers, their sizes."""
        held_out = self._folds.part == model.number
        predictions = model.predictions(self._arrangement.indices[held_out], loss)
        residuals = self._observations.values[held_out] - predictions
        return np.abs(residuals) if loss.is_robust else residuals**2

    def _loss(self, models: Sequence[Model], loss: AbstractLoss) -> float:
        """Expected loss, in units of the data, of the mean of as many such models."""
        single = _single_loss(models)
        unseen = self._unseen
        if len(models) < 2 or not len(unseen) or not isinstance(loss, SquaredLoss):
            return single
        predictions = [model.predictions(unseen, loss) for model in models]
        variance = float(np.mean(np.var(predictions, axis=0, ddof=1)))
        gain = (1 - 1 / self._folds.count) * variance
        return single - min(gain, _MOST_GAIN * single)

    @cached_property
    def _unseen(self) -> Indices:
        arrangement = self._arrangement
        dims, seed = arrangement.rows.dims, self._settings.seed
        return unseen_entries(arrangement.indices, dims, seed)

    # The state on disk.

    def _save(self) -> None:
        models, walks = self._models.items(), self._walks.items()
        arrays = {f"model{n}": each.path.factors for n, (_, each) in enumerate(models)}
        for number, (_, state) in enumerate(walks):
            arrays[f"walk{number}"] = state.factors
            arrays[f"walk{number}-best"] = state.best
        facts = {
            "models": [{"key": key, **model.path.facts()} for key, model in models],
            "walks": [{"key": key, "facts": dict(state.facts)} for key, state in walks],
        }
        self._watch.save(arrays, facts)

    def _load(self) -> None:
        saved = self._watch.load()
        if saved is None:
            return
        arrays, facts = saved
        try:
            for number, each in enumerate(facts["models"]):
                path = Path.of_facts(each, arrays[f"model{number}"])
                key = _key(each["key"])
                self._models[key] = self._model(key, path)
            for number, each in enumerate(facts["walks"]):
                factors, best = arrays[f"walk{number}"], arrays[f"walk{number}-best"]
                state = WalkState(each["facts"], factors, best)
                self._walks[_key(each["key"])] = state
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"The checkpoint does not hold a completion ({error!r}); start again "
                "without resuming."
            ) from error


def _key(facts: Any) -> Key:
    number, (smooth, loss, centering) = facts
    return number, Way(smooth, loss, Centering(centering))


def _mean_of(gains: Values) -> tuple[float, float]:
    """The mean and its standard error."""
    if not len(gains):
        return 0.0, math.inf
    return float(np.mean(gains)), float(np.std(gains)) / math.sqrt(len(gains))


def _single_loss(models: Sequence[Model]) -> float:
    """Mean loss of models, in units of the data, on entries each was not shown."""
    losses = [m.baseline.scale**2 * m.path.best_point.heldout_loss for m in models]
    return float(np.mean(losses))
