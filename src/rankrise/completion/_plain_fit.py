"""Fits of so many components as are asked for, with hardly any penalty."""

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rankrise._typing import Indices, Values
from rankrise.completion._arrangement import Rows
from rankrise.completion._compiled import plain_kernels as kernels
from rankrise.losses import AbstractLoss, SquaredLoss
from rankrise.tensors import Observations

# Of Levenberg-Marquardt; other losses are majorized in between.
_STEPS, _TOLERANCE, _EXACT = 25, 1e-4, 1e-7
_STEPS_BETWEEN = 3
# Directions that a new component is tried in, and the share of its pull it begins with.
_DIRECTIONS, _SHARE = 4, 0.5
# Exchanges of a component that may bring a fit to a better minimum.
_EXCHANGES, _BETTER = 3, 1e-3
# Steps after which the best of those that may leave is known.
_SCREENING = 4

Shown = npt.NDArray[np.intp]


class Fit(NamedTuple):
    """Components, all factor matrices stacked, and what is added to their sum.

    Attributes
    ----------
    has_offset
        Whether an offset is fitted as well; else it is zero.
    """

    factors: Values
    offset: float
    has_offset: bool
    objective: float = math.inf

    @property
    def components(self) -> int:
        """How many."""
        return self.factors.shape[1]


