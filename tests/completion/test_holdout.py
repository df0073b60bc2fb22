"""What gaps look like, and which entries are held out."""

import numpy as np
import pytest

from rankrise import InputError, Observations
from rankrise.completion import fiber_modes, make_folds

RNG = np.random.default_rng(0)
DENSE = RNG.standard_normal((8, 9, 5))


def with_gaps(hidden):
    return Observations.from_array(np.where(hidden, np.nan, DENSE))


FIBERS = with_gaps(np.broadcast_to(RNG.random((8, 9, 1)) < 0.4, DENSE.shape))


@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_gaps_at_random_are_no_fibers(share):
    assert fiber_modes(with_gaps(RNG.random(DENSE.shape) < share)) == ()


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_missing_fibers_are_told_by_their_mode(mode):
    dims = [dim if n != mode else 1 for n, dim in enumerate(DENSE.shape)]
    hidden = np.broadcast_to(RNG.random(dims) < 0.5, DENSE.shape)
    assert fiber_modes(with_gaps(hidden)) == (mode,)


def test_fibers_are_told_apart_where_entries_are_beyond_counting():
    # Positions 16 * 2^60 apart are alike in 64 bits.
    fibers = [each for each in np.ndindex(5, 2) if each not in {(1, 0), (3, 1)}]
    seen = np.array([(16 * a, b, 0, c) for a, b in fibers for c in (0, 1)])
    dims = (2**30, 2**30, 2**30, 2)
    observations = Observations.from_coordinates(seen, np.arange(16.0), dims)
    assert fiber_modes(observations) == (3,)


def test_a_fiber_is_held_out_whole():
    folds = make_folds(FIBERS, 4, share=None, heldout="auto", seed=0)
    assert folds.modes == (2,)
    for fiber in np.unique(FIBERS.indices[:, :2], axis=0):
        inside = np.all(FIBERS.indices[:, :2] == fiber, axis=1)
        assert len(set(folds.part[inside])) == 1


def test_all_observations_are_held_out_once():
    folds = make_folds(FIBERS, 5, share=None, heldout="random", seed=0)
    counts = np.bincount(folds.part, minlength=5)
    assert len(counts) == 5
    assert np.ptp(counts) <= 1


def test_fibers_are_asked_for_in_vain_where_there_are_none():
    with pytest.raises(InputError, match="No mode has fibers"):
        make_folds(
            with_gaps(RNG.random(DENSE.shape) < 0.5),
            4,
            share=None,
            heldout="fiber",
            seed=0,
        )


def test_fibers_are_told_among_many_observations():
    # So many that a few of them are looked at first.
    hidden = np.broadcast_to(RNG.random((60, 50, 1)) < 0.5, (60, 50, 40))
    whole = Observations.from_array(np.where(hidden, np.nan, 1.0))
    assert fiber_modes(whole) == (2,)
    at_random = np.where(RNG.random((60, 50, 40)) < 0.5, np.nan, 1.0)
    assert fiber_modes(Observations.from_array(at_random)) == ()


def test_fibers_are_told_in_a_tensor_with_more_entries_than_64_bits_count():
    fibers = RNG.integers(0, 10**6, (200, 4))
    indices = np.repeat(fibers, 3, axis=0)
    indices = np.insert(indices, 2, np.tile(np.arange(3), 200), axis=1)
    mode_dims = (10**6, 10**6, 3, 10**6, 10**6)
    observations = Observations.from_coordinates(indices, np.ones(600), mode_dims)
    assert fiber_modes(observations) == (2,)


AT_RANDOM = with_gaps(RNG.random(DENSE.shape) < 0.5)


@pytest.mark.parametrize(("count", "expected"), [(2, 0.2), (4, 0.2), (10, 0.1)])
def test_a_model_is_not_shown_a_fifth_at_most(count, expected):
    folds = make_folds(AT_RANDOM, count, share=None, heldout="random", seed=0)
    for part in range(count):
        share = np.mean(folds.part == part)
        assert share == pytest.approx(expected, abs=0.01)
    assert folds.count == count
    assert folds.modes == ()


def test_a_single_model_is_not_shown_a_tenth():
    folds = make_folds(AT_RANDOM, 1, share=None, heldout="random", seed=0)
    assert np.sum(folds.part == 0) == round(0.1 * len(AT_RANDOM))


def test_a_share_that_is_asked_for_is_held_out():
    folds = make_folds(AT_RANDOM, 3, share=0.25, heldout="random", seed=0)
    sizes = np.bincount(folds.part)[:3]
    np.testing.assert_array_equal(sizes, round(0.25 * len(AT_RANDOM)))


def test_a_seed_fixes_what_is_held_out():
    first, second, other = (
        make_folds(AT_RANDOM, 4, share=None, heldout="auto", seed=seed).part
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert np.any(first != other)


def test_entries_are_held_out_at_random_where_that_is_asked_for():
    folds = make_folds(FIBERS, 4, share=None, heldout="random", seed=0)
    assert folds.modes == ()
    fiber = np.all(FIBERS.indices[:, :2] == FIBERS.indices[0, :2], axis=1)
    assert len(set(folds.part[fiber])) > 1


def test_too_few_fibers_are_refused_where_they_are_asked_for():
    hidden = np.ones((4, 3, 5), bool)
    for fiber in ((0, 0), (1, 1), (2, 2), (3, 0)):
        hidden[fiber] = False
    few = Observations.from_array(np.where(hidden, np.nan, 1.0))
    with pytest.raises(InputError, match="only 4 observed fibers along mode 3"):
        make_folds(few, 3, share=None, heldout="fiber", seed=0)
    # Left to itself it takes entries.
    assert make_folds(few, 3, share=None, heldout="auto", seed=0).modes == ()


def test_fibers_are_looked_for_in_a_tensor_of_many_modes():
    # Of three among so many modes there are four million choices.
    indices = RNG.integers(0, 4, (100, 300))
    values = Observations.from_coordinates(indices, np.ones(100), (4,) * 300)
    assert fiber_modes(values) == ()


def test_fibers_along_several_modes_are_told():
    hidden = np.broadcast_to(RNG.random((9, 1, 8, 1)) < 0.5, (9, 3, 8, 2))
    planes = Observations.from_array(np.where(hidden, np.nan, 1.0))
    assert fiber_modes(planes) == (1, 3)
