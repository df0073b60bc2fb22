"""Sampled entries, missing fibers and noisy observations."""

import functools as ft
import itertools
import math
import tracemalloc

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.stats
from hypothesis import given

from rankrise._errors import InputError
from rankrise.synthetic._sampling import missing_fibers, observe, sample_indices
from rankrise.synthetic._targets import random_target
from rankrise.tensors import _input_checks

# Of all seeds one in a hundred has a p-value below this; ours is fixed, and has not.
FALSE_ALARM = 0.01

mode_dims_strategy = st.lists(st.integers(1, 5), min_size=2, max_size=4).map(tuple)


def formed(factor_matrices):
    """The tensor as a sum of outer products."""
    components = zip(*(matrix.T for matrix in factor_matrices), strict=True)
    return sum(ft.reduce(np.multiply.outer, component) for component in components)


def peak_memory(function):
    """The result of a call, and the bytes it held at most."""
    tracemalloc.start()
    result = function()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return result, peak


def assert_distinct_and_inside(indices, mode_dims):
    assert len(set(map(tuple, indices.tolist()))) == len(indices)
    assert (indices >= 0).all()
    assert (indices < np.array(mode_dims)).all()


def equally_likely(outcomes, kinds):
    """The p-value of all kinds of outcome being equally likely."""
    counts = [outcomes.count(kind) for kind in kinds]
    assert sum(counts) == len(outcomes)
    return scipy.stats.chisquare(counts).pvalue


@given(mode_dims_strategy, st.data(), st.integers(0, 99))
def test_sampled_entries_are_distinct_and_inside(mode_dims, data, seed):
    count = data.draw(st.integers(1, math.prod(mode_dims)))
    indices = sample_indices(mode_dims, count, seed=seed)
    assert indices.shape == (count, len(mode_dims))
    assert_distinct_and_inside(indices, mode_dims)


# 2 of 6 entries are drawn with rejection, 4 are taken from a permutation.
@pytest.mark.parametrize("count", [2, 4])
def test_every_ordered_pair_of_entries_is_equally_likely(count):
    entries = list(itertools.product(range(2), range(3)))
    samples = [sample_indices((2, 3), count, seed=seed) for seed in range(3000)]
    kinds = list(itertools.permutations(entries, 2))
    for rows in ([0, 1], [0, -1]):
        pairs = [tuple(map(tuple, sample[rows].tolist())) for sample in samples]
        assert equally_likely(pairs, kinds) > FALSE_ALARM


