"""Starts: distributions, balance and the leading component."""

import itertools
import logging
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from rankrise._errors import InputError
from rankrise.factorizations import (
    DenseTensor,
    balanced,
    default_components,
    end_gradient,
    leading_component,
    near_zero,
    near_zero_matrix,
)

every_order = pytest.mark.parametrize("mode_dims", [(2, 4), (2, 4, 2, 2, 4)])


def correlations(samples):
    """Correlation coefficients of all pairs of samples."""
    table = np.corrcoef([np.ravel(sample) for sample in samples])
    return table[np.triu_indices(len(samples), 1)]


def mode_norms(model):
    """Norms of vectors, one row per mode and one column per component."""
    matrices = map(np.asarray, model.factor_matrices)
    return np.stack([np.linalg.norm(matrix, axis=0) for matrix in matrices])


def gradient_at_zero(mode_dims):
    observed = jnp.asarray(np.random.default_rng(0).normal(size=mode_dims))
    zero = DenseTensor(jnp.zeros(mode_dims))
    return end_gradient(lambda model: jnp.mean((model.tensor - observed) ** 2), zero)


@pytest.mark.parametrize(("scale", "mean"), [(0.005, 0.0), (0.1, 0.3)])
def test_parameters_are_independent_and_gaussian(scale, mean, key):
    model = near_zero((50, 50, 50), 200, init_scale=scale, init_mean=mean, key=key)
    matrices = [np.asarray(matrix) for matrix in model.factor_matrices]
    for matrix in matrices:
        standardized = (matrix.ravel() - mean) / scale
        # Wrong by 4 percent in the scale, or 0.02 scales in the mean, it fails; the
        # key is fixed, so it passes always or never.
        assert scipy.stats.kstest(standardized, scipy.stats.norm.cdf).pvalue > 0.01
    # Modes drawn from one key would be the same numbers. The coefficients of
    # independent ones are off by one over the square root of their number.
    assert np.abs(correlations(matrices)).max() < 5 / math.sqrt(50 * 200)


def test_mean_is_zero_and_components_are_enough_by_default(key):
    model = near_zero((2, 4, 3), init_scale=0.2, key=key)
    assert (model.mode_dims, model.components) == ((2, 4, 3), 6)
    explicit = near_zero((2, 4, 3), 6, init_scale=0.2, init_mean=0.0, key=key)
    for one, other in zip(model.factor_matrices, explicit.factor_matrices, strict=True):
        np.testing.assert_array_equal(one, other)


@every_order
def test_balanced_start_has_no_unbalancedness(mode_dims, key):
    model = balanced(mode_dims, 7, init_scale=0.1, key=key)
    # Relative to the squared norms themselves, which are about 0.1^2 times d.
    squares = mode_norms(model) ** 2
    assert model.unbalancedness() < 1e-14 * squares.max()


@every_order
def test_balanced_start_keeps_norms_and_directions_of_the_gaussian_one(mode_dims, key):
    even = balanced(mode_dims, 7, init_scale=0.1, key=key)
    gaussian = near_zero(mode_dims, 7, init_scale=0.1, key=key)
    assert gaussian.unbalancedness() > 1e-3  # else there was nothing to balance
    (norms, units), (expected, directions) = even.normalized(), gaussian.normalized()
    # A root and a power of products of five norms, each rounded at 1e-16.
    np.testing.assert_allclose(norms, expected, rtol=1e-13)
    for unit, direction in zip(units, directions, strict=True):
        np.testing.assert_allclose(unit, direction, rtol=1e-13)


# Under some of these keys the drawn directions have to be turned around.
@pytest.mark.parametrize("mode_dims", [(3, 3, 3), (3, 3, 3, 3, 3)])
@pytest.mark.parametrize(("seed", "margin"), [(0, 0.5), (1, 0.5), (2, 0.999), (3, 0.1)])
def test_leading_component_satisfies_the_theorem(mode_dims, seed, margin):
    gradient = gradient_at_zero(mode_dims)
    model = leading_component(
        gradient, 4, init_scale=0.01, margin=margin, key=jax.random.key(seed)
    )
    _, units = model.normalized()
    leader = [np.asarray(unit[:, 0]) for unit in units]
    direction = math.prod(np.ix_(*leader))
    pull = -np.sum(np.asarray(gradient) * direction)
    assert pull > 0
    # Theorem 2: ||a_0|| > ||a_r|| (||grad L(0)|| / pull)^(1 / (N - 2)).
    norms = mode_norms(model)[0]
    steepness = (np.linalg.norm(gradient) / pull) ** (1 / (len(mode_dims) - 2))
    bound = norms[1:] * steepness
    assert norms[0] > bound.max()
    # The margin is the share that was asked for, in every component.
    # The pull is a sum of up to 243 terms, which nearly cancel under some keys.
    np.testing.assert_allclose(bound / norms[0], margin, rtol=1e-10)
    np.testing.assert_allclose(norms[0], 0.01, rtol=1e-13)


