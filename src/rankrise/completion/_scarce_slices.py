r"""Slices with too few observations to be predicted as well as held-out entries are.

A slice is predicted by one number for each component, found by its own observations. By
least squares of $n$ observations with noise of variance $\sigma^2$ that adds
$\sigma^2 k / (n - k - 1)$ to the mean square error of predictions by $k$ numbers, where
what they multiply is normal (Breiman and Freedman 1983), and at most what all
components explain.
"""

import numpy as np

from rankrise._typing import Indices, ModeDims, Values
from rankrise.completion._holdout import Folds

# The share of held-out entries in slices with too few observations to count; slices
# with fewer than these by this factor are unlike them.
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
    """Standard deviations of errors in every mode's slices, at least; zero elsewhere.

    The last of every mode is zero, for slices that were never observed. Slices that
    are alike in neighbours are predicted by these too, and are left out.

    Parameters
    ----------
    correlations
        Of neighbours in every mode, as the model takes them.
    variance
        Mean square error on held-out entries.
    explained
        Mean square of what the components tell.
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
