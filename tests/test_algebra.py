"""Products of factor matrices, against loops and NumPy."""

import functools as ft
import math

import jax.numpy as jnp
import numpy as np
import pytest

from rankrise._algebra import (
    balanced_split,
    flat_positions,
    gram_norm,
    khatri_rao,
    vector_norms,
)

MODE_DIMS = [(3,), (4, 3), (2, 3, 4), (1, 2, 3, 2), (2, 3, 2, 1, 3)]


def random_matrices(mode_dims, components=3):
    rng = np.random.default_rng(0)
    return tuple(jnp.asarray(rng.normal(size=(dim, components))) for dim in mode_dims)


@pytest.mark.parametrize("mode_dims", MODE_DIMS)
def test_khatri_rao_is_the_kronecker_product_of_columns(mode_dims):
    matrices = random_matrices(mode_dims)
    columns = [
        ft.reduce(np.kron, [np.asarray(matrix[:, r]) for matrix in matrices])
        for r in range(3)
    ]
    # The same products in the same order: not a digit differs.
    np.testing.assert_array_equal(khatri_rao(matrices), np.stack(columns, axis=1))


@pytest.mark.parametrize(
    ("mode_dims", "split"),
    [((9, 2), 1), ((10, 10, 10, 10), 2), ((2, 3, 4), 2), ((60, 2, 3, 4), 1)],
)
def test_split_has_halves_of_similar_size(mode_dims, split):
    assert balanced_split(mode_dims) == split


@pytest.mark.parametrize(
    ("mode_dims", "dtype"), [((4, 3), np.int32), ((2, 3, 1, 4, 2), np.int64)]
)
def test_flat_positions_are_row_major(mode_dims, dtype):
    indices = np.argwhere(np.ones(mode_dims)).astype(dtype)
    flat = flat_positions(jnp.asarray(indices), mode_dims)
    np.testing.assert_array_equal(flat, np.arange(math.prod(mode_dims)))
    assert flat.dtype == dtype


def test_vector_norms_are_the_columns_norms():
    # Columns with whole norms, so rounding has no part in it.
    matrix = jnp.array([[3.0, 0.0, -5.0], [4.0, 0.0, 12.0]])
    np.testing.assert_array_equal(vector_norms(matrix), [5.0, 0.0, 13.0])


@pytest.mark.parametrize("mode_dims", MODE_DIMS)
def test_gram_norm_is_the_norm_of_the_sum_of_outer_products(mode_dims):
    matrices = random_matrices(mode_dims)
    components = zip(*(np.asarray(matrix).T for matrix in matrices), strict=True)
    tensor = sum(ft.reduce(np.multiply.outer, vectors) for vectors in components)
    # A dozen products of order 1, with rounding of 1e-16 each.
    np.testing.assert_allclose(gram_norm(matrices), np.linalg.norm(tensor), rtol=1e-13)


# Rounding leaves the square of the norm below zero for some of these, above for others.
@pytest.mark.parametrize("seed", range(14))
def test_gram_norm_of_components_that_cancel_is_zero_within_half_the_digits(seed):
    columns = jnp.asarray(np.random.default_rng(seed).normal(size=(4, 3)))
    twice = jnp.concatenate([columns, columns], axis=1)
    cancelling = (jnp.concatenate([columns, -columns], axis=1), twice, twice)
    # The square is off by 1e-16 of its terms, so the norm by 1e-8 of the components'.
    scale = float(np.linalg.norm(columns)) ** 3
    assert gram_norm(cancelling) < 1e-7 * scale
