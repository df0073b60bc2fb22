"""Deep matrix factorizations against NumPy's linear algebra."""

import functools as ft
import itertools

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.factorizations import DeepMatrixFactorization

# Widths from the columns' mode to the rows' mode: depth 1 to 4, one a bottleneck.
WIDTHS = [(3, 4), (4, 3, 3), (5, 2, 4), (3, 4, 3, 2, 4)]
every_depth = pytest.mark.parametrize("widths", WIDTHS)
# Products and singular values of matrices of order 1, rounded at 1e-16 each.
ROUNDING = {"rtol": 1e-11, "atol": 1e-12}


def random_layers(widths):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(out, into)) for into, out in itertools.pairwise(widths)]


def model_of(layers):
    return DeepMatrixFactorization(tuple(jnp.asarray(layer) for layer in layers))


def product(layers):
    return ft.reduce(lambda inner, layer: layer @ inner, layers)


def balanced_layers(depth):
    """Layers with the end matrix's singular vectors at both ends, rotated between."""
    rng = np.random.default_rng(1)
    bases = [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(depth + 1)]
    root = np.diag([2.0, 1.0, 0.1]) ** (1 / depth)
    return [outer @ root @ inner.T for inner, outer in itertools.pairwise(bases)]


def wavy_loss(model):
    """A loss whose gradient by the end tensor is cos(W)."""
    return jnp.sum(jnp.sin(model.end_tensor()))


def some_indices(mode_dims):
    """Every second entry, from the last to the first."""
    return np.argwhere(np.ones(mode_dims))[::-2]


@jax.jit
def measured(model):
    """All that is measured of a model, compiled once for many tests."""
    return {
        "end tensor": model.end_tensor(),
        "entries": model.entries(jnp.asarray(some_indices(model.mode_dims))),
        "component norms": model.component_norms(),
        "frobenius norm": model.frobenius_norm(),
        "unbalancedness": model.unbalancedness(),
        "pull": model.pull(wavy_loss),
        "gradient": jax.grad(wavy_loss)(model),
    }


@every_depth
def test_end_matrix_and_entries_are_those_of_the_product(widths):
    layers = random_layers(widths)
    model, expected = model_of(layers), product(layers)
    assert model.mode_dims == expected.shape
    found = measured(model)
    np.testing.assert_allclose(found["end tensor"], expected, **ROUNDING)
    entries = expected[tuple(some_indices(expected.shape).T)]
    np.testing.assert_allclose(found["entries"], entries, **ROUNDING)


@every_depth
def test_component_norms_are_the_singular_values_a_bottleneck_allows(widths):
    layers = random_layers(widths)
    values = np.linalg.svd(product(layers), compute_uv=False)
    model = model_of(layers)
    assert model.components == min(widths)
    expected = values[: min(widths)]
    norms = measured(model)["component norms"]
    np.testing.assert_allclose(norms, expected, **ROUNDING)
    # What the bottleneck cuts off is zero but for rounding.
    assert (values[min(widths) :] < 1e-14).all()


@every_depth
def test_frobenius_norm_is_that_of_the_product(widths):
    layers = random_layers(widths)
    expected = np.sqrt(np.sum(product(layers) ** 2))
    norm = measured(model_of(layers))["frobenius norm"]
    np.testing.assert_allclose(norm, expected, **ROUNDING)


@every_depth
def test_unbalancedness_is_the_largest_gap_between_neighbours(widths):
    layers = random_layers(widths)
    gaps = [
        np.linalg.norm(outer.T @ outer - inner @ inner.T)
        for inner, outer in itertools.pairwise(layers)
    ]
    expected = max(gaps, default=0.0)
    unbalancedness = measured(model_of(layers))["unbalancedness"]
    np.testing.assert_allclose(unbalancedness, expected, **ROUNDING)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_balanced_layers_have_no_unbalancedness(depth):
    # The layers' entries are of order 1, rounded at 1e-16 each.
    assert measured(model_of(balanced_layers(depth)))["unbalancedness"] < 1e-14


@every_depth
def test_pull_is_the_slope_of_minus_the_loss_along_a_singular_triple(widths):
    layers = random_layers(widths)
    matrix, step = product(layers), 1e-5
    left, _, right = np.linalg.svd(matrix)
    slopes = [
        np.sum(np.sin(matrix - step * triple) - np.sin(matrix + step * triple))
        / (2 * step)
        for triple in (np.outer(left[:, r], right[r]) for r in range(min(widths)))
    ]
    # Central differences are off by the step squared, and by rounding over the step.
    pulls = measured(model_of(layers))["pull"]
    np.testing.assert_allclose(pulls, slopes, atol=1e-9)


def test_pull_of_balanced_layers_says_how_fast_singular_values_grow():
    layers, step = balanced_layers(3), 1e-5
    found = measured(model_of(layers))
    slopes = [np.asarray(slope) for slope in found["gradient"].layers]

    def singular_values(time):
        pairs = zip(layers, slopes, strict=True)
        moved = [layer - time * slope for layer, slope in pairs]
        return np.linalg.svd(product(moved), compute_uv=False)

    growth = (singular_values(step) - singular_values(-step)) / (2 * step)
    # Arora et al. (2019): L s^(2 - 2/L) times the pull, with depth L = 3.
    predicted = 3 * found["component norms"] ** (4 / 3) * found["pull"]
    # Central differences are off by the step squared, and by rounding over the step.
    np.testing.assert_allclose(growth, predicted, rtol=1e-7, atol=1e-8)


def test_pull_on_components_of_a_zero_matrix_is_zero():
    model = model_of([np.zeros((3, 4)), np.ones((4, 3))])
    np.testing.assert_array_equal(measured(model)["pull"], np.zeros(3))


def test_inner_products_are_those_with_formed_measurement_matrices():
    layers = random_layers((5, 2, 4))
    rng = np.random.default_rng(2)
    rows, columns = rng.normal(size=(5, 4, 2)), rng.normal(size=(5, 5, 2))
    formed = [one @ other.T for one, other in zip(rows, columns, strict=True)]
    expected = [np.sum(measurement * product(layers)) for measurement in formed]
    factors = (jnp.asarray(rows), jnp.asarray(columns))
    computed = model_of(layers).inner_products(factors)
    np.testing.assert_allclose(computed, expected, **ROUNDING)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [([], "at least one layer"), ([(3, 4), (2, 4)], "do not multiply; give")],
)
def test_refused_layers_are_named(shapes, message):
    with pytest.raises(InputError, match=message):
        model_of([np.ones(shape) for shape in shapes])


def test_layers_that_are_no_matrices_are_refused(monkeypatch):
    # The type checker of the tests would be first to refuse them; users have none.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(InputError, match="each of them a matrix"):
        model_of([np.ones((3, 2)), np.ones((4, 3, 1))])
