"""Steps on some of the observations at a time."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.factorizations import DenseTensor
from rankrise.problems import CompletionProblem
from rankrise.solvers import AbstractSolver, GradientDescent, Minibatch, Step, Stop
from rankrise.tensors import Observations

OBSERVATIONS = 12


class Witness(AbstractSolver):
    """Leaves the model alone and remembers the observed values of its step."""

    batch_size: int

    def init(self, problem, model):
        return jnp.zeros(self.batch_size)

    def step(self, problem, model, state, remaining):
        return Step(model, problem.values, jnp.zeros(()), jnp.zeros(()))


def epochs(count, batch_size, seed=0):
    """Which observations each step of some epochs saw: epoch x step x observation."""
    array = np.arange(float(OBSERVATIONS)).reshape(4, 3)
    problem = CompletionProblem.from_observations(Observations.from_array(array))
    solver = Minibatch(Witness(batch_size), batch_size, seed)
    model = DenseTensor(jnp.zeros((4, 3)))
    endless = jnp.asarray(jnp.inf)
    step = eqx.filter_jit(lambda s: solver.step(problem, model, s, endless).state)
    state, seen = solver.init(problem, model), []
    for _ in range(count * (OBSERVATIONS // batch_size)):
        state = step(state)
        seen.append(np.asarray(state.inner))
    return np.array(seen, dtype=int).reshape(count, -1, batch_size)


@pytest.fixture(scope="module")
def four_a_step():
    return epochs(3, 4)


def test_an_epoch_sees_each_observation_once(four_a_step):
    for epoch in four_a_step:
        np.testing.assert_array_equal(np.sort(epoch, axis=None), range(OBSERVATIONS))


def test_epochs_are_shuffled_anew(four_a_step):
    first, second, third = (epoch.ravel().tolist() for epoch in four_a_step)
    assert first != sorted(first)
    assert first != second != third != first


def test_a_seed_fixes_the_order_and_another_changes_it(four_a_step):
    np.testing.assert_array_equal(epochs(3, 4), four_a_step)
    assert (epochs(3, 4, seed=1) != four_a_step).any()


def test_a_batch_that_would_be_smaller_is_left_out():
    for epoch in epochs(3, 5):
        assert epoch.shape == (2, 5)
        assert len(np.unique(epoch)) == 10


def assert_equal_factors(first, second):
    for ours, theirs in zip(first.factor_matrices, second.factor_matrices, strict=True):
        # Sums in another order, fifty times.
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_a_batch_of_all_observations_is_the_full_gradient(run, starts, problem):
    solver = Minibatch(GradientDescent(0.1), problem.observations)
    whole = run(starts[0], max_steps=50)
    shuffled = run(starts[0], solver=solver, max_steps=50, stop=Stop())
    assert_equal_factors(shuffled.model, whole.model)


@pytest.mark.slow
def test_runs_of_a_batch_see_the_same_minibatches_as_alone(run, starts):
    solver = Minibatch(GradientDescent(0.1), 5, seed=3)
    options = {"solver": solver, "max_steps": 50, "stop": Stop()}
    together = run(starts[:2], **options)
    for start, model in zip(starts[:2], together.models, strict=True):
        assert_equal_factors(model, run(start, **options).model)


@pytest.mark.parametrize("batch_size", [0, 21])
def test_a_batch_size_beyond_the_observations_is_refused(batch_size, run, starts):
    with pytest.raises(InputError, match=f"{batch_size} for 20 observations"):
        run(starts[0], solver=Minibatch(GradientDescent(0.1), batch_size), max_steps=5)
