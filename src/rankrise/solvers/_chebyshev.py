r"""Coefficients of the second-order Runge-Kutta-Chebyshev method.

Sommeijer, Shampine and Verwer (1998), *RKC: An explicit solver for parabolic PDEs*,
equations 2.3 to 2.9. With $s$ stages it is stable for $h \rho \le 2 (s^2 - 1) / 3$
nearly, where $\rho$ is the spectral radius of a Jacobian with negative eigenvalues.
"""

from functools import cache

import numpy as np

from rankrise._typing import Values

_DAMPING = 2 / 13
# Of the step size times the spectral radius, by the number of stages squared less one.
STABILITY = 2 / 3 * (1 - 2 / 15 * _DAMPING)


@cache
def coefficients(most_stages: int) -> Values:
    r"""$\mu_j, \nu_j, \tilde\mu_j, \tilde\gamma_j$ of stage $j$ for every $s$.

    An array of shape (`most_stages` + 1, `most_stages` + 1, 4), indexed by $s$ and $j$,
    for $s \ge 2$; at $j = 1$ only $\tilde\mu_1$ is used. In float64 and on the host,
    because the differences $w_0 - 1$ would lose all digits in single precision.
    """
    table = np.zeros((most_stages + 1, most_stages + 1, 4))
    for stages in range(2, most_stages + 1):
        table[stages, : stages + 1] = _row(stages)
    return table


def _row(stages: int) -> Values:
    w0 = 1 + _DAMPING / stages**2
    value, slope, curvature = _chebyshev(stages, w0)
    w1 = slope[-1] / curvature[-1]
    b = np.empty(stages + 1)
    b[2:] = curvature[2:] / slope[2:] ** 2
    b[:2] = b[2], 1 / w0
    row = np.zeros((stages + 1, 4))
    row[1, 2] = b[1] * w1
    a = 1 - b * value
    for j in range(2, stages + 1):
        mu_tilde = 2 * b[j] * w1 / b[j - 1]
        row[j] = (
            2 * b[j] * w0 / b[j - 1],
            -b[j] / b[j - 2],
            mu_tilde,
            -a[j - 1] * mu_tilde,
        )
    return row


def _chebyshev(degree: int, x: float) -> tuple[Values, Values, Values]:
    """Chebyshev polynomials up to the degree, and two derivatives, at a point."""
    value, slope, curvature = np.zeros((3, degree + 1))
    value[:2], slope[1] = (1, x), 1
    for j in range(2, degree + 1):
        value[j] = 2 * x * value[j - 1] - value[j - 2]
        slope[j] = 2 * value[j - 1] + 2 * x * slope[j - 1] - slope[j - 2]
        curvature[j] = 4 * slope[j - 1] + 2 * x * curvature[j - 1] - curvature[j - 2]
    return value, slope, curvature
