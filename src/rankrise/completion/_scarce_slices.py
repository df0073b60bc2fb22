r"""Slices with too few observations to be predicted as well as held-out entries are.

A slice is predicted by one number for each component, fitted to its own observations.
Least squares of $n$ observations with noise of variance $\sigma^2$ add
$\sigma^2 k / (n - k - 1)$ to the mean square error of predictions by $k$ numbers, if
the regressors are normal (Breiman and Freedman 1983), and at most the mean square that
all components explain.
"""

import numpy as np

from rankrise._typing import Indices, ModeDims, Values
from rankrise.completion._holdout import Folds

# Share of the held-out entries, those in the emptiest slices, that does not count. A
# slice with fewer observations than all others held out, by this factor, is scarce.
_SCARCE, _FEWER = 0.05, 1.5


def least_deviations(
    places: Indices,
    dims: ModeDims,
    folds: Folds,
    correlations: tuple[float, ...],
    components: int,
    variance: float,
    explained: float,
) -> list[Values]:
    """Least standard deviations of errors in scarce slices, by mode; zero elsewhere.

    The last of every mode is zero and stands for slices that were never observed. Modes
    with smooth factors are left out, for their slices are also predicted by neighbours.

    Parameters
    ----------
    correlations
        Correlations of neighbouring rows of each mode's factors, in the model.
    variance
        Mean square error on held-out entries.
    explained
        Mean square of what the components predict.
    """
    held = folds.part < folds.count
    part = folds.part[held].astype(np.int64)
    least: list[Values] = []
    for rows, dim, correlation in zip(places.T, dims, correlations, strict=True):
        own = np.zeros(dim + 1)
        least.append(own)
        if correlation > 0 or not held.any():
            continue
        seen = np.bincount(rows, minlength=dim)
        lost = np.bincount(part * dim + rows[held], minlength=folds.count * dim)
        left = seen[rows[held]] - lost[part * dim + rows[held]]
        few = np.flatnonzero(_FEWER * seen < np.quantile(left, _SCARCE))
        more = variance * components / np.maximum(seen[few] - components - 1, 1)
        more[seen[few] <= components + 1] = explained
        own[few] = np.sqrt(variance + np.minimum(more, explained))
    return least
