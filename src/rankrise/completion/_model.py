"""One model of a tensor, which was not shown one part of the observations."""

from dataclasses import dataclass

import numpy as np

from rankrise._defaults import RISEN_SHARE
from rankrise._typing import Indices, Values
from rankrise.completion._arrangement import Rows, sums_of_components
from rankrise.completion._baseline import Baseline
from rankrise.completion._path import Path
from rankrise.losses import AbstractLoss


@dataclass(frozen=True, eq=False)
class Model:
    """A sum of components over rows that were observed.

    Attributes
    ----------
    number
        Which part it was not shown.
    smooth
        Whether neighbouring rows could be alike.
    path
        How it was found, in standardized units.
    factors
        In units of the data, mode after mode and by falling norm; the last row of every
        mode is zero and stands for all that were never observed.
    """

    rows: Rows
    number: int
    smooth: bool
    baseline: Baseline
    path: Path
    factors: tuple[Values, ...]

    @classmethod
    def at_best(
        cls, rows: Rows, path: Path, baseline: Baseline, number: int, smooth: bool
    ) -> "Model":
        """The best point of a path, in units of the data."""
        share = baseline.scale ** (1 / len(rows.dims))
        factors = tuple(
            np.pad(share * matrix, ((0, 1), (0, 0)))
            for matrix in rows.split(path.factors)
        )
        return cls(rows, number, smooth, baseline, path, factors)

    @property
    def component_norms(self) -> Values:
        """Largest first."""
        norms = [np.linalg.norm(matrix, axis=0) for matrix in self.factors]
        return np.asarray(np.prod(norms, axis=0))

    @property
    def rank(self) -> int:
        """Components whose norm is above a hundredth of the largest."""
        norms = self.component_norms
        return int(np.sum(norms > RISEN_SHARE * norms[0])) if len(norms) else 0

    def predictions(self, places: Indices, loss: AbstractLoss) -> Values:
        """Entries as this model says: probabilities of labels, rates of counts.

        Parameters
        ----------
        places
            Of rows within modes, as `Rows.places` gives them.
        """
        total = self.baseline.at(places)
        if self.factors[0].shape[1]:
            counts = np.cumsum([0, *map(len, self.factors[:-1])])
            stacked = np.ascontiguousarray(places + counts, np.int32)
            total += sums_of_components(np.concatenate(self.factors), stacked)
        return loss.mean(total)