@dataclass(frozen=True, eq=False)
class PlainFits:
    """What components are fitted to.

    A penalty is of the squares of factors, in units of an observation's weight.

    Attributes
    ----------
    starts
        Where the rows of every mode begin in the stack.
    rows
        Rows of the stack that every observation lies in, a column a mode.
    values
        Values of unit root mean square, or as a loss with a link takes them.
    weights
        Weights of mean one.
    """

    starts: npt.NDArray[np.int64]
    rows: Indices
    values: Values
    weights: Values
    loss: AbstractLoss

    @classmethod
    def of(
        cls, observations: Observations, rows: Rows, values: Values, loss: AbstractLoss
    ) -> "PlainFits":
        """Fits to these values of observations."""
        places, given = rows.of_observed(observations.indices), observations.weights
        weights = np.ones(len(values)) if given is None else of_mean_one(given)
        return cls(rows.starts, rows.stacked(places), values, weights, loss)

    def nothing(self, shown: Shown, *, offset: bool) -> Fit:
        """No component, and an offset that is fitted where it is asked for."""
        level = 0.0
        if offset:
            weights = self.weights[shown]
            mean = float(np.average(self.values[shown], weights=weights))
            level = self.loss.link_of_mean(mean, len(shown))
        return Fit(np.empty((int(self.starts[-1]), 0)), level, offset)

    def extended(
        self, fit: Fit, shown: Shown, penalty: float, *, seed: tuple[int, ...]
    ) -> Fit:
        """One component more, along the largest pull of what the others leave."""
        unit = self._direction(fit, shown, np.random.default_rng(seed))
        factors = np.column_stack([fit.factors, unit])
        return self._fitted(fit._replace(factors=factors), shown, penalty)

    def improved(
        self, fit: Fit, shown: Shown, penalty: float, *, seed: tuple[int, ...]
    ) -> Fit:
        """The best of as many components, after one entered and another left."""
        for number in range(_EXCHANGES if fit.components else 0):
            more = self.extended(fit, shown, penalty, seed=(*seed, number))
            without = (
                more._replace(factors=np.delete(more.factors, r, 1))
                for r in range(more.components)
            )
            best = min(
                (self._fitted(f, shown, penalty, steps=_SCREENING) for f in without),
                key=lambda each: each.objective,
            )
            best = self._fitted(best, shown, penalty)
            if best.objective >= (1 - _BETTER) * fit.objective:
                break
            fit = best
        return fit

    def polished(self, fit: Fit, shown: Shown, penalty: float) -> Fit:
        """The same minimum, more exactly."""
        copy = fit._replace(factors=fit.factors.copy())
        return self._fitted(copy, shown, penalty, tolerance=_EXACT)

    def predictions(self, fit: Fit, places: Shown) -> Values:
        """Predictions of some observations, before the inverse link."""
        rows, total = self.rows[places], np.full(len(places), fit.offset)
        for r in range(fit.components):
            own = np.ascontiguousarray(fit.factors[:, r])
            total += np.prod(own[rows], axis=1)
        return total

    def errors(self, fit: Fit, places: Shown) -> Values:
        """Losses of some observations."""
        predictions = self.predictions(fit, places)
        return np.asarray(self.loss(predictions, self.values[places]))

    def mean_loss(self, fit: Fit, places: Shown) -> float:
        """The weighted mean of these."""
        errors = self.errors(fit, places)
        return float(np.average(errors, weights=self.weights[places]))

    def _majorizer(self, fit: Fit, shown: Shown) -> tuple[Values, Values]:
        """Weights and targets of least squares that stand for the loss."""
        values, weights = self.values[shown], self.weights[shown]
        if isinstance(self.loss, SquaredLoss):
            return weights, values
        own, targets = self.loss.majorizer(self.predictions(fit, shown), values)
        return weights * own, np.asarray(targets, np.float64)

    def _direction(self, fit: Fit, shown: Shown, rng: np.random.Generator) -> Values:
        weights, targets = self._majorizer(fit, shown)
        rows = np.ascontiguousarray(self.rows[shown], np.int32)
        pulls = weights * (targets - self.predictions(fit, shown))
        best, strongest = np.zeros(int(self.starts[-1])), -1.0
        for _ in range(_DIRECTIONS):
            unit = rng.standard_normal(len(best))
            for begin, end in itertools.pairwise(self.starts):
                unit[begin:end] /= np.linalg.norm(unit[begin:end])
            strength = kernels.turn(self.starts, rows, pulls, unit)
            if strength > strongest:
                best, strongest = unit, strength
        along = np.prod(best[rows], axis=1)
        curvature = float(np.sum(weights * along**2))
        norm = _SHARE * strongest / curvature if curvature > 0 else 0.0
        return np.asarray(best * norm ** (1 / rows.shape[1]))

    def _fitted(
        self,
        fit: Fit,
        shown: Shown,
        penalty: float,
        *,
        steps: int = _STEPS,
        tolerance: float = _TOLERANCE,
    ) -> Fit:
        """The minimum near a fit, whose factors may be moved there in place."""
        factors = np.ascontiguousarray(fit.factors)
        fit, before = fit._replace(factors=factors), math.inf
        rows = np.ascontiguousarray(self.rows[shown], np.int32)
        is_quadratic = isinstance(self.loss, SquaredLoss)
        rounds, steps = (1, steps) if is_quadratic else (steps, _STEPS_BETWEEN)
        for _ in range(rounds):
            weights, targets = self._majorizer(fit, shown)
            objective, offset = kernels.descend(
                factors,
                fit.offset,
                fit.has_offset,
                self.starts,
                rows,
                targets,
                weights,
                penalty,
                steps,
                tolerance,
            )
            fit = fit._replace(offset=float(offset))
            if not is_quadratic:
                losses = self.errors(fit, shown)
                objective = float(np.sum(self.weights[shown] * losses))
                objective += penalty * float(np.sum(factors**2))
            fit = fit._replace(objective=float(objective))
            if before - fit.objective < _TOLERANCE * abs(fit.objective):
                break
            before = fit.objective
        return fit


def of_mean_one(weights: Values) -> Values:
    """Weights over their mean; large ones have no finite sum."""
    weights = weights / np.max(weights)
    return weights / np.mean(weights)


def mean_and_error(
    losses: Values, weights: Values | None = None
) -> tuple[float, float]:
    """The weighted mean and its standard error."""
    if weights is None:
        return float(np.mean(losses)), float(np.std(losses)) / math.sqrt(len(losses))
    mean = float(np.average(losses, weights=weights))
    deviation = math.sqrt(float(np.sum((weights * (losses - mean)) ** 2)))
    return mean, deviation / float(np.sum(weights))
