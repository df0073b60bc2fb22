"""Entries the grid way and the coordinate way, against loops over observations."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorly

from rankrise.factorizations import CPFactorization
from rankrise.factorizations import _entries as entries_module
from rankrise.factorizations._entries import (
    GRID_ENTRIES,
    choose_way,
    coordinate_entries,
    cp_end_tensor,
    grid_entries,
)

# 23 rows are never a multiple of a block, which monkeypatching makes the largest
# mode dimension; drawn with replacement, so some entries are asked for twice.
COUNT = 23
CASES = [((4, 3), 5), ((2, 3, 4), 3), ((3, 1, 2, 4), 2), ((2, 3, 2, 2, 3), 4)]
# Sums of at most a few dozen products of numbers of order 1, rounded at 1e-16 each.
ROUNDING = {"rtol": 1e-12, "atol": 1e-12}


def several_blocks(matrices, indices):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entries_module, "_BLOCK_NUMBERS", 1)
        return coordinate_entries(matrices, indices)


def evaluated(way):
    """Entries, and the gradient of their weighted sum by the factor matrices."""

    def evaluate(matrices, indices, weights):
        entries, pull_back = jax.vjp(lambda factors: way(factors, indices), matrices)
        return entries, pull_back(weights)[0]

    return evaluate


WAYS = {
    "grid": jax.jit(evaluated(grid_entries)),
    "coordinates": jax.jit(evaluated(coordinate_entries)),
    "several blocks": jax.jit(evaluated(several_blocks)),
}
every_way = pytest.mark.parametrize("way", WAYS)
every_case = pytest.mark.parametrize(("mode_dims", "components"), CASES)


def random_case(mode_dims, components, batch=()):
    rng = np.random.default_rng(1)
    matrices = tuple(rng.normal(size=(*batch, dim, components)) for dim in mode_dims)
    indices = np.stack([rng.integers(dim, size=COUNT) for dim in mode_dims], axis=1)
    return matrices, indices, rng.normal(size=COUNT)


def as_jax(tree):
    return jax.tree.map(jnp.asarray, tree)


def slow_entries(matrices, indices):
    components = range(matrices[0].shape[1])
    return [
        sum(
            math.prod(W[i, r] for W, i in zip(matrices, row, strict=True))
            for r in components
        )
        for row in indices
    ]


def slow_gradient(matrices, indices, weights):
    """Gradient of the weighted sum of entries, one observation after the other."""
    gradient = [np.zeros_like(matrix) for matrix in matrices]
    for row, weight in zip(indices, weights, strict=True):
        for mode, i in enumerate(row):
            others = [
                W[j]
                for n, (W, j) in enumerate(zip(matrices, row, strict=True))
                if n != mode
            ]
            gradient[mode][i] += weight * math.prod(others)
    return gradient


@every_way
@every_case
def test_entries_are_sums_of_products(way, mode_dims, components):
    case = random_case(mode_dims, components)
    entries, _ = WAYS[way](*as_jax(case))
    np.testing.assert_allclose(entries, slow_entries(*case[:2]), **ROUNDING)


@every_way
@every_case
def test_gradients_are_products_of_the_other_modes(way, mode_dims, components):
    case = random_case(mode_dims, components)
    _, gradient = WAYS[way](*as_jax(case))
    for fast, slow in zip(gradient, slow_gradient(*case), strict=True):
        np.testing.assert_allclose(fast, slow, **ROUNDING)


@every_way
def test_mapped_over_models_all_is_each_models_own(way):
    matrices, indices, weights = random_case((2, 3, 4), 3, batch=(2,))
    mapped = jax.vmap(WAYS[way], in_axes=(0, None, None))
    entries, gradient = mapped(*as_jax((matrices, indices, weights)))
    for model in range(2):
        own = [matrix[model] for matrix in matrices]
        expected = slow_entries(own, indices)
        np.testing.assert_allclose(entries[model], expected, **ROUNDING)
        expected = slow_gradient(own, indices, weights)
        for fast, slow in zip(gradient, expected, strict=True):
            np.testing.assert_allclose(fast[model], slow, **ROUNDING)


def test_memory_of_the_coordinate_way_is_that_of_a_block(monkeypatch):
    matrices, _, _ = random_case((10, 10, 10), 64)
    rows = jnp.zeros((20_000, 3), jnp.int32), jnp.ones(20_000)

    def temporary_bytes():
        function = jax.jit(evaluated(coordinate_entries))
        compiled = function.lower(as_jax(matrices), *rows).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    # All gathered rows at once take 20000 x 64 x 3 numbers of 8 bytes: 31 MB.
    monkeypatch.setattr(entries_module, "_BLOCK_NUMBERS", 2**40)
    assert temporary_bytes() > 10e6
    # A block of 64 rows takes 0.1 MB; the observations themselves 0.5 MB.
    monkeypatch.setattr(entries_module, "_BLOCK_NUMBERS", 2**12)
    assert temporary_bytes() < 2e6


@every_case
def test_end_tensor_is_that_of_tensorly(mode_dims, components):
    matrices, _, _ = random_case(mode_dims, components)
    expected = tensorly.cp_to_tensor((None, list(matrices)))
    np.testing.assert_allclose(cp_end_tensor(as_jax(matrices)), expected, **ROUNDING)


@pytest.mark.parametrize(
    ("mode_dims", "count", "way"),
    [
        ((10, 10, 10, 10), 2000, "grid"),
        ((1000, 1000), 100, "coordinates"),
        ((10, 10), 1, "coordinates"),
        # However many the observations, a tensor this large is not formed.
        ((GRID_ENTRIES + 1, 1), 10**9, "coordinates"),
        ((GRID_ENTRIES, 1), 10**9, "grid"),
    ],
)
def test_way_is_chosen_from_shapes(mode_dims, count, way):
    assert choose_way(mode_dims, count) == way


@pytest.mark.parametrize("mode_dims", [(2, 3, 4), (30, 40, 50)])
def test_factorization_gives_the_same_entries_by_either_choice(mode_dims):
    matrices, indices, _ = random_case(mode_dims, 2)
    chosen = choose_way(mode_dims, COUNT)
    assert chosen == ("grid" if mode_dims == (2, 3, 4) else "coordinates")
    computed = CPFactorization(as_jax(matrices)).entries(jnp.asarray(indices))
    np.testing.assert_allclose(computed, slow_entries(matrices, indices), **ROUNDING)


def test_a_tensor_too_large_to_form_still_gives_its_entries():
    # 10^16 entries of 1 * 2 * 3 * 4 each.
    model = CPFactorization(
        tuple(jnp.full((10**4, 1), n) for n in (1.0, 2.0, 3.0, 4.0))
    )
    computed = model.entries(jnp.array([[0, 1, 2, 3], [9999, 9999, 9999, 9999]]))
    np.testing.assert_array_equal(computed, [24.0, 24.0])
