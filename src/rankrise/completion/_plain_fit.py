"""Fits of so many components as are asked for, with hardly any penalty."""

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rankrise._typing import Indices, Values
from rankrise.completion._compiled import plain_kernels as kernels
from rankrise.losses import AbstractLoss, SquaredLoss

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
    """Components, all factor matrices stacked, and what is added to their sum."""

    factors: Values
    offset: float
    objective: float

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
        Of unit root mean square, or as a loss with a link takes them.
    weights
        Of mean one.
    """

    starts: npt.NDArray[np.int64]
    rows: Indices
    values: Values
    weights: Values
    loss: AbstractLoss

    def nothing(self, shown: Shown, *, offset: bool) -> Fit:
        """No component, and an offset that is fitted where it is asked for."""
        level = 0.0
        if offset:
            weights = self.weights[shown]
            mean = float(np.average(self.values[shown], weights=weights))
            level = self.loss.link_of_mean(mean, len(shown))
        return Fit(np.empty((int(self.starts[-1]), 0)), level, math.inf)

    def extended(
        self,
        fit: Fit,
        shown: Shown,
        penalty: float,
        *,
        offset: bool,
        seed: tuple[int, ...],
    ) -> Fit:
        """One component more, along the largest pull of what the others leave."""
        unit = self._direction(fit, shown, np.random.default_rng(seed))
        factors = np.column_stack([fit.factors, unit])
        return self._fitted(factors, fit.offset, shown, penalty, offset)

    def improved(
        self,
        fit: Fit,
        shown: Shown,
        penalty: float,
        *,
        offset: bool,
        seed: tuple[int, ...],
    ) -> Fit:
        """The best of as many components, after one entered and another left."""
        for number in range(_EXCHANGES if fit.components else 0):
            more = self.extended(
                fit, shown, penalty, offset=offset, seed=(*seed, number)
            )
            without = (np.delete(more.factors, r, 1) for r in range(more.components))
            given = shown, penalty, offset
            best = min(
                (
                    self._fitted(factors, more.offset, *given, steps=_SCREENING)
                    for factors in without
                ),
                key=lambda each: each.objective,
            )
            best = self._fitted(best.factors, best.offset, *given)
            if best.objective >= (1 - _BETTER) * fit.objective:
                break
            fit = best
        return fit

    def polished(self, fit: Fit, shown: Shown, penalty: float, *, offset: bool) -> Fit:
        """The same minimum, more exactly."""
        return self._fitted(
            fit.factors.copy(), fit.offset, shown, penalty, offset, tolerance=_EXACT
        )

    def errors(self, fit: Fit, places: Shown) -> Values:
        """Losses of some observations."""
        predictions = self._predictions(fit.factors, fit.offset, places)
        return np.asarray(self.loss(predictions, self.values[places]))

    def predictions(self, fit: Fit, places: Shown) -> Values:
        """Of some observations, before the inverse link."""
        return self._predictions(fit.factors, fit.offset, places)

    def _predictions(self, factors: Values, offset: float, places: Shown) -> Values:
        rows, total = self.rows[places], np.full(len(places), offset)
        for r in range(factors.shape[1]):
            own = np.ascontiguousarray(factors[:, r])
            total += np.prod(own[rows], axis=1)
        return total

    def _majorizer(
        self, factors: Values, offset: float, shown: Shown
    ) -> tuple[Values, Values]:
        """Weights and targets of least squares that stand for the loss."""
        values, weights = self.values[shown], self.weights[shown]
        if isinstance(self.loss, SquaredLoss):
            return weights, values
        own, targets = self.loss.majorizer(
            self._predictions(factors, offset, shown), values
        )
        return weights * own, np.asarray(targets, np.float64)

    def _direction(self, fit: Fit, shown: Shown, rng: np.random.Generator) -> Values:
        weights, targets = self._majorizer(fit.factors, fit.offset, shown)
        rows = np.ascontiguousarray(self.rows[shown], np.int32)
        residuals = targets - self._predictions(fit.factors, fit.offset, shown)
        pulls = weights * residuals
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
        factors: Values,
        offset: float,
        shown: Shown,
        penalty: float,
        is_free: bool,
        *,
        steps: int = _STEPS,
        tolerance: float = _TOLERANCE,
    ) -> Fit:
        factors = np.ascontiguousarray(factors)
        rows = np.ascontiguousarray(self.rows[shown], np.int32)
        is_quadratic = isinstance(self.loss, SquaredLoss)
        rounds = 1 if is_quadratic else steps
        steps = steps if is_quadratic else _STEPS_BETWEEN
        objective = before = math.inf
        for _ in range(rounds):
            weights, targets = self._majorizer(factors, offset, shown)
            objective, offset = kernels.descend(
                factors,
                offset,
                is_free,
                self.starts,
                rows,
                targets,
                weights,
                penalty,
                steps,
                tolerance,
            )
            if not is_quadratic:
                predictions = self._predictions(factors, offset, shown)
                losses = self.loss(predictions, self.values[shown])
                objective = float(np.sum(self.weights[shown] * losses))
                objective += penalty * float(np.sum(factors**2))
                if before - objective < _TOLERANCE * abs(objective):
                    break
                before = objective
        return Fit(factors, float(offset), float(objective))


def mean_and_error(losses: Values, weights: Values) -> tuple[float, float]:
    """The weighted mean and its standard error."""
    mean = float(np.average(losses, weights=weights))
    deviation = math.sqrt(float(np.sum((weights * (losses - mean)) ** 2)))
    return mean, deviation / float(np.sum(weights))
