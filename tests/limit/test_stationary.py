"""From a learned set to the stationary point of its flow, saddles and falls."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from rankrise.factorizations import CPFactorization, near_zero, near_zero_matrix
from rankrise.limit import _hessian
from rankrise.limit._hessian import hessian_at
from rankrise.limit._learned_set import LearnedComponents, LearnedLayers
from rankrise.limit._plateau import Entry, entry, next_plateau
from rankrise.limit._risers import Riser
from rankrise.limit._stationary import follow_flow, settle
from rankrise.losses import SquaredLoss
from rankrise.problems import CompletionProblem
from rankrise.solvers import GradientFlow
from rankrise.synthetic import observe, random_target, sample_indices

DIMS = (4, 3, 2)


def full_problem(tensor):
    """Every entry observed once."""
    indices = np.stack([axis.reshape(-1) for axis in np.indices(tensor.shape)], axis=1)
    return CompletionProblem(
        indices=jnp.asarray(indices),
        values=jnp.asarray(np.asarray(tensor).reshape(-1)),
        mode_dims=tensor.shape,
        loss_function=SquaredLoss(),
        weights=None,
    )


@pytest.fixture(scope="module")
def problem():
    target = random_target(DIMS, 2, frobenius_norm=3.0, seed=3)
    indices = sample_indices(DIMS, 22, seed=1)
    return CompletionProblem.from_observations(observe(target, indices, seed=1))


def riser(units, column=0, components=3):
    place = np.zeros(components)
    place[column] = 1
    return Riser(units, place, f"component {column}", 1.0, 1.0, ())


@pytest.mark.slow
def test_dense_hessian_is_that_of_the_active_parameters(problem, key):
    model = near_zero(DIMS, 2, init_scale=0.7, key=key)
    flat, unravel = ravel_pytree(model)
    active = np.array([0, 3, 5, 8, 11, 17])
    exact = jax.hessian(lambda w: problem.loss(unravel(w)))(flat)
    exact = np.asarray(exact)[np.ix_(active, active)]
    found = hessian_at(problem, model, active, 1e-12)
    values, vectors = np.linalg.eigh(exact)
    assert found.smallest == pytest.approx(values[0] / np.abs(values).max())
    assert abs(found.lowest @ vectors[:, 0]) == pytest.approx(1.0)
    gradient = np.arange(6.0)
    np.testing.assert_allclose(exact @ found.solve(gradient), gradient, atol=1e-9)


def test_products_with_the_hessian_serve_as_well(problem, key, monkeypatch):
    model = near_zero(DIMS, 4, init_scale=0.7, key=key)
    active = np.arange(36)
    dense = hessian_at(problem, model, active, 1e-12)
    monkeypatch.setattr(_hessian, "_DENSE_PARAMETERS", 10)
    krylov = hessian_at(problem, model, active, 1e-12)
    assert type(krylov) is not type(dense)
    # Lanczos stops at 1e-4.
    assert krylov.smallest == pytest.approx(dense.smallest, rel=1e-3)
    assert abs(krylov.lowest @ dense.lowest) == pytest.approx(1.0, abs=1e-3)
    matrix = _hessian._dense(problem, model, active)
    gradient = matrix @ np.arange(36.0)  # in its range, which is not everything
    missed = matrix @ krylov.solve(gradient) - gradient
    # MINRES stops at 1e-6 of the norms of matrix and solution together.
    assert np.linalg.norm(missed) < 1e-4 * np.linalg.norm(gradient)


@pytest.mark.parametrize("dense", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_newton_ends_at_the_stationary_point_the_flow_leads_to(
    problem, dense, monkeypatch, key
):
    if not dense:
        monkeypatch.setattr(_hessian, "_DENSE_PARAMETERS", 1)
    start = near_zero(DIMS, 1, init_scale=0.5, key=key)
    # The scale of the gradient is one; the flow is followed to rates of 1e-3 and 1e-9.
    near, far = (
        follow_flow(
            problem,
            start,
            GradientFlow(rtol=1e-3),
            jnp.asarray(slow),
            jnp.asarray(200_000, jnp.int32),
        )[0]
        for slow in (1e-3, 1e-9)
    )
    found = settle(problem, near, np.arange(9), scale=1.0, tolerance=1e-11)
    assert found.arrived
    slope = ravel_pytree(jax.grad(problem.loss)(found.model))[0]
    assert float(jnp.abs(slope).max()) < 1e-10
    # Balance aside, it is the same tensor, up to the flow's tolerance of 1e-3.
    np.testing.assert_allclose(
        found.model.end_tensor(), far.end_tensor(), rtol=1e-3, atol=1e-4
    )
    assert found.eigenvalue > -1e-6


@pytest.mark.slow
def test_zero_columns_stay_zero(problem, key):
    start = near_zero(DIMS, 1, init_scale=0.5, key=key)
    wide = CPFactorization(
        tuple(jnp.pad(matrix, ((0, 0), (0, 3))) for matrix in start.factor_matrices)
    )
    flow, limit = GradientFlow(rtol=0.03), jnp.asarray(10_000, jnp.int32)
    narrow, _ = follow_flow(problem, start, flow, jnp.asarray(1e-3), limit)
    padded, _ = follow_flow(problem, wide, flow, jnp.asarray(1e-3), limit)
    for ours, theirs in zip(
        jax.tree.leaves(padded), jax.tree.leaves(narrow), strict=True
    ):
        assert (ours[:, 1:] == 0).all()
        np.testing.assert_allclose(ours[:, :1], theirs, rtol=1e-6)


def test_entry_is_a_share_of_the_optimum_along_the_component():
    units = [np.eye(d)[0] for d in DIMS]
    tensor = 3.0 * np.einsum("i,j,k->ijk", *units)
    none = LearnedComponents.none(DIMS, np.float64)
    found = entry(
        full_problem(tensor), none, riser(tuple(units)), share=1e-3, largest=99.0
    )
    assert found.optimum == pytest.approx(3.0)
    assert found.norm == pytest.approx(3e-3)
    assert found.pull == pytest.approx(2 * 3.0 / 24)


def saddle():
    """A component at rest on the larger of two sides, which a symmetry keeps there.

    The target has two singular pairs, and what is learned is the smaller one alone:
    stationary, and a maximum along the turn to the larger.
    """
    tensor = np.diag([2.0, 1.0])[:, :, None] * np.array([1.0, 0.0])
    units = (np.eye(2)[1], np.eye(2)[1], np.eye(2)[0])
    return full_problem(tensor), units


def test_a_saddle_is_noticed():
    problem, units = saddle()
    learned = LearnedComponents.none((2, 2, 2), np.float64).joined_by(
        units, np.ones(1), (1.0, 1.0, 1.0)
    )
    found = settle(problem, learned.model, learned.active(), scale=1.0, tolerance=1e-10)
    assert found.arrived
    assert found.eigenvalue < -0.1


def test_a_saddle_is_left_along_its_smallest_eigenvalue():
    problem, units = saddle()
    none = LearnedComponents.none((2, 2, 2), np.float64)
    # Exactly on the saddle's stable side: the flow itself never leaves it.
    joins = Entry(norm=1e-3, optimum=1.0, pull=2 / 8)
    found = next_plateau(
        problem, none, riser(units), joins, scale=0.25, tolerance=1e-10
    )
    assert found.at_rest
    assert len(found.notes) == 1
    assert "came to a saddle" in found.notes[0]
    np.testing.assert_allclose(found.learned.norms(), [2.0], rtol=1e-8)


def test_a_component_that_falls_back_to_zero_is_taken_out_and_named():
    # Component 4 is learned where the data want nothing, and component 2 joins.
    units = [np.eye(2)] * 3
    tensor = np.einsum("i,j,k->ijk", *(u[0] for u in units))
    none = LearnedComponents.none((2, 2, 2), np.float64)
    other = riser(tuple(u[1] for u in units), 4, 6)
    learned = none.joined_by(other.units, other.place, (0.5, 0.5, 0.5))
    joins = Entry(norm=1e-2, optimum=1.0, pull=2 / 8)
    found = next_plateau(
        full_problem(tensor),
        learned,
        riser(tuple(u[0] for u in units), 2, 6),
        joins,
        scale=0.25,
        tolerance=1e-10,
    )
    assert found.notes == ("component 4 fell back to zero and was taken out",)
    assert found.at_rest
    np.testing.assert_allclose(found.learned.norms(), [1.0], rtol=1e-8)
    assert int(np.argmax(found.learned.places[0])) == 2


@pytest.mark.parametrize("order", [2, 3])
def test_balancing_learned_components_keeps_the_end_tensor(order):
    rng = np.random.default_rng(0)
    learned = LearnedComponents.none((5, 4, 3)[:order], np.float64)
    for column in range(2):
        units = tuple(rng.standard_normal(d) for d in (5, 4, 3)[:order])
        learned = learned.joined_by(units, np.eye(6)[column], (0.5, 2.0, 1.0)[:order])
    found = learned.balanced()
    np.testing.assert_allclose(
        found.model.end_tensor(), learned.model.end_tensor(), atol=1e-12
    )
    assert found.model.unbalancedness() < 1e-12
    assert learned.model.unbalancedness() > 0.1
    again = found.balanced()
    for ours, theirs in zip(again.matrices, found.matrices, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_balancing_learned_layers_keeps_the_product(key):
    start = near_zero_matrix((5, 4), 3, key=key)
    learned = LearnedLayers.none(start)
    rng = np.random.default_rng(0)
    for _ in range(2):
        units = (rng.standard_normal(5), rng.standard_normal(4))
        learned = learned.joined_by(units, np.zeros(0), (0.5, 2.0, 1.0))
    found = learned.balanced()
    np.testing.assert_allclose(
        found.model.end_tensor(), learned.model.end_tensor(), atol=1e-12
    )
    assert found.model.unbalancedness() < 1e-12


def test_learned_set_widens_and_keeps_what_it_holds():
    learned = LearnedComponents.none((3, 2, 2), np.float64)
    rng = np.random.default_rng(0)
    vectors = [tuple(rng.standard_normal(d) for d in (3, 2, 2)) for _ in range(6)]
    for number, units in enumerate(vectors):
        learned = learned.joined_by(units, np.eye(9)[8 - number], (1.0, 1.0, 1.0))
    assert learned.matrices[0].shape == (3, 8)
    start = near_zero((3, 2, 2), 9, key=jax.random.key(0))
    whole = learned.without(0).whole(start)
    for mode, matrix in enumerate(whole.factor_matrices):
        expected = np.zeros((start.mode_dims[mode], 9))
        for number in range(1, 6):
            expected[:, 8 - number] = vectors[number][mode]
        np.testing.assert_array_equal(matrix, expected)
