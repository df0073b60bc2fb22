"""Random numbers for synthetic data."""

import itertools

import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.synthetic._measurements import (
    gaussian_measurements,
    measure,
    rank_k_measurements,
)
from rankrise.synthetic._sampling import missing_fibers, observe, sample_indices
from rankrise.synthetic._synthetic import Stream, generator, row_blocks
from rankrise.synthetic._targets import random_target


def assert_uncorrelated(drawn):
    for left, right in itertools.combinations(drawn, 2):
        # The correlation of a thousand independent pairs deviates by 0.03 from 0.
        assert abs(np.corrcoef(left, right)[0, 1]) < 0.15


def test_a_seed_gives_every_purpose_its_own_random_numbers():
    drawn = [generator(5, stream).standard_normal(1000) for stream in Stream]
    drawn.append(np.random.default_rng(5).standard_normal(1000))  # Observations.split
    assert_uncorrelated(drawn)


def test_functions_given_one_seed_draw_independently():
    dim = 2**20
    target = (np.ones((1000, 1)), np.ones((1, 1)))
    indices = np.argwhere(np.ones((1000, 1)))
    itself = tuple(np.repeat(matrix[None], 1000, axis=0) for matrix in target)
    share_of_fibers = 1 - 1000 / dim
    drawn = [
        random_target((1000, 2), 1, seed=5)[0],
        rank_k_measurements((1000, 2), 1, seed=5)[0],
        gaussian_measurements((1000, 1), 1, seed=5, dtype=np.float64),
        observe(target, indices, noise_level=1.0, seed=5).values,
        measure(target, itself, noise_level=1.0, seed=5),
        sample_indices((dim, 1), 1000, seed=5)[:, 0],
        missing_fibers((dim, 1), 1, share_of_fibers, seed=5)[:, 0],
    ]
    assert_uncorrelated([numbers.ravel() for numbers in drawn])


def test_a_negative_seed_is_refused():
    with pytest.raises(InputError, match="The seed is -1"):
        generator(-1, Stream.TARGET)


@pytest.mark.parametrize("numbers_per_row", [1, 300_000, 2**21])
def test_blocks_cover_every_row_once_within_bounded_size(numbers_per_row):
    blocks = list(row_blocks(10, numbers_per_row))
    rows = np.concatenate([np.arange(10)[block] for block in blocks])
    np.testing.assert_array_equal(rows, np.arange(10))
    for block in blocks:
        count = block.stop - block.start
        assert count == 1 or count * numbers_per_row <= 2**20
