"""Components of two models are paired so that their scores sum to the most."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from rankrise.completion._matching import assign_rows, match_scores


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (3, 3), (5, 9), (40, 40)])
@pytest.mark.parametrize("seed", range(5))
def test_rows_are_assigned_at_the_least_cost_that_scipy_finds(shape, seed):
    costs = np.random.default_rng(seed).normal(size=shape)
    owners = assign_rows(costs)
    columns = np.flatnonzero(owners >= 0)
    assert sorted(owners[columns]) == list(range(shape[0]))
    best = costs[linear_sum_assignment(costs)].sum()
    # The same pairs, summed in another order.
    np.testing.assert_allclose(costs[owners[columns], columns].sum(), best, rtol=1e-12)


@pytest.mark.parametrize("kept", [[2, 0, 1], [1], [0, 1, 2, 2]])
def test_a_component_found_again_scores_one_in_any_order_sign_and_scale(kept):
    rng = np.random.default_rng(0)
    factors = [np.linalg.qr(rng.normal(size=(dim, 3)))[0] for dim in (5, 4, 6)]
    other = [(-2) * matrix[:, kept] for matrix in factors]
    scores = match_scores(factors, other)
    expected = [1.0 if component in kept else 0.0 for component in range(3)]
    # Cosines of orthonormal vectors, rounded.
    np.testing.assert_allclose(scores, expected, atol=1e-14)
