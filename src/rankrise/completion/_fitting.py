"""Several models of one tensor, each of which is not shown a part of it.

What completes a tensor is the mean of the models, and models that differ gain more by
it. On entries that none of them has seen, the mean square error of their mean is that
of one of them less the variance between them (Krogh and Vedelsby 1995, "Neural network
ensembles, cross validation, and active learning"). So it is decided whether
neighbouring rows may be alike.
"""

import math
import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, ThreadPoolExecutor, wait
from contextlib import ExitStack
from functools import cached_property
from typing import NamedTuple

import numpy as np

from rankrise._errors import InputError
from rankrise._typing import Indices, Values
from rankrise.completion._alternating import Alternation
from rankrise.completion._arrangement import Arrangement, Rows, unseen_entries
from rankrise.completion._holdout import Folds
from rankrise.completion._model import Baseline, Model, fit_baseline
from rankrise.completion._path import Path, PathPoint, Walk, WalkState
from rankrise.completion._settings import CompletionSettings
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
# With more observations one model at a time takes all cores.
_SHARED = 500_000
# Seconds between two looks at what threads report.
_LOOK = 0.05


class Way(NamedTuple):
    """Whether neighbouring rows may be alike, and which of the losses it is."""

    smooth: bool
    loss: str


# Which part a model is not shown, and how it is made.
Key = tuple[int, Way]
Report = Callable[["CompletionProgress"], None]


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
        self._walks: dict[Key, WalkState] = {}
        self._lock = threading.Lock()
        self._reports: queue.SimpleQueue[CompletionProgress] = queue.SimpleQueue()
        self._leave_off = False
        self._losses = settings.loss_functions
        self._load()

    def models(self) -> Fitted:
        """The models of the better way, as far as they went."""
        smooth, count = self._settings.smooth, self._folds.count
        smooths = [False, True] if smooth is None else [smooth]
        ways = [Way(each, name) for name in self._losses for each in smooths]
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        with ExitStack() as stack:
            pool: Executor | None = None
            if len(self._arrangement) > _SHARED:
                pool = stack.enter_context(ThreadPoolExecutor(cores))
                cores = 1
            workers = stack.enter_context(ThreadPoolExecutor(cores))
            ending = None
            for number in range(count):
                if len(ways) == 1:
                    rest = [(k, ways[0]) for k in range(number, count)]
                    ending = self._run(rest, workers, pool)
                    break
                ending = self._run([(number, way) for way in ways], workers, pool)
                if ending is not None:
                    break
                ways = self._better(ways, last=number + 1 in (_TRIED, count))
        return self._chosen(ending)

    def _chosen(self, ending: Ending | None) -> Fitted:
        best = {name: self._best_of(name) for name in self._losses}
        found = {name: self._of(way) for name, way in best.items()}
        likelihoods = self._likelihoods(list(best.values()))
        losses = {each: float(v.mean()) for each, v in likelihoods.items()}
        counts = {each: len(models) for each, models in found.items()}
        name = max(counts, key=counts.__getitem__)
        # With more models less it was given up.
        if losses and min(counts.values()) >= counts[name] - 1:
            name = min(losses, key=losses.__getitem__)
        models, ended = found[name], ending or Ending.CONVERGED
        if not models:
            # What a path found before it was ended counts only if nothing else.
            key = min(self._walks)
            name, ended = key[1].loss, ending or Ending.STOPPED
            models = [self._model(key, self._walked(key).path)]
        return Fitted(models, ended, self._losses[name], losses)

    def _best_of(self, name: str) -> Way:
        """Of one loss, smooth or not: what more models are of, or is better."""
        ways = [Way(False, name), Way(True, name)]
        counts = [len(self._of(way)) for way in ways]
        if counts[0] != counts[1] or not counts[0]:
            return ways[counts[1] > counts[0]]
        return self._smooth_or_not(name, last=True)[0]

    def _better(self, ways: list[Way], *, last: bool) -> list[Way]:
        """Which of the ways are still to be tried."""
        names = list(dict.fromkeys(way.loss for way in ways))
        likelihoods = self._likelihoods([self._best_of(name) for name in names])
        for name in names:
            if (False, name) in ways and (True, name) in ways:
                left = self._smooth_or_not(name, last=last)
                ways = [way for way in ways if way.loss != name or way in left]
        if not likelihoods:
            return ways
        first, other = likelihoods
        gains = likelihoods[first] - likelihoods[other]
        with np.errstate(invalid="ignore"):
            error = float(np.std(gains)) / math.sqrt(len(gains))
        mean = float(np.mean(gains))
        if not last and abs(mean) <= _SURELY * error:
            return ways
        return [way for way in ways if way.loss == (other if mean > 0 else first)]

    def _smooth_or_not(self, name: str, *, last: bool) -> list[Way]:
        """Which of not smooth and smooth are still to be tried."""
        ways = [Way(False, name), Way(True, name)]
        plain, smooth = map(self._of, ways)
        losses = _single_loss(plain), _single_loss(smooth)
        if not any(any(m.path.best_point.correlations) for m in smooth):
            return ways[:1]
        if min(losses) < (1 - _MOST_GAIN) * max(losses):
            return [ways[losses[1] < losses[0]]]
        if not last:
            return ways
        return [ways[self._is_better(smooth, plain, self._losses[name])]]

    def _likelihoods(self, ways: Sequence[Way]) -> dict[str, Values]:
        """Of losses of counts, the negative log-likelihood of every entry that was held
        out from a model of each; weighted, if entries are.
        """
        numbers = [{model.number for model in self._of(way)} for way in ways]
        common = set.intersection(*numbers) if len(ways) > 1 else set()
        if not common:
            return {}
        found = {}
        for way in ways:
            models = [each for each in self._of(way) if each.number in common]
            each = [self._likelihood(model, self._losses[way.loss]) for model in models]
            found[way.loss] = np.concatenate(each)
        return found

    def _likelihood(self, model: Model, loss: AbstractLoss) -> Values:
        held_out = self._folds.part == model.number
        rates = model.predictions(self._arrangement.indices[held_out], loss)
        counts = self._observations.values[held_out]
        found, weights = negative_log_likelihood(rates, counts), self._weights
        return found if weights is None else found * weights[held_out]

    def _of(self, way: Way) -> list[Model]:
        return [self._models[key] for key in sorted(self._models) if key[1] == way]

    def _run(
        self, keys: Sequence[Key], workers: Executor, pool: Executor | None
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
        number, way = key
        return Model.at_best(rows, path, baseline, number, way.smooth)

    def _baseline(self, key: Key) -> Baseline:
        settings, (number, way) = self._settings, key
        return fit_baseline(
            self._arrangement.indices,
            self._observations.values,
            self._folds.part != number,
            self._arrangement.rows.dims,
            self._losses[way.loss],
            center=settings.center and not settings.non_negative,
            main_effects=settings.main_effects,
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
                key = each["key"][0], Way(*each["key"][1])
                path = Path.of_facts(each, arrays[f"model{number}"])
                self._models[key] = self._model(key, path)
            for number, each in enumerate(facts["walks"]):
                key = each["key"][0], Way(*each["key"][1])
                factors, best = arrays[f"walk{number}"], arrays[f"walk{number}-best"]
                self._walks[key] = WalkState(each["facts"], factors, best)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"The checkpoint does not hold a completion ({error!r}); start again "
                "without resuming."
            ) from error


def _single_loss(models: Sequence[Model]) -> float:
    """Mean loss of models, in units of the data, on entries each was not shown."""
    losses = [m.baseline.scale**2 * m.path.best_point.heldout_loss for m in models]
    return float(np.mean(losses))
