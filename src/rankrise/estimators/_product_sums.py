r"""Learned predictors $\sum_r \prod_n W_{nr}[x_n]$, evaluated on the host.

NumPy in double precision: predicting compiles nothing, and what is said of a sample
does not depend on which others are asked about beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankrise.tables import CategoricalData

FloatArray = npt.NDArray[np.floating]

# Components whose norm is below this share of the largest do not count for the rank.
RANK_SHARE = 1e-3
_BLOCK_NUMBERS = 2**20


@dataclass(frozen=True, eq=False)
class ProductSums:
    """Models that share features, one for each task.

    Attributes
    ----------
    factors
        For every feature: task, level, component.
    """

    factors: tuple[FloatArray, ...]

    @classmethod
    def from_tables(
        cls, tables: tuple[FloatArray, ...], data: CategoricalData
    ) -> "ProductSums":
        """Factors by level, with the largest component first, from coded tables."""
        stacked = np.stack(tables).astype(np.float64)
        levels = [
            stacked[:, np.argsort(data.order[feature, :count]), feature]
            for feature, count in enumerate(data.cardinalities)
        ]
        order = np.argsort(-_log_norms(levels), axis=-1, kind="stable")
        return cls(
            tuple(np.take_along_axis(w, order[:, None], axis=-1) for w in levels)
        )

    def tables(self, data: CategoricalData) -> tuple[FloatArray, ...]:
        """The inverse of `from_tables`, one where data have values to spare."""
        tasks, _, components = self.factors[0].shape
        stacked = np.ones((tasks, data.values, data.features, components))
        for feature, factor in enumerate(self.factors):
            levels = data.order[feature, : factor.shape[1]]
            stacked[:, : len(levels), feature] = factor[:, levels]
        return tuple(stacked)

    @property
    def component_norms(self) -> FloatArray:
        """Root mean squares of every component over all combinations of levels.

        One row a task, falling. The Frobenius norms of the components divided by the
        root of the number of entries, for these overflow where features are many.
        """
        return np.exp(_log_norms(self.factors))

    @property
    def ranks(self) -> npt.NDArray[np.integer]:
        """For every task the number of components that count."""
        logarithms = _log_norms(self.factors)
        largest = logarithms[:, :1]
        # A component of zeros has minus infinity, and so may the largest.
        counted = logarithms > largest + np.log(RANK_SHARE)
        return np.sum(counted & np.isfinite(logarithms), axis=-1)

    def predictions(self, levels: npt.NDArray[np.integer]) -> FloatArray:
        """What each model says: one row a sample, one column a task."""
        tasks, _, components = self.factors[0].shape
        block = max(1, _BLOCK_NUMBERS // (tasks * components))
        return np.concatenate(
            [
                self._block(levels[start : start + block])
                for start in range(0, len(levels), block)
            ]
        )

    def _block(self, levels: npt.NDArray[np.integer]) -> FloatArray:
        tasks, _, components = self.factors[0].shape
        logarithms = np.zeros((tasks, len(levels), components))
        signs = np.ones_like(logarithms)
        with np.errstate(divide="ignore"):
            for factor, column in zip(self.factors, levels.T, strict=True):
                logarithms += np.log(np.abs(factor))[:, column]
                signs *= np.where(factor < 0, -1.0, 1.0)[:, column]
        return np.sum(signs * np.exp(logarithms), axis=-1).T


def _log_norms(factors: Sequence[FloatArray]) -> FloatArray:
    with np.errstate(divide="ignore"):
        return np.sum(
            [np.log(np.mean(factor**2, axis=1)) / 2 for factor in factors], axis=0
        )
