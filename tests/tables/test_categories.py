"""Samples as small whole numbers, the most frequent value first."""

import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.tables import CategoricalData

RNG = np.random.default_rng(0)
DATA = CategoricalData.from_codes(RNG.integers(0, 2, (60, 8)), 2)


def test_values_beyond_those_learned_from_are_refused():
    with pytest.raises(InputError, match="has the value 2 for feature 1"):
        DATA.encode([[0, 2, 0, 0, 0, 0, 0, 0]])
    with pytest.raises(InputError, match="have 3 features"):
        DATA.encode([[0, 1, 0]])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([[0.5, 1.0]], "Sample 0 has 0.5 for feature 0; give whole numbers from 0"),
        ([[1.0, np.inf]], "Sample 0 has inf for feature 1; give whole numbers from 0"),
        ([[0, 1], [0]], "rows of different lengths"),
    ],
)
def test_what_are_no_codes_is_refused(values, words):
    with pytest.raises(InputError, match=words):
        CategoricalData.from_codes(values)


def test_cardinalities_may_be_numbers_of_numpy():
    for cardinalities in (np.int64(3), (np.int64(3), 3), [3, 3], np.array([3, 3])):
        data = CategoricalData.from_codes([[0, 1], [1, 0]], cardinalities)
        assert data.cardinalities == (3, 3)


def test_codes_can_be_taken_back_to_values():
    mixed = np.stack([RNG.integers(0, k, 50) for k in (2, 5, 3)], axis=1)
    data = CategoricalData.from_codes(mixed)
    np.testing.assert_array_equal(data.indices, mixed)
    # The most frequent value has code 0.
    assert all(np.bincount(column).argmax() == 0 for column in data.codes.T)
