"""CP factorizations: laws of components, norms and pulls, against outer products."""

import functools as ft
import itertools

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.factorizations import CPFactorization, _cp

MODE_DIMS = [(4, 3), (2, 3, 4), (3, 2, 1, 4), (2, 3, 2, 2, 3)]
COMPONENTS = 3
# Sums of at most a few hundred products of numbers of order 1.
ROUNDING = {"rtol": 1e-11, "atol": 1e-12}
every_order = pytest.mark.parametrize("mode_dims", MODE_DIMS)


def random_model(mode_dims, components=COMPONENTS, seed=0):
    rng = np.random.default_rng(seed)
    return CPFactorization(
        tuple(jnp.asarray(rng.normal(size=(dim, components))) for dim in mode_dims)
    )


def with_factors(model, function):
    """The model whose factor matrix of mode n is `function(n, matrix)`."""
    matrices = enumerate(model.factor_matrices)
    return CPFactorization(tuple(function(mode, matrix) for mode, matrix in matrices))


def formed(matrices):
    """The components, each as a tensor, by outer products of columns."""
    columns = (np.asarray(matrix).T for matrix in matrices)
    components = zip(*columns, strict=True)
    return [ft.reduce(np.multiply.outer, vectors) for vectors in components]


def offset(mode_dims):
    return np.random.default_rng(2).normal(size=mode_dims)


def wavy_loss(model):
    """A loss whose gradient by the end tensor is cos(W - offset)."""
    return jnp.sum(jnp.sin(model.end_tensor() - offset(model.mode_dims)))


def dense_pulls(model):
    """Pulls by their definition, from the dense gradient and formed components."""
    components = formed(model.factor_matrices)
    gradient = np.cos(sum(components) - offset(model.mode_dims))
    return [-np.sum(gradient * part) / np.linalg.norm(part) for part in components]


end_tensor = jax.jit(CPFactorization.end_tensor)


@jax.jit
def measured(model):
    """All that is measured of a model, compiled once for many tests."""
    everywhere = jnp.asarray(np.argwhere(np.ones(model.mode_dims)))
    return {
        "end tensor": model.end_tensor(),
        "entries": model.entries(everywhere),
        "component norms": model.component_norms(),
        "normalized": model.normalized(),
        "pull": model.pull(wavy_loss),
        "unbalancedness": model.unbalancedness(),
        "frobenius norm": model.frobenius_norm(),
        "gradient": jax.grad(wavy_loss)(model).factor_matrices,
    }


@every_order
def test_permuting_components_permutes_norms_and_pulls_only(mode_dims):
    model = random_model(mode_dims)
    permutation = jnp.array([2, 0, 1])
    permuted = measured(with_factors(model, lambda _, W: W[:, permutation]))
    before = measured(model)
    for what in ("end tensor", "entries", "frobenius norm", "unbalancedness"):
        np.testing.assert_allclose(permuted[what], before[what], **ROUNDING)
    for what in ("component norms", "pull"):
        np.testing.assert_allclose(
            permuted[what], before[what][permutation], **ROUNDING
        )


@every_order
def test_scale_moved_between_modes_changes_unbalancedness_only(mode_dims):
    model = random_model(mode_dims)
    scales = jnp.array([1e3, -0.5, 1.0])
    moves = {0: scales, len(mode_dims) - 1: 1 / scales}
    moved = measured(with_factors(model, lambda mode, W: W * moves.get(mode, 1.0)))
    before = measured(model)
    for what in ("end tensor", "entries", "component norms", "pull"):
        np.testing.assert_allclose(moved[what], before[what], **ROUNDING)
    assert moved["unbalancedness"] > 100 * before["unbalancedness"]


@every_order
def test_permuting_modes_transposes_the_end_tensor(mode_dims):
    model = random_model(mode_dims)
    axes = (*range(1, len(mode_dims)), 0)
    turned = CPFactorization(tuple(model.factor_matrices[mode] for mode in axes))
    expected = np.transpose(end_tensor(model), axes)
    np.testing.assert_allclose(end_tensor(turned), expected, **ROUNDING)


@every_order
def test_the_end_tensor_is_homogeneous_of_degree_order(mode_dims):
    # Euler's identity: the slope along a homogeneous function's own argument is its
    # degree times the function.
    model = random_model(mode_dims)
    tensor, slope = jax.jvp(end_tensor, (model,), (model,))
    np.testing.assert_allclose(slope, len(mode_dims) * tensor, **ROUNDING)


@every_order
def test_gradient_along_every_vector_is_minus_pull_times_component_norm(mode_dims):
    model = random_model(mode_dims)
    found = measured(model)
    expected = -found["pull"] * found["component norms"]
    for slope, matrix in zip(found["gradient"], model.factor_matrices, strict=True):
        along = np.sum(np.asarray(slope) * matrix, axis=0)
        np.testing.assert_allclose(along, expected, **ROUNDING)


@every_order
def test_pull_is_minus_the_gradient_along_the_normalized_component(mode_dims):
    model = random_model(mode_dims)
    np.testing.assert_allclose(measured(model)["pull"], dense_pulls(model), **ROUNDING)


