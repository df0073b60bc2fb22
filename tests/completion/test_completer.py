"""Completion from start to end."""

import numpy as np

from rankrise import Observations, observe, random_target, sample_indices
from rankrise.completion import Completing, complete_observations

DIMS = (10, 9, 8)


def test_a_tensor_of_low_rank_is_found_without_naming_a_rank():
    target = random_target(DIMS, cp_rank=2, seed=0)
    indices = sample_indices(DIMS, 360, seed=0)
    observations = observe(target, indices, seed=0)
    completing = Completing(
        models=2, smooth=False, center=False, penalties=(1.0, 0.1, 1e-3, 1e-5)
    )
    completion = complete_observations(observations, completing)
    everywhere = np.argwhere(np.ones(DIMS))
    truth = observe(target, everywhere, seed=0).values
    error = np.linalg.norm(completion.entries(everywhere) - truth)
    # The smallest penalty shrinks what is learned by about its size.
    assert error < 1e-3 * np.linalg.norm(truth)
    assert completion.rank == 2
    assert np.all(completion.reproducibility[:2] > 0.999)


def test_slices_that_were_never_observed_are_not_invented():
    rng = np.random.default_rng(0)
    dense = rng.standard_normal((6, 1, 1)) * rng.standard_normal((1, 5, 4)) + 3
    dense[rng.random(dense.shape) < 0.2] = np.nan
    dense[2] = np.nan
    completing = Completing(models=2, smooth=False, penalties=(1.0, 0.1))
    completion = complete_observations(Observations.from_array(dense), completing)
    completed = completion.completed()
    assert completion.unobserved_slices == [(0, 2)]
    assert np.isnan(completed[2]).all()
    assert np.isfinite(np.delete(completed, 2, axis=0)).all()
    known = ~np.isnan(dense)
    np.testing.assert_array_equal(completed[known], dense[known])
