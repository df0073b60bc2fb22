"""Formulas broken a little, one at a time, are all found out, at orders 3 to 6."""

import jax
import numpy as np
import pytest

from rankrise.theory import (
    _conservation,
    _escape,
    _growth,
    _growth_bounds,
    _matrix_growth,
    check_conservation,
    check_escape,
    check_growth,
    check_growth_bounds,
    check_matrix_growth,
)

from .conftest import COMPONENTS, a_start, completion

MODULES = (_conservation, _growth, _growth_bounds, _matrix_growth)
DIMS = {3: (3, 4, 2), 4: (2, 3, 2, 2), 5: (2, 2, 3, 2, 2), 6: (2, 2, 2, 2, 2, 2)}


def few_bounds(problem, start):
    return check_growth_bounds(problem, start, component_times=3000)


def own_escape(problem, start):
    return check_escape(problem, orders=())


def one_depth(problem, start):
    return check_matrix_growth(problem, depths=(len(problem.mode_dims),))


def scaled(factor):
    return lambda f, *a: factor * f(*a)


def thousandth_more(norms, pull, order):
    return 1.001 * _growth.balanced_rate(norms, pull, order)


def tenth_epsilon(formula, norms, pull, epsilon, order):
    return formula(norms, pull, epsilon / 10, order)


def lower_power(formula, norms, pull, epsilon, order):
    return formula(norms, pull, epsilon, order - 1) * order / (order - 1)


BALANCED = (check_growth, _growth, "balanced_rate")
GENERAL = (check_growth, _growth, "general_rate")
INTEGRAL = (check_growth, _growth, "integrated")
SMALL = (few_bounds, _growth_bounds, "small_bound")
LARGE = (few_bounds, _growth_bounds, "large_bound")
CONSERVED = (check_conservation, _conservation, "conserved")
DESCENT = (check_conservation, _conservation, "descent_change")
ESCAPED = (own_escape, _escape, "constant_pull_norm")
MATRIX = (one_depth, _matrix_growth, "matrix_rate")

MUTANTS = {
    "balanced rate: factor": (*BALANCED, scaled(1.001)),
    "balanced rate: N less one": (
        *BALANCED,
        lambda f, s, g, n: f(s, g, n) * (n - 1) / n,
    ),
    "balanced rate: exponent": (*BALANCED, lambda f, s, g, n: n * s ** (2 - 1 / n) * g),
    "balanced rate: sign": (*BALANCED, scaled(-1)),
    "general rate: factor": (*GENERAL, scaled(0.999)),
    "general rate: exponent": (*GENERAL, lambda f, s, g, w: f(s**0.99, g, w)),
    "general rate: norms unsquared": (*GENERAL, lambda f, s, g, w: f(s, g, w**0.5)),
    "general rate: sign": (*GENERAL, scaled(-1)),
    # A rate that is right at each time cannot be wrong between them: this is the sum.
    "integral: factor": (
        *INTEGRAL,
        lambda f, p, start, laws, times, **o: f(
            p, start, type(laws)(thousandth_more, laws.general), times, **o
        ),
    ),
    "lower bound: factor": (*SMALL, scaled(1.001)),
    "lower bound: loosened": (*SMALL, scaled(0.999)),
    "lower bound: exponent": (*SMALL, lambda f, s, g, e, n: f(s**0.99, g, e, n)),
    "lower bound: sign": (*SMALL, scaled(-1)),
    "lower bound: a tenth of epsilon": (
        *SMALL,
        lambda f, s, g, e, n: f(s, g, e / 10, n),
    ),
    "upper bound: factor": (*LARGE, scaled(0.999)),
    "upper bound: loosened": (*LARGE, scaled(1.001)),
    "upper bound: exponent": (
        *LARGE,
        lambda f, s, g, e, n: f(s, g, e, n - 1) * n / (n - 1),
    ),
    "upper bound: sign": (*LARGE, scaled(-1)),
    "upper bound: a tenth of epsilon": (
        *LARGE,
        lambda f, s, g, e, n: f(s, g, e / 10, n),
    ),
    "conserved: a power": (*CONSERVED, lambda f, s: f(s**1.01)),
    "conserved: a sum": (*CONSERVED, lambda f, s: s + s[..., :1, :]),
    "descent: factor": (*DESCENT, scaled(1.001)),
    "descent: exponent": (*DESCENT, lambda f, eta, g: f(eta**0.5, g)),
    "descent: sign": (*DESCENT, scaled(-1)),
    "escape: factor": (*ESCAPED, lambda f, t, g, u, n: f(t, 1.001 * g, u, n)),
    "escape: exponent": (*ESCAPED, lambda f, t, g, u, n: f(t, g, u, n + 1)),
    "escape: sign": (*ESCAPED, lambda f, t, g, u, n: f(t, -g, u, n)),
    "matrix rate: factor": (*MATRIX, scaled(1.001)),
    "matrix rate: exponent": (*MATRIX, lambda f, s, g, n: n * s ** (2 - 1 / n) * g),
    "matrix rate: sign": (*MATRIX, scaled(-1)),
}


@pytest.fixture(
    scope="module",
    params=[3, *(pytest.param(n, marks=pytest.mark.slow) for n in (4, 5, 6))],
)
def setting(request):
    """A problem and a start, whose flows are followed once for all formulas."""
    dims = DIMS[request.param]
    # At order 3 of the shapes of other tests, so that their programs serve here too.
    share, components = (0.7, COMPONENTS) if len(dims) == 3 else (0.8, 3)
    # Unequal along modes too, so that no exponent is hidden by a norm near one.
    problem, start = completion(dims, share), a_start(dims, components, init_scale=0.5)
    runs = {}

    def once(follow):
        def remembered(problem, given):
            leaves = jax.tree.leaves(
                given if follow.__name__ != "loosely" else given[1]
            )
            key = (follow.__name__, *(np.asarray(leaf).tobytes() for leaf in leaves))
            if key not in runs:
                runs[key] = follow(problem, given)
            return runs[key]

        return remembered

    with pytest.MonkeyPatch.context() as patch:
        for module in MODULES:
            for name in ("learned_run", "loosely"):
                if hasattr(module, name):
                    patch.setattr(module, name, once(getattr(module, name)))
        yield problem, start


@pytest.mark.parametrize("name", MUTANTS)
def test_a_formula_a_little_off_is_violated(name, setting, monkeypatch):
    check, module, formula, wrong = MUTANTS[name]
    right = getattr(module, formula)
    monkeypatch.setattr(module, formula, lambda *a, **k: wrong(right, *a, **k))
    claim = check(*setting)
    assert claim.verdict == "violated", claim.explanation


@pytest.mark.parametrize(
    "check", [check_conservation, check_growth, few_bounds, own_escape, one_depth]
)
def test_the_formulas_themselves_hold(check, setting):
    claim = check(*setting)
    assert claim.verdict == "holds", claim.explanation
    assert claim.error <= claim.tolerance
    # A bound of the error as wide as the tolerance would let anything pass.
    assert claim.measuring_error <= claim.tolerance
    assert claim.compared > 40
    # A run still at the saddle would satisfy everything.
    if "loss_ratio" in claim.moved:
        assert claim.moved["loss_ratio"] <= 0.1
    if check is check_growth:
        assert claim.numbers["integrated_error"] < 1e-12
