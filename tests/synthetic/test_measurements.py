"""Measurement tensors, and inner products against tensors formed the slow way."""

import functools as ft
import math
import tracemalloc

import numpy as np
import pytest
import scipy.stats

from rankrise._errors import InputError
from rankrise.synthetic import _measurements, _synthetic
from rankrise.synthetic._measurements import (
    gaussian_measurements,
    measure,
    rank_k_measurements,
)
from rankrise.synthetic._targets import cp_frobenius_norm, random_target

MODE_DIMS = [(4, 3), (2, 3, 4), (3, 1, 2, 5), (2, 2, 3, 2, 2)]
# Of all seeds one in a hundred has a p-value below this; ours is fixed, and has not.
FALSE_ALARM = 0.01


def formed(factor_matrices):
    """The tensor as a sum of outer products."""
    components = zip(*(matrix.T for matrix in factor_matrices), strict=True)
    return sum(ft.reduce(np.multiply.outer, component) for component in components)


def formed_measurements(measurements):
    """Factored measurement tensors, formed one after another."""
    return np.array([formed(factors) for factors in zip(*measurements, strict=True)])


def peak_memory(function):
    """The result of a call, and the bytes it held at most."""
    tracemalloc.start()
    result = function()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return result, peak


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dense_measurements_are_gaussian_of_expected_square_norm_one(dtype):
    measurements = gaussian_measurements((4, 5, 6), 300, seed=0, dtype=dtype)
    assert measurements.shape == (300, 4, 5, 6)
    assert measurements.dtype == dtype
    gaussian = scipy.stats.norm(scale=1 / math.sqrt(4 * 5 * 6))
    assert scipy.stats.kstest(measurements.ravel(), gaussian.cdf).pvalue > FALSE_ALARM


def test_dense_measurements_are_never_copied():
    measurements, peak = peak_memory(
        lambda: gaussian_measurements((50, 60, 20), 100, seed=0)
    )
    assert peak < 1.1 * measurements.nbytes


def test_dense_measurements_beyond_the_limit_are_refused(monkeypatch):
    with pytest.raises(InputError, match=r"10 dense .* take 37.3 GiB in float32"):
        gaussian_measurements((1000, 1000, 1000), 10, seed=0)
    monkeypatch.setattr(_measurements, "MAX_DENSE_BYTES", 2 * 12 * 8)
    assert len(gaussian_measurements((3, 4), 4, seed=0)) == 4
    for count, dtype in ((5, np.float32), (3, np.float64)):
        with pytest.raises(InputError, match="limit"):
            gaussian_measurements((3, 4), count, seed=0, dtype=dtype)


@pytest.mark.parametrize("cp_rank", [1, 2, 5])
@pytest.mark.parametrize("mode_dims", MODE_DIMS)
def test_factored_measurements_have_frobenius_norm_one(mode_dims, cp_rank):
    factored = rank_k_measurements(mode_dims, 20, cp_rank=cp_rank, seed=0)
    assert [f.shape for f in factored] == [(20, dim, cp_rank) for dim in mode_dims]
    norms = np.linalg.norm(formed_measurements(factored).reshape(20, -1), axis=1)
    # Some cancellation between components is amplified rounding.
    np.testing.assert_allclose(norms, 1.0, rtol=1e-11)


@pytest.mark.parametrize("cp_rank", [1, 3])
def test_factored_measurements_have_their_rank(cp_rank):
    factored = rank_k_measurements((5, 6, 7), 4, cp_rank=cp_rank, seed=0)
    for tensor in formed_measurements(factored):
        assert np.linalg.matrix_rank(tensor.reshape(5, -1)) == cp_rank


def test_factors_of_measurements_share_one_scale_over_modes():
    factored = rank_k_measurements((200, 300, 400), 5, cp_rank=2, seed=0)
    for measurement in zip(*factored, strict=True):
        scales = [factor.std() for factor in measurement]
        # The standard deviation of 400 numbers is known to 3.5 %.
        np.testing.assert_allclose(scales, scales[0], rtol=0.15)


def test_factored_measurements_are_never_formed():
    factored, peak = peak_memory(lambda: rank_k_measurements((1000,) * 4, 20, seed=0))
    assert peak < 5 * sum(factor.nbytes for factor in factored)


def test_measurements_are_fixed_by_their_seed():
    for draw in (
        lambda seed: gaussian_measurements((3, 4), 5, seed=seed),
        lambda seed: rank_k_measurements((3, 4), 5, seed=seed)[0],
    ):
        np.testing.assert_array_equal(draw(1), draw(1))
        assert not np.allclose(draw(1), draw(2))


@pytest.mark.parametrize("block_numbers", [1, 50, 2**20])
@pytest.mark.parametrize("mode_dims", MODE_DIMS)
def test_dense_inner_products_are_sums_over_entries(
    mode_dims, block_numbers, monkeypatch
):
    monkeypatch.setattr(_synthetic, "_BLOCK_NUMBERS", block_numbers)
    target = random_target(mode_dims, 3, seed=0)
    measurements = gaussian_measurements(mode_dims, 11, seed=0)
    expected = (measurements.astype(np.float64) * formed(target)).reshape(11, -1).sum(1)
    # Float32 sums would be off by 1e-8; these differ in the order of summation only.
    np.testing.assert_allclose(
        measure(target, measurements, seed=0), expected, atol=1e-14
    )
    in_fortran_order = np.asfortranarray(measurements)
    np.testing.assert_allclose(
        measure(target, in_fortran_order, seed=0), expected, atol=1e-14
    )


