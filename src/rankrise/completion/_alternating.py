r"""Alternating least squares, and components that enter along the largest pull.

With $h_s = \prod_{m \ne n} w^m_{i_m}$, taken component by component, the prediction at
observation $s$ is $\langle h_s, w^n_{i_n}\rangle$, linear in a row of factor matrix
$n$: a row solves $(\sum_s a_s h_s h_s^\top + \lambda Q) w = \sum_s a_s t_s h_s$ over
its observations, with weights $a_s$ and targets $t_s$ of the loss's majorizer.
"""

import functools as ft
import itertools
import math
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rankrise._typing import Values
from rankrise.completion._arrangement import (
    Arrangement,
    Chains,
    Rows,
    chains,
    neighbour_correlations,
    sums_of_components,
)
from rankrise.completion._compiled import kernels
from rankrise.completion._plain_fit import mean_and_error
from rankrise.completion._spectral import is_spectral, spectral_components
from rankrise.losses import AbstractLoss, SquaredLoss
from rankrise.synthetic import khatri_rao

# A component enters with this share of the norm it is drawn to.
_ENTRY_SHARE = 0.3
# A component this much smaller than the largest is none, nor is one whose entries are
# this small beside the values.
_VANISHED, _NOTHING = 1e-3, 1e-9
# Sweeps end when the objective falls by less than this share.
_TOLERANCE = 1e-4
# Held-out entries whose loss is to be trusted.
MANY_HIDDEN = 20_000
# Shares of a step that are tried where it would raise a loss without a bound.
_SHARES = tuple(0.5**n for n in range(10))
# Observations that are summed over at once.
_BLOCK = 2**18
# One more component may enter at once for every 16 there are, along a direction whose
# likeness to the others is less than this.
_FOR_EACH, _ALIKE = 16, 0.5
# How often directions are turned towards the pull, at most.
_TURNS = 10
# Pulls are summed over dense arrays where more than this share is observed, of tensors
# of so many entries at most and so many observations at least.
_DENSE_SHARE, _DENSE_ENTRIES, _FEW_OBSERVED = 0.05, 2**22, 20_000
_HIGHEST_ORDER = 9

