"""Targets: norms and entries against tensors formed the slow way."""

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
from rankrise.synthetic import _synthetic
from rankrise.synthetic._targets import (
    cp_entries,
    cp_frobenius_norm,
    random_target,
    root_mean_square_entry,
)

MODE_DIMS = [(4, 3), (2, 3, 4), (3, 1, 2, 5), (2, 2, 3, 2, 2)]

# Of all seeds one in a hundred has a p-value below this; ours is fixed, and has not.
FALSE_ALARM = 0.01
# Norms of up to 48 sums of a few products, each rounded at 1e-16.
ROUNDING = 1e-13

mode_dims_strategy = st.lists(st.integers(1, 4), min_size=2, max_size=5).map(tuple)


def formed(factor_matrices):
    """The tensor as a sum of outer products."""
    components = zip(*(matrix.T for matrix in factor_matrices), strict=True)
    return sum(ft.reduce(np.multiply.outer, component) for component in components)


@given(mode_dims_strategy, st.integers(1, 6), st.floats(1e-6, 1e6), st.integers(0, 99))
def test_target_has_the_frobenius_norm(mode_dims, cp_rank, norm, seed):
    target = random_target(mode_dims, cp_rank, frobenius_norm=norm, seed=seed)
    assert [matrix.shape for matrix in target] == [(dim, cp_rank) for dim in mode_dims]
    # Rounding grows where components cancel, as they may in tensors of few entries.
    assert np.linalg.norm(formed(target)) == pytest.approx(norm, rel=1e-8)


@pytest.mark.parametrize("mode_dims", MODE_DIMS)
def test_target_norm_is_exact_to_rounding(mode_dims):
    target = random_target(mode_dims, 3, frobenius_norm=2.5, seed=0)
    assert np.linalg.norm(formed(target)) == pytest.approx(2.5, rel=ROUNDING)
    assert cp_frobenius_norm(target) == pytest.approx(2.5, rel=ROUNDING)


def test_target_of_many_modes_has_the_frobenius_norm():
    # Unscaled, its norm would be about 25^1500.
    target = random_target((600,) * 1500, 2, frobenius_norm=3.0, seed=0)
    assert all(np.isfinite(matrix).all() for matrix in target)
    # Logarithms near 5e3 carry rounding of about 1e-12.
    assert cp_frobenius_norm(target) == pytest.approx(3.0, rel=1e-10)


