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
from rankrise.losses import SquaredLoss
from rankrise.runs import Ending, Watch

# Smooth or not: what is worse after this many models is given up, and at once if its
# loss is larger than what a mean of models could gain. Models are smooth only where
# that lowers the expected loss by a large share, or held-out losses by more than so
# many standard errors of the difference.
_TRIED, _MUCH, _CLEARLY = 3, 0.07, 2.5
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

# Whether neighbouring rows may be alike, and what is taken off.
Way = tuple[bool, Centering]
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


class Key(NamedTuple):
    """Which part a model is not shown, and how it is fitted."""

    number: int
    smooth: bool
    centering: Centering


Run = Callable[[Sequence[Key]], Ending | None]


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
        self._load()

    def models(self) -> tuple[list[Model], Ending]:
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
            way, ending = self._way(run)
            ending = ending or run([Key(k, *way) for k in range(count)])
            others = {key[1:] for key in sorted(self._models)} - {way}
            found = max(map(self._of, [way, *sorted(others)]), key=len)
            if ending is None:
                found = self._merged(found, workers)
                ending = self._watch.ending()
        if ending is not None:
            self._save()
        if not found:
            # What a path found before it was ended counts only if nothing else.
            key = min(self._walks)
            return [self._model(key, self._walked(key).path)], ending or Ending.STOPPED
        return found, ending or Ending.CONVERGED

    def _way(self, run: Run) -> tuple[Way, Ending | None]:
        """Smooth or not, and what is taken off: what is better on held-out entries."""
        first, *others = self._settings.centerings
        if len(self._arrangement) > _MANY:
            others = []
        smooth, ending = self._smooth(first, run)
        best = smooth, first
        for other in others:
            if ending is not None or not self._is_promising(other, best):
                continue
            way = best[0], other
            ending = run([Key(0, *way)])
            if ending is not None or self._gain(way, best)[0] <= 0:
                continue
            smooth, ending = self._smooth(other, run)
            way = smooth, other
            tried = range(min(_TRIED, self._folds.count))
            ending = ending or run(
                [Key(n, *each) for n in tried for each in (best, way)]
            )
            gain, error = self._gain(way, best)
            if ending is None and gain > _FOR[other] * error:
                best = way
        return best, ending

    def _smooth(self, centering: Centering, run: Run) -> tuple[bool, Ending | None]:
        """Whether neighbouring rows may be alike, by up to three models."""
        smooth = self._settings.smooth
        ways, ending = [False, True] if smooth is None else [smooth], None
        for number in range(self._folds.count):
            ending = run([Key(number, way, centering) for way in ways])
            if len(ways) == 1:
                break
            plain, smoothed = (len(self._of((way, centering))) for way in ways)
            if ending is not None and (plain != smoothed or not plain):
                return smoothed > plain, ending
            last = ending is not None or number + 1 in (_TRIED, self._folds.count)
            ways = self._better(centering, last=last)
            if ending is not None or len(ways) == 1:
                break
        return ways[0], ending

    def _merged(self, models: list[Model], workers: Executor) -> list[Model]:
        """Models without components that are not needed, such as cancel an offset."""
        observations, settings = self._observations, self._settings
        loss = settings.loss_function
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

    def _better(self, centering: Centering, *, last: bool) -> list[bool]:
        """Which of the ways, not smooth and smooth, are still to be tried."""
        plain, smooth = self._of((False, centering)), self._of((True, centering))
        losses = _single_loss(plain), _single_loss(smooth)
        if not any(any(m.path.best_point.correlations) for m in smooth):
            return [False]
        if min(losses) < (1 - _MOST_GAIN) * max(losses):
            return [losses[1] < losses[0]]
        if not last:
            return [False, True]
        return [self._is_better(smooth, plain)]

    def _is_promising(self, centering: Centering, best: Way) -> bool:
        """Whether other models are worth their time."""
        key = Key(0, *best)
        if not centering.has_effects:
            # Of models that are not smooth merging decides.
            return best[0] and self._models[key].cancels_offset
        path = self._models[key].path
        baseline = self._baseline(key._replace(centering=centering))
        start = Path(path.points[:1], 0, path.factors[:, :0])
        alone = Model.at_best(self._arrangement.rows, start, baseline, 0, False)
        losses = [float(np.mean(self._errors(m))) for m in (alone, self._models[key])]
        return losses[0] < _NEAR * losses[1]

    def _gain(self, way: Way, best: Way) -> tuple[float, float]:
        """Mean by which held-out losses are smaller, and its standard error."""
        numbers = [k for k in range(self._folds.count) if Key(k, *way) in self._models]
        pairs = [
            (self._models[Key(k, *best)], self._models[Key(k, *way)])
            for k in numbers
            if Key(k, *best) in self._models
        ]
        if not pairs:
            return 0.0, math.inf
        gains = np.concatenate([self._errors(a) - self._errors(b) for a, b in pairs])
        return float(np.mean(gains)), float(np.std(gains)) / math.sqrt(len(gains))

    def _of(self, way: Way) -> list[Model]:
        return [self._models[key] for key in sorted(self._models) if key[1:] == way]

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
                    CompletionProgress(key.number + 1, self._folds.count, last)
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
        return Model.at_best(rows, path, baseline, key.number, key.smooth)

    def _baseline(self, key: Key) -> Baseline:
        return fit_baseline(
            self._arrangement.indices,
            self._observations.values,
            self._folds.part != key.number,
            self._arrangement.rows.dims,
            self._settings.loss_function,
            center=key.centering.has_offset,
            main_effects=key.centering.has_effects,
        )

    def _walked(self, key: Key, pool: Executor | None = None) -> Walk:
        """A model's path, from where it was left off."""
        number, dims = key.number, self._arrangement.rows.dims
        settings, baseline = self._settings, self._baseline(key)
        values, weights = self._observations.values, self._observations.weights
        loss = settings.loss_function
        if not loss.is_linked:
            values = baseline.taken_off(self._arrangement.indices, values)
        if weights is not None:
            # Their mean is one; large ones have no finite sum.
            weights = weights / np.max(weights)
            weights /= np.mean(weights)
        alternation = Alternation(
            self._arrangement,
            values,
            weights,
            self._parts,
            number,
            loss=loss,
            offset=baseline.offset if loss.is_linked else 0.0,
            non_negative=settings.non_negative,
            pool=pool,
        )
        return Walk(
            alternation,
            penalties=settings.penalties,
            # No tensor of these dimensions needs more.
            max_components=min(settings.max_components, math.prod(dims) // max(dims)),
            smooth=key.smooth,
            seed=settings.seed + number,
            state=self._walks.get(key),
        )

    # Which way is better.

    def _is_better(self, smooth: Sequence[Model], plain: Sequence[Model]) -> bool:
        """Whether smooth models should be better, by much or as held-out entries show.

        Entries alone would not do: few of them, with errors of all sizes, show little.
        """
        ratio = self._loss(smooth) / max(self._loss(plain), math.ulp(0.0))
        if ratio >= 1 or ratio < 1 - _MUCH:
            return ratio < 1
        pairs = zip(plain, smooth, strict=True)
        gains = np.concatenate([self._errors(a) - self._errors(b) for a, b in pairs])
        error = float(np.std(gains)) / math.sqrt(len(gains))
        return float(np.mean(gains)) > _CLEARLY * error

    def _errors(self, model: Model) -> Values:
        """Squares of held-out residuals; of losses for outliers, their sizes."""
        held_out = self._folds.part == model.number
        places, loss = self._arrangement.indices[held_out], self._settings.loss_function
        predictions = model.predictions(places, loss)
        residuals = self._observations.values[held_out] - predictions
        return np.abs(residuals) if loss.is_robust else residuals**2

    def _loss(self, models: Sequence[Model]) -> float:
        """Expected loss, in units of the data, of the mean of as many such models."""
        single = _single_loss(models)
        loss = self._settings.loss_function
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


def _key(facts: Sequence[Any]) -> Key:
    number, smooth, centering = facts
    return Key(number, smooth, Centering(centering))


def _single_loss(models: Sequence[Model]) -> float:
    """Mean loss of models, in units of the data, on entries each was not shown."""
    losses = [m.baseline.scale**2 * m.path.best_point.heldout_loss for m in models]
    return float(np.mean(losses))