# What `kernels.solve` does to rows, a job a row.
Jobs = npt.NDArray[np.int64]
# Of stacked factors, and the mode whose own are left out.
Contraction = Callable[[Values, int], Values]


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
        Value and weight of every observation, as the model's losses take them; without
        weights all are one.
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
        self._loss, self._offset, self._pool = loss, offset, pool
        self._is_quadratic = isinstance(loss, SquaredLoss)
        self._is_non_negative = non_negative
        first = parts[: len(arrangement)]
        self._shown, hidden = first != part, np.flatnonzero(first == part)
        targets = arrangement.spread(values - offset if offset else values)
        # The targets' own memory where they are the same numbers and stay so.
        keeps = self._is_quadratic and not offset
        self._values = targets[: len(arrangement)] if keeps else values
        self._places: list[npt.NDArray[np.int32]] = []
        each = np.empty(0) if weights is None else arrangement.spread(weights)
        if not self._is_quadratic:
            modes = range(len(self.rows.dims))
            self._places = [arrangement.at_places(mode) for mode in modes]
            each = np.empty(len(targets)) if weights is None else each
        self._own_weights = weights
        self._targets, self._weights = targets, each
        self.train_weight = float(np.count_nonzero(self._shown))
        if weights is not None:
            self.train_weight = float(np.sum(weights[self._shown]))
        self.squares = self._train_sum(lambda block: targets[block] ** 2, weights)
        self._hidden = self.rows.stacked(arrangement.indices[hidden])
        self._hidden_values = values[hidden]
        self._hidden_weights = None if weights is None else weights[hidden]
        # Where little is missing, equations are those of all entries less some.
        self._from_all: Contraction | None = None
        missing = arrangement.observed.none
        if self._is_quadratic and weights is None and len(arrangement.missing.begins):
            self._from_all = contraction(arrangement, self._shown * (values - offset))
            missing = arrangement.missing
        # What kernels learn from; weights and targets of other losses are majorizers'.
        seen = targets, each, parts, part
        self._lists = self.rows.starts, arrangement.observed, missing, seen

    @property
    def observed(self) -> int:
        """How many observations, held out or not."""
        return len(self.arrangement)

    def nothing(self) -> Stage:
        """No component yet, measured."""
        factors = np.empty((self.rows.starts[-1], 0))
        losses = self._train_loss(factors), self._heldout_loss(factors)
        return Stage(factors, np.zeros(len(self.rows.dims)), *losses)

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
        """Let components enter, sweep over the modes, drop what vanished, measure.

        Parameters
        ----------
        directions
            In which a component may enter, stacked, as columns.
        entering
            Components that enter as they are, stacked.
        """
        correlations: Values = np.zeros(len(self.rows.dims))
        if smooth:
            correlations = neighbour_correlations(stage.factors, self.rows)
        links = chains(self.rows, correlations, penalty)
        factors = stage.factors.copy()
        if directions is not None:
            entered = self._entered(factors, links, directions)
            factors = np.column_stack([factors, entered])
        if entering is not None:
            factors = np.column_stack([factors, entering])
        jobs = self._jobs(correlations)
        longest = max(self.rows.dims) if correlations.any() else 0
        matrices = np.empty((longest, factors.shape[1], factors.shape[1]))
        sweep = ft.partial(self._sweep, factors, jobs, links, matrices)
        train_loss = sweep_until_still(sweep, sweeps) / self.train_weight
        return self._tidied(factors, correlations, train_loss)

    # Sweeps.

    def _jobs(self, correlations: Values) -> list[Jobs]:
        """What is done to the rows of one mode after another.

        As one where nothing comes between.
        """
        jobs = []
        bounds = itertools.pairwise(self.rows.starts.tolist())
        for (start, end), correlation in zip(bounds, correlations, strict=True):
            rows = start, start, end, 1
            if self._is_non_negative:
                # Rows that are neighbours do not move at once.
                turns = (start, start, end, 2), (start, start + 1, end, 2)
                jobs.append([(kernels.NON_NEGATIVE, *turn) for turn in turns])
            elif correlation > 0:
                jobs.append([(kernels.EQUATIONS, *rows), (kernels.CHAIN, *rows)])
            else:
                jobs.append([(kernels.SOLVE, *rows)])
        jobs.append([(kernels.BALANCE, 0, 0, 0, 1)])
        if self._is_quadratic and self._from_all is None:
            jobs = [list(itertools.chain(*jobs))]
        return [np.array(each) for each in jobs]

    def _sweep(
        self,
        factors: Values,
        jobs: list[Jobs],
        links: Chains,
        matrices: Values,
    ) -> tuple[float, float]:
        """One sweep in place; sums of losses and of penalties after it."""
        size, starts = factors.shape[1], self.rows.starts
        along, gram = np.empty(len(factors)), np.empty((size, size))
        shares = np.empty((len(starts) - 1, size))
        rights: Values = np.empty(matrices.shape[:2])
        *modes, last = jobs
        sums = factors[:0, 0] if self._loss.has_bound else self._at_places(factors, 0)
        for mode, own in enumerate(modes):
            rows = slice(starts[mode], starts[mode + 1])
            before = factors[:0] if self._loss.has_bound else factors[rows].copy()
            if not self._is_quadratic:
                self._majorize(mode, factors)
            if self._from_all is not None:
                kernels.gram_of_others(factors, starts, mode, gram)
                rights = self._from_all(factors, mode)
            equations = gram, matrices, rights, along, shares
            self._do(own, *self._lists, links, factors, *equations)
            if not self._loss.has_bound:
                sums = self._shortened(rows, before, factors, links, sums)
        equations = gram, matrices, rights, along, shares
        self._do(last, *self._lists, links, factors, *equations)
        total = self.squares + float(along[starts[-2] :].sum())
        if not self._is_quadratic:
            total = self._train_loss(factors) * self.train_weight
        return total, float(shares.sum())

    def _do(self, jobs: Jobs, *arguments: Any) -> None:
        """By several threads where there is a pool, which share the rows of a job."""
        solve = self.arrangement.observed.kernels.solve
        if self._pool is None:
            solve(jobs, *arguments)
            return
        for what, start, first, last, step in jobs.tolist():
            blocks = [(start, last)]
            if what not in (kernels.CHAIN, kernels.BALANCE):
                blocks = self.arrangement.blocks(start, last, step)
            parts = [(what, start, a + first - start, b, step) for a, b in blocks]
            work = self._pool.map(
                lambda part: solve(np.array([part]), *arguments), parts
            )
            list(work)

    def _shortened(
        self, rows: slice, before: Values, factors: Values, links: Chains, sums: Values
    ) -> Values:
        """Shorten the step of a mode until the objective does not rise, in place.

        It is convex along the step, and falls at first: parabolas have its slope.

        Parameters
        ----------
        sums
            Sums of components before the step, at all observations; those after it are
            returned.
        """
        step, change = factors[rows] - before, self._at_places(factors, 0) - sums
        least = self._objective(sums, before, links, rows)
        for share in _SHARES:
            factors[rows] = before + share * step
            moved = sums + share * change
            if self._objective(moved, factors[rows], links, rows) <= least:
                return moved
        factors[rows] = before
        return sums

    def _objective(
        self, sums: Values, own: Values, links: Chains, rows: slice
    ) -> float:
        """The objective, as far as it depends on the rows of a mode."""
        beside = own[:-1] * own[1:]
        penalty = links.diagonal[rows] @ (own * own).sum(axis=1)
        penalty += 2 * links.coupling[rows][:-1] @ beside.sum(axis=1)
        return self._losses_of(sums) + float(penalty)

    def _majorize(self, mode: int, factors: Values) -> None:
        """Least squares that stand for the loss, touching it where the factors are."""
        count = len(self.arrangement)
        here = slice(mode * count, (mode + 1) * count)
        predictions = self._at_places(factors, mode)[here]
        majorizer = self._majorizer(predictions, self._places[mode])
        self._weights[here], self._targets[here] = majorizer

    def _majorizer(self, sums: Values, places: Any) -> tuple[Values, Values]:
        """Weights and targets of some observations' least squares."""
        weights, targets = self._loss.majorizer(
            sums + self._offset, self._values[places]
        )
        if self._own_weights is not None:
            weights = weights * self._own_weights[places]
        return weights, targets - self._offset

    # A part of a larger tensor (see `parts`), whose rows may be alone in one mode.

    def equations(self, mode: int, factors: Values, first: int, last: int) -> Values:
        r"""Normal equations of some rows of a mode, without the penalty.

        Returns
        -------
            For each row the upper half of its matrix, row by row, and its right side.
        """
        size, start = factors.shape[1], int(self.rows.starts[mode])
        matrices, rights = (
            np.zeros((last - first, size, size)),
            np.zeros((last - first, size)),
        )
        begin = start + first
        job = kernels.EQUATIONS, begin, begin, start + last, 1
        along, gram = np.empty(len(factors)), np.empty((size, size))
        links = chains(self.rows, np.zeros(len(self.rows.dims)))
        self.arrangement.observed.kernels.solve(
            np.array([job]), *self._lists, links, factors, gram, matrices, rights,
            along, along.reshape(1, -1)[:0],
        )  # fmt: skip
        upper = np.triu_indices(size)
        return np.hstack([matrices[:, *upper], rights])

    def solve(self, mode: int, factors: Values, penalty: float) -> Values:
        """Solve for all rows of a mode in place; the changes of the squared error."""
        size, (begin, end) = factors.shape[1], self.rows.starts[mode : mode + 2]
        along, empty = np.empty(len(factors)), np.empty((0, size))
        links = chains(self.rows, np.zeros(len(self.rows.dims)), penalty)
        self.arrangement.observed.kernels.solve(
            np.array([(kernels.SOLVE, begin, begin, end, 1)]), *self._lists, links,
            factors, empty, np.empty((0, size, size)), empty, along, empty,
        )  # fmt: skip
        return along[begin:end]

    def train_total(self, factors: Values) -> float:
        """Training losses, summed."""
        return self._losses_of(self._at_places(factors, 0))

    # Losses.

    def _at_places(self, factors: Values, mode: int) -> Values:
        """Sums of components at the places of a mode; what stands elsewhere is void."""
        first, last = map(int, self.rows.starts[mode : mode + 2])
        lists = self.arrangement.observed
        out = np.empty(lists.begins[last])
        predict = lists.kernels.predict
        if self._pool is None:
            predict(first, last, factors, factors, lists, out)
            return out
        blocks = self.arrangement.blocks(first, last)
        work = self._pool.map(
            lambda block: predict(*block, factors, factors, lists, out), blocks
        )
        list(work)
        return out

    def _train_loss(self, factors: Values) -> float:
        return self.train_total(factors) / self.train_weight

    def _losses_of(self, sums: Values) -> float:
        """Training losses, summed, where the sums of components are these."""
        values, offset = self._values, self._offset
        return self._train_sum(
            lambda block: np.asarray(self._loss(sums[block] + offset, values[block])),
            self._own_weights,
        )

    def _train_sum(
        self, numbers: Callable[[slice], Values], weights: Values | None
    ) -> float:
        """Sum over the observations that are shown, block by block."""
        total, observed = 0.0, len(self._shown)
        for begin in range(0, observed, _BLOCK):
            block = slice(begin, min(begin + _BLOCK, observed))
            own = numbers(block)
            if weights is not None:
                own *= weights[block]
            # What is held out may overflow, and infinity times zero is no number.
            own[~self._shown[block]] = 0
            total += float(np.sum(own))
        return total

    def heldout_losses(self, factors: Values) -> Values:
        predictions = sums_of_components(factors, self._hidden)
        losses = self._loss(predictions + self._offset, self._hidden_values)
        return np.asarray(losses)

    def _heldout_loss(self, factors: Values) -> float:
        if not len(self._hidden):
            return math.nan
        losses = self.heldout_losses(factors)
        return float(np.average(losses, weights=self._hidden_weights))

    @property
    def shows_much(self) -> bool:
        """Whether enough entries are held out that a path ends where their loss rises.

        The loss of few may rise between two penalties and fall further after them.
        """
        return len(self._hidden) >= MANY_HIDDEN

    def heldout_gain(self, factors: Values, over: Values) -> tuple[float, float]:
        """Mean fall of the held-out losses, entry by entry, and its standard error."""
        gains = self.heldout_losses(over) - self.heldout_losses(factors)
        if self._hidden_weights is not None:
            gains = gains * self._hidden_weights
        return mean_and_error(gains)

    def _tidied(
        self, factors: Values, correlations: Values, train_loss: float
    ) -> Stage:
        """Without what vanished, by falling norm."""
        count = factors.shape[1]
        factors = without_vanished(factors, self.rows)
        if factors.shape[1] < count:
            train_loss = self._train_loss(factors)
        return Stage(factors, correlations, train_loss, self._heldout_loss(factors))

    # Entries.

    @property
    def is_spectral(self) -> bool:
        """Whether components enter by `spectral`, rather than along directions."""
        return not self._is_non_negative and is_spectral(
            len(self._shown), self.rows.dims
        )

    def spectral(self, factors: Values, seed: int) -> Values:
        """Components of what is left that rise above its noise, stacked."""
        residuals, _ = self.residuals(factors)
        indices, dims = self.arrangement.indices, self.rows.dims
        return spectral_components(indices, residuals, dims, seed=seed, pool=self._pool)

    def _entered(self, factors: Values, links: Chains, directions: Values) -> Values:
        r"""Components along the largest pulls found: more of them beside many.

        Each direction climbs the pull by alternating over the modes, as that of a
        component near zero does under gradient flow (Razin et al. 2021, Theorem 1).
        """
        residuals, weights = self.residuals(factors)
        units = np.ascontiguousarray(directions)
        strengths = self._climb(residuals, units, links.decay)
        del residuals
        count, rows = factors.shape[1], self.rows

        def curvature(unit: Values) -> float:
            return self.curvature(unit, weights)

        return entering_along(units, strengths, rows, count, curvature)

    def curvature(self, unit: Values, weights: Values | None) -> float:
        """Sum of squares of a direction's entries at what is shown."""
        squares = ft.partial(_squares, self._at_places(unit, 0))
        return self._train_sum(squares, weights)

    def residuals(self, factors: Values) -> tuple[Values, Values | None]:
        """Half the negative slopes of the losses that are shown, and the weights."""
        residuals, weights = self._at_places(factors, 0), self._own_weights
        targets = self._targets[: len(residuals)]
        if not self._is_quadratic:
            weights, targets = self._majorizer(residuals, slice(None))
        np.subtract(targets, residuals, out=residuals)
        residuals *= self._shown
        if weights is not None:
            residuals *= weights
        return residuals, weights

    def _climb(self, residuals: Values, units: Values, decay: Values) -> Values:
        """Turn directions towards the pull in place; how strong it is along each.

        The pull on mode $n$ is the tensor of residuals times the vectors of all other
        modes. It is shared with neighbours as `decay` says.
        """
        starts, dims = self.rows.starts, self.rows.dims
        strengths, entries = np.zeros(kernels.DIRECTIONS), math.prod(dims)
        positive, lists = self._is_non_negative, (self.arrangement.observed, residuals)
        if (
            entries <= _DENSE_ENTRIES
            and len(residuals) > max(_DENSE_SHARE * entries, _FEW_OBSERVED)
            and len(dims) <= _HIGHEST_ORDER
        ):
            pull_of = contraction(self.arrangement, residuals)
        elif self._pool is None:
            climb = lists[0].kernels.climb
            climb(_TURNS, units, starts, *lists, decay, positive, strengths)
            return strengths
        else:
            pull_of = ft.partial(self.pull, residuals, self._pool.map)
        return climb_by(pull_of, units, starts, decay, non_negative=positive)

    def pull(
        self,
        residuals: Values,
        run: Callable[..., Any],
        units: Values,
        mode: int,
    ) -> Values:
        """Summed over observations, by several threads where `run` has them."""
        lists = self.arrangement.observed, residuals
        start, end = map(int, self.rows.starts[mode : mode + 2])
        blocks = self.arrangement.blocks(0, int(self.rows.starts[1]))

        def part(block: tuple[int, int]) -> Values:
            total = np.zeros((end - start, units.shape[1]))
            lists[0].kernels.add_pulls(*block, mode, units, *lists, start, total)
            return total

        # Neither blocks nor the order of sums depend on how many threads there are.
        return np.asarray(sum(run(part, blocks)))


