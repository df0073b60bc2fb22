"""Whether the same components are found again by other models."""

from collections.abc import Sequence

import numpy as np

from rankrise._typing import Values


def match_scores(reference: Sequence[Values], other: Sequence[Values]) -> Values:
    r"""Factor match score of every component of the first with its partner.

    The product over modes of the cosines between two components' vectors, up to sign,
    maximized over pairings (Acar et al. 2011); zero without a partner.
    """
    # Half a second that most completions don't need.
    from scipy.optimize import linear_sum_assignment

    scores = np.ones((reference[0].shape[1], other[0].shape[1]))
    for left, right in zip(reference, other, strict=True):
        scores *= np.abs(_units(left).T @ _units(right))
    found = np.zeros(len(scores))
    rows, columns = linear_sum_assignment(-scores)
    found[rows] = scores[rows, columns]
    return found


def _units(matrix: Values) -> Values:
    norms = np.linalg.norm(matrix, axis=0)
    return matrix / np.where(norms > 0, norms, 1)
