import numpy as np
import pytest

import rankrise as rr
from rankrise.completion import make_folds


def trials(seed=0, *, latest=31):
    """Trials x neurons x times of rank 3, which end early, and what they were."""
    rng = np.random.default_rng(seed)
    factors = [rng.standard_normal((dim, 3)) for dim in (40, 20, 30)]
    whole = np.einsum("ir,jr,kr->ijk", *factors)
    whole = whole / whole.std() + 0.1 * rng.standard_normal(whole.shape)
    gappy = whole.copy()
    for trial, length in enumerate(rng.integers(15, latest, 40)):
        gappy[trial, :, length:] = np.nan
    return gappy, whole


def folds_of(array, count=4):
    observations = rr.Observations.from_array(array).in_order()
    folds = make_folds(observations, count, share=None, heldout="auto", seed=0)
    return observations, folds


def test_ends_of_trials_are_held_out_where_trials_end_early():
    observations, folds = folds_of(trials()[0])
    assert (folds.modes, folds.along) == ((1,), 2)
    last = np.zeros(40, int)
    np.maximum.at(last, observations.indices[:, 0], observations.indices[:, 2])
    for part in range(folds.count):
        held = observations.indices[folds.part == part]
        assert len(held)
        for trial in np.unique(held[:, 0]):
            own = held[held[:, 0] == trial]
            times = np.unique(own[:, 2])
            # A run up to the last time, of all neurons, and in one part alone.
            np.testing.assert_array_equal(times, np.arange(times[0], last[trial] + 1))
            assert len(own) == 20 * len(times)
            assert len(times) <= (last[trial] + 1) // 2


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_gaps_at_random_are_no_runs(share):
    whole = trials()[1]
    whole[np.random.default_rng(1).random(whole.shape) < share] = np.nan
    assert folds_of(whole)[1].along is None


def test_single_fibers_at_random_are_no_runs():
    whole = trials()[1]
    whole[np.random.default_rng(1).random((40, 20)) < 0.5] = np.nan
    folds = folds_of(whole)[1]
    assert (folds.modes, folds.along) == ((2,), None)


def test_gaps_of_sensors_that_fail_for_days_are_held_out_anywhere():
    rng = np.random.default_rng(0)
    tensor = rng.standard_normal((12, 8, 40))
    for sensor in np.ndindex(12, 8):
        begin = rng.integers(5, 30)
        tensor[(*sensor, slice(begin, begin + rng.integers(3, 10)))] = np.nan
    observations, folds = folds_of(tensor)
    assert folds.along == 2
    held = observations.indices[folds.part < folds.count]
    assert held[:, 2].min() < 5
    assert held[:, 2].max() == 39


@pytest.mark.parametrize(("seed", "latest"), [(0, 31), (2, 29)])
def test_the_error_said_of_tails_is_that_found_and_bounds_hold(seed, latest):
    gappy, whole = trials(seed, latest=latest)
    found = rr.complete(gappy, models=5, smooth=False)
    gaps = np.isnan(gappy) & ~np.isnan(found.completed)
    error = np.sqrt(np.mean((found.completed - whole)[gaps] ** 2))
    assert found.heldout_error == pytest.approx(error, rel=0.25)
    lower, upper = found.interval(0.9)
    inside = ((lower <= whole) & (whole <= upper))[gaps]
    assert 0.85 <= inside.mean() <= 0.95
