"""Random twins keep what they say they keep, and nothing else."""

import numpy as np
import pytest
from scipy.stats import chi2

from rankrise.complexity import random_inputs, random_labels
from rankrise.tables import CategoricalData

RNG = np.random.default_rng(0)
SAMPLES = 4000
# The last feature has a value that the data do not show.
CARDINALITIES = (2, 3, 5, 4)
TABLE = np.stack([RNG.integers(0, k, SAMPLES) ** 2 // k for k in (2, 3, 5, 3)], axis=1)
MIXED = CategoricalData.from_codes(TABLE, CARDINALITIES)
PIXELS = CategoricalData.from_codes(RNG.random((SAMPLES, 6)) < 0.1, 2)

both = pytest.mark.parametrize("data", [MIXED, PIXELS], ids=["mixed", "pixels"])


@both
def test_random_inputs_are_uniform_over_each_feature_s_values(data):
    twin = random_inputs(data, seed=3)
    for codes, count in zip(twin.codes.T, data.cardinalities, strict=True):
        found = np.bincount(codes, minlength=count)
        expected = SAMPLES / count
        # One feature in ten thousand would be farther off.
        statistic = np.sum((found - expected) ** 2 / expected)
        assert statistic < chi2.isf(1e-4, count - 1)


@both
def test_random_inputs_are_independent_of_one_another(data):
    correlations = np.corrcoef(random_inputs(data, seed=3).codes.T.astype(float))
    others = correlations[~np.eye(data.features, dtype=bool)]
    # Five standard deviations of a correlation of independent numbers.
    assert np.abs(others).max() < 5 / SAMPLES**0.5


@both
def test_random_inputs_have_the_same_features(data):
    twin = random_inputs(data, seed=3)
    assert (twin.samples, twin.cardinalities) == (SAMPLES, data.cardinalities)
    np.testing.assert_array_equal(twin.order, data.order)


def test_random_labels_are_the_same_in_another_order():
    labels = np.repeat(["a", "b", "c"], [5, 50, 500])
    twin = random_labels(labels, seed=3)
    assert sorted(twin) == sorted(labels)
    assert not np.array_equal(twin, labels)


def test_random_labels_of_several_columns_stay_together():
    labels = np.stack([np.arange(50), -np.arange(50)], axis=1)
    twin = random_labels(labels, seed=3)
    np.testing.assert_array_equal(twin[:, 0], -twin[:, 1])
    assert not np.array_equal(twin, labels)


def test_what_is_random_is_that_of_the_seed():
    for made in (
        lambda seed: random_inputs(MIXED, seed=seed).codes,
        lambda seed: random_labels(TABLE, seed=seed),
    ):
        np.testing.assert_array_equal(made(1), made(1))
        assert not np.array_equal(made(1), made(2))