def _squares(numbers: Values, block: slice) -> Values:
    return np.asarray(numbers[block] ** 2)


def sweep_until_still(sweep: Callable[[], tuple[float, float]], most: int) -> float:
    """Sweep until the objective hardly falls; the sum of losses then.

    Parameters
    ----------
    sweep
        Gives the sums of losses and of penalties after it.
    """
    before = losses = math.inf
    for number in range(most):
        total, spent = sweep()
        losses, objective = max(total, 0.0), total + spent
        if number and before - objective <= _TOLERANCE * abs(objective):
            break
        before = objective
    return losses


def without_vanished(factors: Values, rows: Rows) -> Values:
    """Stacked factors of the components that have not vanished, by falling norm."""
    squares = np.add.reduceat(factors**2, rows.starts[:-1], axis=0)
    norms = np.sqrt(np.prod(squares, axis=0))
    least = _NOTHING * math.sqrt(math.prod(rows.dims))
    alive = norms > max(_VANISHED * np.max(norms, initial=0), least)
    order = np.argsort(-norms, kind="stable")
    return np.ascontiguousarray(factors[:, order[alive[order]]])


def climb_by(
    pull_of: Contraction,
    units: Values,
    starts: npt.NDArray[np.int64],
    decay: Values,
    *,
    non_negative: bool = False,
) -> Values:
    """Turn directions towards the pull in place; how strong it is along each."""
    strengths, before = np.zeros(kernels.DIRECTIONS), 0.0
    for _ in range(_TURNS):
        for mode, start in enumerate(starts[:-1]):
            pull = pull_of(units, mode)
            kernels.towards_pull(
                pull, decay, int(start), non_negative, units, strengths
            )
        if np.max(strengths) <= (1 + kernels.CLIMBED) * before:
            break
        before = float(np.max(strengths))
    return strengths