@pytest.mark.parametrize("block_numbers", [1, 50, 2**20])
@pytest.mark.parametrize("cp_rank", [1, 4])
@pytest.mark.parametrize("mode_dims", MODE_DIMS)
def test_factored_inner_products_are_those_of_formed_measurements(
    mode_dims, cp_rank, block_numbers, monkeypatch
):
    monkeypatch.setattr(_synthetic, "_BLOCK_NUMBERS", block_numbers)
    target = random_target(mode_dims, 3, seed=0)
    factored = rank_k_measurements(mode_dims, 11, cp_rank=cp_rank, seed=0)
    expected = measure(target, formed_measurements(factored), seed=0)
    # Cancelling components amplify rounding a little.
    np.testing.assert_allclose(measure(target, factored, seed=0), expected, atol=1e-13)


def test_measuring_a_tensor_by_itself_gives_its_norm_squared():
    target = random_target((3, 4, 5), 2, frobenius_norm=3.0, seed=0)
    itself = tuple(matrix[None] for matrix in target)
    # Scaled to its norm and squared: some ten roundings at 1e-16.
    np.testing.assert_allclose(measure(target, itself, seed=0), [9.0], rtol=1e-13)
    assert cp_frobenius_norm(target) ** 2 == pytest.approx(9.0, rel=1e-13)


def test_dense_inner_products_take_bounded_memory():
    target = random_target((20, 20, 20), 3, seed=0)
    measurements = gaussian_measurements((20, 20, 20), 1000, seed=0)
    _, peak = peak_memory(lambda: measure(target, measurements, seed=0))
    assert peak < 20e6  # a block or two of 8 MB; a copy in float64 is 64 MB


def test_factored_inner_products_take_bounded_memory():
    target = random_target((1000,) * 4, 20, seed=0)
    factored = rank_k_measurements((1000,) * 4, 1000, seed=0)
    _, peak = peak_memory(lambda: measure(target, factored, seed=0))
    assert peak < 20e6  # the tensors of 10^12 entries are never formed


@pytest.mark.parametrize("factored", [False, True])
def test_noise_is_gaussian_in_root_mean_square_measurements(factored):
    target = random_target((5, 6, 7), 2, frobenius_norm=3.0, seed=0)
    draw = rank_k_measurements if factored else gaussian_measurements
    measurements = draw((5, 6, 7), 3000, seed=0)
    noiseless = measure(target, measurements, seed=0)
    noisy = measure(target, measurements, noise_level=0.2, seed=0)
    gaussian = scipy.stats.norm(scale=0.2 * math.sqrt(np.mean(noiseless**2)))
    assert scipy.stats.kstest(noisy - noiseless, gaussian.cdf).pvalue > FALSE_ALARM


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (gaussian_measurements, {"count": 0}, "number of measurements is 0"),
        (gaussian_measurements, {"mode_dims": (4,)}, "at least two modes"),
        (gaussian_measurements, {"dtype": np.float16}, "data type float16 cannot"),
        (gaussian_measurements, {"dtype": np.int64}, "data type int64 cannot"),
        (rank_k_measurements, {"count": 0}, "number of measurements is 0"),
        (rank_k_measurements, {"cp_rank": 0}, "CP rank of the measurements is 0"),
        (rank_k_measurements, {"mode_dims": (4, 0)}, r"dimensions are \(4, 0\)"),
    ],
)
def test_refused_measurements_are_named(function, arguments, message):
    with pytest.raises(InputError, match=message):
        function(**{"mode_dims": (3, 4), "count": 2, "seed": 0} | arguments)


@pytest.mark.parametrize(
    ("measurements", "message"),
    [
        (np.ones((2, 4, 3)), r"shape \(2, 4, 3\) but the target has .* \(3, 4\)"),
        (np.ones((2, 12)), r"shape \(2, 12\) but the target has"),
        (np.ones((0, 3, 4)), "at least one"),
        ((np.ones((2, 3, 1)),), r"shapes \[\(2, 3, 1\)\] but the target"),
        ((np.ones((2, 4, 1)), np.ones((2, 3, 1))), r"shapes \[\(2, 4, 1\), \(2, 3"),
        ((np.ones((2, 3, 1)), np.ones((3, 4, 1))), r"shapes .* \(3, 4, 1\)\] but"),
        ((np.ones((2, 3, 1)), np.ones((2, 4, 2))), r"shapes .* \(2, 4, 2\)\] but"),
        ((np.ones((2, 3)), np.ones((2, 4))), r"one array \(measurement x mode dim"),
        ((np.ones((0, 3, 1)), np.ones((0, 4, 1))), "at least one measurement"),
    ],
)
def test_measurements_that_do_not_fit_the_target_are_refused(measurements, message):
    with pytest.raises(InputError, match=message):
        measure(random_target((3, 4), 2, seed=0), measurements, seed=0)
