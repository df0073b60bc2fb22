"""What the mean of models is expected to be off by."""

import numpy as np
import pytest

from rankrise import Observations
from rankrise.completion import Baseline, Member, Path, PathPoint
from rankrise.completion._ways import loss_of_mean, unseen_indices
from rankrise.losses import AbsoluteLoss, SquaredLoss

UNSEEN = np.array([[0, 1], [1, 0]])


def saying(number: float, *, heldout_loss: float, scale: float = 1.0) -> Member:
    """A model without components, so it says one number everywhere."""
    factors = (np.zeros((2, 0)), np.zeros((2, 0)))
    path = Path([PathPoint(1.0, 0, 0.0, heldout_loss, ())], 0, factors)
    return Member(0, factors, Baseline(number, scale), path, False)


def test_models_that_agree_gain_nothing_by_their_mean():
    members = [saying(3.0, heldout_loss=loss, scale=2.0) for loss in (0.5, 1.5)]
    assert loss_of_mean(members, 8, UNSEEN, SquaredLoss()) == pytest.approx(4.0)


def test_the_mean_of_models_with_independent_errors_gains_by_their_variance():
    # Of errors d and -d the variance is 2 d^2, and of the mean of K models all but a
    # K-th of it is gone.
    members = [saying(error, heldout_loss=1.0) for error in (0.1, -0.1)]
    found = loss_of_mean(members, 4, UNSEEN, SquaredLoss())
    assert found == pytest.approx(1 - 0.75 * 0.02)


def test_models_that_differ_wildly_are_not_believed_to_gain_more_than_a_quarter():
    members = [saying(error, heldout_loss=1.0) for error in (5.0, -5.0)]
    assert loss_of_mean(members, 4, UNSEEN, SquaredLoss()) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("count", "unseen", "loss"),
    [
        (1, UNSEEN, SquaredLoss()),
        (2, UNSEEN[:0], SquaredLoss()),
        (2, UNSEEN, AbsoluteLoss()),
    ],
)
def test_without_a_variance_that_counts_it_is_the_held_out_loss(count, unseen, loss):
    members = [saying(error, heldout_loss=1.0) for error in (0.1, -0.1)][:count]
    assert loss_of_mean(members, 4, unseen, loss) == pytest.approx(1.0)


def test_unseen_entries_are_unobserved_and_of_observed_slices():
    array = np.arange(60.0).reshape(3, 4, 5)
    array[np.random.default_rng(0).random(array.shape) < 0.5] = np.nan
    array[2] = np.nan
    unseen = unseen_indices(Observations.from_array(array), seed=0)
    assert np.isnan(array[tuple(unseen.T)]).all()
    assert set(unseen[:, 0]) == {0, 1}
    gaps = np.isnan(array[:2]).sum()
    assert len(np.unique(unseen, axis=0)) == gaps


def test_nothing_is_unseen_where_all_is_observed():
    full = Observations.from_array(np.ones((3, 4)))
    assert len(unseen_indices(full, seed=0)) == 0


def test_unseen_entries_of_a_tensor_beyond_int64_are_drawn():
    coordinates = np.arange(20)[:, None] * np.ones((1, 6), int)
    huge = Observations.from_coordinates(coordinates, np.ones(20), (10**5,) * 6)
    assert len(unseen_indices(huge, seed=0)) > 0
