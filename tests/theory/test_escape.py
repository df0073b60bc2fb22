"""Growth under a constant pull."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.factorizations import near_zero
from rankrise.problems import CompletionProblem
from rankrise.theory import check_escape
from rankrise.theory._critical_direction import contract_all_but, critical_direction
from rankrise.theory._escape import constant_pull_norm, escape_time


@pytest.mark.slow
def test_escape_holds_under_the_problem_s_own_gradient(problem):
    claim = check_escape(problem, orders=())
    assert claim.verdict == "holds", claim.explanation
    assert claim.error < 1e-10
    assert claim.moved["norm_growth"] > 1000


@pytest.mark.slow
def test_escape_holds_at_orders_two_to_five(problem):
    claim = check_escape(problem, orders=(2, 3, 4, 5))
    assert claim.verdict == "holds", claim.explanation
    assert [f"error_order_{order}" in claim.numbers for order in (2, 3, 4, 5)] == (
        [True] * 4
    )


@pytest.mark.parametrize("order", [2, 3, 4, 5])
def test_the_solution_obeys_its_equation(order):
    pull, start = 0.7, 0.5
    times = np.linspace(0, 0.3, 301)
    norms = constant_pull_norm(times, pull, start, order)
    slopes = np.gradient(norms, times, edge_order=2)
    # Central differences err by the square of a thousandth.
    np.testing.assert_allclose(
        slopes[1:-1], (pull * norms ** (order - 1))[1:-1], rtol=1e-5
    )


def test_only_order_two_takes_forever():
    assert escape_time(1.0, 0.1, 2) == np.inf
    assert escape_time(2.0, 0.1, 3) == pytest.approx(5)
    assert escape_time(2.0, 0.1, 4) == pytest.approx(25)


def test_a_critical_direction_is_one():
    tensor = jax.random.normal(jax.random.key(0), (3, 4, 2))
    random = near_zero((3, 4, 2), 1, init_scale=1.0, key=jax.random.key(1))
    direction = critical_direction(tensor, random)
    vectors = [matrix[:, 0] for matrix in direction.factor_matrices]
    pull = jnp.sum(tensor * direction.end_tensor())
    assert pull > 0
    for mode, vector in enumerate(vectors):
        slope = contract_all_but(tensor, vectors, mode)
        np.testing.assert_allclose(slope, pull * vector, atol=1e-13)


def test_nothing_escapes_without_a_pull(problem):
    empty = CompletionProblem(
        problem.indices,
        jnp.zeros_like(problem.values),
        problem.mode_dims,
        problem.loss_function,
        None,
    )
    with pytest.raises(InputError, match="nothing is pulled anywhere"):
        check_escape(empty)


def test_a_vector_is_no_tensor(problem):
    with pytest.raises(InputError, match="a tensor has at least two modes"):
        check_escape(problem, orders=(1, 3))
