r"""Alternating least squares, and components that enter along the largest pull.

With $h_s = \prod_{m \ne n} w^m_{i_m}$, taken component by component, the prediction at
observation $s$ is $\langle h_s, w^n_{i_n}\rangle$, linear in a row of factor matrix
$n$: a row solves $(\sum_s a_s h_s h_s^\top + \lambda Q) w = \sum_s a_s t_s h_s$ over
its observations, with weights $a_s$ and targets $t_s$ of the loss's majorizer.
"""

import math
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rankrise._typing import Values
from rankrise.completion._arrangement import Arrangement
from rankrise.completion._chain import Chains, chains, neighbour_correlations
from rankrise.completion._compiled import kernels
from rankrise.completion._pulls import Contraction, climb, contraction
from rankrise.losses import AbstractLoss, SquaredLoss

# A component enters with this share of the norm it is drawn to.
_ENTRY_SHARE = 0.3
# A component this much smaller than the largest is none, nor is one whose entries are
# this small beside the values.
_VANISHED, _NOTHING = 1e-3, 1e-9
# Sweeps end when the objective falls by less than this share.
_TOLERANCE = 1e-4
# Observations that are summed over at once.
_BLOCK = 2**18


class Stage(NamedTuple):
    """Where the components are.

    Attributes
    ----------
    factors
        All factor matrices, stacked; norms of components fall.
    correlations
        Between neighbouring rows, mode by mode.
    """

    factors: Values
    correlations: Values
    train_loss: float
    heldout_loss: float

    @property
    def components(self) -> int:
        """How many."""
        return self.factors.shape[1]