@pytest.mark.parametrize("mode_dims", [(10**4,) * 3, (2**16,) * 5, (2,) * 100])
def test_sampling_a_huge_tensor_takes_memory_for_the_sample_only(mode_dims):
    indices, peak = peak_memory(lambda: sample_indices(mode_dims, 1000, seed=0))
    assert peak < 10 * indices.nbytes
    assert_distinct_and_inside(indices, mode_dims)
    for column, dim in zip(indices.T, mode_dims, strict=True):
        halves = [(column < dim // 2).sum(), (column >= dim // 2).sum()]
        # A hundred modes are tested, so single p-values come down to 0.01.
        assert scipy.stats.chisquare(halves).pvalue > 1e-4


@pytest.mark.parametrize("share", [0.005, 0.03, 0.3, 0.5, 0.51, 1.0])
def test_memory_grows_with_the_sample_at_every_share(share):
    count = int(share * 80**3)
    indices, peak = peak_memory(lambda: sample_indices((80,) * 3, count, seed=0))
    assert peak < 10 * indices.nbytes
    assert len(indices) == count


def test_beyond_int64_repeats_are_rejected_in_the_same_way(monkeypatch):
    few = sample_indices((4, 5, 6), 55, seed=0)
    # Random repeats among 2^63 entries are never seen, so lower the threshold.
    monkeypatch.setattr(_input_checks, "_INT64_ENTRIES", 1)
    np.testing.assert_array_equal(sample_indices((4, 5, 6), 55, seed=0), few)
    assert_distinct_and_inside(few, (4, 5, 6))


def test_sample_is_fixed_by_its_seed():
    first, again, other = (sample_indices((9, 9), 20, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("mode_dims", "count", "message"),
    [
        ((3, 4), 0, "number of entries to sample is 0"),
        ((3, 4), 13, "has 12 entries; 13 distinct ones cannot"),
        ((3,), 1, "order 1; .* at least two modes"),
        ((3, -1), 1, r"mode dimensions are \(3, -1\)"),
    ],
)
def test_refused_samples_are_named(mode_dims, count, message):
    with pytest.raises(InputError, match=message):
        sample_indices(mode_dims, count, seed=0)


@given(
    st.lists(st.integers(2, 4), min_size=2, max_size=4).map(tuple),
    st.data(),
    st.floats(0.001, 0.999),
)
def test_fibers_are_missing_whole(mode_dims, data, share):
    mode = data.draw(st.integers(0, len(mode_dims) - 1))
    indices = missing_fibers(mode_dims, mode, share, seed=data.draw(st.integers(0, 9)))
    assert_distinct_and_inside(indices, mode_dims)
    observed = np.zeros(mode_dims)
    observed[tuple(indices.T)] = 1
    fibers = np.moveaxis(observed, mode, -1).reshape(-1, mode_dims[mode])
    kept = fibers.all(axis=1)
    np.testing.assert_array_equal(kept, fibers.any(axis=1))
    missing = min(max(1, round(share * len(fibers))), len(fibers) - 1)
    assert (~kept).sum() == missing


@pytest.mark.parametrize(("share", "kept"), [(1e-12, 5), (1 - 1e-12, 1)])
def test_one_fiber_stays_and_one_is_missing_at_any_share(share, kept):
    assert len(missing_fibers((2, 3, 4), 2, share, seed=0)) == 4 * kept


def test_every_pair_of_fibers_is_equally_likely():
    kept = [
        frozenset(
            map(tuple, missing_fibers((2, 2, 2), 1, 0.5, seed=s)[:, ::2].tolist())
        )
        for s in range(1200)
    ]
    fibers = itertools.product(range(2), repeat=2)
    pairs = [frozenset(pair) for pair in itertools.combinations(fibers, 2)]
    assert equally_likely(kept, pairs) > FALSE_ALARM


def test_missing_fibers_take_memory_for_what_stays_only():
    indices, peak = peak_memory(
        lambda: missing_fibers((10**6, 5, 10**6), 1, 1 - 1e-9, seed=0)
    )
    assert len(indices) == 5 * 1000
    assert peak < 10 * indices.nbytes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": 3}, "along mode 3, but a tensor of order 3 has the modes 0 to 2"),
        ({"mode": -1}, "along mode -1"),
        ({"share": 0.0}, "share of missing fibers is 0.0"),
        ({"share": 1.0}, "share of missing fibers is 1.0"),
        ({"share": math.nan}, "share of missing fibers is nan"),
        ({"mode_dims": (1, 4, 1), "mode": 1}, "a single fiber along mode 1"),
        ({"mode_dims": (4,), "mode": 0}, "at least two modes"),
    ],
)
def test_refused_missing_fibers_are_named(arguments, message):
    fitting = {"mode_dims": (3, 4, 2), "mode": 0, "share": 0.5, "seed": 0}
    with pytest.raises(InputError, match=message):
        missing_fibers(**fitting | arguments)


def test_noiseless_observations_are_the_entries():
    target = random_target((3, 4, 5), 2, seed=0)
    indices = sample_indices((3, 4, 5), 20, seed=0)
    observations = observe(target, indices, seed=0)
    assert observations.mode_dims == (3, 4, 5)
    np.testing.assert_array_equal(observations.indices, indices)
    expected = formed(target)[tuple(indices.T)]
    # Sums of two products of numbers below 1, each rounded at 1e-16.
    np.testing.assert_allclose(observations.values, expected, atol=1e-14)


def test_noise_is_gaussian_in_root_mean_square_entries():
    target = random_target((20, 25, 40), 2, frobenius_norm=3.0, seed=0)
    # The sampled entries are not typical ones: noise goes by the whole tensor.
    indices = np.argwhere(np.abs(formed(target)) > 0.02)
    noiseless = observe(target, indices, seed=4).values
    noisy = observe(target, indices, noise_level=0.5, seed=4).values
    standard_deviation = 0.5 * 3.0 / math.sqrt(20 * 25 * 40)
    assert len(noisy) > 1000
    noise = (noisy - noiseless) / standard_deviation
    assert scipy.stats.kstest(noise, scipy.stats.norm.cdf).pvalue > FALSE_ALARM


def test_noise_is_fixed_by_its_seed():
    target = random_target((3, 4), 2, seed=0)
    indices = sample_indices((3, 4), 5, seed=0)
    first, again, other = (
        observe(target, indices, noise_level=0.1, seed=seed).values
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


@pytest.mark.parametrize("noise_level", [-0.1, math.inf, math.nan])
def test_refused_noise_levels_are_named(noise_level):
    target = random_target((3, 4), 2, seed=0)
    with pytest.raises(InputError, match=f"noise level is {noise_level}"):
        observe(target, np.array([[0, 0]]), noise_level=noise_level, seed=0)


def test_an_entry_observed_twice_is_refused():
    target = random_target((3, 4), 2, seed=0)
    with pytest.raises(InputError, match="Rows 0 and 2 both give the entry"):
        observe(target, np.array([[0, 0], [1, 1], [0, 0]]), seed=0)
