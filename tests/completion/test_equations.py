"""Normal equations and their solutions, against dense linear algebra."""

import jax.numpy as jnp
import numpy as np
import pytest

from rankrise.completion._layout import lay_out
from rankrise.completion._neighbours import (
    penalties,
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
from rankrise.problems import SquaredLoss

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


@pytest.mark.parametrize("mode", range(len(DIMS)))
def test_equations_sum_over_the_observations_of_each_row(mode):
    layout = lay_out(INDICES, DIMS)[mode]
    targets = Targets(jnp.asarray(VALUES), jnp.asarray(WEIGHTS), jnp.asarray(0.3))
    factors = tuple(map(jnp.asarray, FACTORS))
    found = normal_equations(layout, factors, mode, targets, SquaredLoss())
    matrices = np.zeros((DIMS[mode], COMPONENTS, COMPONENTS))
    right = np.zeros((DIMS[mode], COMPONENTS))
    for index, value, weight in zip(INDICES, VALUES, WEIGHTS, strict=True):
        others = [FACTORS[n][index[n]] for n in range(len(DIMS)) if n != mode]
        h = np.prod(others, axis=0)
        matrices[index[mode]] += weight * np.outer(h, h)
        right[index[mode]] += weight * h * (value - 0.3)
    np.testing.assert_allclose(found.matrices, matrices, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.right, right, rtol=1e-12, atol=1e-12)


def test_pulls_contract_the_residuals_with_the_other_modes():
    layout = lay_out(INDICES, DIMS)
    dense = np.zeros(DIMS)
    dense[tuple(INDICES.T)] = VALUES
    found = pulls(layout[1], tuple(map(jnp.asarray, FACTORS)), 1, jnp.asarray(VALUES))
    expected = np.einsum("ijk,ir,kr->jr", dense, FACTORS[0], FACTORS[2])
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.98])
def test_rows_solve_the_equations_of_all_rows_at_once(correlation):
    dim, penalty = 9, 0.7
    roots = RNG.standard_normal((dim, 4, COMPONENTS))
    matrices = np.einsum("dsr,dst->drt", roots, roots)
    right = RNG.standard_normal((dim, COMPONENTS))
    whole = np.kron(penalty * chain_precision(dim, correlation), np.eye(COMPONENTS))
    for row, matrix in enumerate(matrices):
        place = slice(COMPONENTS * row, COMPONENTS * (row + 1))
        whole[place, place] += matrix
    expected = np.linalg.solve(whole, right.ravel()).reshape(dim, COMPONENTS)
    found = solve_rows(
        Equations(jnp.asarray(matrices), jnp.asarray(right)),
        jnp.asarray(penalty),
        jnp.asarray(correlation),
        jnp.zeros_like(jnp.asarray(right)),
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dim", [1, 2, 8])
def test_penalties_and_their_inverse_are_those_of_the_chain(dim):
    matrix = RNG.standard_normal((dim, 3))
    precision = chain_precision(dim, 0.6)
    correlation = jnp.asarray(0.6)
    diagonal = precision_diagonal(dim, correlation)
    np.testing.assert_allclose(diagonal, np.diag(precision), rtol=1e-12)
    found = penalties(jnp.asarray(matrix), correlation)
    expected = np.einsum("ir,ij,jr->r", matrix, precision, matrix)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    spread = spread_along(jnp.asarray(matrix), correlation)
    np.testing.assert_allclose(precision @ spread, matrix, rtol=1e-10, atol=1e-12)


def test_rows_without_negative_entries_are_the_best_of_those():
    roots = RNG.standard_normal((6, 5, 3))
    matrices = np.einsum("dsr,dst->drt", roots, roots) + np.eye(3)
    right = RNG.standard_normal((6, 3))
    rows = jnp.zeros((6, 3))
    equations = Equations(jnp.asarray(matrices), jnp.asarray(right))
    for _ in range(40):
        rows = solve_non_negative(equations, jnp.asarray(0.0), jnp.asarray(0.0), rows)
    slopes = right - np.einsum("drs,ds->dr", matrices, rows)
    # Karush, Kuhn and Tucker: nothing pulls a positive entry, nor a zero one upwards.
    assert np.min(rows) >= 0
    assert np.max(slopes) < 1e-6
    np.testing.assert_allclose(slopes * rows, 0, atol=1e-6)