def test_target_of_many_entries_is_never_formed():
    tracemalloc.start()
    random_target((10**4,) * 3, 5, seed=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * 3 * 10**4 * 5 * 8  # ten times the factor matrices


def test_norm_is_spread_evenly_over_modes():
    small = random_target((2, 3, 4), 2, frobenius_norm=1.0, seed=7)
    large = random_target((2, 3, 4), 2, frobenius_norm=8.0, seed=7)
    # 8 is 2 for each of the three modes; the scale itself is rounded a few times.
    for before, after in zip(small, large, strict=True):
        np.testing.assert_allclose(after, 2.0 * before, rtol=1e-14)


def test_factor_entries_are_gaussian_of_one_scale():
    target = random_target((400, 300, 500), 10, seed=0)
    scale = target[0].std()
    for matrix in target:
        gaussian = scipy.stats.norm(scale=scale)
        assert scipy.stats.kstest(matrix.ravel(), gaussian.cdf).pvalue > FALSE_ALARM


@pytest.mark.parametrize("cp_rank", [1, 2, 4])
def test_target_has_the_rank_it_was_asked_for(cp_rank):
    tensor = formed(random_target((5, 6, 7), cp_rank, seed=0))
    # With at most 5 components every unfolding of a generic tensor has the CP rank.
    assert np.linalg.matrix_rank(tensor.reshape(5, -1)) == cp_rank
    assert np.linalg.matrix_rank(tensor.reshape(-1, 7)) == cp_rank


@pytest.mark.parametrize("order", [2, 3, 4])
def test_permuting_modes_leaves_a_symmetric_target_as_it_is(order):
    target = random_target((3,) * order, 4, symmetric=True, frobenius_norm=2.0, seed=0)
    tensor = formed(target)
    assert np.linalg.norm(tensor) == pytest.approx(2.0, rel=ROUNDING)
    for modes in itertools.permutations(range(order)):
        # The same products in another order; entries are below 1.
        np.testing.assert_allclose(tensor.transpose(modes), tensor, atol=1e-15)


def test_target_is_fixed_by_its_seed():
    first, again, other = (random_target((3, 4), 2, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.allclose(first[0], other[0])


@given(mode_dims_strategy, st.integers(1, 4), st.integers(0, 99))
def test_frobenius_norm_is_that_of_the_formed_tensor(mode_dims, components, seed):
    rng = np.random.default_rng(seed)
    factors = tuple(rng.uniform(0.1, 3.0, (dim, components)) for dim in mode_dims)
    norm = np.linalg.norm(formed(factors))
    # All numbers are positive, so nothing cancels; logarithms round at 1e-15.
    assert cp_frobenius_norm(factors) == pytest.approx(norm, rel=1e-12)
    assert root_mean_square_entry(factors) == pytest.approx(
        math.sqrt(np.mean(formed(factors) ** 2)), rel=1e-12
    )


def test_frobenius_norm_survives_a_square_beyond_floats():
    # The norm is sqrt(2)^1500; its square 2^1500 overflows.
    factors = (np.ones((2, 1)),) * 1500
    # Adding up 1500 logarithms rounds by about 1e-11.
    assert cp_frobenius_norm(factors) == pytest.approx(2.0**750, rel=1e-10)
    assert root_mean_square_entry(factors) == pytest.approx(1.0, rel=1e-10)


def test_frobenius_norm_of_zero_is_zero():
    factors = (np.zeros((3, 2)), np.ones((4, 2)))
    assert cp_frobenius_norm(factors) == 0.0


def test_a_zero_component_adds_nothing_to_the_norm():
    factors = (np.array([[3.0, 0.0], [4.0, 0.0]]), np.ones((1, 2)))
    assert cp_frobenius_norm(factors) == pytest.approx(5.0, rel=ROUNDING)


@pytest.mark.parametrize("seed", range(20))
def test_frobenius_norm_of_cancelling_components_is_small(seed):
    left, right = np.random.default_rng(seed).standard_normal((2, 30, 1))
    factors = (
        np.hstack([left, left, left]),
        np.hstack([0.3 * right, 0.7 * right, -right]),
    )
    # The components have norms near 30, and a square of 900 rounds by about 1e-13.
    assert cp_frobenius_norm(factors) < 1e-5


@pytest.mark.parametrize("block_numbers", [1, 10, 2**20])
@pytest.mark.parametrize("mode_dims", MODE_DIMS)
def test_entries_are_those_of_the_formed_tensor(mode_dims, block_numbers, monkeypatch):
    monkeypatch.setattr(_synthetic, "_BLOCK_NUMBERS", block_numbers)
    target = random_target(mode_dims, 3, seed=0)
    indices = np.argwhere(np.ones(mode_dims))[::-1]
    entries = cp_entries(target, indices)
    # Sums in another order: a few roundings of numbers below 1.
    np.testing.assert_allclose(entries, formed(target)[tuple(indices.T)], atol=1e-14)


def test_entries_take_bounded_memory():
    target = random_target((10**4,) * 3, 300, seed=0)
    indices = np.zeros((30_000, 3), dtype=np.int32)
    tracemalloc.start()
    cp_entries(target, indices)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40e6  # a few blocks of 8 MB; all rows at once are 72 MB each


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cp_rank": 0}, "CP rank of the target is 0"),
        ({"mode_dims": (3,)}, "order 1; .* at least two modes"),
        ({"mode_dims": (3, 0)}, r"mode dimensions are \(3, 0\)"),
        ({"frobenius_norm": 0.0}, "Frobenius norm of the target is 0.0"),
        ({"frobenius_norm": -1.0}, "Frobenius norm of the target is -1.0"),
        ({"frobenius_norm": math.inf}, "Frobenius norm of the target is inf"),
        ({"frobenius_norm": math.nan}, "Frobenius norm of the target is nan"),
        ({"symmetric": True}, r"needs equal mode dimensions, not \(3, 4\)"),
        ({"seed": -3}, "seed is -3"),
    ],
)
def test_refused_targets_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        random_target(**{"mode_dims": (3, 4), "cp_rank": 2, "seed": 0} | arguments)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(3, 2), (4, 3)], r"shapes \[\(3, 2\), \(4, 3\)\]; .* same number of comp"),
        ([(3, 2), (4,)], r"shapes \[\(3, 2\), \(4,\)\]"),
        ([(3, 2)], "order 1"),
        ([(3, 0), (4, 0)], "number of components is 0"),
    ],
)
def test_refused_factor_matrices_are_named(shapes, message):
    with pytest.raises(InputError, match=message):
        cp_frobenius_norm(tuple(np.ones(shape) for shape in shapes))


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([[0, 1], [0, -1]], r"Row 1 has the negative index -1 in \(0, -1\)"),
        ([[0, 1], [3, 1]], "Row 1 has the index 3 in mode 1, whose dimension is 3"),
        ([[0, 1, 2]], r"indices have shape \(1, 3\) but the mode dimensions are"),
        ([0, 1], r"indices have shape \(2,\)"),
    ],
)
def test_entries_outside_the_target_are_refused(indices, message):
    with pytest.raises(InputError, match=message):
        cp_entries(random_target((3, 4), 2, seed=0), np.array(indices))