def test_mapped_over_models_the_pulls_are_each_models():
    models = [random_model((2, 3, 4), seed=seed) for seed in range(2)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)
    pulls = jax.vmap(measured)(stacked)["pull"]
    expected = [dense_pulls(model) for model in models]
    np.testing.assert_allclose(pulls, expected, **ROUNDING)


@pytest.mark.parametrize("zero_modes", [(0,), (1,), (0, 1, 2)])
def test_a_zero_component_has_zero_norm_and_pull(zero_modes):
    full = random_model((2, 3, 4))
    model = with_factors(
        full, lambda mode, W: W.at[:, 1].set(0.0) if mode in zero_modes else W
    )
    found = measured(model)
    norms, units = found["normalized"]
    assert norms[1] == 0
    assert found["pull"][1] == 0
    for mode, unit in enumerate(units):
        length = 0.0 if mode in zero_modes else 1.0
        # A norm divided by itself: a few last digits.
        np.testing.assert_allclose(np.linalg.norm(unit[:, 1]), length, rtol=1e-15)
    # The other components, the slow way: a zero one must not make them NaN.
    others = with_factors(model, lambda _, W: W[:, [0, 2]])
    pulls = found["pull"][jnp.array([0, 2])]
    np.testing.assert_allclose(pulls, dense_pulls(others), **ROUNDING)


@every_order
def test_component_norms_are_the_norms_of_the_components(mode_dims):
    model = random_model(mode_dims)
    expected = [np.linalg.norm(part) for part in formed(model.factor_matrices)]
    np.testing.assert_allclose(measured(model)["component norms"], expected, **ROUNDING)


@every_order
def test_normalized_components_times_norms_are_the_components(mode_dims):
    model = random_model(mode_dims)
    norms, units = measured(model)["normalized"]
    for unit in units:
        np.testing.assert_allclose(np.linalg.norm(unit, axis=0), 1.0, **ROUNDING)
    rebuilt = [norm * part for norm, part in zip(norms, formed(units), strict=True)]
    np.testing.assert_allclose(rebuilt, formed(model.factor_matrices), **ROUNDING)


@every_order
@pytest.mark.parametrize("components", [1, 30])  # by Gram matrices, and formed
def test_frobenius_norm_is_that_of_the_sum_of_components(mode_dims, components):
    model = random_model(mode_dims, components)
    expected = np.linalg.norm(sum(formed(model.factor_matrices)))
    norm = jax.jit(CPFactorization.frobenius_norm)(model)
    np.testing.assert_allclose(norm, expected, **ROUNDING)


@every_order
def test_unbalancedness_is_the_largest_difference_of_squared_norms(mode_dims):
    model = random_model(mode_dims)
    squares = [np.sum(np.square(W), axis=0) for W in model.factor_matrices]
    largest = max(
        abs(one[r] - other[r])
        for r in range(COMPONENTS)
        for one, other in itertools.product(squares, repeat=2)
    )
    np.testing.assert_allclose(measured(model)["unbalancedness"], largest, **ROUNDING)


def test_unbalancedness_is_differentiable_at_a_zero_component():
    model = random_model((2, 3, 4))
    model = with_factors(model, lambda _, W: W.at[:, 1].set(0.0))
    gradient = jax.jit(jax.grad(CPFactorization.unbalancedness))(model)
    assert all(np.isfinite(slope).all() for slope in gradient.factor_matrices)


@pytest.mark.parametrize(
    ("mode_dims", "components", "formed_first"),
    [
        ((4, 3), 50, True),
        ((2, 3, 3, 2), 60, True),
        ((5, 6), 1, False),
        ((5, 6, 4), 2, False),
        ((2, 3, 2, 2, 3), 2, False),
    ],
)
def test_inner_products_are_those_with_formed_measurement_tensors(
    mode_dims, components, formed_first, monkeypatch
):
    calls = []
    dense_way = _cp.dense_inner_products
    monkeypatch.setattr(
        _cp, "dense_inner_products", lambda *a: (calls.append(a), dense_way(*a))[1]
    )
    model = random_model(mode_dims, components)
    rng = np.random.default_rng(3)
    factors = [rng.normal(size=(7, dim, 2)) for dim in mode_dims]
    inner_products = jax.jit(lambda *factors: model.inner_products(factors))
    products = inner_products(*factors)
    assert bool(calls) == formed_first
    tensor = sum(formed(model.factor_matrices))
    measurements = [sum(formed([factor[m] for factor in factors])) for m in range(7)]
    expected = [np.sum(measurement * tensor) for measurement in measurements]
    np.testing.assert_allclose(products, expected, **ROUNDING)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(3, 2)], r"shapes \[\(3, 2\)\]; give one of shape .* two or more modes"),
        ([(3, 2), (4, 2), (5, 3)], r"have \[2, 2, 3\] columns, mode by mode; give"),
    ],
)
def test_refused_factor_matrices_are_named(shapes, message):
    with pytest.raises(InputError, match=message):
        CPFactorization(tuple(jnp.ones(shape) for shape in shapes))


@pytest.mark.parametrize("shapes", [[(3,), (4,)], [(3, 2), (4, 2, 1)]])
def test_factor_matrices_that_are_no_matrices_are_refused(shapes, monkeypatch):
    # The type checker of the tests would be first to refuse them; users have none.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(InputError, match="give one of shape"):
        CPFactorization(tuple(jnp.ones(shape) for shape in shapes))
