"""Completion problems: weighted means over observed entries."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.factorizations import CPFactorization, DenseTensor, end_gradient
from rankrise.losses import (
    AbsoluteLoss,
    HuberLoss,
    LogisticLoss,
    SmoothL1Loss,
    SquaredLoss,
)
from rankrise.problems import CompletionProblem
from rankrise.tensors import Observations

MODE_DIMS = (2, 3, 4)
# Means of a dozen numbers of order 1.
ROUNDING = {"rtol": 1e-13, "atol": 1e-14}

loss_and_gradient = jax.jit(
    jax.value_and_grad(lambda model, problem: problem.loss(model))
)


def random_model(dtype=np.float64, mode_dims=MODE_DIMS):
    rng = np.random.default_rng(0)
    return CPFactorization(
        tuple(jnp.asarray(rng.normal(size=(dim, 2)), dtype) for dim in mode_dims)
    )


def random_observations(*, weighted=False):
    """Half of the entries, in no order, under weights one of which is zero."""
    rng = np.random.default_rng(1)
    rows = rng.permutation(np.argwhere(np.ones(MODE_DIMS)))[:12]
    weights = rng.uniform(0.5, 2.0, size=12) if weighted else None
    if weighted:
        weights[3] = 0.0
    values = rng.normal(size=12)
    return Observations.from_coordinates(rows, values, MODE_DIMS, weights=weights)


def slow_loss(model, observations, loss):
    tensor = np.asarray(model.end_tensor())
    predictions = np.array([tensor[tuple(row)] for row in observations.indices])
    losses = loss(jnp.asarray(predictions), jnp.asarray(observations.values))
    return np.average(np.asarray(losses), weights=observations.weights)


def assert_same_loss_and_gradient(problem, other):
    model = random_model()
    for one, two in zip(
        jax.tree.leaves(loss_and_gradient(model, problem)),
        jax.tree.leaves(loss_and_gradient(model, other)),
        strict=True,
    ):
        np.testing.assert_allclose(one, two, **ROUNDING)


@pytest.mark.parametrize(
    ("loss", "weighted"),
    [
        (SquaredLoss(), False),
        (SquaredLoss(), True),
        (AbsoluteLoss(), False),
        (HuberLoss(0.3), True),
        (SmoothL1Loss(0.3), True),
    ],
)
def test_loss_is_the_weighted_mean_over_observed_entries(loss, weighted):
    observations = random_observations(weighted=weighted)
    problem = CompletionProblem.from_observations(observations, loss)
    value, _ = loss_and_gradient(random_model(), problem)
    expected = slow_loss(random_model(), observations, loss)
    np.testing.assert_allclose(value, expected, **ROUNDING)


def test_loss_is_squared_by_default():
    problem = CompletionProblem.from_observations(random_observations())
    assert problem.loss_function == SquaredLoss()


def test_gradient_by_the_end_tensor_is_that_of_the_observed_entries():
    observations = random_observations(weighted=True)
    problem = CompletionProblem.from_observations(observations)
    model = random_model()
    expected = np.zeros(MODE_DIMS)
    tensor = np.asarray(model.end_tensor())
    total = observations.weights.sum()
    for row, value, weight in zip(
        observations.indices, observations.values, observations.weights, strict=True
    ):
        entry = tuple(row)
        expected[entry] = 2 * weight * (tensor[entry] - value) / total
    computed = end_gradient(problem.loss, model)
    np.testing.assert_allclose(computed, expected, **ROUNDING)


def test_scaling_all_weights_changes_nothing():
    observations = random_observations(weighted=True)
    scaled = dataclasses.replace(observations, weights=1e3 * observations.weights)
    assert_same_loss_and_gradient(
        CompletionProblem.from_observations(observations),
        CompletionProblem.from_observations(scaled),
    )


def test_weight_zero_leaves_an_observation_out():
    observations = random_observations(weighted=True)
    kept = observations.take(np.delete(np.arange(12), 3))
    assert observations.weights[3] == 0
    assert_same_loss_and_gradient(
        CompletionProblem.from_observations(observations),
        CompletionProblem.from_observations(kept),
    )


@pytest.mark.parametrize(("weighted", "loss"), [(False, None), (True, HuberLoss(0.3))])
def test_minibatch_is_the_problem_of_the_subset(weighted, loss):
    observations = random_observations(weighted=weighted)
    rows = np.array([7, 0, 3, 11])
    problem = CompletionProblem.from_observations(observations, loss)
    subset = CompletionProblem.from_observations(observations.take(rows), loss)
    taken = problem.take(jnp.asarray(rows))
    assert taken.observations == 4
    assert taken.loss_function == subset.loss_function
    assert_same_loss_and_gradient(taken, subset)


def test_minibatch_of_weight_zero_asks_nothing():
    problem = CompletionProblem.from_observations(random_observations(weighted=True))
    value, gradient = loss_and_gradient(random_model(), problem.take(jnp.array([3])))
    assert value == 0
    for slope in gradient.factor_matrices:
        np.testing.assert_array_equal(slope, 0.0)


def test_relative_error_compares_residuals_with_values():
    observations = random_observations()
    problem = CompletionProblem.from_observations(observations)
    # Predictions of 0 are off by the values themselves; of 3y by twice as much.
    tensor = np.nan_to_num(observations.dense())
    errors = [
        problem.relative_error(DenseTensor(jnp.asarray(c * tensor))) for c in (0, 1, 3)
    ]
    np.testing.assert_allclose(errors, [1.0, 0.0, 2.0], **ROUNDING)


@pytest.mark.parametrize(
    ("values", "guess", "error"),
    [
        ([0.0, 0.0], 0.0, 0.0),
        ([0.0, 0.0], 1.0, math.inf),
        ([0.0, 0.0], math.nan, math.inf),
        ([3.0, 3.0], 3.0, 0.0),
        ([3.0, 3.0], math.nan, math.nan),
    ],
)
def test_relative_error_is_zero_for_a_perfect_fit_only(values, guess, error):
    observations = Observations.from_coordinates([[0, 0], [1, 1]], values)
    problem = CompletionProblem.from_observations(observations)
    model = DenseTensor(jnp.full((2, 2), guess))
    np.testing.assert_array_equal(problem.relative_error(model), error)


@pytest.mark.parametrize("observed", [0.0, 3.0])
@pytest.mark.parametrize("guess", [0.0, 3.0])
def test_relative_error_has_a_finite_gradient(observed, guess):
    observations = Observations.from_coordinates([[0, 0], [1, 1]], [observed] * 2)
    problem = CompletionProblem.from_observations(observations)
    model = DenseTensor(jnp.full((2, 2), guess))
    gradient = jax.grad(problem.relative_error)(model)
    assert np.isfinite(gradient.tensor).all()


def test_fitting_model_is_accepted():
    problem = CompletionProblem.from_observations(random_observations())
    problem.check_model(random_model())


def test_model_of_other_mode_dimensions_is_refused():
    problem = CompletionProblem.from_observations(random_observations())
    with pytest.raises(
        InputError, match=r"\(4, 3, 2\) but the problem has \(2, 3, 4\)"
    ):
        problem.check_model(random_model(mode_dims=(4, 3, 2)))


def test_model_of_another_precision_is_refused():
    problem = CompletionProblem.from_observations(random_observations())
    with pytest.raises(InputError, match="in float32 but the problem in float64"):
        problem.check_model(random_model(np.float32))


def test_values_beyond_the_precision_are_named():
    observations = Observations.from_coordinates([[0, 0], [1, 1]], [1.0, 1e300])
    CompletionProblem.from_observations(observations)
    with (
        jax.enable_x64(False),
        pytest.raises(InputError, match=r"Observation 1 has the value 1e\+300"),
    ):
        CompletionProblem.from_observations(observations)


def test_values_that_do_not_fit_the_loss_are_refused():
    with pytest.raises(InputError, match="labels are 0 and 1"):
        CompletionProblem.from_observations(random_observations(), LogisticLoss())
