"""Gaps with structure: what is told of them, and held out for them."""

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


def with_boxes(whole, share, rng):
    """Missing in boxes of a quarter of each mode."""
    gappy = whole.copy()
    while np.isnan(gappy).mean() < share:
        box = []
        for dim in whole.shape:
            begin = rng.integers(dim - dim // 4 + 1)
            box.append(slice(begin, begin + dim // 4))
        gappy[tuple(box)] = np.nan
    return gappy


def with_slabs(whole, share, rng):
    """Some neurons are missing for some time, in all trials."""
    gappy = whole.copy()
    while np.isnan(gappy).mean() < share:
        begin = rng.integers(24)
        time = slice(begin, begin + rng.integers(3, 7))
        gappy[:, rng.random(20) < 0.2, time] = np.nan
    return gappy


def with_entries(gappy, rng):
    """As many entries at random missing as are missing already."""
    share = np.isnan(gappy).mean()
    single = rng.random(gappy.shape) < share / (1 - share)
    return np.where(single, np.nan, gappy)


def smooth_trials(seed):
    """Twelve falling components, smooth in neurons and times but not in trials."""
    rng, factors = np.random.default_rng(seed), []
    for dim, length in ((40, 0.01), (20, 4), (30, 4)):
        apart = np.subtract.outer(np.arange(dim), np.arange(dim)) / length
        likeness = np.exp(-(apart**2) / 2) + 1e-8 * np.eye(dim)
        factors.append(np.linalg.cholesky(likeness) @ rng.standard_normal((dim, 12)))
    whole = np.einsum("r,ir,jr,kr->ijk", 0.8 ** np.arange(12), *factors)
    return whole / whole.std() + 0.1 * rng.standard_normal(whole.shape), rng


def test_ends_of_trials_are_held_out_where_trials_end_early():
    observations, folds = folds_of(trials()[0])
    assert folds.modes == (1,)
    (kind,) = (kind for kind in folds.gaps if kind.share > 0.05)
    assert str(kind) == "runs along mode 3 up to the end, across mode 2"
    last = np.zeros(40, int)
    np.maximum.at(last, observations.indices[:, 0], observations.indices[:, 2])
    reached = []
    for part in range(folds.count):
        held = observations.indices[folds.part == part]
        assert len(held)
        for trial in np.unique(held[:, 0]):
            own = held[held[:, 0] == trial]
            times = np.unique(own[:, 2])
            # Of all neurons, and at least half of a trial is left.
            assert len(own) == 20 * len(times)
            assert len(times) <= (last[trial] + 1) // 2
            reached.append(times[-1] == last[trial])
    assert np.mean(reached) > 0.8  # the others stand for what is left besides runs


def test_boxes_are_held_out_where_gaps_are_boxes():
    rng = np.random.default_rng(0)
    tensor = with_boxes(rng.standard_normal((24, 16, 20)), 0.2, rng)
    observations, folds = folds_of(tensor)
    kinds = [str(kind) for kind in folds.gaps if kind.share > 0.05]
    assert kinds == ["blocks over modes 1, 2 and 3"]
    # Of a held-out entry the neighbours are held out too: those inside a box are most.
    part = np.full(tensor.shape, -1)
    part[tuple(observations.indices.T)] = folds.part
    together = np.mean(part[1:][part[1:] == 0] == part[:-1][part[1:] == 0])
    assert together > 0.6  # of entries at random an eighth


def test_every_kind_is_held_out_by_its_share():
    whole = trials()[1]
    rng = np.random.default_rng(3)
    fibers = np.where(rng.random((40, 20, 1)) < 0.15, np.nan, whole)
    _, folds = folds_of(with_entries(fibers, rng))
    shares = {str(kind): kind.share for kind in folds.gaps}
    assert set(shares) == {"single entries", "whole fibers along mode 3"}
    held = folds.part < folds.count
    for number, kind in enumerate(folds.gaps):
        assert kind.share == pytest.approx(0.5, abs=0.06)
        assert np.mean(folds.kinds[held] == number) == pytest.approx(
            kind.share, abs=0.03
        )


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_gaps_at_random_are_no_runs(share):
    whole = trials()[1]
    whole[np.random.default_rng(1).random(whole.shape) < share] = np.nan
    folds = folds_of(whole)[1]
    assert [str(kind) for kind in folds.gaps] == ["single entries"]
    assert folds.blocks is None


def test_single_fibers_at_random_are_no_runs():
    whole = trials()[1]
    whole[np.random.default_rng(1).random((40, 20)) < 0.5] = np.nan
    folds = folds_of(whole)[1]
    assert [str(kind) for kind in folds.gaps] == ["whole fibers along mode 3"]
    assert folds.blocks is None


def test_gaps_of_sensors_that_fail_for_days_are_held_out_anywhere():
    rng = np.random.default_rng(0)
    tensor = rng.standard_normal((12, 8, 40))
    for sensor in np.ndindex(12, 8):
        begin = rng.integers(5, 30)
        tensor[(*sensor, slice(begin, begin + rng.integers(3, 10)))] = np.nan
    observations, folds = folds_of(tensor)
    assert "runs along mode 3" in map(str, folds.gaps)
    held = observations.indices[folds.part < folds.count]
    assert held[:, 2].min() < 5
    assert held[:, 2].max() == 39


def check_bounds(gappy, whole, **settings):
    """The error that is said is that of the gaps, and bounds hold; where they do."""
    found = rr.complete(gappy, **settings)
    gaps = np.isnan(gappy) & ~np.isnan(found.completed)
    error = np.sqrt(np.mean((found.completed - whole)[gaps] ** 2))
    assert found.heldout_error == pytest.approx(error, rel=0.25)
    lower, upper = found.interval(0.9)
    inside = (lower <= whole) & (whole <= upper)
    assert 0.85 <= inside[gaps].mean() <= 0.95
    np.testing.assert_allclose(
        found.entries_std(np.argwhere(gaps)), found.std[gaps], rtol=1e-6
    )
    return found, inside


@pytest.mark.parametrize(
    ("seed", "latest"), [(0, 31), pytest.param(2, 29, marks=pytest.mark.slow)]
)
def test_the_error_said_of_tails_is_that_found_and_bounds_hold(seed, latest):
    check_bounds(*trials(seed, latest=latest), models=5, smooth=False)


@pytest.mark.parametrize(
    "holes", [with_boxes, pytest.param(with_slabs, marks=pytest.mark.slow)]
)
def test_the_error_said_of_blocks_is_that_found_and_bounds_hold(holes):
    whole, rng = smooth_trials(11)
    found, _ = check_bounds(holes(whole, 0.2, rng), whole, models=4, smooth=False)
    assert found.folds.blocks is not None


def test_bounds_hold_on_single_entries_and_on_tails_of_one_tensor():
    whole, rng = smooth_trials(13)
    tails = whole.copy()
    for trial, length in enumerate(rng.integers(22, 31, 40)):
        tails[trial, :, length:] = np.nan
    gappy = with_entries(tails, rng)
    found, inside = check_bounds(gappy, whole, models=4, smooth=False)
    assert "single entries" in found.gaps
    assert "runs along mode 3 up to the end, across mode 2" in found.gaps
    for gaps in (np.isnan(tails), np.isnan(gappy) & ~np.isnan(tails)):
        assert 0.84 <= inside[gaps].mean() <= 0.96


def test_gaps_unlike_all_that_can_be_held_out_are_told_and_have_wider_bounds(caplog):
    whole, _ = smooth_trials(5)
    gappy = whole.copy()
    gappy[8:, :, 12:] = np.nan
    found = rr.complete(gappy, models=3, smooth=False)
    assert "100% of the gaps are unlike all that could be held out" in caplog.text
    assert found.folds.unlike == 1
    gaps = np.isnan(gappy)
    narrow = found.noise.variances(np.argwhere(gaps)).mean()
    assert (found.std[gaps] ** 2).mean() > 1.5 * narrow
