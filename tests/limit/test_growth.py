"""Growth under a constant gradient, the first escape, and its critical direction."""

import functools as ft
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from rankrise.factorizations import CPFactorization, near_zero
from rankrise.limit import _pull_field
from rankrise.limit._escape import EscapeSearch, critical_direction
from rankrise.limit._pull_field import DensePullField, pull_field, stacked, unstacked
from rankrise.losses import HuberLoss
from rankrise.problems import CompletionProblem, SensingProblem
from rankrise.synthetic import (
    gaussian_measurements,
    measure,
    observe,
    random_target,
    rank_k_measurements,
    sample_indices,
)

# Every field compiles its own search; the limit's tests go through it quickly.
pytestmark = pytest.mark.slow

ACCURACY = 1e-10


def dense_field(tensor):
    """The field of the gradient $-T$, so that a component is pulled towards T."""
    from rankrise._algebra import balanced_split

    split = balanced_split(tensor.shape)
    rows = int(np.prod(tensor.shape[:split]))
    return DensePullField(
        unfolded=-jnp.asarray(tensor).reshape(rows, -1), mode_dims=tensor.shape
    )


def random_columns(mode_dims, components, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((sum(mode_dims), components))


def velocity(tensor, column):
    """$T x_{m != n} w^m$ for every mode, written out."""
    blocks = np.split(column, np.cumsum(tensor.shape)[:-1])
    slopes = []
    for mode in range(tensor.ndim):
        slope = np.moveaxis(tensor, mode, 0)
        for other in reversed([b for n, b in enumerate(blocks) if n != mode]):
            slope = slope @ other
        slopes.append(slope)
    return np.concatenate(slopes)


@pytest.mark.parametrize("mode_dims", [(4, 3, 2), (2, 3, 2, 4), (2, 3, 2, 2, 3)])
def test_velocity_is_the_contraction_with_all_other_vectors(mode_dims):
    tensor = np.random.default_rng(1).standard_normal(mode_dims)
    columns = random_columns(mode_dims, 5)
    found = dense_field(tensor).velocity(jnp.asarray(columns))
    expected = np.stack([velocity(tensor, c) for c in columns.T], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("order", [3, 4, pytest.param(5, marks=pytest.mark.slow)])
def test_aligned_balanced_component_escapes_when_the_closed_form_says(order):
    # For G = -g of rank one and w^n = u_0 a^n: 1 / ((N - 2) g u_0^(N - 2)).
    rng = np.random.default_rng(order)
    mode_dims = (2, 3, 4, 2, 3)[:order]
    units = [v / np.linalg.norm(v) for v in map(rng.standard_normal, mode_dims)]
    strength, size = 0.7, 0.3
    field = dense_field(strength * ft.reduce(np.multiply.outer, units))
    column = size * np.concatenate(units)[:, None]
    escape = EscapeSearch(field, ACCURACY).first(column)
    expected = 1 / ((order - 2) * strength * size ** (order - 2))
    assert escape.time == pytest.approx(expected, rel=1e-8)


def test_aligned_unbalanced_component_of_order_three_escapes_in_closed_form():
    # Norms x, y, z with x' = yz, ...: Jacobi elliptic functions. For x(0) = 0 and
    # y(0) = z(0) = c, x = c tan(ct), which escapes at pi / (2 c).
    units = [np.eye(d)[0] for d in (2, 3, 2)]
    field = dense_field(ft.reduce(np.multiply.outer, units))
    column = np.concatenate([0 * units[0], 0.4 * units[1], 0.4 * units[2]])[:, None]
    # The pull of a component with a zero vector is zero, yet it grows.
    escape = EscapeSearch(field, ACCURACY).first(column)
    assert escape.time == pytest.approx(np.pi / (2 * 0.4), rel=1e-8)


@pytest.mark.parametrize("mode_dims", [(4, 3, 2), (3, 2, 3, 2)])
def test_components_are_where_an_independent_integrator_puts_them(mode_dims):
    tensor = np.random.default_rng(2).standard_normal(mode_dims)
    columns = random_columns(mode_dims, 40)  # more than one batch
    escape = EscapeSearch(dense_field(tensor), ACCURACY).first(columns)
    for column in range(0, 40, 7):
        if column == escape.component:
            continue
        reference = solve_ivp(
            lambda _, w: velocity(tensor, w),
            (0, escape.time),
            columns[:, column],
            method="DOP853",
            rtol=1e-12,
            atol=1e-12,
        )
        # A hundred steps of error 1e-10 each.
        np.testing.assert_allclose(
            escape.others[:, column], reference.y[:, -1], rtol=1e-7, atol=1e-8
        )


def test_first_escape_is_the_first_of_all(key):
    tensor = np.random.default_rng(5).standard_normal((4, 3, 2))
    columns = random_columns((4, 3, 2), 60, seed=3)
    together = EscapeSearch(dense_field(tensor), 1e-6).first(columns)
    alone = [
        EscapeSearch(dense_field(tensor), 1e-6).first(columns[:, [c]]).time
        for c in range(60)
    ]
    assert together.component == int(np.argmin(alone))
    assert together.time == pytest.approx(min(alone), rel=1e-4)
    # The field is homogeneous; a bound of the time left that was too small would show.
    others = np.delete(np.array(alone) - together.time, together.component)
    left = np.delete(together.time_left, together.component)
    assert (left >= others * (1 - 1e-3)).all()


def test_component_pulled_through_zero_turns_round_and_escapes():
    # x' = yz with x < 0: x y z grows from below zero, so the pull is negative first.
    units = [np.eye(2)[0]] * 3
    field = dense_field(ft.reduce(np.multiply.outer, units))
    column = np.concatenate([-0.1 * units[0], 0.5 * units[1], 0.5 * units[2]])[:, None]
    escape = EscapeSearch(field, ACCURACY).first(column)
    # From x = a tan(a (t - t0)) with a^2 = y^2 - x^2.
    scale = np.sqrt(0.5**2 - 0.1**2)
    expected = (np.pi / 2 + np.arctan(0.1 / scale)) / scale
    assert escape.time == pytest.approx(expected, rel=1e-8)


def test_balanced_component_that_only_decays_never_escapes():
    units = [np.eye(2)[0]] * 3
    field = dense_field(-ft.reduce(np.multiply.outer, units))
    column = np.concatenate([0.5 * unit for unit in units])[:, None]
    assert EscapeSearch(field, 1e-6).first(column) is None


def test_nothing_escapes_without_a_gradient():
    field = dense_field(np.zeros((2, 3, 2)))
    assert EscapeSearch(field, 1e-6).first(random_columns((2, 3, 2), 3)) is None


@pytest.mark.parametrize("mode_dims", [(4, 3, 2), (3, 2, 3, 2)])
def test_critical_direction_is_a_maximum_that_contraction_keeps(mode_dims):
    tensor = np.random.default_rng(4).standard_normal(mode_dims)
    field = dense_field(tensor)
    escape = EscapeSearch(field, 1e-6).first(random_columns(mode_dims, 10))
    units, pull = critical_direction(field, jnp.asarray(escape.vectors[:, 0]))
    unit = np.asarray(units)
    np.testing.assert_allclose(velocity(tensor, unit), pull * unit, atol=1e-10)
    rng = np.random.default_rng(0)
    value = float(field.value(unstacked(units[:, None], mode_dims)))
    assert value == pytest.approx(float(pull))
    for _ in range(20):
        near = unit + 1e-3 * rng.standard_normal(unit.shape)
        blocks = np.split(near, np.cumsum(mode_dims)[:-1])
        near = np.concatenate([b / np.linalg.norm(b) for b in blocks])[:, None]
        assert float(field.value(unstacked(jnp.asarray(near), mode_dims))) < value


def problems():
    dims = (3, 4, 2)
    target = random_target(dims, 2, seed=0)
    indices = sample_indices(dims, 15, seed=0)
    completion = observe(target, indices, seed=0)
    weighted = CompletionProblem.from_observations(completion, HuberLoss(0.05))
    dense = gaussian_measurements(dims, 12, seed=0)
    factored = rank_k_measurements(dims, 12, cp_rank=2, seed=0)
    return [
        weighted,
        SensingProblem.from_dense(dense, measure(target, dense, seed=0)),
        SensingProblem.from_factored(
            factored,
            measure(target, factored, seed=0),
            weights=np.linspace(0.5, 1.5, 12),
        ),
    ]


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("most", [0, 10**6])
def test_field_is_the_gradient_of_the_loss_beside_what_is_learned(
    number, most, key, monkeypatch
):
    # With no dense entries allowed, the gradient is never formed.
    monkeypatch.setattr(_pull_field, "_DENSE_ENTRIES", most)
    problem = problems()[number]
    keys = jax.random.split(key)
    learned, small = (
        near_zero(problem.mode_dims, count, init_scale=0.5, key=k)
        for count, k in zip((2, 3), keys, strict=True)
    )
    found = pull_field(problem, learned).velocity(stacked(small))

    def beside(share):
        """Slope of the loss by tiny components beside the learned ones."""
        both = [
            jnp.concatenate([a, share * b], axis=1)
            for a, b in zip(learned.factor_matrices, small.factor_matrices, strict=True)
        ]
        slopes = jax.grad(problem.loss)(CPFactorization(tuple(both)))
        return -stacked(slopes)[:, 2:] / share ** (len(both) - 1)

    # The components' own share of the gradient is 1e-3 cubed of the rest.
    np.testing.assert_allclose(found, beside(1e-3), rtol=1e-6, atol=1e-8)
    assert float(jnp.linalg.norm(found)) > 1e-3
    for first, second in itertools.pairwise([0.1, 0.01, 0.001]):
        assert jnp.linalg.norm(found - beside(second)) < 0.1 * jnp.linalg.norm(
            found - beside(first)
        )
