"""Standardization: its laws, and the values it is not for."""

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from rankrise._errors import InputError
from rankrise.tensors import Observations, Standardization

# Values of one size, and not all the same: whole numbers, moved and scaled.
samples = st.builds(
    lambda numbers, shift, scale: scale * (numbers + shift),
    hnp.arrays(np.int64, st.integers(2, 20), elements=st.integers(-50, 50)).filter(
        lambda numbers: len(set(numbers.tolist())) > 1
    ),
    st.integers(-1000, 1000),
    st.sampled_from([1e-140, 1e-3, 1.0, 7.5, 1e140]),
)


def observed(values):
    rows = np.arange(len(values))
    return Observations.from_coordinates(np.stack([rows, rows], axis=1), values)


def close(values, expected, size):
    # The offset is up to 2000 times the scale, and is rounded at 1e-16 of itself.
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-11 * size)


@given(samples, st.booleans())
def test_undoing_brings_the_values_back(values, center):
    standard = Standardization.fit(values, center=center)
    standardized = standard.apply(observed(values)).values
    undone = standard.offset + standard.scale * standardized
    close(undone, values, np.abs(values).max())


@given(samples)
def test_centered_values_have_zero_mean_and_unit_root_mean_square(values):
    standard = Standardization.fit(values, center=True)
    standardized = standard.apply(observed(values)).values
    close(np.mean(standardized), 0.0, 1.0)
    close(np.mean(standardized**2), 1.0, 1.0)


@given(samples)
def test_without_centering_values_are_only_scaled(values):
    standard = Standardization.fit(values, center=False)
    standardized = standard.apply(observed(values)).values
    assert standard.offset == 0
    close(np.mean(standardized**2), 1.0, 1.0)
    np.testing.assert_array_equal(np.sign(standardized), np.sign(values))


@given(samples, st.integers(-9, 9), st.sampled_from([0.5, 2.0, 1024.0]))
def test_units_of_the_data_do_not_matter(values, shift, factor):
    size = np.abs(values).max()
    moved = factor * (values + shift * size)
    standardized, again = (
        Standardization.fit(each, center=True).apply(observed(each)).values
        for each in (values, moved)
    )
    # Values a thousand times their spread, moved by nine times that, lose 4 digits.
    np.testing.assert_allclose(again, standardized, rtol=0, atol=1e-10)


def test_indices_weights_and_mode_dims_stay():
    before = Observations.from_coordinates(
        [[0, 2], [1, 0]], [1.0, 3.0], (4, 5), weights=[1.0, 2.0]
    )
    after = Standardization(offset=2.0, scale=0.5).apply(before)
    np.testing.assert_array_equal(after.values, [-2.0, 2.0])
    np.testing.assert_array_equal(after.indices, before.indices)
    np.testing.assert_array_equal(after.weights, before.weights)
    assert after.mode_dims == before.mode_dims


@pytest.mark.parametrize("constant", [0.0, 0.1, -3e7])
def test_equal_values_are_refused(constant):
    # The mean of a thousand tenths is no tenth, but for rounding.
    with pytest.raises(InputError, match="there is nothing to learn"):
        Standardization.fit(np.full(1000, constant), center=True)


def test_equal_values_can_be_scaled_where_nothing_is_subtracted():
    assert Standardization.fit(np.full(3, -2.0), center=False).scale == 2.0


@pytest.mark.parametrize("size", [1e-151, 1e151])
def test_values_whose_squares_leave_floating_point_are_refused(size):
    with pytest.raises(InputError, match=r"is 1e.*151 in size.*multiply all values"):
        Standardization.fit(np.array([size, 0.0]), center=True)


@pytest.mark.parametrize("spread", [2.0, 2e-3])
def test_small_deviations_from_a_large_mean_are_no_constant(spread):
    values = 1e12 + spread * np.linspace(-1, 1, 9)
    standard = Standardization.fit(values, center=True)
    assert standard.scale == pytest.approx(np.std(values - 1e12), rel=0.1)


@pytest.mark.parametrize("value", [0.1, 1e12, -3.0])
def test_values_that_differ_by_rounding_alone_are_a_constant(value):
    values = np.full(9, value)
    values[::2] = np.nextafter(value, np.inf)
    with pytest.raises(InputError, match="All observed values equal"):
        Standardization.fit(values, center=True)
