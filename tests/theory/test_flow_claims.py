"""Claims along the flow: what they are tested on, and what is refused.

That they hold, and fail when a formula is broken, is in `test_mutants.py`.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.factorizations import CPFactorization, DenseTensor
from rankrise.losses import AbsoluteLoss, AbstractLoss, HuberLoss
from rankrise.problems import CompletionProblem
from rankrise.tensors import Observations
from rankrise.theory import (
    _run,
    check_conservation,
    check_growth,
    check_growth_bounds,
)
from rankrise.theory._rates import (
    balance,
    dense_pull,
    end_gradient_of,
    relative_unbalancedness,
    unbalance,
)

from .conftest import COMPONENTS, MODE_DIMS, a_start, completion, sensing

CHECKS = (check_conservation, check_growth, check_growth_bounds)


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    "make",
    [
        lambda: completion((5, 6), 0.8),
        lambda: completion((2, 3, 2, 3), 0.9),
        lambda: completion(MODE_DIMS, 0.7, weights=(0.5, 2.0)),
        lambda: completion(MODE_DIMS, 0.7, HuberLoss(0.3)),
        lambda: sensing(MODE_DIMS, 18, "dense"),
        lambda: sensing(MODE_DIMS, 18, "factored"),
    ],
    ids=["order 2", "order 4", "weights", "huber", "sensing", "factored sensing"],
)
def test_claim_holds_on_every_problem(check, make):
    problem = make()
    claim = check(problem, a_start(problem.mode_dims))
    assert claim.verdict == "holds", claim.explanation


@dataclass(frozen=True)
class LogCoshLoss(AbstractLoss):
    """Of no list, and smooth."""

    def __call__(self, predictions, values):
        gap = predictions - values
        return jnp.logaddexp(gap, -gap) - jnp.log(2.0)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [LogCoshLoss(), HuberLoss(0.3)])
def test_growth_is_integrated_with_every_loss(loss, start):
    claim = check_growth(completion(MODE_DIMS, 0.7, loss), start)
    assert claim.verdict == "holds", claim.explanation
    assert claim.numbers["integrated_times"] > 1000


@pytest.mark.slow
def test_growth_of_a_loss_whose_flow_stays_at_kinks_is_not_tested(start):
    claim = check_growth(completion(MODE_DIMS, 0.7, AbsoluteLoss()), start)
    assert claim.verdict == "not tested"
    assert "The loss ended at" in claim.explanation


@pytest.fixture(scope="module")
def noisy():
    """All entries of a tensor of CP rank two, with noise of half their deviation."""
    rng = np.random.default_rng(0)
    tensor = np.einsum("ir,jr,kr->ijk", *(rng.normal(size=(d, 2)) for d in (4, 5, 3)))
    tensor += 0.5 * tensor.std() * rng.normal(size=tensor.shape)
    tensor /= np.sqrt(np.mean(tensor**2))
    return CompletionProblem.from_observations(Observations.from_array(tensor))


@pytest.mark.slow
def test_growth_holds_under_noise_however_long_the_run(noisy):
    # A grid of 16 intervals missed the change of norms by 5e-5.
    start = a_start(noisy.mode_dims, 3, init_scale=0.2, seed=2)
    claim = check_growth(noisy, start)
    assert claim.verdict == "holds", claim.explanation
    assert claim.numbers["integrated_error"] < 1e-11


@pytest.mark.slow
def test_a_run_out_of_steps_is_judged_by_what_was_saved(noisy, monkeypatch):
    # One component cannot fit the noise: its run goes on at rest until the limit.
    monkeypatch.setattr(_run, "MOST_STEPS", 1500)
    start = a_start(noisy.mode_dims, 1, init_scale=0.2, seed=2)
    claim = check_conservation(noisy, start)
    assert 0.1 < claim.moved["loss_ratio"] < 1
    assert claim.moved["norm_growth"] > 10
    assert claim.verdict == "holds", claim.explanation


@pytest.mark.parametrize(
    "check", [check_conservation, pytest.param(check_growth, marks=pytest.mark.slow)]
)
def test_a_tolerance_finer_than_the_measuring_is_not_tested(check, problem, start):
    claim = check(problem, start, tolerance=1e-18)
    assert claim.verdict == "not tested"
    assert "The error of measuring" in claim.explanation


def test_bounds_look_at_ten_thousand_rates_of_both_signs(problem, start):
    claim = check_growth_bounds(problem, start)
    assert claim.verdict == "holds", claim.explanation
    numbers = claim.numbers
    assert numbers["component_times"] >= 10_000
    assert numbers["positive_pulls"] > 100
    assert numbers["negative_pulls"] > 100
    assert numbers["violations"] == 0


def with_values(problem, values):
    return CompletionProblem(
        problem.indices, values, problem.mode_dims, problem.loss_function, None
    )


@pytest.mark.slow
def test_a_start_that_only_rises_is_turned_around_as_well(problem):
    # A component that starts along the only one there is is pulled up all the way.
    target = a_start(MODE_DIMS, 1, init_scale=1.0)
    problem = with_values(problem, target.entries(problem.indices))
    start = CPFactorization(tuple(0.5 * w for w in target.factor_matrices))
    claim = check_growth_bounds(problem, start, component_times=100)
    assert claim.verdict == "holds", claim.explanation
    assert claim.numbers["positive_pulls"] > 50
    assert claim.numbers["negative_pulls"] > 50


@pytest.mark.parametrize(
    "check",
    [
        check_conservation,
        pytest.param(check_growth, marks=pytest.mark.slow),
        pytest.param(check_growth_bounds, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_cannot_move_is_not_tested(check, problem, monkeypatch):
    # It goes on at rest until the limit.
    monkeypatch.setattr(_run, "MOST_STEPS", 1500)
    # Components that are and stay equal, and signs that no tensor of CP rank 1 has.
    values = jnp.where(jnp.sum(problem.indices, axis=1) % 3 == 0, 1.0, -1.0)
    one = a_start(MODE_DIMS, 1)
    start = CPFactorization(
        tuple(jnp.repeat(w, COMPONENTS, 1) for w in one.factor_matrices)
    )
    claim = check(with_values(problem, values), start)
    assert claim.verdict == "not tested"
    assert "not at a tenth or less" in claim.explanation


@pytest.mark.parametrize("check", CHECKS)
def test_only_cp_factorizations_are_accepted(check, problem):
    with pytest.raises(InputError, match=r"about CP factorizations, not DenseTensor"):
        check(problem, DenseTensor(jnp.zeros(MODE_DIMS)))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("tolerance", [0.0, -1.0, np.inf, np.nan])
def test_the_tolerance_must_be_positive(check, tolerance, problem, start):
    with pytest.raises(InputError, match=r"The tolerance is .*; give a positive"):
        check(problem, start, tolerance=tolerance)


def test_balancing_keeps_the_tensor_and_its_components(start):
    for other in (balance(start), unbalance(start, 5.0)):
        np.testing.assert_allclose(other.end_tensor(), start.end_tensor(), rtol=1e-12)
        np.testing.assert_allclose(
            other.component_norms(), start.component_norms(), rtol=1e-12
        )
    assert relative_unbalancedness(balance(start)) < 1e-14
    assert relative_unbalancedness(unbalance(start, 5.0)) > 0.5


def test_the_dense_pull_is_the_pull(problem, start):
    gradient, _ = end_gradient_of(problem, start)
    np.testing.assert_allclose(
        dense_pull(gradient, start), start.pull(problem.loss), rtol=1e-12
    )


@dataclass(frozen=True)
class Flat(AbstractLoss):
    factor: float

    def __call__(self, predictions, values):
        return self.factor * predictions


@pytest.mark.parametrize(
    ("factor", "words"), [(0.0, "gradient zero"), (np.nan, "gradient no number")]
)
def test_a_loss_by_which_nothing_moves_is_refused(factor, words, start):
    with pytest.raises(InputError, match=words):
        check_growth(completion(MODE_DIMS, 0.7, Flat(factor)), start)


def test_a_claim_prints_its_verdict_in_few_lines(problem, start):
    printed = repr(check_conservation(problem, start))
    assert printed.startswith("<Claim conservation: holds.")
    assert len(printed) < 600
