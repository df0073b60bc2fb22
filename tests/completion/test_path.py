"""Paths of falling penalties, on which components enter."""

import dataclasses
import json
import math

import numpy as np
import pytest

from rankrise.completion._path import PENALTIES, Walk, WalkState
from rankrise.losses import LogisticLoss, SquaredLoss


def hidden_share(case, share=0.2):
    return case.observed & (np.random.default_rng(7).random(case.tensor.shape) < share)


@pytest.fixture
def planted(make_case, make_low_rank):
    def build(mode_dims, cp_rank, *, noise=0.1, share=0.7, seed=0):
        gappy, whole = make_low_rank(mode_dims, cp_rank, share=share, seed=seed)
        rng = np.random.default_rng(seed)
        gappy = gappy + noise * rng.standard_normal(mode_dims)
        case = make_case(mode_dims).but(tensor=gappy)
        return case.but(hidden=hidden_share(case)), whole

    return build


def walked(case, **options):
    walk = Walk(case.alternation(), **options)
    while not walk.is_over:
        walk.move()
    return walk


def test_a_path_begins_with_nothing(planted):
    case, _ = planted((8, 7, 6), 2)
    (point,) = Walk(case.alternation()).path.points
    assert point.penalty == math.inf
    assert point.components == 0
    shown = case.tensor[case.shown > 0]
    assert point.train_loss == pytest.approx(np.mean(shown**2))
    assert point.heldout_loss == pytest.approx(np.mean(case.tensor[case.hidden] ** 2))


def test_penalties_fall_along_those_that_are_given(planted):
    case, _ = planted((8, 7, 6), 2)
    penalties = (2.0, 0.5, 0.1, 0.02)
    found = [point.penalty for point in walked(case, penalties=penalties).path.points]
    assert found == sorted(found, reverse=True)
    assert set(found[1:]) <= set(penalties)


def test_a_path_ends_before_the_last_penalty_where_small_ones_do_not_help(planted):
    # All is noise to the model that has the planted component.
    case, _ = planted((8, 7, 6), 1, noise=1.0)
    points = walked(case).path.points
    assert points[-1].penalty > PENALTIES[-1]


def test_the_best_point_is_that_of_least_held_out_loss(planted):
    case, _ = planted((8, 7, 6), 2)
    path = walked(case).path
    losses = [point.heldout_loss for point in path.points]
    assert path.best == np.argmin(losses)
    # And it is the factors of that point that are kept.
    off = case.losses(case.rows.split(path.factors))[case.hidden]
    assert np.mean(off) == pytest.approx(path.best_point.heldout_loss, rel=1e-9)
    assert path.best < len(losses) - 1


@pytest.mark.parametrize("smooth", [False, True])
def test_a_walk_goes_on_from_any_point_to_the_bit(smooth, planted):
    case, _ = planted((7, 6, 5), 2)
    options = {"penalties": PENALTIES[:6], "seed": 3, "smooth": smooth}
    walk = Walk(case.alternation(), **options)
    states = [walk.state()]
    while not walk.is_over:
        walk.move()
        states.append(walk.state())
    assert len(states) > 10
    for state in states[:-1:4]:
        # Facts are kept as JSON.
        facts = json.loads(json.dumps(state.facts))
        state = WalkState(facts, state.factors.copy(), state.best.copy())
        again = Walk(case.alternation(), state=state, **options)
        while not again.is_over:
            again.move()
        assert again.path.points == walk.path.points
        assert again.path.best == walk.path.best
        np.testing.assert_array_equal(again.path.factors, walk.path.factors)


def test_a_seed_fixes_a_path(planted):
    case, _ = planted((7, 6, 5), 2)
    first, second = (walked(case, penalties=(1.0, 0.1), seed=5) for _ in range(2))
    assert first.path.points == second.path.points


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_components_enter_than_may(most, planted):
    case, _ = planted((8, 7, 6), 5, noise=0.0)
    points = walked(case, max_components=most).path.points
    assert max(point.components for point in points) == most


