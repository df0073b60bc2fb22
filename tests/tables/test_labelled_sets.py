"""Labelled sets by name."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from rankrise._errors import InputError
from rankrise.tables import TableColumns, load_labelled_set
from rankrise.tables._labelled_sets import rounded_pixels


@pytest.mark.parametrize(
    ("levels", "largest", "starts"),
    [(2, 255, [0, 128]), (4, 255, [0, 64, 128, 192]), (2, 16, [0, 9])],
)
def test_levels_of_a_pixel_have_equal_width(levels, largest, starts):
    rounded = rounded_pixels(np.arange(largest + 1), levels, largest)
    assert np.flatnonzero(np.diff(rounded, prepend=-1)).tolist() == starts


def test_every_pixel_can_be_a_level_of_its_own():
    rounded = rounded_pixels(np.arange(256), 256, 255)
    np.testing.assert_array_equal(rounded, np.arange(256))


def test_digits_are_split_by_the_share_and_the_seed():
    samples = load_labelled_set("digits", test_share=0.25, seed=1)
    assert (samples.train.samples, samples.test.samples) == (1348, 449)
    assert (samples.train.features, samples.train.values) == (64, 2)
    labels = np.concatenate([samples.train_labels, samples.test_labels])
    np.testing.assert_array_equal(
        np.bincount(labels), np.bincount(load_digits().target)
    )


def test_columns_are_for_tables():
    columns = TableColumns(target=("kind",))
    with pytest.raises(InputError, match="digits has labels of its own"):
        load_labelled_set("digits", columns=columns)
    with pytest.raises(InputError, match="digits has labels of its own"):
        load_labelled_set("digits", target_kind="values")
