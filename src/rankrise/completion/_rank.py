"""The rank that data show: what a plain fit needs, and halves of the data find again.

What predicts best uses penalties, smooth factors and the mean of several models, and
its number of components says little of the data. So rank is told by fits that have no
penalty to speak of, one more component at a time, on entries that were held out.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from rankrise._environment import usable_cores
from rankrise._typing import Values
from rankrise.completion._arrangement import Rows
from rankrise.completion._compiled import load_kernels, plain_kernels
from rankrise.completion._holdout import HeldOut, make_folds
from rankrise.completion._model import (
    Model,
    by_falling_norm,
    fit_baseline,
    match_scores,
    signed,
)
from rankrise.completion._path import PathPoint
from rankrise.completion._plain_fit import Fit, PlainFits, mean_and_error
from rankrise.completion._rank_table import RankEstimate, RankProgress, RankRow
from rankrise.completion._settings import CompletionSettings
from rankrise.losses import AbstractLoss, SquaredLoss
from rankrise.tensors import Observations

# Parts of the observations, each held out once.
_PARTS = 5
# Components that lower the held-out error by less than a standard error, after which no
# more are tried.
_PATIENCE = 2
# So many components in a row that each lower the held-out loss by less than this share
# are no structure that one could name, and each takes longer than the one before.
_TAIL, _LITTLE = 4, 0.03
# Of the variance of the values: without noise, components gain as little by rounding.
_NEGLIGIBLE = 1e-12
# A component is found again where both halves have it by this factor match score.
_FOUND_AGAIN = 0.5
# Fits with a smaller one may have ended in other minima.
_ALIKE = 0.95
# Penalties, in units of an observation's weight for values of unit root mean square:
# the least hides no component, others are tried where the held-out loss is so many
# times the least, as where components run off to infinity against each other.
_PENALTIES, _RUN_OFF = (1e-3, 0.1, 1.0, 10.0), 1.2
# Standard errors, and a share of the loss, that ask for an offset: one number can seem
# to help by chance. A mean of so many deviations is likely one.
_FOR_OFFSET, _MUCH, _FAR = 3.0, 0.01, 2.0
# More observations than these are sampled, where so many for each row suffice.
_ENOUGH, _FOR_EACH_ROW = 40_000, 300
# Fits to more would take too long.
_TOO_MANY = 320_000
# Fewer observations tell nothing.
_FEWEST = 10
# Core consistency is of tensors and cores that have at most so many entries.
_DENSE, _LARGEST_CORE = 2**22, 2**16
# In percent; where components cancel one another it would fall without end.
_LEAST_CORE = -1000.0


def tell_rank(
    observations: Observations,
    rows: Rows,
    loss: AbstractLoss,
    heldout: HeldOut,
    settings: CompletionSettings,
    progress: Callable[[RankProgress], None] | None,
) -> RankEstimate:
    """The rank of observations, whose indices run in order."""
    seed, max_components = settings.seed, settings.max_components
    if len(observations) < _FEWEST or not np.ptp(observations.values):
        factors = tuple(np.empty((dim, 0)) for dim in rows.dims)
        offset = float(np.mean(observations.values))
        return RankEstimate(0, 0, offset, factors, (), len(observations))
    load_kernels(plain_kernels)
    if len(observations) > _most(rows):
        drawn = np.random.default_rng(seed).permutation(len(observations))
        observations = observations.take(np.sort(drawn[: _most(rows)]))
    if loss.is_additive:
        # Counts are these rates on average.
        loss = SquaredLoss()
    # No tensor of these dimensions needs more.
    most = min(max_components, math.prod(rows.dims) // max(rows.dims))
    values, scale = observations.values, 1.0
    if loss.is_robust:
        scale = fit_baseline(
            observations.indices,
            values,
            np.ones(len(values), bool),
            rows.dims,
            loss,
            center=True,
            main_effects=False,
        ).scale
    elif not loss.is_linked:
        # About the mean, for what the data show doesn't depend on where zero is.
        scale = float(np.std(values)) or 1.0
    with ThreadPoolExecutor(usable_cores()) as threads:
        search = _Search(observations, rows, loss, scale, threads, seed, progress)
        found = search.estimate(heldout, most)
        return replace(found, is_limited=found.needed == max_components)


def _cost(last: int) -> int:
    """Of fits of all sizes up to this one, each of which grows as a square."""
    return (last + 1) * (last + 2) * (2 * last + 3) // 6


def _most(rows: Rows) -> int:
    return max(_ENOUGH, _FOR_EACH_ROW * sum(rows.dims))


def is_told_by_fits(count: int, rows: Rows) -> bool:
    """Whether fits to so many observations, or a sample, take seconds or minutes."""
    return min(count, _most(rows)) <= _TOO_MANY


def rank_of_paths(
    models: Sequence[Model], hidden: int, observed: int, loss: AbstractLoss
) -> RankEstimate:
    """The rank by paths of models, where observations are too many for fits.

    The standard error of a mean square is that of normal residuals. Components are
    found again if another model has them, whose observations are not all others.

    Parameters
    ----------
    hidden, observed
        How many observations are held out from a model, and how many there are.
    """
    reference = min(models, key=lambda model: model.path.best_point.heldout_loss)
    least = [_least_by_components(model) for model in models]
    sizes = sorted(set.intersection(*(set(each) for each in least)))
    rows = []
    for size in sizes:
        mean = float(np.mean([each[size].heldout_loss for each in least]))
        train = float(np.mean([each[size].train_loss for each in least]))
        deviation = mean * math.sqrt(2 / max(2, hidden))
        scale = reference.baseline.scale
        error, deviation = _error_of(mean, deviation, scale, loss)
        explained = 1 - train / models[0].path.points[0].train_loss
        rows.append(RankRow(size, error, deviation, math.nan, math.nan, explained))
    best = min(rows, key=lambda row: row.heldout_error)
    needed = next(
        row.components
        for row in rows
        if row.heldout_error <= best.heldout_error + best.standard_error
    )
    offset, width = reference.baseline.offset, reference.factors[0].shape[1]
    kept = np.arange(min(needed, width))
    others = [model for model in models if model is not reference]
    if others:
        scores = [match_scores(reference.factors, each.factors) for each in others]
        kept = np.flatnonzero(np.max(scores, axis=0)[:needed] >= _FOUND_AGAIN)
    factors = tuple(signed([matrix[:-1, kept] for matrix in reference.factors]))
    return RankEstimate(len(kept), needed, offset, factors, tuple(rows), observed)


def _least_by_components(model: Model) -> dict[int, PathPoint]:
    """The point with the least held-out loss for every number of components."""
    found: dict[int, PathPoint] = {}
    for point in model.path.points:
        own = found.get(point.components, point)
        found[point.components] = min(own, point, key=lambda each: each.heldout_loss)
    return found


class _Trial:
    """Losses of held-out entries, of one number of components."""

    def __init__(self, losses: Values, weights: Values, penalty: float) -> None:
        self.losses, self.weights, self.penalty = losses, weights, penalty
        self.mean, self.deviation = mean_and_error(losses, weights)

    def is_as_good_as(self, other: "_Trial", errors: float = 1.0) -> bool:
        """Whether its mean is within so many standard errors, entry by entry."""
        mean, deviation = mean_and_error(self.losses - other.losses, self.weights)
        return mean <= errors * deviation + _NEGLIGIBLE


class _Search:
    """Fits of ever more components to parts, halves and all of the observations."""

    def __init__(
        self,
        observations: Observations,
        rows: Rows,
        loss: AbstractLoss,
        scale: float,
        threads: ThreadPoolExecutor,
        seed: int,
        progress: Callable[[RankProgress], None] | None,
    ) -> None:
        self._observations, self._rows, self._scale = observations, rows, scale
        self._threads, self._seed, self._progress = threads, seed, progress
        # Components at which searches ended.
        self._searched: list[int] = []
        # Whether a search left off where more components help a little.
        self._is_open = {False: False, True: False}
        self._every = np.arange(len(observations))
        self._fits = PlainFits.of(observations, rows, observations.values / scale, loss)

    def estimate(self, heldout: HeldOut, most: int) -> RankEstimate:
        folds = make_folds(
            self._observations,
            min(_PARTS, len(self._observations) // 2),
            share=None,
            heldout=heldout,
            seed=self._seed,
        )
        hidden = [np.flatnonzero(folds.part == k) for k in range(folds.count)]
        shown = [np.flatnonzero(folds.part != k) for k in range(folds.count)]
        mean = abs(float(np.average(self._fits.values, weights=self._fits.weights)))
        first = not self._fits.loss.is_linked and mean > _FAR
        found = {first: self._tried(shown, hidden, most, offset=first)}
        # Without an offset one component more may stand for it.
        means = [trial.mean for trial in found[first]]
        most_other = min(most, means.index(min(means)) + first)
        found[not first] = self._tried(shown, hidden, most_other, offset=not first)
        needed, offset = _needed(found)
        return self._told(found[offset], needed, offset)

    def _told(
        self, trials: Sequence[_Trial], needed: int, offset: bool
    ) -> RankEstimate:
        """Which of the needed components are found again in halves."""
        count = len(self._observations)
        half = np.random.default_rng(self._seed).permutation(count) % 2
        shown = [*(np.flatnonzero(half == k) for k in (0, 1)), self._every]
        penalties = [trial.penalty for trial in trials[: needed + _PATIENCE + 1]]
        parts = self._paths(shown, penalties, offset)
        matches = [self._matches(one, two) for one, two in zip(*parts[:2], strict=True)]

        def improve(number: int, fit: Fit) -> Fit:
            size = fit.components
            seed = self._seed, _PARTS + number, size
            return self._fits.improved(fit, shown[number], penalties[size], seed=seed)

        def found_again(size: int) -> int:
            if np.min(matches[size], initial=1.0) < _ALIKE:
                pair = self._threads.map(improve, (0, 1), [f[size] for f in parts[:2]])
                matches[size] = self._matches(*pair)
            return int(np.sum(matches[size] >= _FOUND_AGAIN))

        rank = found_again(needed)
        if rank < needed:
            # The table should say of the rank what it would say if it were needed.
            found_again(rank)
        whole = improve(2, parts[2][rank])
        if rank:
            whole = self._fits.polished(whole, self._every, penalties[rank])
        nothing = self._fits.nothing(self._every, offset=True)
        total = self._fits.mean_loss(nothing, self._every)
        rows = []
        for size, (scores, fit) in enumerate(zip(matches, parts[2], strict=True)):
            left = self._fits.mean_loss(fit, self._every)
            rows.append(
                RankRow(
                    size,
                    *self._error(trials[size]),
                    float(np.min(scores, initial=1.0)),
                    self._core_consistency(fit),
                    1 - left / total if total else math.nan,
                )
            )
        return RankEstimate(
            rank,
            needed,
            self._scale * whole.offset,
            self._sorted(whole),
            tuple(rows),
            count,
            is_open=self._is_open[offset],
        )

    # Fits.

    def _tried(
        self, shown: Sequence[Any], hidden: Sequence[Any], most: int, offset: bool
    ) -> list[_Trial]:
        """Losses of held-out entries by number of components, until they only rise."""
        fits = [self._fits.nothing(part, offset=offset) for part in shown]
        found: list[_Trial] = []
        first = better = 0
        for size in range(most + 1):
            least = min((each.mean for each in found), default=math.inf)
            trials = []
            for penalty in _PENALTIES[first:]:
                own = self._extended(fits, shown, penalty) if size else fits
                trials.append((self._trial(own, hidden, penalty), own))
                if trials[-1][0].mean <= _RUN_OFF * least:
                    break
            trial, fits = min(trials, key=lambda each: each[0].mean)
            first = _PENALTIES.index(trial.penalty)
            found.append(trial)
            if size and not found[better].is_as_good_as(trial):
                better = size
            if self._progress is not None:
                last = max(size, min(most, better + _PATIENCE))
                share = self._share(size, last)
                self._progress(RankProgress(size, self._error(trial)[0], share))
            if size - better >= _PATIENCE:
                break
            means = [each.mean for each in found[-_TAIL - 1 :]]
            if len(means) > _TAIL and all(
                after > (1 - _LITTLE) * before
                for before, after in itertools.pairwise(means)
            ):
                self._is_open[offset] = True
                break
        self._searched.append(len(found) - 1)
        return found

    def _share(self, size: int, last: int) -> float:
        """What is done once so many components of `last` were tried in this search.

        There are two searches, and the halves and the whole take as long as a third.
        """
        before = sum(map(_cost, self._searched))
        ahead = _cost(last) * (2 - len(self._searched))
        last_of_all = max([last, *self._searched])
        return (before + _cost(size)) / (before + ahead + _cost(last_of_all))

    def _extended(
        self, fits: Sequence[Fit], shown: Sequence[Any], penalty: float
    ) -> list[Fit]:
        def extended(number: int) -> Fit:
            fit = fits[number]
            seed = self._seed, number, fit.components
            return self._fits.extended(fit, shown[number], penalty, seed=seed)

        return list(self._threads.map(extended, range(len(fits))))

    def _trial(
        self, fits: Sequence[Fit], hidden: Sequence[Any], penalty: float
    ) -> _Trial:
        pairs = zip(fits, hidden, strict=True)
        losses = np.concatenate([self._fits.errors(*pair) for pair in pairs])
        weights = self._fits.weights[np.concatenate(hidden)]
        return _Trial(losses, weights, penalty)

    def _paths(
        self, parts: Sequence[Any], penalties: Sequence[float], offset: bool
    ) -> list[list[Fit]]:
        """Fits to some parts by number of components."""

        def path(number: int) -> list[Fit]:
            shown, seed = parts[number], (self._seed, _PARTS + number)
            fits = [self._fits.nothing(shown, offset=offset)]
            for size, penalty in enumerate(penalties[1:], start=1):
                own = *seed, size
                fits.append(self._fits.extended(fits[-1], shown, penalty, seed=own))
            return fits

        return list(self._threads.map(path, range(len(parts))))

    # Figures of merit.

    def _error(self, trial: _Trial) -> tuple[float, float]:
        loss = self._fits.loss
        return _error_of(trial.mean, trial.deviation, self._scale, loss)

    def _matches(self, one: Fit, two: Fit) -> Values:
        first, second = (self._rows.split(each.factors) for each in (one, two))
        if len(first) > 2 or not one.components:
            return match_scores(first, second)
        # Components of a matrix are not unique, but the spaces they span are.
        cosines = np.ones(one.components)
        for left, right in zip(first, second, strict=True):
            bases = np.linalg.qr(left)[0], np.linalg.qr(right)[0]
            cosines *= np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
        return cosines

    def _sorted(self, fit: Fit) -> tuple[Values, ...]:
        """Factor matrices in units of the data, by falling norm."""
        matrices = self._rows.split(fit.factors)
        if len(matrices) == 2 and fit.components:
            left, right = (np.linalg.qr(matrix) for matrix in matrices)
            one, sizes, other = np.linalg.svd(left.R @ right.R.T)
            matrices = (
                left.Q @ one * np.sqrt(sizes),
                right.Q @ other.T * np.sqrt(sizes),
            )
        falling = by_falling_norm(matrices)
        share = self._scale ** (1 / len(matrices))
        return tuple(signed([share * matrix[:, falling] for matrix in matrices]))

    def _core_consistency(self, fit: Fit) -> float:
        dims, size = self._rows.dims, fit.components
        if (
            not size
            or math.prod(dims) > _DENSE
            or size ** len(dims) > _LARGEST_CORE
            or not isinstance(self._fits.loss, SquaredLoss)
        ):
            return math.nan
        # Where nothing was observed the model stands in, which leaves no residual.
        core = np.zeros(dims)
        places = self._rows.of_observed(self._observations.indices)
        residuals = self._fits.values - self._fits.predictions(fit, self._every)
        core[tuple(places.T)] = residuals
        for matrix in self._rows.split(fit.factors):
            core = np.tensordot(core, np.linalg.pinv(matrix), axes=(0, 1))
        return max(100 * (1 - float(np.sum(core**2)) / size), _LEAST_CORE)


# Of the squared loss, over the square of a residual.
_SQUARE = 1 / float(SquaredLoss()(np.ones(1), np.zeros(1))[0])


def _error_of(
    mean: float, deviation: float, scale: float, loss: AbstractLoss
) -> tuple[float, float]:
    """The error that is told of a mean loss, and its standard error."""
    if not isinstance(loss, SquaredLoss):
        return mean, deviation
    # The loss is the square, or half of it, of a residual.
    factor = scale**2 * _SQUARE
    error = math.sqrt(factor * mean)
    return error, factor * deviation / (2 * error) if error else 0.0


def _needed(found: Mapping[bool, Sequence[_Trial]]) -> tuple[int, bool]:
    """How many components are needed, and whether an offset is."""
    # An offset is less than a component: so many without come before as many with.
    order = sorted(
        (size, offset) for offset, own in found.items() for size in range(len(own))
    )
    least = min((found[offset][size] for size, offset in order), key=lambda t: t.mean)
    needed, offset = next(
        (size, offset)
        for size, offset in order
        if found[offset][size].is_as_good_as(least)
    )
    if offset and needed < len(found[False]):
        without = found[False][needed]
        offset = without.mean - least.mean > _MUCH * least.mean
        offset = offset and not without.is_as_good_as(least, _FOR_OFFSET)
    return needed, offset
