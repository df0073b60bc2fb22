r"""Rows of a mode that may resemble their neighbours.

Rows of a mode with an order, such as time, wavelength or a line of pixels, resemble
their neighbours, and where few entries are observed that is most of what is known of
them. A penalty $\lambda\,\mathrm{tr}(W^\top Q_\rho W)$ says so, where $Q_\rho$ is the
precision of a stationary chain of unit variance whose neighbours are correlated by
$\rho$ (an autoregressive process of order one); $\rho = 0$ is the plain L2 penalty.
Rows that are $g$ apart, with none observed between, are correlated by $\rho^g$.
"""

from typing import NamedTuple

import numpy as np

from rankrise._typing import Values
from rankrise.completion._arrangement import Rows
from rankrise.completion._compiled import kernels

# Correlations below the first count as none; the largest leaves rows some freedom.
LEAST_CORRELATION, MOST_CORRELATION = 0.4, 0.98
# What is assumed before anything is learned.
_FIRST_CORRELATION = 0.9
# With fewer rows there is no telling.
_FEWEST_ROWS = 5


class Chains(NamedTuple):
    """The penalty of every mode.

    Attributes
    ----------
    correlations, chained
        Mode by mode; rows of a mode that is not chained know nothing of each other.
    decay
        Correlation of every row of the stack with the next; zero where it has none.
    diagonal, coupling
        Of the precision: of every row, and of it with the next.
    """

    correlations: Values
    chained: np.ndarray
    decay: Values
    diagonal: Values
    coupling: Values


def chains(rows: Rows, correlations: Values) -> Chains:
    """The chains with these correlations between neighbours, mode by mode."""
    of_row = np.repeat(correlations, rows.dims)
    decay = np.where(rows.gaps > 0, of_row**rows.gaps, 0.0)
    squares = decay * decay
    coupling = -decay / (1 - squares)
    # 1 / (1 - r^2) - 1 for a neighbour on either side.
    links = squares / (1 - squares)
    diagonal = 1 + links
    diagonal[1:] += links[:-1]
    return Chains(correlations, correlations > 0, decay, diagonal, coupling)


def neighbour_correlations(factors: Values, rows: Rows) -> Values:
    """How alike neighbouring rows are, zero unless clearly; a guess before any."""
    found = np.full(len(rows.dims), _FIRST_CORRELATION)
    if factors.shape[1]:
        kernels.neighbour_products(factors, rows.starts, rows.gaps, found)
        np.minimum(found, MOST_CORRELATION, out=found)
        found[found <= LEAST_CORRELATION] = 0
    found[np.array(rows.dims) < _FEWEST_ROWS] = 0
    return found
