"""Gradient descent whose learning rate follows the size of the gradient."""

import math

import jax
import numpy as np
import pytest

from rankrise import InputError
from rankrise.factorizations import near_zero
from rankrise.solvers import AdaptiveGradientDescent, Stop
from rankrise.trajectories import SaveAt

SOLVER = AdaptiveGradientDescent(learning_rate=0.02, decay=0.9)


@pytest.fixture(scope="module")
def solved(run, starts):
    return run(
        starts[0], solver=SOLVER, max_steps=50, save_at=SaveAt.every(1), stop=Stop()
    )


@pytest.fixture(scope="module")
def reference(starts, numpy_gradient):
    """Factor matrices after fifty steps of the paper's rule, and learning rates."""
    matrices = [np.asarray(matrix) for matrix in starts[0].factor_matrices]
    average, rates = 0.0, []
    for step in range(1, 51):
        slopes = numpy_gradient(matrices)
        squared_norm = sum(np.sum(slope**2) for slope in slopes)
        average = 0.9 * average + 0.1 * squared_norm
        rates.append(0.02 / (math.sqrt(average / (1 - 0.9**step)) + 1e-6))
        matrices = [w - rates[-1] * g for w, g in zip(matrices, slopes, strict=True)]
    return matrices, rates


def test_fifty_steps_are_those_of_the_written_out_rule(solved, reference):
    for ours, theirs in zip(solved.model.factor_matrices, reference[0], strict=True):
        # Sums in another order, fifty times.
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_weight_decay_is_a_part_of_the_gradient_as_in_the_authors_code(
    run, starts, numpy_gradient
):
    solver = AdaptiveGradientDescent(0.02, decay=0.9, weight_decay=0.3)
    solved = run(starts[0], solver=solver, max_steps=50, stop=Stop())
    matrices = [np.asarray(matrix) for matrix in starts[0].factor_matrices]
    average = 0.0
    for step in range(1, 51):
        slopes = [
            slope + 0.3 * matrix
            for slope, matrix in zip(numpy_gradient(matrices), matrices, strict=True)
        ]
        average = 0.9 * average + 0.1 * sum(np.sum(slope**2) for slope in slopes)
        rate = 0.02 / (math.sqrt(average / (1 - 0.9**step)) + 1e-6)
        matrices = [w - rate * g for w, g in zip(matrices, slopes, strict=True)]
    for ours, theirs in zip(solved.model.factor_matrices, matrices, strict=True):
        # Sums in another order, fifty times.
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["learning_rate", "decay", "weight_decay"])
@pytest.mark.parametrize("given", ["0.1", None, True, np.ones(2)])
def test_what_is_no_number_is_refused(name, given):
    with pytest.raises(InputError, match=f"{name.replace('_', ' ')} is .*; give a num"):
        AdaptiveGradientDescent(**{name: given})


@pytest.mark.parametrize("weight_decay", [-0.1, math.inf, math.nan])
def test_a_weight_decay_that_is_none_is_refused(weight_decay):
    with pytest.raises(ValueError, match=r"weight decay is .*finite number from 0"):
        AdaptiveGradientDescent(weight_decay=weight_decay)


def test_time_is_the_sum_of_learning_rates(solved, reference):
    expected = np.concatenate([[0], np.cumsum(reference[1])])
    np.testing.assert_allclose(solved.time, expected, rtol=1e-11)
    # Rates that hardly vary could hide a sum that is one step off.
    assert np.ptp(reference[1]) > 0.1 * np.mean(reference[1])


def test_at_a_tiny_start_the_constant_sets_the_learning_rate(run, problem):
    start = near_zero(problem.mode_dims, 3, init_scale=1e-7, key=jax.random.key(0))
    solved = run(
        start, solver=SOLVER, max_steps=50, save_at=SaveAt.every(1), stop=Stop()
    )
    # The gradient is of order 1e-14, and 1e-6 + 1e-14 is 1e-6 to a part in 1e8.
    np.testing.assert_allclose(np.diff(solved.time), 0.02 / 1e-6, rtol=1e-6)


def test_the_defaults_are_the_paper_s():
    solver = AdaptiveGradientDescent()
    assert (solver.learning_rate, solver.decay) == (0.01, 0.99)


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.5, math.nan])
def test_a_decay_must_lie_between_0_and_1(decay):
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        AdaptiveGradientDescent(decay=decay)


def test_a_learning_rate_must_be_positive_and_finite():
    with pytest.raises(ValueError, match="must be positive and finite"):
        AdaptiveGradientDescent(learning_rate=0.0)
