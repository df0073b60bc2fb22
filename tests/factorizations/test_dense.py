"""Dense tensors as factorizations, and gradients by the end tensor."""

import jax.numpy as jnp
import numpy as np

from rankrise.factorizations import (
    CPFactorization,
    DeepMatrixFactorization,
    DenseTensor,
    end_gradient,
)

# Sums of at most 24 products of numbers of order 1, each rounded at 1e-16.
ROUNDING = {"rtol": 1e-13, "atol": 1e-14}


def random_array(*shape):
    return np.random.default_rng(0).normal(size=shape)


def wavy_loss(model):
    """A loss whose gradient by the end tensor is cos(W)."""
    return jnp.sum(jnp.sin(model.end_tensor()))


def test_a_dense_tensor_is_one_component_along_itself():
    tensor = random_array(2, 3, 4)
    model, norm = DenseTensor(jnp.asarray(tensor)), np.linalg.norm(tensor)
    assert (model.mode_dims, model.components) == ((2, 3, 4), 1)
    np.testing.assert_array_equal(model.end_tensor(), tensor)
    np.testing.assert_allclose(model.component_norms(), [norm], **ROUNDING)
    np.testing.assert_allclose(model.frobenius_norm(), norm, **ROUNDING)
    assert model.unbalancedness() == 0
    pull = -np.sum(np.cos(tensor) * tensor) / norm
    np.testing.assert_allclose(model.pull(wavy_loss), [pull], **ROUNDING)


def test_a_dense_tensor_that_is_zero_has_no_pull():
    model = DenseTensor(jnp.zeros((2, 3)))
    np.testing.assert_array_equal(model.pull(wavy_loss), [0.0])


def test_a_dense_tensor_gives_its_own_entries():
    tensor = random_array(2, 3, 4)
    # Every second entry, from the last to the first.
    indices = np.argwhere(np.ones(tensor.shape))[::-2]
    entries = DenseTensor(jnp.asarray(tensor)).entries(jnp.asarray(indices))
    np.testing.assert_array_equal(entries, tensor[tuple(indices.T)])


def test_inner_products_of_a_dense_tensor_are_those_with_formed_measurements():
    tensor = random_array(2, 3, 4)
    rng = np.random.default_rng(1)
    factors = [rng.normal(size=(5, dim, 2)) for dim in tensor.shape]
    expected = np.einsum("abc,mak,mbk,mck->m", tensor, *factors)
    model = DenseTensor(jnp.asarray(tensor))
    computed = model.inner_products(tuple(map(jnp.asarray, factors)))
    np.testing.assert_allclose(computed, expected, **ROUNDING)


def test_end_gradient_is_the_gradient_by_the_end_tensor():
    one, other = map(jnp.asarray, random_array(2, 3, 3))
    for model in (
        DeepMatrixFactorization((one, other)),
        CPFactorization((one, other)),
        DenseTensor(one),
    ):
        expected = np.cos(model.end_tensor())
        computed = end_gradient(wavy_loss, model)
        np.testing.assert_allclose(computed, expected, **ROUNDING)
