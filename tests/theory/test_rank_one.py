"""Rank-one trajectories, their assumptions, and the corollary."""

import re

import jax.numpy as jnp
import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.experiments import VerificationConfig
from rankrise.experiments._verification import _Problems
from rankrise.factorizations import CPFactorization
from rankrise.losses import HuberLoss, SmoothL1Loss, SquaredLoss
from rankrise.problems import CompletionProblem
from rankrise.theory import (
    _corollary,
    _rank_one,
    check_corollary,
    check_rank_one_trajectory,
)
from rankrise.theory._rank_one_setting import (
    NotApplicable,
    escape_bounds,
    leading_ratio,
    rank_one_setting,
    two_decades,
)

from .conftest import a_start, completion, sensing

ALPHAS = (0.1, 0.03, 0.01)


def changed(problem, loss=None, weights=None):
    return CompletionProblem(
        problem.indices,
        problem.values,
        problem.mode_dims,
        loss or problem.loss_function,
        weights,
    )


@pytest.fixture(scope="module", autouse=True)
def _followed_once():
    """One flow from each start for all tests, which break what is said about it, and
    one rank-one trajectory."""
    follow, known = _rank_one.passage, {}

    def remembered(setting, alpha, horizon, **tolerances):
        given = map(id, (setting.problem, setting.directions))
        start = (*given, setting.radius, alpha, horizon, *tolerances.values())
        if start not in known:
            # The setting too: what has another id must not get this one's.
            known[start] = setting, follow(setting, alpha, horizon, **tolerances)
        return known[start][1]

    compare, references = _rank_one.followed, {}

    def remembered_reference(problem, start, times, **tolerances):
        given = (
            np.asarray(array).tobytes() for array in (*start.factor_matrices, times)
        )
        beginning = (id(problem), *given, *tolerances.values())
        if beginning not in references:
            references[beginning] = (
                problem,
                compare(problem, start, times, **tolerances),
            )
        return references[beginning][1]

    shorten, settings = _rank_one.within_reach, {}

    def remembered_setting(setting):
        given = map(id, (setting.problem, setting.directions))
        start = (*given, setting.radius, setting.horizon, setting.bound)
        if start not in settings:
            settings[start] = setting, shorten(setting)
        return settings[start][1]

    with pytest.MonkeyPatch.context() as patch:
        for module in (_rank_one, _corollary):
            patch.setattr(module, "passage", remembered)
        patch.setattr(_rank_one, "within_reach", remembered_setting)
        patch.setattr(_rank_one, "followed", remembered_reference)
        yield


@pytest.fixture(scope="module")
def claim(huber):
    return check_rank_one_trajectory(*huber, alphas=ALPHAS)


def test_the_distance_falls_like_the_order_s_power_of_alpha(claim):
    assert claim.verdict == "holds", claim.explanation
    assert claim.measured >= 2
    # The other components' vectors stay of the order of alpha: the cube, in order 3.
    assert claim.measured == pytest.approx(3, abs=0.3)
    assert np.all(np.diff(claim.curves["distance"]) < 0)