def entering_along(
    units: Values,
    strengths: Values,
    rows: Rows,
    count: int,
    curvature: Callable[[Values], float],
) -> Values:
    """Components that enter beside `count` others, along the strongest directions."""
    entering: list[Values] = []
    most = 1 + count // _FOR_EACH
    for number in _apart(units, strengths, rows.starts)[:most]:
        unit = np.ascontiguousarray(units[:, number : number + 1])
        drawn = max(float(strengths[number]), 0.0) / (curvature(unit) or 1.0)
        entering.append((_ENTRY_SHARE * drawn) ** (1 / len(rows.dims)) * unit)
    return np.column_stack(entering)


def _apart(
    units: Values, strengths: Values, starts: npt.NDArray[np.integer]
) -> list[int]:
    """Directions by falling strength, without those that came to where another is."""
    alike = np.ones((len(strengths), len(strengths)))
    for start, end in itertools.pairwise(starts.tolist()):
        alike *= units[start:end].T @ units[start:end]
    kept: list[int] = []
    for number in np.argsort(-strengths, kind="stable").tolist():
        if all(abs(alike[number, other]) < _ALIKE for other in kept):
            kept.append(number)
    return kept


def contraction(arrangement: Arrangement, numbers: Values) -> Contraction:
    """The tensor of numbers at observations, zero elsewhere, times all factors but
    those of one mode; as a dense array.
    """
    dims, starts = arrangement.rows.dims, arrangement.rows.starts
    tensor, last = np.zeros(dims), len(dims) - 1
    tensor[tuple(arrangement.indices.T)] = numbers
    unfolded = tensor.reshape(-1, dims[last])

    def contracted(factors: Values, mode: int) -> Values:
        own = [factors[a:b] for a, b in itertools.pairwise(starts)]
        # The first product is the large one.
        if mode == last:
            products = khatri_rao(own[:last])
            out = np.empty((dims[last], products.shape[1]))
            kernels.times_rows(unfolded, products, out)
            return out
        out = np.empty((len(unfolded), factors.shape[1]))
        kernels.times_last(unfolded, np.ascontiguousarray(own[last]), out)
        left = out.reshape(*dims[:last], -1)
        for m in range(last - 1, mode, -1):
            left = np.einsum("...ir,ir->...r", left, own[m])
        for m in range(mode):
            left = np.einsum("i...r,ir->...r", left, own[m])
        return np.ascontiguousarray(left)

    return contracted
