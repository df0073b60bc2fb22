"""Gradient descent with a fixed learning rate."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rankrise.factorizations import near_zero
from rankrise.problems import CompletionProblem
from rankrise.solvers import GradientDescent
from rankrise.synthetic import observe, random_target, sample_indices


def squared_norms(matrices):
    return np.stack([np.sum(np.asarray(w) ** 2, axis=0) for w in matrices])


@pytest.mark.parametrize("mode_dims", [(4, 3), (2, 3, 2, 2)])
def test_a_step_changes_differences_of_squared_norms_by_the_gradients_alone(mode_dims):
    indices = sample_indices(mode_dims, 10, seed=0)
    problem = CompletionProblem.from_observations(
        observe(random_target(mode_dims, 2, seed=0), indices, seed=0)
    )
    model = near_zero(mode_dims, 3, init_scale=1.0, key=jax.random.key(0))
    solver = GradientDescent(0.3)

    @eqx.filter_jit
    def step_and_gradient(model):
        taken = solver.step(problem, model, None, jnp.asarray(jnp.inf))
        return taken.model, jax.grad(problem.loss)(model)

    moved, gradient = step_and_gradient(model)
    before, after, slopes = (
        squared_norms(each.factor_matrices) for each in (model, moved, gradient)
    )
    # ||w - eta g||^2 = ||w||^2 - 2 eta <w, g> + eta^2 ||g||^2, and <w, g> is the same
    # in every mode.
    change = (after - after[:1]) - (before - before[:1])
    expected = 0.3**2 * (slopes - slopes[:1])
    np.testing.assert_allclose(change, expected, atol=1e-13)  # Rounding of norms near 5
    assert np.abs(expected).max() > 1e-3


def test_fifty_steps_are_those_of_a_plain_loop(run, starts, numpy_gradient):
    matrices = [np.asarray(matrix) for matrix in starts[0].factor_matrices]
    for _ in range(50):
        slopes = numpy_gradient(matrices)
        matrices = [w - 0.1 * g for w, g in zip(matrices, slopes, strict=True)]
    final = run(starts[0], max_steps=50).model.factor_matrices
    for ours, theirs in zip(final, matrices, strict=True):
        # Sums in another order, fifty times.
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_time_is_the_learning_rate_times_the_steps(run, starts):
    trajectory = run(starts[0], max_steps=50)
    np.testing.assert_allclose(trajectory.time, 0.1 * trajectory.step, rtol=1e-15)


@pytest.mark.parametrize("learning_rate", [0.0, -0.1, math.nan, math.inf])
def test_a_learning_rate_must_be_positive_and_finite(learning_rate):
    with pytest.raises(ValueError, match="must be positive and finite"):
        GradientDescent(learning_rate)
