"""Components of two models are paired so that their scores sum to the most."""

import numpy as np
import pytest

from rankrise.completion._model import match_scores


@pytest.mark.parametrize("kept", [[2, 0, 1], [1], [0, 1, 2, 2]])
def test_a_component_found_again_scores_one_in_any_order_sign_and_scale(kept):
    rng = np.random.default_rng(0)
    factors = [np.linalg.qr(rng.normal(size=(dim, 3)))[0] for dim in (5, 4, 6)]
    other = [(-2) * matrix[:, kept] for matrix in factors]
    scores = match_scores(factors, other)
    expected = [1.0 if component in kept else 0.0 for component in range(3)]
    # Cosines of orthonormal vectors, rounded.
    np.testing.assert_allclose(scores, expected, atol=1e-14)