def test_starts_with_a_leading_component_are_balanced(key):
    model = leading_component(gradient_at_zero((2, 3, 4)), 4, init_scale=0.01, key=key)
    # Squared norms are about 0.01^2, each rounded at 1e-16.
    assert model.unbalancedness() < 1e-14 * 0.01**2


@pytest.mark.parametrize(
    ("mode_dims", "depth", "hidden_dim", "shapes"),
    [
        ((3, 5), 1, None, [(3, 5)]),
        ((3, 5), 3, None, [(3, 5), (3, 3), (3, 3)]),
        ((5, 3), 2, None, [(3, 3), (5, 3)]),
        ((3, 3), 2, 5, [(5, 3), (3, 5)]),
    ],
)
def test_layers_map_columns_to_rows_through_the_hidden_dimension(
    mode_dims, depth, hidden_dim, shapes, key
):
    model = near_zero_matrix(mode_dims, depth, hidden_dim=hidden_dim, key=key)
    assert [layer.shape for layer in model.layers] == shapes
    assert model.mode_dims == mode_dims


def test_layers_are_independent_and_gaussian(key):
    model = near_zero_matrix((70, 70), 3, init_scale=0.02, key=key)
    layers = [np.asarray(layer) / 0.02 for layer in model.layers]
    for layer in layers:
        # The key is fixed; of all keys, 1 in 100 would be a false alarm.
        assert scipy.stats.kstest(layer.ravel(), scipy.stats.norm.cdf).pvalue > 0.01
    # Coefficients of independent samples are off by one over the root of their size.
    assert np.abs(correlations(layers)).max() < 5 / math.sqrt(70 * 70)


@pytest.mark.parametrize(
    ("mode_dims", "enough"),
    [((4, 4, 4), 16), ((7, 2), 2), ((2, 7, 3), 6), ((10, 10, 10, 10), 1000)],
)
def test_default_components_are_enough_for_every_rank(mode_dims, enough, caplog):
    assert default_components(mode_dims) == enough
    assert not caplog.records


def test_capped_components_are_warned_about(caplog):
    with caplog.at_level(logging.WARNING, logger="rankrise"):
        assert default_components((40, 41, 42)) == 1000
    assert "40x41x42 can need up to 1640 components; using 1000" in caplog.text


GRADIENT = np.ones((2, 2, 2))
REFUSED = {
    "near_zero": [
        (((4,),), {}, r"mode dimensions are \(4,\)"),
        (((4, 0),), {}, r"mode dimensions are \(4, 0\)"),
        (((4, 3), 0), {}, "number of components is 0"),
        (((4, 3),), {"init_scale": 0.0}, "init scale is 0.0"),
        (((4, 3),), {"init_scale": -1.0}, "init scale is -1.0"),
        (((4, 3),), {"init_scale": math.inf}, "init scale is inf"),
        (((4, 3),), {"init_scale": math.nan}, "init scale is nan"),
    ],
    "balanced": [(((4, 3),), {"init_scale": 0.0}, "init scale is 0.0")],
    "leading_component": [
        ((GRADIENT[0], 2), {}, r"order three or more; .* \(2, 2\)"),
        ((0 * GRADIENT, 2), {}, "gradient at zero is zero"),
        ((GRADIENT, 0), {}, "number of components is 0"),
        ((GRADIENT, 2), {"init_scale": -0.1}, "init scale is -0.1"),
        ((GRADIENT, 2), {"margin": 1.0}, "margin is 1.0"),
        ((GRADIENT, 2), {"margin": 0.0}, "margin is 0.0"),
    ],
    "near_zero_matrix": [
        (((4, 3, 2),), {}, r"two modes; got mode dimensions \(4, 3, 2\)"),
        (((4, 3), 0), {}, "depth is 0"),
        (((4, 3),), {"init_scale": 0.0}, "init scale is 0.0"),
        (((4, 3),), {"hidden_dim": 0}, "hidden dimension is 0"),
    ],
}
STARTS = {
    function.__name__: function
    for function in (near_zero, balanced, leading_component, near_zero_matrix)
}


@pytest.mark.parametrize(
    ("start", "arguments", "options", "message"),
    [
        (start, *case)
        for start, case in itertools.chain.from_iterable(
            zip(itertools.repeat(start), cases) for start, cases in REFUSED.items()
        )
    ],
)
def test_refused_starts_are_named(start, arguments, options, message, key):
    arguments = [jnp.asarray(a) if isinstance(a, np.ndarray) else a for a in arguments]
    with pytest.raises(InputError, match=message):
        STARTS[start](*arguments, **{"init_scale": 0.1, "key": key} | options)
