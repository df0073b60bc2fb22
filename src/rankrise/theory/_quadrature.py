"""Integrals of rates between saved times, by Gauss-Legendre quadrature."""

import numpy as np

from rankrise._typing import Values

_DEGREE = 15
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(_DEGREE)
_STRIDE = _DEGREE + 1
INTERVALS = 16
QUADRATURE_TIMES = INTERVALS * _STRIDE + 1


def quadrature_times(ends: Values) -> Values:
    """The ends of intervals, with the nodes of a rule of 15 inside each."""
    left, width = ends[:-1, None], np.diff(ends)[:, None]
    inside = left + width * (_NODES + 1) / 2
    return np.append(np.hstack([left, inside]).ravel(), ends[-1])


def integrals(times: Values, rates: Values) -> Values:
    """Integrals over the intervals of `quadrature_times`, one row each.

    `rates` holds the integrands at these times, along the first axis.
    """
    ends = times[::_STRIDE]
    inside = rates[:-1].reshape(len(ends) - 1, _STRIDE, -1)[:, 1:]
    return np.diff(ends)[:, None] / 2 * np.einsum("n,inr->ir", _WEIGHTS, inside)


def increments(times: Values, values: Values) -> Values:
    """How much the values changed over each of the same intervals."""
    ends = values[::_STRIDE]
    return np.diff(ends.reshape(len(ends), -1), axis=0)
