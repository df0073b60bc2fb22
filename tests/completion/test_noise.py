"""How far completed entries are taken to be off."""

import numpy as np
import pytest

from rankrise.completion._accuracy import fit_noise

RNG = np.random.default_rng(0)
DIMS = (20, 15, 10)
INDICES = np.argwhere(RNG.random(DIMS) < 0.6)


def test_the_variance_is_that_of_the_residuals():
    residuals = 0.3 * RNG.standard_normal(len(INDICES))
    noise = fit_noise(INDICES, residuals, DIMS)
    assert noise.variance == pytest.approx(np.mean(residuals**2))


def test_rows_that_are_noisier_have_larger_variances():
    deviations = np.where(INDICES[:, 0] < 5, 3.0, 1.0)
    residuals = deviations * RNG.standard_normal(len(INDICES))
    noise = fit_noise(INDICES, residuals, DIMS)
    found = noise.variances(INDICES)
    loud, quiet = (np.mean(found[deviations == each]) for each in (3, 1))
    # A hundred residuals a row tell a variance to some 15%, and are shrunk a little.
    assert loud == pytest.approx(9, rel=0.2)
    assert quiet == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_a_multiple_covers_its_share_of_the_residuals(level):
    residuals = RNG.standard_t(3, len(INDICES))
    noise = fit_noise(INDICES, residuals, DIMS)
    within = np.abs(residuals) <= noise.multiple(level) * np.sqrt(
        noise.variances(INDICES)
    )
    assert np.mean(within) == pytest.approx(level, abs=2 / len(INDICES))


def test_a_row_never_observed_is_as_noisy_as_is_usual():
    residuals = np.where(INDICES[:, 0] < 5, 3.0, 1.0)
    noise = fit_noise(INDICES, residuals, DIMS)
    assert [factor[-1] for factor in noise.factors] == [1, 1, 1]


def test_without_any_residual_nothing_is_off():
    noise = fit_noise(INDICES, np.zeros(len(INDICES)), DIMS)
    assert noise.variance == 0
    np.testing.assert_array_equal(noise.variances(INDICES), 0)
    assert noise.multiple(0.9) == 0


def test_the_unit_of_residuals_scales_the_deviations():
    residuals = RNG.standard_normal(len(INDICES))
    one, other = (fit_noise(INDICES, c * residuals, DIMS) for c in (1, 1e-9))
    np.testing.assert_allclose(
        other.variances(INDICES), 1e-18 * one.variances(INDICES), rtol=1e-9
    )
    np.testing.assert_allclose(other.ratios, one.ratios, rtol=1e-9)
