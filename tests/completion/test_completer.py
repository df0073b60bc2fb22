"""Completion from start to end."""

import numpy as np
import pytest

from rankrise import Checkpoint, Observations, observe, random_target, sample_indices
from rankrise._errors import InputError
from rankrise.completion import Completing, complete_observations
from rankrise.losses import HuberLoss, LogisticLoss, PoissonLoss

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


QUICK = Completing(models=2, smooth=False, max_components=4)


def low_rank(mode_dims, cp_rank, *, share=0.6, seed=0):
    """Observations of a tensor with entries of order one, and the whole of it."""
    rng = np.random.default_rng(seed)
    factors = random_target(
        mode_dims, cp_rank, frobenius_norm=np.prod(mode_dims) ** 0.5, seed=seed
    )
    letters = "abcdef"[: len(mode_dims)]
    whole = np.einsum(",".join(f"{x}r" for x in letters) + "->" + letters, *factors)
    return np.where(rng.random(mode_dims) < share, whole, np.nan), whole


def relative_error(completion, gappy, whole):
    gaps = np.isnan(gappy)
    return np.linalg.norm((completion.completed() - whole)[gaps]) / np.linalg.norm(
        whole[gaps]
    )


def test_the_order_of_observations_does_not_matter():
    gappy, _ = low_rank((8, 7, 6), 2)
    observations = Observations.from_array(gappy)
    shuffled = observations.take(
        np.random.default_rng(3).permutation(len(observations))
    )
    first = complete_observations(observations, QUICK).completed()
    second = complete_observations(shuffled, QUICK).completed()
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("size", [1e12, 1e-12])
def test_the_unit_of_the_values_does_not_matter(size):
    gappy, _ = low_rank((8, 7, 6), 2)
    one = complete_observations(Observations.from_array(gappy), QUICK)
    other = complete_observations(Observations.from_array(size * gappy), QUICK)
    assert other.rank == one.rank
    np.testing.assert_allclose(other.completed(), size * one.completed(), rtol=1e-6)


@pytest.mark.parametrize(
    "mode_dims",
    [
        (15, 12),
        (1, 9, 8),
        pytest.param((3, 4, 3, 2, 3, 3), marks=pytest.mark.slow),
    ],
)
def test_matrices_flat_modes_and_high_orders_are_completed(mode_dims):
    gappy, whole = low_rank(mode_dims, 1, share=0.7)
    completion = complete_observations(Observations.from_array(gappy), QUICK)
    assert relative_error(completion, gappy, whole) < 0.05


def test_a_huge_outlier_does_not_spoil_a_huber_fit():
    gappy, whole = low_rank((10, 9, 8), 2, share=0.7)
    outlier = tuple(np.argwhere(~np.isnan(gappy))[17])
    gappy[outlier] = 1e6
    completing = Completing(
        models=2, smooth=False, max_components=4, loss=HuberLoss(1.0)
    )
    completion = complete_observations(Observations.from_array(gappy), completing)
    assert relative_error(completion, gappy, whole) < 0.1
    # The outlier is nearly all of the spread, and nothing of the median.
    assert completion.typical_error() < 0.2


def test_labels_are_completed_by_probabilities():
    gappy, whole = low_rank((10, 9, 8), 1, share=0.8)
    labels = np.where(np.isnan(gappy), np.nan, whole > 0)
    completing = Completing(models=2, smooth=False, loss=LogisticLoss())
    completion = complete_observations(Observations.from_array(labels), completing)
    probabilities = completion.completed(keep_observed=False)
    assert np.all((probabilities >= 0) & (probabilities <= 1))
    lower, upper = completion.bounds(0.9)
    assert np.all((lower >= 0) & (lower <= upper) & (upper <= 1))
    gaps = np.isnan(labels)
    # The larger class has a share of about a half.
    assert np.mean((probabilities > 0.5)[gaps] == (whole > 0)[gaps]) > 0.8


@pytest.mark.slow
def test_counts_are_completed_by_rates():
    gappy, whole = low_rank((10, 9, 8), 1, share=0.8)
    rates = np.exp(1 + 0.7 * whole)
    counts = np.random.default_rng(1).poisson(rates).astype(float)
    counts[np.isnan(gappy)] = np.nan
    completing = Completing(models=2, smooth=False, loss=PoissonLoss())
    completion = complete_observations(Observations.from_array(counts), completing)
    gaps = np.isnan(counts)
    found = completion.completed()[gaps]
    assert np.all(found > 0)
    off = np.mean((found - rates[gaps]) ** 2)
    assert off < 0.3 * np.var(rates[gaps])


def test_factors_that_may_not_be_negative_are_not():
    gappy, _ = low_rank((10, 9, 8), 2, share=0.7)
    completing = Completing(models=2, smooth=False, non_negative=True)
    observed = Observations.from_array(np.abs(gappy))
    completion = complete_observations(observed, completing)
    for matrix in completion.reference.factor_matrices:
        assert np.all(matrix >= 0)
    assert completion.reference.baseline.offset == 0


def test_a_constant_is_refused_in_one_sentence():
    constant = np.full((6, 5), 2.5)
    constant[0, 0] = np.nan
    with pytest.raises(InputError, match="so there is nothing to learn from them"):
        complete_observations(Observations.from_array(constant), QUICK)


class StoppedError(Exception):
    """Stands for a kill."""


def test_a_killed_run_goes_on_to_the_same_result(tmp_path):
    gappy, _ = low_rank((8, 7, 6), 2)
    observations = Observations.from_array(gappy)
    expected = complete_observations(observations, QUICK)
    points = sum(len(member.path.points) for member in expected.members)
    path = tmp_path / "state.npz"
    seen = 0
    for kill in (points // 3, points // 3, points):
        left = kill

        def count(_):
            nonlocal left, seen
            left, seen = left - 1, seen + 1
            if left < 0:
                raise StoppedError

        checkpoint = Checkpoint(path, seconds=0.0, resume=True)
        try:
            completion = complete_observations(
                observations, QUICK, checkpoint=checkpoint, progress=count
            )
        except StoppedError:
            continue
    # Only the points at which it was left off were gone through twice.
    assert seen <= points + 6
    np.testing.assert_array_equal(completion.completed(), expected.completed())
    assert [len(each.path.points) for each in completion.members] == [
        len(each.path.points) for each in expected.members
    ]


def test_a_state_of_other_observations_is_refused(tmp_path):
    gappy, _ = low_rank((8, 7, 6), 2)
    checkpoint = Checkpoint(tmp_path / "state.npz", seconds=0.0, resume=True)
    complete_observations(Observations.from_array(gappy), QUICK, checkpoint=checkpoint)
    with pytest.raises(InputError, match="of a run with other observations"):
        complete_observations(
            Observations.from_array(2 * gappy), QUICK, checkpoint=checkpoint
        )


def test_a_time_limit_keeps_what_is_found():
    gappy, _ = low_rank((8, 7, 6), 2)
    completing = Completing(models=2, smooth=False, max_seconds=1e-9)
    completion = complete_observations(Observations.from_array(gappy), completing)
    assert completion.result == "time limit"
    assert len(completion.members) == 1
    assert np.isfinite(completion.completed()).all()
