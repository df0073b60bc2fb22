"""Whether the same components are found again by other models."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rankrise._typing import Values


def match_scores(reference: Sequence[Values], other: Sequence[Values]) -> Values:
    r"""Factor match score of every component of the first with its partner.

    The product over modes of the cosines between two components' vectors, up to sign,
    maximized over pairings (Acar et al. 2011); zero without a partner.
    """
    scores = np.ones((reference[0].shape[1], other[0].shape[1]))
    for left, right in zip(reference, other, strict=True):
        scores *= np.abs(_units(left).T @ _units(right))
    found = np.zeros(len(scores))
    if scores.shape[0] <= scores.shape[1]:
        owners = assign_rows(-scores)
        columns = np.flatnonzero(owners >= 0)
        found[owners[columns]] = scores[owners[columns], columns]
    else:
        owners = assign_rows(-scores.T)
        rows = np.flatnonzero(owners >= 0)
        found[rows] = scores[rows, owners[rows]]
    return found


def assign_rows(costs: Values) -> npt.NDArray[np.intp]:
    """For every column the row it is paired with, or -1, at the least total cost.

    One shortest augmenting path a row, at most as many rows as columns. SciPy has the
    same, in a module that takes a second to import.
    """
    rows, columns = costs.shape
    owners = np.full(columns, -1, np.intp)
    row_prices, column_prices = np.zeros(rows), np.zeros(columns)
    for row in range(rows):
        distances = np.full(columns, np.inf)
        before = np.full(columns, -1, np.intp)
        seen = np.zeros(columns, bool)
        at, column, length = row, -1, 0.0
        while at >= 0:
            through = length + costs[at] - row_prices[at] - column_prices
            nearer = ~seen & (through < distances)
            distances[nearer] = through[nearer]
            before[nearer] = column
            column = int(np.argmin(np.where(seen, np.inf, distances)))
            length = float(distances[column])
            seen[column] = True
            at = int(owners[column])
        row_prices[row] += length
        passed = np.flatnonzero(seen & (owners >= 0))
        row_prices[owners[passed]] += length - distances[passed]
        column_prices[passed] -= length - distances[passed]
        while column >= 0:
            previous = int(before[column])
            owners[column] = row if previous < 0 else owners[previous]
            column = previous
    return owners


def _units(matrix: Values) -> Values:
    norms = np.linalg.norm(matrix, axis=0)
    return matrix / np.where(norms > 0, norms, 1)
