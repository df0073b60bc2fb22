"""Optimizers of optax, against a plain loop of optax."""

import jax
import numpy as np
import optax
import pytest

from rankrise.solvers import OptaxDescent, Stop

OPTIMIZERS = {
    "adam": optax.adam(0.01),
    "momentum": optax.sgd(0.05, momentum=0.9),
}


@pytest.fixture(scope="module", params=OPTIMIZERS)
def optimizer(request):
    return OPTIMIZERS[request.param]


@pytest.fixture(scope="module")
def solved(run, starts, optimizer):
    return run(starts[0], solver=OptaxDescent(optimizer), max_steps=50, stop=Stop())


def test_fifty_steps_are_those_of_a_plain_optax_loop(
    solved, optimizer, problem, starts
):
    @jax.jit
    def step(model, state):
        gradient = jax.grad(problem.loss)(model)
        updates, state = optimizer.update(gradient, state, model)
        return optax.apply_updates(model, updates), state

    # optax itself adds integers to floats.
    with jax.numpy_dtype_promotion("standard"):
        model, state = starts[0], optimizer.init(starts[0])
        for _ in range(50):
            model, state = step(model, state)
    for ours, theirs in zip(
        solved.model.factor_matrices, model.factor_matrices, strict=True
    ):
        # The same operations, fused differently.
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_there_is_no_reading_on_the_clock_of_gradient_flow(solved):
    assert np.isnan(solved.time[1:]).all()
