"""Few components in the place of many, where held-out entries say that they suffice.

An offset that was taken off and is not in the data has to be cancelled by components,
and where components overlap, alternating least squares come to rest with more of them
than are needed. Where a path found few, as many at most are therefore fitted by
Levenberg-Marquardt with the same penalty, without an offset and with a fitted one.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from rankrise._typing import Values
from rankrise.completion._choice import MANY
from rankrise.completion._compiled import load_kernels, plain_kernels
from rankrise.completion._model import Model, Variant, by_falling_norm
from rankrise.completion._model_runs import ModelRuns
from rankrise.completion._path import Path, PathPoint
from rankrise.completion._plain_fit import Fit, PlainFits, mean_and_error

# Among more components one that cancels an offset matters little.
_FEW = 12
# Models that decide, and components without a smaller loss before no more are tried.
_TRIED, _PATIENCE = 3, 2
# Standard errors of the difference that ask for more components than before, or for an
# offset: one number can seem to help by chance. A small share of the loss is not worth
# one, and a large one is no chance: losses with a few large ones have large errors.
_CLEARLY, _LITTLE, _MUCH = 2.5, 0.01, 0.07


def merged(runs: ModelRuns, variant: Variant) -> list[Model]:
    """Models of a variant, or others with fewer components or less held-out loss."""
    models, settings, loss = runs.of(variant), runs.settings, runs.losses[variant.loss]
    points = [model.path.best_point for model in models]
    if (
        loss.is_linked
        or settings.non_negative
        or len(runs.observations) > MANY
        or not all(0 < p.components <= _FEW and not any(p.correlations) for p in points)
    ):
        return models
    load_kernels(plain_kernels)
    offsets = [False, True] if settings.center is None else [settings.center]
    if models[0].baseline.effects:
        offsets = [settings.center is not False]
    fits = PlainFits.of(
        runs.observations, models[0].rows, runs.observations.values, loss
    )
    refits = [_Refit(runs, fits, model, models[0].baseline.scale) for model in models]
    paths: dict[bool, list[list[Fit]]] = {offset: [] for offset in offsets}
    most, size, offset = max(point.components for point in points), 0, False
    # What does not help one model is not tried on others.
    for some in (refits[:1], refits[1:_TRIED]):
        jobs = [(refit, offset) for offset in offsets for refit in some]
        found = runs.workers.map(lambda job: job[0].path(job[1], most, _PATIENCE), jobs)
        for (_, offset), path in zip(jobs, found, strict=True):
            paths[offset].append(path)
        chosen = None if runs.watch.ending() else _chosen(paths, refits)
        if chosen is None:
            return models
        size, offset = chosen
    own = [path[size] for path in paths[offset]]
    rest = runs.workers.map(
        lambda each: each.path(offset, size)[-1], refits[len(own) :]
    )
    better = list(runs.workers.map(_Refit.better, refits, [*own, *rest]))
    return models if runs.watch.ending() else better


def _chosen(
    paths: Mapping[bool, Sequence[Sequence[Fit]]], refits: Sequence["_Refit"]
) -> tuple[int, bool] | None:
    """Number of components and whether with an offset; None if models are better."""
    tried = refits[: len(next(iter(paths.values())))]
    heldout = np.concatenate([refit.heldout for refit in tried])
    weights = tried[0].fits.weights[heldout]

    def pooled(fits: Iterable[Fit]) -> Values:
        pairs = zip(tried, fits, strict=True)
        return np.concatenate([refit.losses(fit) for refit, fit in pairs])

    # An offset is less than a component.
    order = sorted(
        (size, offset)
        for offset, own in paths.items()
        for size in range(min(map(len, own)))
    )
    losses = {
        (size, offset): pooled(path[size] for path in paths[offset])
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
    before = pooled(refit.given for refit in tried)
    mean, error = mean_and_error(losses[size, offset] - before, weights)
    used = sum(refit.given.components for refit in tried)
    if mean < (0 if size * len(tried) <= used else -_CLEARLY * error):
        return size, offset
    return None


class _Refit:
    """A model, and plain fits to what it was fitted to.

    Attributes
    ----------
    given
        What the path of the model found.
    heldout
        Which observations are held out from the model.
    """

    def __init__(
        self, runs: ModelRuns, fits: PlainFits, model: Model, unit: float
    ) -> None:
        self._model, self._watch, baseline = model, runs.watch, model.baseline
        self._share = (baseline.scale / unit) ** 2
        self.given = Fit(model.path.factors, baseline.offset / baseline.scale, False)
        # The offset is a part of the fit.
        values = replace(baseline, offset=0.0).taken_off(
            runs.arrangement.indices, runs.observations.values
        )
        self.fits = replace(fits, values=values)
        is_heldout = runs.folds.part == model.number
        self.heldout, self._training = (
            np.flatnonzero(is_heldout),
            np.flatnonzero(~is_heldout),
        )
        self._penalty = model.path.best_point.penalty

    def path(self, offset: bool, most: int, patience: int | None = None) -> list[Fit]:
        """Fits of ever more components, at most `most`, as long as one more helps."""
        own = [self.fits.nothing(self._training, offset=offset)]
        losses = [math.inf]
        while len(own) <= most and not self._watch.ending():
            seed = self._model.number, len(own)
            fit = self.fits.extended(own[-1], self._training, self._penalty, seed=seed)
            own.append(fit)
            losses.append(self.fits.mean_loss(fit, self.heldout))
            late = len(losses) - 1 - int(np.argmin(losses))
            if patience is not None and late >= patience:
                break
        return own

    def better(self, fit: Fit) -> Model:
        """A model of what was fitted, or the given one where that is better."""
        given, penalty = self._model, self._penalty
        if self._is_worse(fit) and not self._watch.ending():
            seed = (given.number,)
            fit = self.fits.improved(fit, self._training, penalty, seed=seed)
        if self._is_worse(fit):
            return given
        train = self.fits.mean_loss(fit, self._training)
        loss = self.fits.mean_loss(fit, self.heldout)
        falling = by_falling_norm(given.rows.split(fit.factors))
        still = (0.0,) * len(given.rows.dims)
        last = PathPoint(penalty, fit.components, train, loss, still)
        points = [*given.path.points, last]
        path = Path(points, len(points) - 1, fit.factors[:, falling])
        baseline = replace(given.baseline, offset=given.baseline.scale * fit.offset)
        return Model.at_best(given.rows, path, baseline, given.number, given.smooth)

    def losses(self, fit: Fit) -> Values:
        """Losses of held-out entries, in units that models share."""
        return self._share * self.fits.errors(fit, self.heldout)

    def _is_worse(self, fit: Fit) -> bool:
        """Whether the given model's held-out loss is smaller, by a standard error."""
        gains, weights = self.losses(fit) - self.losses(self.given), self.fits.weights
        mean, error = mean_and_error(gains, weights[self.heldout])
        return mean > error
