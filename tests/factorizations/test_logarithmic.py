"""Products by sums of logarithms, against products formed outright."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rankrise.factorizations import log_products


def products(codes, table):
    factors = table.astype(np.longdouble)[codes, np.arange(codes.shape[1])]
    return factors.prod(axis=1)


def slopes_by_product_rule(codes, table, slopes):
    """Every derivative as a sum of products of the other factors."""
    modes = np.arange(codes.shape[1])
    factors = table.astype(np.longdouble)[codes, modes]
    ones = np.ones_like(factors[:, :1])
    before = np.cumprod(np.concatenate([ones, factors[:, :-1]], 1), 1)
    after = np.cumprod(np.concatenate([ones, factors[:, :0:-1]], 1), 1)[:, ::-1]
    others = before * after * slopes[:, None, :]
    total = np.zeros(table.shape, np.longdouble)
    for row, contribution in zip(codes, others, strict=True):
        np.add.at(total, (row, modes), contribution)
    return total


def case(values, modes, spread, dtype, *, special=None, samples=50, columns=4):
    rng = np.random.default_rng(values + modes)
    codes = rng.integers(0, values, (samples, modes)).astype(np.uint8)
    table = 1 + spread * rng.standard_normal((values, modes, columns))
    chosen = rng.random(table.shape) < 0.01
    if special == "zero":
        table[chosen] = 0
    elif special == "tiny":
        table[chosen] *= 1e-25
    slopes = rng.standard_normal((samples, columns))
    return codes, table.astype(dtype), slopes.astype(dtype)


CASES = {
    "as at the paper's start": (2, 784, 1e-3, None),
    "of either sign": (2, 50, 3.0, None),
    "far from one": (2, 784, 0.3, None),
    "one value": (1, 20, 0.3, None),
    "five values": (5, 100, 0.5, None),
    "bytes": (256, 30, 0.5, None),
    "ten thousand modes": (2, 10_000, 0.01, None),
    "zeros": (2, 50, 0.5, "zero"),
    "next to zero": (2, 50, 0.5, "tiny"),
}
# Of products; of derivatives over the largest.
TOLERANCES = {np.float32: 1e-5, np.float64: 1e-12}


@jax.jit
def products_and_derivative(codes, table, slopes):
    found, pullback = jax.vjp(lambda t: log_products(codes, t), table)
    return found, *pullback(slopes)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", CASES)
def test_products_and_derivatives_are_those_of_plain_products(name, dtype):
    values, modes, spread, special = CASES[name]
    codes, table, slopes = case(values, modes, spread, dtype, special=special)
    found, derivative = products_and_derivative(codes, table, slopes)
    expected = products(codes, table)
    # Two vanishing factors make a product of 1e-50, which is given as zero.
    large = np.abs(expected) > 1e-30
    gaps = np.abs(np.asarray(found) - expected)
    assert np.max(gaps[large] / np.abs(expected[large])) < TOLERANCES[dtype]
    assert np.max(gaps[~large], initial=0) < 1e-30
    truth = slopes_by_product_rule(codes, table, slopes)
    gap = np.max(np.abs(np.asarray(derivative) - truth))
    assert gap < TOLERANCES[dtype] * np.max(np.abs(truth))


def test_the_derivative_by_a_zero_factor_is_the_product_of_the_others():
    table = jnp.array([[[2.0], [0.0], [3.0]], [[5.0], [7.0], [-4.0]]])
    codes = jnp.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], jnp.uint8)
    _, found = products_and_derivative(codes, table, jnp.ones((3, 1)))
    np.testing.assert_allclose(found[0, 1, 0], 2 * -4 + 5 * 3)
    # Beside a zero the other factors have no influence, but in the third sample.
    np.testing.assert_allclose(found[:, 0, 0], [7 * 3, 0])


def test_a_value_that_no_sample_has_gets_no_slope_at_all():
    codes, table, slopes = case(2, 200, 0.1, np.float32)
    codes[:, 7] = 0
    _, derivative = products_and_derivative(codes, table, slopes)
    # Adam would scale rounding up to whole steps.
    assert np.all(np.asarray(derivative)[1, 7] == 0)


def test_products_beyond_the_range_of_single_precision_are_right():
    # A product of 784 factors of 0.01 on the way to 1 leaves even float64's range.
    table = np.full((2, 784, 1), 0.01, np.float32)
    table[1] = 100.0
    codes = np.zeros((1, 784), np.uint8)
    codes[0, 392:] = 1
    found = jax.jit(log_products)(codes, table)
    np.testing.assert_allclose(found, 1.0, rtol=1e-4)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_column_that_is_not_finite_does_not_change_the_others(broken):
    codes, table, _ = case(2, 784, 0.3, np.float32)
    table[0, 0, 0] = broken
    product = jax.jit(log_products)
    found = product(codes, table)[:, 1:]
    alone = product(codes, table[..., 1:])
    np.testing.assert_allclose(found, alone, rtol=1e-6)
