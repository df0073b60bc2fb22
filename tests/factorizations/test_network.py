"""The product pooling network is the CP factorization."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rankrise as rr
from rankrise import InputError
from rankrise.factorizations import CPFactorization, ProductPoolingNetwork

MODE_DIMS = (3, 1, 4, 2)
GRID = np.stack(np.meshgrid(*map(np.arange, MODE_DIMS), indexing="ij"), -1)
INDICES = jnp.asarray(GRID.reshape(-1, len(MODE_DIMS)))


def factorization(dtype, mode_dims=MODE_DIMS, components=5):
    rng = np.random.default_rng(0)
    return CPFactorization(
        tuple(jnp.asarray(rng.normal(size=(d, components)), dtype) for d in mode_dims)
    )


@pytest.fixture(scope="module")
def network():
    return ProductPoolingNetwork.from_factorization(factorization(jnp.float32))


def test_outputs_are_the_entries(network):
    found, expected = eqx.filter_jit(
        lambda network, model: (network(INDICES), model.entries(INDICES))
    )(network, factorization(jnp.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_gradients_are_those_of_the_entries(network):
    weights = jnp.asarray(np.random.default_rng(1).normal(size=24), jnp.float32)

    def by_entries(model):
        return jnp.sum(weights * model.entries(INDICES))

    def by_network(model):
        return jnp.sum(weights * model(INDICES))

    expected = eqx.filter_jit(eqx.filter_grad(by_entries))(factorization(jnp.float32))
    found = eqx.filter_jit(eqx.filter_grad(by_network))(network).factorization
    for one, other in zip(found.factor_matrices, expected.factor_matrices, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-5)


def test_the_factorization_comes_back_as_it_was(network):
    for one, other in zip(
        network.factorization.factor_matrices,
        factorization(jnp.float32).factor_matrices,
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_outputs_are_the_same_sample_by_sample(network):
    at_once, one_by_one = eqx.filter_jit(
        lambda network: (network(INDICES), jax.vmap(network)(INDICES))
    )(network)
    np.testing.assert_allclose(one_by_one, at_once, rtol=1e-5)


def test_products_of_many_features_do_not_underflow():
    half = CPFactorization(
        tuple(jnp.full((2, 1), c, jnp.float32) for c in [1e-2, 1e2] * 200)
    )
    codes = jnp.zeros((1, 400), int)
    network = ProductPoolingNetwork.from_factorization(
        CPFactorization(half.factor_matrices[::2] + half.factor_matrices[1::2])
    )
    np.testing.assert_allclose(network(codes), 1, rtol=1e-3)


def test_more_values_than_a_byte_names_are_refused():
    with pytest.raises(InputError, match="257 values; it may have 256"):
        ProductPoolingNetwork.from_factorization(factorization(float, (257, 2)))


def test_what_is_said_of_it_is_that_of_the_factorization():
    model = factorization(jnp.float32)
    network = ProductPoolingNetwork.from_factorization(model)
    values = jnp.asarray(np.random.default_rng(2).normal(size=24), jnp.float32)

    def loss(model):
        return jnp.mean((model.entries(INDICES) - values) ** 2)

    for measure in (
        lambda m: m.end_tensor(),
        lambda m: m.frobenius_norm(),
        lambda m: m.component_norms(),
        lambda m: m.parameter_norms(),
        lambda m: m.unbalancedness(),
        lambda m: m.pull(loss),
    ):
        # Sums of squares in another order, and logarithms.
        np.testing.assert_allclose(
            eqx.filter_jit(measure)(network),
            eqx.filter_jit(measure)(model),
            rtol=2e-4,
            atol=1e-4,
        )
    assert (network.mode_dims, network.components) == (MODE_DIMS, 5)


def test_descent_on_hundreds_of_features_is_that_of_an_ensemble():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2, (50, 784))
    targets = (values[:, 0] & values[:, 1]).astype(float)
    start = rng.normal(1, 1e-3, (2, 784, 3)) * (0.3 / 3) ** (1 / 784)
    problem = rr.CompletionProblem.from_observations(
        rr.Observations(values, targets, (2,) * 784)
    )
    network = ProductPoolingNetwork(jnp.asarray(start), (2,) * 784)
    run = rr.solve(problem, network, rr.GradientDescent(2e-3), max_steps=20)
    data = rr.tables.CategoricalData.from_codes(values, 2)
    places = np.arange(784)
    fit = rr.ensembles.fit_ensemble(
        rr.ensembles.Samples(data, targets[:, None]),
        [rr.ensembles.Member(3, 0)],
        rr.ensembles.Training(optimizer=optax.sgd(2e-3), epochs=20, batch_size=50),
        start=[start[data.order.T, places]],
    )
    saved = [int(np.flatnonzero(run.step == step)[0]) for step in range(20)]
    np.testing.assert_allclose(run.loss[saved], fit.train_losses[:, 0], rtol=1e-8)
    assert run.loss[-1] < 0.99 * run.loss[0]
