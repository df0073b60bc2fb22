"""Completion where there is nothing to learn components from."""

import numpy as np
import pytest

from rankrise import CompletionSettings, InputError, Observations, incomplete_tensor
from rankrise.completion import complete_by_constants

INDICES = np.array([[0, 0], [1, 1], [2, 0]])


def completed(values, indices=INDICES, *, weights=None, **settings):
    observations = Observations.from_coordinates(indices, values, weights=weights)
    return complete_by_constants(
        incomplete_tensor(observations), CompletionSettings(**settings)
    )


def test_every_model_is_the_mean_of_what_it_was_shown():
    values = np.array([1.0, 2.0, 6.0])
    found = completed(values, center=False)
    others = (np.sum(values) - values) / 2
    np.testing.assert_allclose(found.heldout_predictions, others)
    np.testing.assert_allclose(found.entries(np.array([[1, 0]])), 3)
    assert found.rank == 0
    assert np.isnan(found.completed).sum() == 0


def test_means_are_weighted():
    found = completed([1.0, 2.0, 6.0], weights=[1.0, 3.0, 1.0])
    np.testing.assert_allclose(found.heldout_predictions, [12 / 4, 7 / 2, 7 / 4])


def test_labels_are_given_the_share_of_ones():
    shares = completed([0, 1, 1], loss="logistic").entries(INDICES)
    # Half a label of either kind is added.
    np.testing.assert_allclose(shares, np.mean([2.5 / 3, 0.5, 0.5]))


def test_one_entry_is_refused():
    with pytest.raises(InputError, match="Only one entry"):
        completed([1.0], INDICES[:1])