def test_escape_times_lie_within_their_bounds(claim):
    curves = claim.curves
    assert np.all(curves["earliest"] < curves["escape_time"])
    assert np.all(curves["escape_time"] < curves["latest"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("components", "alphas", "words"),
    [
        (1, None, "one component alone is a rank-one trajectory itself"),
        (5, (0.001, 0.0003, 0.0001), "give larger ones"),
    ],
)
def test_distances_within_the_integrator_s_error_have_no_slope(
    components, alphas, words
):
    problems = _Problems(VerificationConfig(components=components), None)
    claim = check_rank_one_trajectory(
        problems.huber, problems.leading_start, alphas=alphas
    )
    assert claim.verdict == "not tested", claim.explanation
    assert words in claim.explanation
    assert claim.numbers["largest_distance"] < 4 * claim.numbers["integrator_error"]


@pytest.mark.parametrize("check", [check_rank_one_trajectory, check_corollary])
def test_a_start_outside_the_sphere_is_not_tested(check, huber, monkeypatch):
    # Where W* is has no part in it.
    monkeypatch.setattr(_corollary, "_premise", lambda *_: _Fulfilled())
    claim = check(*huber, alphas=(2.0, 0.1, 0.05))
    assert claim.verdict == "not tested"
    assert "starts outside the sphere" in claim.explanation


class _Fulfilled:
    fulfilled = True


@pytest.mark.slow
def test_the_default_sweep_covers_two_decades(huber):
    claim = check_rank_one_trajectory(*huber)
    assert claim.verdict == "holds", claim.explanation
    alphas = claim.curves["alpha"]
    assert alphas[0] / alphas[-1] == pytest.approx(100)


@pytest.mark.slow
@pytest.mark.parametrize("check", [check_rank_one_trajectory, check_corollary])
def test_order_four_and_unequal_mode_dimensions(check):
    config = VerificationConfig(mode_dims=(2, 3, 2, 3), observations=26, seed=0)
    problems = _Problems(config, None)
    claim = check(problems.huber, problems.leading_start)
    assert claim.verdict != "violated", claim.explanation


def turned(model):
    first, *others = model.factor_matrices
    return CPFactorization((-first, *others))


BREAKS = {
    "the sphere": ("on_sphere", lambda f, m, leader, rho: f(m, leader, 1.1 * rho)),
    "the sign": ("on_sphere", lambda f, m, *rest: f(turned(m), *rest)),
    "the leader": ("on_sphere", lambda f, m, leader, rho: f(m, leader + 1, rho)),
    "escape: the factor": (
        "escape_bounds",
        lambda f, *arguments: tuple(time / 3 for time in f(*arguments)),
    ),
    "escape: the sign": (
        "escape_bounds",
        lambda f, *arguments: tuple(-time for time in f(*arguments)),
    ),
    "escape: the power": (
        "escape_bounds",
        lambda f, s, alpha, norm: f(s, alpha**2, norm),
    ),
}


@pytest.mark.parametrize("case", BREAKS)
def test_a_broken_formula_is_found_out(case, huber, monkeypatch):
    name, wrong = BREAKS[case]
    formula = getattr(_rank_one, name)
    monkeypatch.setattr(_rank_one, name, lambda *a: wrong(formula, *a))
    claim = check_rank_one_trajectory(*huber, alphas=ALPHAS)
    assert claim.verdict == "violated"


def test_a_higher_power_than_the_true_one_is_found_out(huber, monkeypatch):
    monkeypatch.setattr(_rank_one, "LEAST_SLOPE", 4.0)
    assert check_rank_one_trajectory(*huber, alphas=ALPHAS).verdict == "violated"


@pytest.fixture(scope="module")
def corollary(huber):
    """The claim, and its premise, which takes longest to find."""
    find, found = _corollary._premise, []

    def kept(*arguments):
        found.append(find(*arguments))
        return found[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_corollary, "_premise", kept)
        claim = check_corollary(*huber, alphas=ALPHAS)
    return claim, *found


@pytest.fixture(scope="module")
def premise(corollary):
    return corollary[1]


def test_the_corollary_holds(corollary):
    claim, _ = corollary
    assert claim.verdict == "holds", claim.explanation
    assert claim.numbers["premise_share"] == 1
    assert claim.numbers["premise_starts"] > 10
    assert claim.curves["distance"][-1] < 0.01 * claim.curves["distance"][0]


def test_the_corollary_is_violated_where_the_limit_is_another(
    huber, premise, monkeypatch
):
    elsewhere = premise._replace(limit=1.1 * premise.limit)
    monkeypatch.setattr(_corollary, "_premise", lambda *_: elsewhere)
    assert check_corollary(*huber, alphas=ALPHAS).verdict == "violated"


def test_the_corollary_is_not_tested_without_its_premise(huber, premise, monkeypatch):
    unmet = premise._replace(share=0.5, spread=0.7)
    monkeypatch.setattr(_corollary, "_premise", lambda *_: unmet)
    claim = check_corollary(*huber, alphas=ALPHAS)
    assert claim.verdict == "not tested"
    assert "50% end at one tensor; the farthest ends 0.7" in claim.explanation


@pytest.mark.parametrize("check", [check_rank_one_trajectory, check_corollary])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda p, a: (completion((4, 5), 0.8, HuberLoss(0.01)), a_start((4, 5))),
            "The order is 2; the theorem needs 3 or more",
        ),
        (
            lambda p, a: (sensing((3, 4, 2), 6, "dense"), a_start((3, 4, 2))),
            "is a SensingProblem; the theorem is about completion",
        ),
        (
            lambda p, a: (changed(p, SquaredLoss()), a),
            "The loss is SquaredLoss; the theorem needs Huber loss",
        ),
        (
            lambda p, a: (changed(p, HuberLoss(0.5)), a),
            "threshold of the loss is 0.5, not below the smallest observed value",
        ),
        (lambda p, a: (p, a_start(p.mode_dims, 5)), "The start is unbalanced by"),
        (
            lambda p, a: (p, CPFactorization(tuple(jnp.ones((4, 5)) for _ in "abc"))),
            "No component (leads|has a positive pull)|so none leads",
        ),
    ],
    ids=["order", "sensing", "loss", "threshold", "balance", "leader"],
)
def test_an_assumption_that_fails_is_named(check, make, words, huber):
    claim = check(*make(*huber))
    assert claim.verdict == "not tested"
    assert claim.error is None
    assert re.search(words, claim.explanation)