class Alternation:
    """What one model is fitted to.

    Parameters
    ----------
    values, weights
        Of every observation, as the model's losses take them; without weights all are
        one.
    parts, part
        Observations of this part are held out; `parts` stand at all places.
    offset
        Added to the sum of components before the loss.
    pool
        Shares the rows of a large tensor between threads.
    """

    def __init__(
        self,
        arrangement: Arrangement,
        values: Values,
        weights: Values | None,
        parts: npt.NDArray[np.uint8],
        part: int,
        *,
        loss: AbstractLoss,
        offset: float = 0.0,
        non_negative: bool = False,
        pool: Executor | None = None,
    ) -> None:
        self.arrangement, self.rows = arrangement, arrangement.rows
        self._loss, self._offset = loss, offset
        self._kind = kernels.NON_NEGATIVE if non_negative else kernels.SOLVE
        self._parts, self._part, self._pool = parts, part, pool
        self._is_quadratic = isinstance(loss, SquaredLoss)
        first = parts[: len(arrangement)]
        self._shown, hidden = first != part, np.flatnonzero(first == part)
        self._targets = arrangement.spread(values - offset if offset else values)
        # The targets' own memory where they are the same numbers and stay so.
        self._values = values if offset else self._targets[: len(arrangement)]
        if not self._is_quadratic:
            self._values = values
            modes = range(len(self.rows.dims))
            self._places = [arrangement.at_places(mode) for mode in modes]
        self._own_weights = weights
        self._weights: Values = np.empty(0)
        if weights is not None:
            self._weights = arrangement.spread(weights)
        self._train_weight = float(np.count_nonzero(self._shown))
        if weights is not None:
            self._train_weight = float(np.sum(weights[self._shown]))
        self._squares = 0.0
        for begin in range(0, len(arrangement), _BLOCK):
            block = slice(begin, min(begin + _BLOCK, len(arrangement)))
            squares = self._shown[block] * self._targets[block] ** 2
            if weights is not None:
                squares *= weights[block]
            self._squares += float(np.sum(squares))
        self._hidden = self.rows.stacked(arrangement.indices[hidden])
        self._hidden_values = values[hidden]
        self._hidden_weights = None if weights is None else weights[hidden]
        # Where little is missing, equations are those of all entries less some.
        self._from_all: Contraction | None = None
        if self._is_quadratic and weights is None and len(arrangement.missing_begins):
            self._from_all = contraction(arrangement, self._shown * (values - offset))

    def nothing(self) -> Stage:
        """No component yet, measured."""
        factors = np.empty((self.rows.starts[-1], 0))
        return self._measured(factors, np.zeros(len(self.rows.dims)))

    def advance(
        self,
        stage: Stage,
        penalty: float,
        *,
        sweeps: int,
        smooth: bool,
        directions: Values | None = None,
    ) -> Stage:
        """Let a component enter, sweep over the modes, drop what vanished, measure.

        Parameters
        ----------
        directions
            In which a component may enter, stacked, as columns.
        """
        correlations: Values = np.zeros(len(self.rows.dims))
        if smooth:
            correlations = neighbour_correlations(stage.factors, self.rows)
        links = chains(self.rows, correlations)
        factors = stage.factors.copy()
        if directions is not None:
            entered = self._entered(factors, links, directions)
            factors = np.column_stack([factors, entered])
        train_loss = self._sweep_until_flat(factors, links, penalty, sweeps)
        return self._tidied(factors, correlations, train_loss)

    # Sweeps.

    def _sweep_until_flat(
        self, factors: Values, links: Chains, penalty: float, sweeps: int
    ) -> float:
        """Solve for one factor matrix after another until the objective is flat."""
        before = train_loss = math.inf
        for number in range(sweeps):
            total, size = self._sweep(factors, links, penalty)
            train_loss = max(total, 0.0) / self._train_weight
            objective = total + penalty * size
            if number and before - objective <= _TOLERANCE * abs(objective):
                break
            before = objective
        return train_loss

    def _sweep(
        self, factors: Values, links: Chains, penalty: float
    ) -> tuple[float, float]:
        """One sweep in place; sums of losses and of penalties after it."""
        shares = np.empty((len(self.rows.dims), factors.shape[1]))
        along = np.empty(len(factors))
        lists = self._lists()
        if self._pool is None and self._is_quadratic and self._from_all is None:
            change = kernels.sweep_rows(
                self._kind,
                factors,
                self.rows.starts,
                *lists,
                links.diagonal,
                links.coupling,
                links.chained,
                penalty,
                along,
                shares,
            )
            return self._squares + change, float(np.sum(shares))
        for mode in range(len(self.rows.dims)):
            self._solve_mode(mode, factors, links, penalty, along)
        starts = self.rows.starts
        change = float(np.sum(along[starts[-2] :]))
        kernels.penalties(factors, starts, links.diagonal, links.coupling, shares)
        kernels.balance(factors, starts, shares)
        if self._is_quadratic:
            return self._squares + change, float(np.sum(shares))
        return self._train_loss(factors) * self._train_weight, float(np.sum(shares))

    def _lists(self) -> tuple[Any, ...]:
        arrangement = self.arrangement
        return (
            arrangement.begins,
            arrangement.others,
            self._targets,
            self._weights,
            self._parts,
            self._part,
        )

    def _solve_mode(
        self, mode: int, factors: Values, links: Chains, penalty: float, along: Values
    ) -> None:
        if not self._is_quadratic:
            self._majorize(mode, factors)
        first, last = map(int, self.rows.starts[mode : mode + 2])
        arrangement, size = self.arrangement, factors.shape[1]
        chained = self._kind == kernels.SOLVE and bool(links.chained[mode])
        matrices = np.empty((last - first if chained else 0, size, size))
        rights: Values = np.empty((last - first, size))
        gram = np.empty((size, size))
        missing_begins = arrangement.missing_begins[:0]
        if self._from_all is not None:
            kernels.gram_of_others(factors, self.rows.starts, mode, gram)
            rights = self._from_all(factors, mode)
            missing_begins = arrangement.missing_begins
        diagonal, coupling = penalty * links.diagonal, penalty * links.coupling
        # Rows that are neighbours do not move at once.
        step = 2 if self._kind == kernels.NON_NEGATIVE else 1

        def solve(begin: int, end: int) -> None:
            kernels.solve_rows(
                kernels.EQUATIONS if chained else self._kind,
                first,
                begin,
                end,
                step,
                factors,
                *self._lists(),
                missing_begins,
                arrangement.missing,
                gram,
                diagonal,
                coupling,
                matrices,
                rights,
                along,
            )

        for parity in range(step):
            self._shared(solve, first, last, step, parity)
        if chained:
            kernels.solve_chain(
                matrices, rights, diagonal, coupling, first, factors, along
            )

    def _shared(
        self,
        work: Callable[[int, int], None],
        first: int,
        last: int,
        step: int = 1,
        skip: int = 0,
    ) -> None:
        """Do some rows' work, by several threads where there is a pool."""
        if self._pool is None:
            work(first + skip, last)
            return
        blocks = self.arrangement.blocks(first, last, step)
        for done in [self._pool.submit(work, a + skip, b) for a, b in blocks]:
            done.result()

    def _majorize(self, mode: int, factors: Values) -> None:
        """Least squares that stand for the loss, touching it where the factors are."""
        count = len(self.arrangement)
        here = slice(mode * count, (mode + 1) * count)
        if len(self._weights) == 0:
            self._weights = np.empty(len(self._targets))
        predictions = self._at_places(factors, mode)[here] + self._offset
        places = self._places[mode]
        weights, targets = self._loss.majorizer(predictions, self._values[places])
        if self._own_weights is not None:
            weights = weights * self._own_weights[places]
        self._weights[here], self._targets[here] = weights, targets - self._offset

    # Losses.

    def _at_places(self, factors: Values, mode: int) -> Values:
        """Sums of components at the places of a mode; what stands elsewhere is void."""
        first, last = map(int, self.rows.starts[mode : mode + 2])
        out = np.empty(self.arrangement.begins[last])
        if factors.shape[1] == 0:
            out[:] = 0
            return out
        others = self.arrangement.others
        self._shared(
            lambda a, b: kernels.predict_rows(
                a, b, factors, self.arrangement.begins, others, out
            ),
            first,
            last,
        )
        return out

    def _train_loss(self, factors: Values) -> float:
        predictions = self._at_places(factors, 0)
        predictions += self._offset
        losses = self._loss(predictions, self._values)
        return self._train_sum(losses) / self._train_weight

    def _train_sum(self, numbers: Values) -> float:
        """Of observations that are shown, times their weights; `numbers` are lost."""
        # What is held out may overflow, and infinity times zero is no number.
        numbers[~self._shown] = 0
        if self._own_weights is not None:
            numbers *= self._own_weights
        return float(np.sum(numbers))

    def _heldout_loss(self, factors: Values) -> float:
        if not len(self._hidden):
            return math.nan
        predictions = np.zeros(len(self._hidden))
        if factors.shape[1]:
            kernels.predict_entries(factors, self._hidden, predictions)
        losses = self._loss(predictions + self._offset, self._hidden_values)
        return float(np.average(losses, weights=self._hidden_weights))

    def _measured(self, factors: Values, correlations: Values) -> Stage:
        return Stage(
            factors,
            correlations,
            self._train_loss(factors),
            self._heldout_loss(factors),
        )

    def _tidied(
        self, factors: Values, correlations: Values, train_loss: float
    ) -> Stage:
        """Without what vanished, by falling norm."""
        squares = np.add.reduceat(factors**2, self.rows.starts[:-1], axis=0)
        norms = np.sqrt(np.prod(squares, axis=0))
        least = _NOTHING * math.sqrt(math.prod(self.rows.dims))
        alive = norms > max(_VANISHED * np.max(norms, initial=0), least)
        order = np.argsort(-norms, kind="stable")
        kept = order[alive[order]]
        factors = np.ascontiguousarray(factors[:, kept])
        if len(kept) < len(norms):
            return self._measured(factors, correlations)
        return Stage(factors, correlations, train_loss, self._heldout_loss(factors))

    # Entries.

    def _entered(self, factors: Values, links: Chains, directions: Values) -> Values:
        r"""One more component, along the largest pull that was found.

        Each direction climbs the pull by alternating over the modes, as that of a
        component near zero does under gradient flow (Razin et al. 2021, Theorem 1).
        """
        residuals, weights = self._residuals(factors)
        units = np.ascontiguousarray(directions)
        positive = self._kind == kernels.NON_NEGATIVE
        strengths = climb(
            self.arrangement, residuals, units, links.decay, positive, self._pool
        )
        del residuals
        best = int(np.argmax(strengths))
        unit = np.ascontiguousarray(units[:, best : best + 1])
        along = self._at_places(unit, 0)
        along *= along
        if weights is not None:
            along *= weights
        curvature = self._train_sum(along)
        drawn = max(float(strengths[best]), 0.0) / (curvature if curvature > 0 else 1.0)
        return (_ENTRY_SHARE * drawn) ** (1 / len(self.rows.dims)) * unit

    def _residuals(self, factors: Values) -> tuple[Values, Values | None]:
        """Half the negative slopes of losses at the places of the first mode, and the
        weights of their majorizers where they are not all one.
        """
        residuals, weights = self._at_places(factors, 0), None
        targets = self._targets[: len(residuals)]
        if not self._is_quadratic:
            weights, targets = self._loss.majorizer(
                residuals + self._offset, self._values
            )
            targets = targets - self._offset
        np.subtract(targets, residuals, out=residuals)
        residuals *= self._shown
        if weights is not None:
            residuals *= weights
        if self._own_weights is not None:
            residuals *= self._own_weights
        return residuals, weights
