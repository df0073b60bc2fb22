"""The reference for gradient flow, against solutions in closed form."""

import diffrax as dfx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.factorizations import DenseTensor, near_zero
from rankrise.losses import SquaredLoss
from rankrise.problems import CompletionProblem
from rankrise.solvers import flow_until, reference_flow, reference_flows

RATES = np.array([1.0, 4.0])
TIMES = np.array([0.5, 1.0, 3.0])


@pytest.fixture(scope="module")
def linear():
    """Two entries of a dense tensor: each decays at its weight's own rate."""
    return CompletionProblem(
        jnp.array([[0, 0], [0, 1]]),
        jnp.zeros(2),
        (1, 2),
        SquaredLoss(),
        jnp.asarray(RATES),
    )


@pytest.fixture(scope="module")
def ones():
    return DenseTensor(jnp.ones((1, 2)))


def decayed(times):
    """The loss is a weighted mean of squares: the sum of the rates is 5."""
    return np.exp(-2 * np.outer(times, RATES) / 5)[:, None, :]


@pytest.mark.parametrize(
    "method",
    [None, pytest.param(dfx.Tsit5(), marks=pytest.mark.slow), dfx.Kvaerno5()],
)
def test_the_flow_of_a_linear_problem_is_exponential(method, linear, ones):
    loose = {} if method is None else {"rtol": 1e-8, "atol": 1e-10}
    flow = reference_flow(linear, ones, TIMES, method=method, **loose)
    assert flow.succeeded
    np.testing.assert_allclose(
        flow.models.tensor, decayed(TIMES), rtol=1e-11 if method is None else 1e-6
    )


@pytest.mark.slow
def test_several_starts_at_once_are_those_one_by_one(linear, ones):
    starts = [ones, DenseTensor(2 * ones.tensor)]
    flows = reference_flows(linear, starts, TIMES)
    assert flows.models.tensor.shape == (2, 3, 1, 2)
    np.testing.assert_allclose(flows.models.tensor[0], decayed(TIMES), rtol=1e-11)
    np.testing.assert_allclose(flows.models.tensor[1], 2 * decayed(TIMES), rtol=1e-11)


def test_a_run_out_of_steps_says_so(linear, ones):
    flow = reference_flow(linear, ones, [1000.0], max_steps=2)
    assert not flow.succeeded
    assert not np.isfinite(flow.models.tensor).any()


def test_a_level_is_passed_by_less_than_a_step(linear, ones):
    crossing = flow_until(linear, ones, CompletionProblem.loss, 0.1)
    assert crossing.reached
    assert 0.02 < float(linear.loss(crossing.model)) <= 0.1
    assert crossing.step_times[-1] == crossing.time
    assert np.all(np.diff(crossing.step_times) > 0)
    np.testing.assert_allclose(
        crossing.model.tensor, decayed([crossing.time])[0], rtol=1e-11
    )


def test_a_level_is_passed_upwards_too(linear):
    problem = CompletionProblem(
        linear.indices, jnp.ones(2), (1, 2), SquaredLoss(), None
    )
    start = DenseTensor(jnp.full((1, 2), 0.1))
    crossing = flow_until(problem, start, lambda _, w: w.frobenius_norm(), 1.0)
    assert crossing.reached
    assert float(crossing.model.frobenius_norm()) >= 1.0


def test_a_level_that_is_never_passed_leaves_the_end_of_the_run(linear, ones):
    crossing = flow_until(linear, ones, CompletionProblem.loss, times=TIMES)
    assert not crossing.reached
    assert crossing.time == TIMES[-1]
    np.testing.assert_allclose(crossing.models.tensor, decayed(TIMES), rtol=1e-11)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"times": []}, "give a list of at least one"),
        ({"times": [1.0, 0.5]}, "increase from zero"),
        ({"times": [-1.0, 0.5]}, "increase from zero"),
        ({"times": [1.0, np.inf]}, "must be finite"),
        ({"times": [0.0]}, "The only time is zero"),
        ({"rtol": 0.0}, "both must lie between 0 and 1"),
        ({"max_steps": 0}, "at least one step is needed"),
    ],
)
def test_what_makes_no_sense_is_refused(options, words, linear, ones):
    with pytest.raises(InputError, match=words):
        reference_flow(linear, ones, **{"times": TIMES, **options})


def test_no_start_is_refused(linear):
    with pytest.raises(InputError, match="There are no starts"):
        reference_flows(linear, [], TIMES)


def test_another_shape_is_refused(linear):
    start = near_zero((2, 2), 1, init_scale=0.1, key=jax.random.key(0))
    with pytest.raises(InputError, match="mode dimensions"):
        reference_flow(linear, start, TIMES)


def test_single_precision_is_refused(linear, ones):
    single = jax.tree.map(
        lambda leaf: leaf.astype(jnp.float32) if leaf.dtype == jnp.float64 else leaf,
        (linear, ones),
    )
    with pytest.raises(InputError, match=r"too coarse for a reference; .*float64"):
        reference_flow(*single, TIMES)
