"""Claims along the flow hold, and fail when their formula is broken on purpose."""

import jax.numpy as jnp
import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.factorizations import CPFactorization, DenseTensor
from rankrise.losses import HuberLoss
from rankrise.problems import CompletionProblem
from rankrise.theory import (
    _conservation,
    _growth,
    _growth_bounds,
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


def broken(module, name, changed):
    """Replace a formula by one made from it."""
    formula = getattr(module, name)
    return module, name, lambda *args: changed(formula, *args)


@pytest.fixture(scope="module", params=CHECKS)
def claim(request, problem, start):
    return request.param(problem, start)


def test_claim_holds_on_completion(claim):
    assert claim.verdict == "holds", claim.explanation
    # A run still at the saddle would satisfy everything.
    assert claim.moved["loss_ratio"] <= 0.1
    assert claim.error <= claim.tolerance


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


BREAKS = {
    "conservation: a cube": (
        check_conservation,
        broken(_conservation, "conserved", lambda f, s: f(s**1.5)),
    ),
    "conservation: a sum": (
        check_conservation,
        broken(_conservation, "conserved", lambda f, s: s + s[..., :1, :]),
    ),
    "descent: the sign": (
        check_conservation,
        broken(_conservation, "descent_change", lambda f, *a: -f(*a)),
    ),
    "descent: the exponent": (
        check_conservation,
        broken(_conservation, "descent_change", lambda f, e, g: f(e**0.5, g)),
    ),
    "growth: factor N": (
        check_growth,
        broken(_growth, "balanced_rate", lambda f, s, g, n: f(s, g, n) / n),
    ),
    "growth: the sign": (
        check_growth,
        broken(_growth, "balanced_rate", lambda f, *a: -f(*a)),
    ),
    "growth: the exponent": (
        check_growth,
        broken(_growth, "balanced_rate", lambda f, s, g, n: n * s ** (2 - 1 / n) * g),
    ),
    "growth off balance: the exponent": (
        check_growth,
        broken(_growth, "general_rate", lambda f, s, g, w: f(s, g, jnp.sqrt(w))),
    ),
    "small bound: factor N": (
        check_growth_bounds,
        broken(_growth_bounds, "small_bound", lambda f, s, g, e, n: f(s, g, e, n) * n),
    ),
    "large bound: factor N": (
        check_growth_bounds,
        broken(_growth_bounds, "large_bound", lambda f, s, g, e, n: f(s, g, e, n) / n),
    ),
    "small bound: loosened": (
        check_growth_bounds,
        broken(_growth_bounds, "small_bound", lambda f, s, g, e, n: f(s, g, e, n) / n),
    ),
    "large bound: the exponent": (
        check_growth_bounds,
        broken(
            _growth_bounds,
            "large_bound",
            lambda f, s, g, e, n: n * g * (s ** (2 / n) + e) ** n,
        ),
    ),
    "bounds: the sign": (
        check_growth_bounds,
        broken(_growth_bounds, "large_bound", lambda f, *a: -f(*a)),
    ),
}


@pytest.mark.parametrize("case", BREAKS)
def test_a_broken_formula_is_found_out(case, problem, start, monkeypatch):
    check, change = BREAKS[case]
    monkeypatch.setattr(*change)
    claim = check(problem, start)
    assert claim.verdict == "violated"
    assert claim.error > 100 * claim.tolerance


def test_growth_is_checked_integrated_too(problem, start, monkeypatch):
    claim = check_growth(problem, start)
    assert claim.numbers["integrated_error"] < 1e-10
    # A rate that is right at each time cannot be wrong between them, so break the sum.
    whole = _growth.integrals
    monkeypatch.setattr(_growth, "integrals", lambda t, r: 1.001 * whole(t, r))
    assert check_growth(problem, start).numbers["integrated_error"] > 1e-5


@pytest.mark.parametrize("claim", [check_growth_bounds], indirect=True)
def test_bounds_look_at_ten_thousand_rates_of_both_signs(claim):
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
def test_bounds_need_both_signs_of_the_pull(problem):
    # A component that starts along the only one there is is pulled up all the way.
    target = a_start(MODE_DIMS, 1, init_scale=1.0)
    problem = with_values(problem, target.entries(problem.indices))
    start = CPFactorization(tuple(0.5 * w for w in target.factor_matrices))
    claim = check_growth_bounds(problem, start, component_times=100)
    assert claim.verdict == "not tested"
    assert "only one of the two cases occurred" in claim.explanation


@pytest.mark.parametrize(
    "check",
    [
        check_conservation,
        pytest.param(check_growth, marks=pytest.mark.slow),
        pytest.param(check_growth_bounds, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_cannot_move_is_not_tested(check, problem):
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
