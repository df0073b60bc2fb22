"""Spectral radius of the Hessian, against its eigenvalues."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from rankrise.factorizations import CPFactorization, near_zero
from rankrise.solvers import _spectral_radius
from rankrise.solvers._spectral_radius import _SAFETY

spectral_radius = jax.jit(_spectral_radius.spectral_radius)


@jax.jit
def hessian(problem, model):
    flat, unravel = ravel_pytree(model)
    return jax.hessian(lambda w: problem.loss(unravel(w)))(flat)


def eigenvalues(problem, model):
    return np.linalg.eigvalsh(np.asarray(hessian(problem, model)))


@pytest.mark.parametrize("init_scale", [0.02, 0.5, 2.0])
def test_the_radius_is_a_little_above_the_largest_eigenvalue(problem, init_scale):
    model = near_zero((4, 3, 2), 3, init_scale=init_scale, key=jax.random.key(0))
    exact = np.abs(eigenvalues(problem, model)).max()
    estimate = float(spectral_radius(problem, model).value)
    # Settled to 2% a step, which a slow iteration can exceed.
    assert 0.9 * _SAFETY * exact <= estimate <= 1.0001 * _SAFETY * exact


def test_one_product_is_enough_where_the_last_estimate_holds(problem, starts):
    first = spectral_radius(problem, starts[0])
    assert int(first.products) > 1
    for _ in range(5):
        first = spectral_radius(problem, starts[0], first)
    assert int(first.products) == 1


def test_an_estimate_follows_a_radius_that_grows(problem, starts):
    last = spectral_radius(problem, starts[0])
    tripled = jax.tree.map(lambda w: 3 * w, starts[0])
    for _ in range(10):
        last = spectral_radius(problem, tripled, last)
    exact = np.abs(eigenvalues(problem, tripled)).max()
    assert float(last.value) == pytest.approx(_SAFETY * exact, rel=0.05)


def test_the_radius_is_zero_where_the_hessian_is(problem):
    # At zero all second derivatives of a product of three vanish.
    zero = CPFactorization(tuple(jnp.zeros((dim, 3)) for dim in (4, 3, 2)))
    assert float(spectral_radius(problem, zero).value) == 0
