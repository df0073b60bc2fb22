"""Coefficients of the Runge-Kutta-Chebyshev method."""

import numpy as np
import pytest

from rankrise.solvers._chebyshev import STABILITY, coefficients

STAGES = [2, 3, 5, 20, 100]


def stability_polynomial(stages, z):
    """One step of size 1 for y' = z y, from y = 1, stage by stage."""
    row = coefficients(max(STAGES))[stages]
    before, last = np.ones_like(z), 1 + row[1, 2] * z
    for mu, nu, mu_tilde, gamma_tilde in row[2 : stages + 1]:
        new = (1 - mu - nu) + mu * last + nu * before
        new = new + mu_tilde * z * last + gamma_tilde * z
        before, last = last, new
    return last


@pytest.mark.parametrize("stages", STAGES)
def test_a_step_is_of_second_order(stages):
    z = -np.array([0.04, 0.02])
    errors = stability_polynomial(stages, z) - np.exp(z)
    # Of third order locally; the next term is a few percent of it here.
    assert errors[0] / errors[1] == pytest.approx(8, rel=0.1)


@pytest.mark.parametrize("stages", STAGES)
def test_a_step_is_stable_to_the_stated_limit_and_not_far_beyond(stages):
    limit = STABILITY * (stages**2 - 1)
    inside = np.linspace(0, limit, 20_000)
    # By rounding alone: the recursion of a hundred stages amplifies it a little.
    assert np.abs(stability_polynomial(stages, -inside)).max() <= 1 + 1e-10
    assert np.abs(stability_polynomial(stages, -np.array([1.1 * limit + 1]))) > 1


@pytest.mark.parametrize("stages", STAGES)
def test_high_frequencies_are_damped(stages):
    limit = STABILITY * (stages**2 - 1)
    fast = np.linspace(0.5 * limit, limit, 1000)
    # By a third of the damping 2/13, asymptotically.
    assert np.abs(stability_polynomial(stages, -fast)).max() < 0.96
