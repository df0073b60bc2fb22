"""Normal equations and their solutions, against dense linear algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rankrise.completion._layout import lay_out, numbered, stack_rows
from rankrise.completion._neighbours import (
    neighbour_correlations,
    penalties,
    penalties_by_mode,
    precision_diagonal,
    solve_rows,
    spread_along,
)
from rankrise.completion._non_negative import solve_non_negative
from rankrise.completion._normal_equations import (
    Equations,
    Targets,
    normal_equations,
    pulls,
)
from rankrise.losses import SquaredLoss

RNG = np.random.default_rng(0)
DIMS, COMPONENTS = (7, 3, 5), 2
INDICES = np.argwhere(RNG.random(DIMS) < 0.6).astype(np.int32)
VALUES = RNG.standard_normal(len(INDICES))
WEIGHTS = RNG.integers(0, 2, len(INDICES)).astype(float)
FACTORS = tuple(RNG.standard_normal((dim, COMPONENTS)) for dim in DIMS)


def chain_precision(dim, correlation):
    """Inverse of the covariance of a stationary chain, by its definition."""
    places = np.arange(dim)
    return np.linalg.inv(correlation ** np.abs(places[:, None] - places))


def laid_out(factors=FACTORS):
    layout, places = lay_out(INDICES, DIMS)
    tall = jnp.asarray(stack_rows(factors, len(layout.modes.of_row)))
    return layout, places, tall


@pytest.mark.parametrize("mode", range(len(DIMS)))
def test_equations_sum_over_the_observations_of_each_row(mode):
    layout, places, tall = laid_out()
    group, place = layout.slots[mode]
    targets = Targets(places.spread(VALUES)[group], places.spread(WEIGHTS)[group])
    chunks = layout.groups[group]
    matrix = jnp.zeros((chunks.rows, COMPONENTS))
    offset = jnp.asarray(0.3)
    found = normal_equations(
        chunks, jnp.int32(place), tall, matrix, targets, offset, SquaredLoss()
    )
    matrices = np.zeros((DIMS[mode], COMPONENTS, COMPONENTS))
    right = np.zeros((DIMS[mode], COMPONENTS))
    for index, value, weight in zip(INDICES, VALUES, WEIGHTS, strict=True):
        others = [FACTORS[n][index[n]] for n in range(len(DIMS)) if n != mode]
        h = np.prod(others, axis=0)
        matrices[index[mode]] += weight * np.outer(h, h)
        right[index[mode]] += weight * h * (value - 0.3)
    found_matrices, found_right = (array[: DIMS[mode]] for array in found)
    np.testing.assert_allclose(found_matrices, matrices, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found_right, right, rtol=1e-12, atol=1e-12)


def test_pulls_contract_the_residuals_with_the_other_modes():
    layout, places, tall = laid_out()
    group, place = layout.slots[1]
    dense = np.zeros(DIMS)
    dense[tuple(INDICES.T)] = VALUES
    residuals = places.spread(VALUES)[group]
    found = pulls(layout.groups[group], jnp.int32(place), tall, residuals)
    expected = np.einsum("ijk,ir,kr->jr", dense, FACTORS[0], FACTORS[2])
    np.testing.assert_allclose(found[: DIMS[1]], expected, rtol=1e-12, atol=1e-12)
    assert not found[DIMS[1] :].any()


@pytest.mark.parametrize("components", [2, 9])
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.98])
def test_rows_solve_the_equations_of_all_rows_at_once(correlation, components):
    dim, penalty = 9, 0.7
    roots = RNG.standard_normal((dim, 4, components))
    matrices = np.einsum("dsr,dst->drt", roots, roots)
    right = RNG.standard_normal((dim, components))
    whole = np.kron(penalty * chain_precision(dim, correlation), np.eye(components))
    for row, matrix in enumerate(matrices):
        place = slice(components * row, components * (row + 1))
        whole[place, place] += matrix
    expected = np.linalg.solve(whole, right.ravel()).reshape(dim, components)
    roomy = np.pad(matrices, ((0, 7), (0, 0), (0, 0))), np.pad(right, ((0, 7), (0, 0)))
    found = solve_rows(
        Equations(*map(jnp.asarray, roomy)),
        jnp.asarray(penalty),
        jnp.int32(dim),
        jnp.asarray(correlation),
        jnp.zeros_like(jnp.asarray(roomy[1])),
    )
    np.testing.assert_allclose(found[:dim], expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dim", [1, 2, 8])
def test_penalties_and_their_inverse_are_those_of_the_chain(dim):
    matrix = RNG.standard_normal((dim, 3))
    roomy = jnp.asarray(np.pad(matrix, ((0, 3), (0, 0))))
    precision = chain_precision(dim, 0.6)
    correlation = jnp.asarray(0.6)
    diagonal = precision_diagonal(numbered(dim), jnp.int32(dim), correlation)
    np.testing.assert_allclose(diagonal, np.diag(precision), rtol=1e-12)
    found = penalties(roomy, jnp.int32(dim), correlation)
    expected = np.einsum("ir,ij,jr->r", matrix, precision, matrix)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    spread = spread_along(roomy, jnp.int32(dim), correlation)[:dim]
    np.testing.assert_allclose(precision @ spread, matrix, rtol=1e-10, atol=1e-12)


def test_penalties_of_all_modes_are_those_of_each():
    layout, _, tall = laid_out()
    correlations = jnp.array([0.6, 0.0, 0.9])
    found = penalties_by_mode(tall, layout.modes, correlations)
    for own, matrix, correlation in zip(found, FACTORS, correlations, strict=True):
        expected = penalties(jnp.asarray(matrix), jnp.int32(len(matrix)), correlation)
        np.testing.assert_allclose(own, expected, rtol=1e-12)


def test_neighbours_are_alike_where_rows_change_slowly():
    slow = np.cumsum(np.full((DIMS[0], COMPONENTS), 0.1), axis=0) + 1
    layout, _, tall = laid_out((slow, *FACTORS[1:]))
    found = neighbour_correlations(tall, layout.modes)
    products = np.sum(slow[1:] * slow[:-1])
    sizes = np.sqrt(np.sum(slow[1:] ** 2) * np.sum(slow[:-1] ** 2))
    assert found[0] == pytest.approx(min(products / sizes, 0.98))
    assert found[1] == 0  # three rows are too few to tell


def test_rows_without_negative_entries_are_the_best_of_those():
    roots = RNG.standard_normal((6, 5, 3))
    matrices = np.einsum("dsr,dst->drt", roots, roots) + np.eye(3)
    right = RNG.standard_normal((6, 3))
    rows = jnp.zeros((6, 3))
    equations = Equations(jnp.asarray(matrices), jnp.asarray(right))
    solve = jax.jit(solve_non_negative)
    zero = jnp.asarray(0.0)
    for _ in range(40):
        rows = solve(equations, zero, jnp.int32(6), zero, rows)
    slopes = right - np.einsum("drs,ds->dr", matrices, rows)
    # Karush, Kuhn and Tucker: nothing pulls a positive entry, nor a zero one upwards.
    assert np.min(rows) >= 0
    assert np.max(slopes) < 1e-6
    np.testing.assert_allclose(slopes * rows, 0, atol=1e-6)
