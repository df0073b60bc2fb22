"""Completion where there is nothing to learn components from."""

import numpy as np
import pytest

from rankrise import InputError, LogisticLoss, Observations
from rankrise.completion import Completing, complete_by_baseline

INDICES = np.array([[0, 0], [1, 1], [2, 0]])


def test_every_model_is_the_mean_of_what_it_was_shown():
    values = np.array([1.0, 2.0, 6.0])
    observations = Observations.from_coordinates(INDICES, values)
    completion = complete_by_baseline(observations, Completing(center=False))
    others = (np.sum(values) - values) / 2
    np.testing.assert_allclose(completion.heldout_predictions, others)
    np.testing.assert_allclose(completion.entries(np.array([[1, 0]])), 3)
    assert completion.rank == 0
    assert np.isnan(completion.completed()).sum() == 0


def test_labels_are_given_the_share_of_ones():
    observations = Observations.from_coordinates(INDICES, [0, 1, 1])
    completion = complete_by_baseline(observations, Completing(loss=LogisticLoss()))
    shares = completion.entries(INDICES)
    # Half a label of either kind is added.
    np.testing.assert_allclose(shares, np.mean([2.5 / 3, 0.5, 0.5]))


def test_one_entry_is_refused():
    observations = Observations.from_coordinates(INDICES[:1], [1.0])
    with pytest.raises(InputError, match="Only one entry"):
        complete_by_baseline(observations, Completing())
