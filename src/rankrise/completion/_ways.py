"""Which of two ways of making models will complete a tensor better.

What completes it is the mean of the models, and models that differ gain more by it. On
entries that none of them has seen, the mean square error of their mean is that of one
of them less the variance between them (Krogh and Vedelsby 1995, "Neural network
ensembles, cross validation, and active learning").
"""

import math
from collections.abc import Sequence

import numpy as np

from rankrise._typing import Indices
from rankrise.completion._completion import Member
from rankrise.data import Observations
from rankrise.data._index_rows import ravel_indices
from rankrise.losses import AbstractLoss, SquaredLoss

# Entries at which models are compared.
_SAMPLED = 10_000
# Of the loss, that their mean is taken to gain at most: models of few observations may
# differ wildly where held-out entries are too few to show it.
_MOST_GAIN = 0.25


def unseen_indices(observations: Observations, seed: int) -> Indices:
    """Some unobserved entries, of slices that are observed; there may be none."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(observations), size=(_SAMPLED, observations.order))
    indices = np.take_along_axis(observations.indices, drawn, axis=0)
    # In a tensor of more entries than int64 counts none of those drawn is observed.
    if math.prod(observations.mode_dims) >= 2**63:
        return indices
    dims = observations.mode_dims
    observed = ravel_indices(observations.indices, dims)
    return indices[~np.isin(ravel_indices(indices, dims), observed)]


def loss_of_mean(
    members: Sequence[Member], count: int, unseen: Indices, loss: AbstractLoss
) -> float:
    """Expected loss, in units of the data, of the mean of `count` such models.

    Parameters
    ----------
    unseen
        Entries that no model has seen.
    """
    single = float(
        np.mean([m.baseline.scale**2 * m.path.best_point.heldout_loss for m in members])
    )
    if len(members) < 2 or not len(unseen) or not isinstance(loss, SquaredLoss):
        return single
    predictions = [member.predictions(unseen, loss) for member in members]
    variance = float(np.mean(np.var(predictions, axis=0, ddof=1)))
    return single - min((1 - 1 / count) * variance, _MOST_GAIN * single)
