"""Alternating least squares by passes over parts; `Alternation` is that of one machine.

The rows of the divided mode are solved for where their observations are. For the other
modes every part sums its normal equations, and the sums are solved on a worker. The
caller's process holds factors, and never an observation.
"""

import functools as ft
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

import rankrise.completion.parts._part as tasks
from rankrise._typing import Values
from rankrise.completion._alternating import (
    MANY_HIDDEN,
    Stage,
    climb_by,
    entering_along,
    sweep_until_still,
    without_vanished,
)
from rankrise.completion._arrangement import chains
from rankrise.completion._compiled import kernels
from rankrise.completion._spectral import (
    Signals,
    components_of_core,
    is_spectral,
    leading_vectors,
    other_bases,
    projected_mode,
    signals,
    unfolded_modes,
)
from rankrise.completion.parts._passes import Passes
from rankrise.completion.parts._plan import Plan

# Bytes of the normal equations that a part sums at once.
_EQUATIONS = 2**24


class PartsAlternation:
    """What a model is fitted to: parts that workers hold.

    Parameters
    ----------
    parts
        Tasks that give a `Part` each, in the order of the plan.
    hidden
        Entries held out, of all parts.
    """

    def __init__(
        self, passes: Passes, plan: Plan, parts: list[Any], hidden: int
    ) -> None:
        self.rows, self.observed = plan.rows, plan.observed
        self._passes, self._plan, self._parts = passes, plan, parts
        self._hidden = hidden
        # Without smoothing, neighbours have nothing in common.
        self._still = np.zeros(len(self.rows.dims))
        self._squares, self._train_weight = map(float, self._sum(tasks.facts))

    @property
    def is_spectral(self) -> bool:
        """Whether components enter by `spectral`, rather than along directions."""
        return is_spectral(self.observed, self.rows.dims)

    @property
    def shows_much(self) -> bool:
        """Whether enough entries are held out that a path ends where their loss rises.

        The loss of few may rise between two penalties and fall further after them.
        """
        return self._hidden >= MANY_HIDDEN

    def nothing(self) -> Stage:
        """No component yet, measured."""
        factors = np.empty((int(self.rows.starts[-1]), 0))
        losses = self._train_loss(factors), self._heldout_loss(factors)
        return Stage(factors, self._still, *losses)

    def advance(
        self,
        stage: Stage,
        penalty: float,
        *,
        sweeps: int,
        smooth: bool,
        directions: Values | None = None,
        entering: Values | None = None,
    ) -> Stage:
        """Let components enter, sweep over the modes, drop what vanished, measure."""
        assert not smooth, "Rows of a part do not know their neighbours in others."
        factors = stage.factors.copy()
        if directions is not None:
            factors = np.column_stack([factors, self._entered(factors, directions)])
        if entering is not None:
            factors = np.column_stack([factors, entering])
        sweep = ft.partial(self._sweep, factors, penalty)
        train_loss = sweep_until_still(sweep, sweeps) / self._train_weight
        count = factors.shape[1]
        factors = without_vanished(factors, self.rows)
        if factors.shape[1] < count:
            train_loss = self._train_loss(factors)
        return Stage(factors, self._still, train_loss, self._heldout_loss(factors))

    # Sweeps.

    def _sweep(self, factors: Values, penalty: float) -> tuple[float, float]:
        """One sweep in place; sums of losses and of penalties after it."""
        starts, size = self.rows.starts, factors.shape[1]
        along: list[Values] = []
        for mode, (begin, end) in enumerate(itertools.pairwise(starts.tolist())):
            solve = self._own if mode == self._plan.split else self._other
            found = solve(factors, penalty, mode)
            factors[begin:end] = np.concatenate([rows for rows, _ in found])
            along = [changes for _, changes in found]
        total = self._squares + float(np.concatenate(along).sum())
        shares = np.empty((len(starts) - 1, size))
        kernels.balance(
            factors, starts, chains(self.rows, self._still, penalty), shares
        )
        return total, float(shares.sum())

    def _own(self, factors: Values, penalty: float, mode: int) -> list[Any]:
        """The rows of the divided mode, by parts."""
        return self._passes.results(self._each(tasks.own_rows, factors, penalty))

    def _other(self, factors: Values, penalty: float, mode: int) -> list[Any]:
        """The rows of another mode, in blocks whose equations fit."""
        size, dim = factors.shape[1], self.rows.dims[mode]
        length = max(1, _EQUATIONS // (8 * max(1, size * (size + 3) // 2)))
        solved = []
        shared = self._shared(factors)
        for first in range(0, dim, length):
            own = mode, first, min(first + length, dim)
            each = self._passes.each(tasks.equations, self._parts, *shared, *own)
            total = self._passes.summed(each)
            task = self._passes.submit(tasks.solved, total, size, penalty)
            solved.append(self._passes.result(task))
        return solved

    # Losses.

    def _train_loss(self, factors: Values) -> float:
        return float(self._sum(tasks.train_total, factors)) / self._train_weight

    def _heldout_loss(self, factors: Values) -> float:
        count, losses = self._sum(tasks.heldout_total, factors)
        return float(losses / count) if count else math.nan

    def heldout_gain(self, factors: Values, over: Values) -> tuple[float, float]:
        """Mean fall of the held-out losses, entry by entry, and its standard error."""
        given = *self._shared(factors), *self._shared(over)
        each = self._passes.each(tasks.gains, self._parts, *given)
        total = self._passes.result(self._passes.summed(each, tasks.gains_of))
        count, mean, squares = map(float, total)
        return mean, math.sqrt(squares / count) / math.sqrt(count)

    # Components that enter.

    def _entered(self, factors: Values, directions: Values) -> Values:
        """Components along the largest pulls found: more of them beside many."""
        residuals = self._each(tasks.residuals, factors)
        units = np.ascontiguousarray(directions)
        pull_of = ft.partial(self._pull, residuals)
        decay = np.zeros(int(self.rows.starts[-1]))
        strengths = climb_by(pull_of, units, self.rows.starts, decay)
        del residuals, pull_of

        def curvature(unit: Values) -> float:
            return float(self._sum(tasks.curvature, unit))

        count = factors.shape[1]
        return entering_along(units, strengths, self.rows, count, curvature)

    def _pull(self, residuals: list[Any], units: Values, mode: int) -> Values:
        each = self._each(tasks.pull, units, residuals, mode)
        if mode == self._plan.split:
            return np.concatenate(self._passes.results(each))
        return np.asarray(self._passes.result(self._passes.summed(each)))

    # Spectra.

    def spectral(self, factors: Values, seed: int) -> Values:
        """Components of what is left that rise above its noise, stacked."""
        residuals = self._each(tasks.residuals, factors)
        dims, split = self.rows.dims, self._plan.split
        found = [self._signals(residuals, n, seed) for n in unfolded_modes(dims)]
        size = max(each.above for each in found)
        if not size:
            return np.empty((int(self.rows.starts[-1]), 0))
        bases = other_bases(found, dims, size)
        if projected_mode(dims) is not None:
            bases[split] = self._projected(residuals, bases, size)
        own, bases[split] = np.split(bases[split], self._plan.bounds[1:-1]), np.eye(0)
        shared = self._passes.shared(bases)
        core = self._summed(tasks.core, self._parts, residuals, shared, own)
        bases[split] = np.concatenate(own)
        count = int(self._summed(tasks.shown_count, residuals))
        scaled = core * (math.prod(dims) / count)
        return components_of_core(scaled, bases, size, seed)

    def _signals(self, residuals: list[Any], mode: int, seed: int) -> Signals:
        passes = self._passes
        if mode != self._plan.split:
            unfolded = passes.each(tasks.unfolded, self._parts, residuals, mode, seed)

            def times(vectors: Values, is_noise: bool) -> Values:
                shared = passes.shared(np.ascontiguousarray(vectors))
                found = self._summed(tasks.times_unfolding, unfolded, shared, is_noise)
                return np.asarray(found)
        else:
            unfolded = passes.each(tasks.unfolded_own, self._parts, residuals, seed)

            def times(vectors: Values, is_noise: bool) -> Values:
                own = np.split(vectors, self._plan.bounds[1:-1])
                sums = passes.each(tasks.column_sums, unfolded, own, is_noise)
                given = passes.summed(sums), own, is_noise
                each = passes.each(tasks.times_columns, unfolded, *given)
                return np.concatenate(passes.results(each))

        of_data, of_noise = (ft.partial(times, is_noise=x) for x in (False, True))
        return signals(of_data, of_noise, self.rows.dims, mode, seed)

    def _projected(
        self, residuals: list[Any], bases: list[Values], size: int
    ) -> Values:
        """A basis of the divided mode: what is left times the bases of the others."""
        passes = self._passes
        given = self._parts, residuals, passes.shared(bases)
        matrices = passes.each(tasks.projected, *given)
        total = passes.summed(passes.each(tasks.gram, matrices))
        vectors = leading_vectors(passes.result(total), size)
        each = passes.each(tasks.times, matrices, vectors)
        return np.linalg.qr(np.concatenate(passes.results(each)))[0]

    # Passes.

    def _shared(self, factors: Values) -> tuple[Any, list[Values]]:
        """Factors of the modes that are whole, for all parts; and the rows of each."""
        others, own = self._plan.of_parts(factors)
        return self._passes.shared(others), own

    def _each(
        self, function: Callable[..., Any], factors: Values, *arguments: Any
    ) -> list[Any]:
        """A task for each part, of the factors that concern it."""
        given = self._shared(factors)
        return self._passes.each(function, self._parts, *given, *arguments)

    def _sum(self, function: Callable[..., Any], factors: Values | None = None) -> Any:
        given = () if factors is None else self._shared(factors)
        return self._summed(function, self._parts, *given)

    def _summed(self, function: Callable[..., Any], *columns: Any) -> Any:
        """The sum of what tasks give."""
        each = self._passes.each(function, *columns)
        return self._passes.result(self._passes.summed(each))
