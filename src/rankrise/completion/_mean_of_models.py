"""The mean of several models at any entry, and how far it may be off."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise._memory import MAX_DENSE_BYTES
from rankrise._typing import Indices, Values
from rankrise.completion._accuracy import Noise
from rankrise.completion._arrangement import unseen_entries
from rankrise.completion._gaps import Blocks
from rankrise.completion._holdout import Folds
from rankrise.completion._model import Model
from rankrise.completion._scarce_slices import least_deviations
from rankrise.losses import AbstractLoss
from rankrise.synthetic import khatri_rao
from rankrise.tensors import Observations, whole_numbers

# Share of the variance of held-out residuals that is not between models, at least.
_LEAST_OWN = 0.6
# Entries that are worked on at once.
_BLOCK = 2**20


@dataclass(frozen=True, eq=False)
class MeanOfModels:
    """What models say together, with standard deviations and bounds.

    Attributes
    ----------
    reference
        The model whose baseline stands for slices without any observation.
    blocks
        Where gaps are blocks.
    learned
        Share of the held-out variance that more observations would lower.
    folds
        What was held out, which slices with fewer observations are unlike.
    """

    models: tuple[Model, ...]
    reference: Model
    observations: Observations
    noise: Noise
    loss: AbstractLoss
    blocks: Blocks | None
    learned: float
    folds: Folds
    seed: int

    def whole(self, given: Observations) -> tuple[Values, Values]:
        """All entries and their standard deviations; `given` ones as they came.

        NaN in slices without any observation, and where no entry exists.
        """
        dims, rows = self.observations.mode_dims, self.reference.rows
        if 8 * math.prod(dims) > MAX_DENSE_BYTES:
            raise InputError(
                f"The tensor of mode dimensions {dims} does not fit in memory; ask "
                "`entries` for those that are needed."
            )
        mean, std = self._everywhere()
        if not rows.are_all:
            seen, whole = np.ix_(*rows.names), np.full((2, *dims), np.nan)
            whole[0][seen], whole[1][seen] = mean, std
            mean, std = whole
        for begin in range(0, len(given), _BLOCK):
            block = slice(begin, begin + _BLOCK)
            observed = tuple(given.indices[block].T)
            mean[observed], std[observed] = given.values[block], 0
        if given.exists is not None:
            mean[~given.exists] = std[~given.exists] = np.nan
        return mean, std

    def at(self, indices: npt.ArrayLike) -> tuple[Any, ...]:
        """Mean and variance of the models, places and which were never observed."""
        places, unobserved = self.places(indices)
        each = (model.predictions(places, self.loss) for model in self.models)
        mean, variance = _moments(each)
        mean[~self.observations.do_exist(whole_numbers(indices))] = np.nan
        return mean, variance, places, unobserved

    def mean_and_std(self, indices: npt.ArrayLike) -> tuple[Values, Values]:
        """The mean at rows of indices, and the standard deviation of its errors."""
        mean, spread, places, unobserved = self.at(indices)
        share = self._own_variance / (self.noise.variance or 1.0)
        own = self.noise.variances(places)
        if self.blocks is not None:
            own *= self.blocks.at(self._gap_factors, places)
        std = np.sqrt(share * own + spread)
        for rows, least in zip(places.T, self.least_deviations, strict=True):
            np.maximum(std, least[rows], out=std)
        std[np.isnan(mean)] = np.nan
        guessed = np.flatnonzero(unobserved.any(axis=1))
        for modes in np.unique(unobserved[guessed], axis=0):
            alike = guessed[(unobserved[guessed] == modes).all(axis=1)]
            std[alike] = np.maximum(std[alike], self._left(modes))
        return mean, std

    def bounds_about(
        self, mean: Values, std: Values, level: float
    ) -> tuple[Values, Values]:
        """As many standard deviations to either side as `level` asks for."""
        if not 0 < level < 1:
            raise InputError(
                f"The level is {level}; it must lie between 0 and 1, such as 0.9."
            )
        width = self.noise.multiple(level) * std
        # No label is outside [0, 1], and no count negative.
        least, most = self.loss.bounds
        return np.maximum(mean - width, least), np.minimum(mean + width, most)

    def places(self, indices: npt.ArrayLike) -> tuple[Indices, npt.NDArray[np.bool_]]:
        """Rows of the models for rows of indices, and which were never observed."""
        rows, order = whole_numbers(indices), self.observations.order
        dims = np.asarray(self.observations.mode_dims)
        if rows.shape[1] != order:
            raise InputError(
                f"The indices have {rows.shape[1]} columns but the tensor has {order} "
                "modes; give an index for each."
            )
        outside = (rows >= dims) | (rows < -1)
        if outside.any():
            row, mode = (int(place) for place in np.argwhere(outside)[0])
            raise InputError(
                f"Row {row} has the index {int(rows[row, mode])} in mode {mode + 1}, "
                f"whose dimension is {dims[mode]}; indices count from 0."
            )
        return self.reference.rows.places(rows)

    def _everywhere(self) -> tuple[Values, Values]:
        """The same for rows that were observed, by products of two halves of modes."""
        dims, loss = self.reference.rows.dims, self.loss
        own_variance = self._own_variance
        half = min(
            range(1, len(dims)),
            key=lambda k: math.prod(dims[:k]) + math.prod(dims[k:]),
        )

        def halves(factors: Sequence[Values]) -> tuple[Values, Values]:
            own = [matrix[:-1] for matrix in factors]
            return khatri_rao(own[:half]), khatri_rao(own[half:]).T

        models = [halves(model.with_baseline()) for model in self.models]
        left, right = halves([factor[:, None] for factor in self.noise.factors])
        wider = None
        if self.blocks is not None:
            wider = self.blocks.everywhere(self._gap_factors, dims)
        mean = np.empty((len(left), right.shape[1]))
        std = np.empty_like(mean)
        size = max(1, _BLOCK // len(mean[0]))
        for begin in range(0, len(left), size):
            block = slice(begin, begin + size)
            mean[block], variance = _moments(loss.mean(a[block] @ b) for a, b in models)
            own = own_variance * (left[block] @ right)
            if wider is not None:
                rows = np.arange(len(left))[block]
                own *= wider[np.unravel_index(rows, dims[:half])].reshape(own.shape)
            variance += own
            np.sqrt(variance, out=std[block])
        mean, std = mean.reshape(dims), std.reshape(dims)
        for mode, least in enumerate(self.least_deviations):
            few = np.flatnonzero(least)
            by_row = np.moveaxis(std, mode, -1)
            by_row[..., few] = np.maximum(by_row[..., few], least[few])
        return mean, std

    @cached_property
    def least_deviations(self) -> list[Values]:
        """Least standard deviations in slices with too few observations, else zero."""
        rows, variance = self.reference.rows, self.noise.variance
        nothing = np.zeros(len(rows.dims), bool)
        return least_deviations(
            rows.of_observed(self.observations.indices),
            rows.dims,
            self.folds,
            self.reference.path.best_point.correlations,
            self.reference.components,
            variance,
            max(0.0, self._left(nothing) ** 2 - variance),
        )

    @cached_property
    def _gap_factors(self) -> Values:
        """What the variance at places of blocks of gaps is multiplied by."""
        assert self.blocks is not None
        return self.blocks.factors(self.noise.of_kind, self.learned)

    @cached_property
    def _own_variance(self) -> float:
        """Variance about the mean of the models, on average, less their spread.

        The mean square error of their mean on unseen entries is that of one of them
        less the variance between them (Krogh and Vedelsby 1995).
        """
        rows, count = self.reference.rows, len(self.models)
        places = rows.of_observed(self.observations.indices)
        unseen = unseen_entries(places, rows.dims, self.seed)
        named = (names[at] for names, at in zip(rows.names, unseen.T, strict=True))
        unseen = unseen[self.observations.do_exist(np.stack([*named], axis=1))]
        if count < 2 or not len(unseen):
            return self.noise.variance
        each = (model.predictions(unseen, self.loss) for model in self.models)
        spread = float(np.mean(_moments(each)[1]))
        own = self.noise.variance - (2 - 1 / count) * spread
        return max(own, _LEAST_OWN * self.noise.variance)

    def _left(self, unobserved: npt.NDArray[np.bool_]) -> float:
        """Root mean square of what the baseline leaves, less some modes' effects."""
        places, _ = self.reference.rows.places(self.observations.indices)
        # Those of the last row are zero.
        places = np.where(unobserved, self.reference.rows.dims, places)
        baseline = self.reference.baseline.at(places)
        left = self.observations.values - self.loss.mean(baseline)
        return math.sqrt(float(np.mean(left**2)))


def _moments(samples: Iterator[Values]) -> tuple[Values, Values]:
    """Mean and variance of arrays that come one after another, and are lost."""
    mean, count = next(samples), 1
    squares = np.zeros_like(mean)
    for count, change in enumerate(samples, start=2):
        change -= mean
        mean += change / count
        change *= change
        change *= (count - 1) / count
        squares += change
    squares /= max(1, count - 1)
    return mean, squares
