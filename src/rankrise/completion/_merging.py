"""Few components in the place of many, where held-out entries say that they suffice.

An offset that was taken off and is not in the data has to be cancelled by components,
and where components overlap, alternating least squares come to rest with more of them
than are needed. Where a path found few, as many at most are therefore fitted by
Levenberg-Marquardt with the same penalty, without an offset and with a fitted one.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rankrise._typing import Values
from rankrise.completion._choice import MANY
from rankrise.completion._compiled import load_kernels, plain_kernels
from rankrise.completion._model import Model, Variant, by_falling_norm
from rankrise.completion._model_runs import ModelRuns
from rankrise.completion._path import Path, PathPoint
from rankrise.completion._plain_fit import Fit, PlainFits, mean_and_error
from rankrise.losses import AbstractLoss

# Among more components one that cancels an offset matters little.
_FEW = 12
# Models that decide, and components without a smaller loss before no more are tried.
_TRIED, _PATIENCE = 3, 2
# Standard errors of the difference that ask for more components than before, or for an
# offset: one number can seem to help by chance. A small share of the loss is not worth
# one, and a large one is no chance: losses with a few large ones have large errors.
_CLEARLY, _LITTLE, _MUCH = 2.5, 0.01, 0.07


def merged(runs: ModelRuns, variant: Variant) -> list[Model]:
    """Models of a variant, or others of fewer components or smaller held-out losses."""
    models, settings, loss = runs.of(variant), runs.settings, runs.losses[variant.loss]
    points = [model.path.best_point for model in models]
    if (
        loss.is_linked
        or settings.non_negative
        or len(runs.observations) > MANY
        or not all(0 < p.components <= _FEW and not any(p.correlations) for p in points)
    ):
        return models
    offsets = [False, True] if settings.center is None else [settings.center]
    if models[0].baseline.effects:
        offsets = [settings.center is not False]
    return _Merging(runs, models, loss, offsets).models()


class _Merging:
    """Plain fits to what models were fitted to, with an offset, without, or both."""

    def __init__(
        self,
        runs: ModelRuns,
        models: Sequence[Model],
        loss: AbstractLoss,
        offsets: Sequence[bool],
    ) -> None:
        load_kernels(plain_kernels)
        self._models, self._offsets = models, offsets
        self._threads, self._watch = runs.workers, runs.watch
        observations, places = runs.observations, runs.arrangement.indices
        rows, values = models[0].rows, observations.values
        fits = PlainFits.of(observations, rows, values, loss)
        # The offset is a part of the fit.
        baselines = [replace(model.baseline, offset=0.0) for model in models]
        taken_off = [baseline.taken_off(places, values) for baseline in baselines]
        self._fits = [replace(fits, values=each) for each in taken_off]
        self._weights = fits.weights
        self._most = max(model.path.best_point.components for model in models)
        parts = [runs.folds.part == model.number for model in models]
        self._heldout = [np.flatnonzero(part) for part in parts]
        self._training = [np.flatnonzero(~part) for part in parts]

    def _is_over(self) -> bool:
        return self._watch.ending() is not None

    def models(self) -> list[Model]:
        """The given ones, or others of fewer components or smaller held-out losses."""
        given, tried = list(self._models), min(_TRIED, len(self._models))
        paths: dict[bool, list[list[Fit]]] = {offset: [] for offset in self._offsets}
        chosen = None
        # What does not help one model is not tried on others.
        for numbers in (range(1), range(1, tried)):
            jobs = [(number, offset) for offset in paths for number in numbers]
            found = self._threads.map(lambda job: self._path(*job), jobs)
            for (_, offset), fits in zip(jobs, found, strict=True):
                paths[offset].append(fits)
            chosen = None if self._is_over() else self._chosen(paths)
            if chosen is None:
                break
        if chosen is None:
            return given
        size, offset = chosen
        first = [fits[size] for fits in paths[offset]]
        rest = self._threads.map(
            lambda number: self._path(number, offset, size)[-1],
            range(tried, len(given)),
        )
        better = self._threads.map(self._better, range(len(given)), [*first, *rest])
        models = list(better)
        return given if self._is_over() else models

    def _chosen(self, paths: dict[bool, list[list[Fit]]]) -> tuple[int, bool] | None:
        """How many components, with an offset or not; None where models are better."""
        count = len(next(iter(paths.values())))
        weights = self._weights[np.concatenate(self._heldout[:count])]

        def pooled(fits: Sequence[Fit]) -> Values:
            return np.concatenate([self._losses(n, fit) for n, fit in enumerate(fits)])

        # An offset is less than a component.
        least_size = {o: min(map(len, each)) for o, each in paths.items()}
        order = [
            (size, offset)
            for size in range(max(least_size.values()))
            for offset in paths
            if size < least_size[offset]
        ]
        losses = {
            (size, offset): pooled([fits[size] for fits in paths[offset]])
            for size, offset in order
        }
        best = min(order, key=lambda key: np.average(losses[key], weights=weights))
        least = float(np.average(losses[best], weights=weights))

        def is_as_good(key: tuple[int, bool], errors: float) -> bool:
            mean, error = mean_and_error(losses[key] - losses[best], weights)
            most = np.clip(errors * error, _LITTLE * least, _MUCH * least)
            return bool(mean <= most)

        size, offset = next(key for key in order if is_as_good(key, 1.0))
        if (size, False) in losses and is_as_good((size, False), _CLEARLY):
            offset = False
        before = pooled([_as_fit(model) for model in self._models[:count]])
        mean, error = mean_and_error(losses[size, offset] - before, weights)
        used = sum(model.path.best_point.components for model in self._models[:count])
        if mean < (0 if size * count <= used else -_CLEARLY * error):
            return size, offset
        return None

    # One model.

    def _path(self, number: int, offset: bool, size: int | None = None) -> list[Fit]:
        """Fits of ever more components: so many, or while that helps."""
        fits, training = self._fits[number], self._training[number]
        own, losses = [fits.nothing(training, offset=offset)], [math.inf]
        most = self._most if size is None else size
        while len(own) <= most and not self._is_over():
            fit = fits.extended(
                own[-1],
                training,
                self._models[number].path.best_point.penalty,
                seed=(number, len(own)),
            )
            own.append(fit)
            losses.append(fits.mean_loss(fit, self._heldout[number]))
            late = len(losses) - 1 - int(np.argmin(losses))
            if size is None and late >= _PATIENCE:
                break
        return own

    def _better(self, number: int, fit: Fit) -> Model:
        """A model of what was fitted, or the given one where that is better."""
        given, fits = self._models[number], self._fits[number]
        training = self._training[number]
        point = given.path.best_point
        if self._is_worse(number, fit) and not self._is_over():
            fit = fits.improved(fit, training, point.penalty, seed=(number,))
        if self._is_worse(number, fit):
            return given
        train = fits.mean_loss(fit, training)
        loss = fits.mean_loss(fit, self._heldout[number])
        falling = by_falling_norm(given.rows.split(fit.factors))
        still = (0.0,) * len(given.rows.dims)
        last = PathPoint(point.penalty, fit.components, train, loss, still)
        points = [*given.path.points, last]
        path = Path(points, len(points) - 1, fit.factors[:, falling])
        baseline = replace(given.baseline, offset=given.baseline.scale * fit.offset)
        return Model.at_best(given.rows, path, baseline, given.number, given.smooth)

    def _is_worse(self, number: int, fit: Fit) -> bool:
        """Whether the given model's held-out loss is smaller, by a standard error."""
        before = self._losses(number, _as_fit(self._models[number]))
        weights = self._weights[self._heldout[number]]
        mean, error = mean_and_error(self._losses(number, fit) - before, weights)
        return mean > error

    def _losses(self, number: int, fit: Fit) -> Values:
        """Losses of held-out entries, in units that models share."""
        first, own = self._models[0].baseline.scale, self._models[number].baseline.scale
        return (own / first) ** 2 * self._fits[number].errors(
            fit, self._heldout[number]
        )


def _as_fit(model: Model) -> Fit:
    """What a path found."""
    baseline = model.baseline
    return Fit(model.path.factors, baseline.offset / baseline.scale, False)