@pytest.mark.parametrize(
    ("mode_dims", "cp_rank"),
    [
        ((9, 8, 7), 1),
        ((9, 8, 7), 3),
        ((6, 5, 4, 5), 2),
        ((5, 4, 4, 3, 4), 2),
        ((4, 3, 4, 3, 3, 3), 2),
    ],
)
def test_a_planted_rank_is_found(mode_dims, cp_rank, planted):
    case, whole = planted(mode_dims, cp_rank, noise=0.02)
    path = walked(case, smooth=False).path
    matrices = case.rows.split(path.factors)
    norms = np.prod([np.linalg.norm(m, axis=0) for m in matrices], axis=0)
    # Noise draws components too, far smaller ones.
    assert np.sum(norms > 0.1 * norms[0]) == cp_rank
    assert path.best_point.heldout_loss < 0.02 * np.mean(whole**2)


@pytest.mark.parametrize("mode_dims", [(16, 14), (1, 16, 14)])
def test_a_matrix_of_low_rank_is_learned(mode_dims, planted, cp_product):
    # Its components are not unique, nor is their number, but its singular values are.
    case, whole = planted(mode_dims, 2, noise=0.02)
    path = walked(case, smooth=False).path
    found = cp_product(case.rows.split(path.factors)).reshape(16, 14)
    values = np.linalg.svd(found)[1]
    assert np.sum(values > 0.1 * values[0]) == 2
    assert path.best_point.heldout_loss < 0.02 * np.mean(whole**2)


def test_labels_of_a_component_are_learned(make_case, make_low_rank):
    gappy, whole = make_low_rank((12, 11, 10), 1, share=0.8)
    labels = np.where(np.isnan(gappy), np.nan, whole > 0)
    case = make_case((12, 11, 10)).but(tensor=labels, loss=LogisticLoss())
    case = dataclasses.replace(case, hidden=hidden_share(case))
    path = walked(case, smooth=False).path
    assert path.points[0].heldout_loss == pytest.approx(math.log(2))
    assert path.best_point.heldout_loss < 0.5 * math.log(2)


def test_neighbours_that_are_alike_are_found_to_be(make_case):
    rng = np.random.default_rng(0)
    times = np.linspace(0, 3, 60)
    whole = np.einsum(
        "ir,jr,kr->ijk",
        np.stack([np.sin(times), np.cos(2 * times)], axis=1),
        rng.standard_normal((4, 2)),
        rng.standard_normal((4, 2)),
    )
    observed = rng.random(whole.shape) < 0.3
    noisy = whole + 0.3 * rng.standard_normal(whole.shape)
    case = make_case(whole.shape).but(tensor=np.where(observed, noisy, np.nan))
    case = case.but(hidden=hidden_share(case))
    smooth, rough = (walked(case, smooth=way).path.best_point for way in (True, False))
    assert smooth.correlations[0] > 0.8
    assert rough.correlations == (0, 0, 0)
    assert smooth.heldout_loss < rough.heldout_loss


def test_a_walk_stays_finite_where_values_are_hostile(make_case):
    case = make_case((6, 5, 4), share=0.6)
    hostile = np.where(case.observed, 1e150 * case.tensor, np.nan)
    case = case.but(tensor=hostile, loss=SquaredLoss(), hidden=hidden_share(case))
    with np.errstate(all="ignore"):
        path = walked(case, penalties=(1.0, 0.1), max_components=3).path
    assert np.isfinite(path.factors).all()


def test_a_path_ends_where_a_few_entries_run_off_though_most_get_better(make_case):
    # Heavy tails: their errors are so large that no standard error would show it.
    rng = np.random.default_rng(1)
    dims = (40, 38, 36)
    smooth = [np.cos(np.outer(np.arange(d) / d, np.arange(1, 4))) for d in dims]
    tensor = np.einsum("ir,jr,kr->ijk", *smooth) + 0.1 * rng.standard_t(1.5, dims)
    tensor[rng.random(dims) < 0.1] = np.nan
    case = make_case(dims).but(tensor=tensor)
    path = walked(case.but(hidden=hidden_share(case, 0.5))).path
    ruined = [p for p in path.points if p.heldout_loss > 1.5 * path.best_point[3]]
    after = [p for p in ruined if p.components > path.best_point.components]
    assert 1 <= len(after) <= 2


def test_beside_many_components_several_enter_at_once(planted):
    case, _ = planted((13, 12, 11), 24, noise=0.0, share=0.9)
    points = walked(case, smooth=False, penalties=(0.5, 0.05)).path.points
    counts = np.array([point.components for point in points])
    gains = np.diff(counts)
    assert gains[counts[:-1] < 16].max() == 1
    assert gains[counts[:-1] >= 16].max() > 1