def test_smooth_l1_is_huber_loss_on_another_clock(huber):
    problem, directions = huber
    delta = problem.loss_function.delta
    setting = rank_one_setting(changed(problem, SmoothL1Loss(delta)), directions)
    expected = rank_one_setting(problem, directions)
    assert setting.pull == pytest.approx(expected.pull / delta)
    assert setting.radius == pytest.approx(expected.radius)


def test_observations_without_weight_do_not_count(huber):
    problem, directions = huber
    sizes = np.abs(problem.values)
    weights = jnp.where(sizes <= np.sort(sizes)[3], 0.0, 1.0)
    # Without them the gradient is another, under which the leader leads by less.
    directions = CPFactorization(
        tuple(w.at[:, 1:].multiply(0.5) for w in directions.factor_matrices)
    )
    setting = rank_one_setting(changed(problem, weights=weights), directions)
    delta = problem.loss_function.delta
    # Half of the room between the threshold and the smallest value that counts.
    assert setting.radius == pytest.approx(0.5 * (np.sort(sizes)[4] - delta))


def test_the_leading_condition_is_the_theorem_s():
    ratio = leading_ratio(8.0, jnp.array([2.0]), 3)
    np.testing.assert_allclose(ratio, [4.0])
    np.testing.assert_allclose(leading_ratio(8.0, jnp.array([2.0]), 4), [2.0])


def test_the_whole_start_lies_inside_the_sphere(huber):
    setting = rank_one_setting(*huber)
    assert not isinstance(setting, NotApplicable)
    alphas = two_decades(setting, 5)
    norms = setting.directions.component_norms()
    assert alphas[0] ** 3 * float(jnp.sum(norms)) <= setting.radius
    earliest, latest = escape_bounds(setting, alphas[0], setting.radius ** (1 / 3))
    assert 0 < earliest < latest


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alphas": (0.1, 0.01)}, "a slope needs three or more positive"),
        ({"alphas": (0.1, 0.01, 0.0)}, "a slope needs three or more positive"),
        ({"radius": 10.0}, "The radius is 10; it must lie between 0 and"),
        ({"radius": -1.0}, "The radius is -1; it must lie between 0 and"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(options, words, huber):
    with pytest.raises(InputError, match=words):
        check_rank_one_trajectory(*huber, **options)
