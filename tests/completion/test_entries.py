"""Components that enter: along the largest pull, from whatever random directions."""

import numpy as np
import pytest

import rankrise.completion._alternating as pulls
from rankrise.completion._kernels import DIRECTIONS
from rankrise.losses import HuberLoss, SquaredLoss

PENALTY = 0.01


def directions(case, seed=0):
    rows = int(case.rows.starts[-1])
    return np.random.default_rng(seed).standard_normal((rows, DIRECTIONS))


def entered(case, stage=None, *, seed=0, smooth=False, pool=None):
    """The component that enters, before any sweep, as vectors of norm one."""
    alternation = case.alternation(pool)
    before = alternation.nothing() if stage is None else stage
    after = alternation.advance(
        before,
        PENALTY,
        sweeps=0,
        smooth=smooth,
        directions=directions(case, seed),
    )
    assert after.components == before.components + 1
    # It enters with a share of the norm it is drawn to; which column it is, is told by
    # the vectors that were not there.
    column = next(
        r
        for r in range(after.components)
        if not any(
            np.array_equal(after.factors[:, r], before.factors[:, q])
            for q in range(before.components)
        )
    )
    vectors = [matrix[:, column] for matrix in case.rows.split(after.factors)]
    return [vector / np.linalg.norm(vector) for vector in vectors]


def residual(case, stage=None, cp_product=None):
    fitted = 0.0
    if stage is not None:
        fitted = cp_product(case.rows.split(stage.factors))
    return np.where(case.shown > 0, case.shown * (case.tensor - fitted), 0.0)


def assert_same_component(found, expected, **tolerance):
    outer = [v[0] for v in (found, expected)]
    for other in range(1, len(found)):
        outer = [
            np.multiply.outer(a, v[other])
            for a, v in zip(outer, (found, expected), strict=True)
        ]
    np.testing.assert_allclose(*outer, **tolerance)


def assert_nearly_along(found, expected):
    # Turns end where the pull grows by less than a thousandth.
    for vector, wanted in zip(found, expected, strict=True):
        assert abs(vector @ wanted) > 0.995


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_from_nothing_it_is_along_the_leading_singular_vectors(
    seed, weighted, make_case
):
    rng = np.random.default_rng(seed)
    case = make_case((9, 7), share=0.8, seed=seed)
    # A gap between the first two singular values, as turns converge by their ratio.
    planted = 8 * np.outer(rng.standard_normal(9), rng.standard_normal(7))
    case = case.but(tensor=case.tensor + planted)
    if weighted:
        case = case.but(weights=rng.uniform(0.5, 2, (9, 7)))
    left, values, right = np.linalg.svd(residual(case))
    assert values[1] < 0.6 * values[0]
    assert_nearly_along(entered(case), [left[:, 0], right[0]])


@pytest.mark.parametrize("mode_dims", [(6, 5, 4), (4, 3, 3, 4), (3, 2, 3, 2, 3)])
def test_every_vector_is_along_the_pull_on_it(mode_dims, make_case, make_low_rank):
    gappy, _ = make_low_rank(mode_dims, 1, share=0.9)
    case = make_case(mode_dims, share=0.9).but(tensor=gappy)
    tensor, vectors = residual(case), entered(case)
    for mode, vector in enumerate(vectors):
        pull = tensor
        for other in reversed(range(len(mode_dims))):
            if other != mode:
                pull = np.tensordot(pull, vectors[other], (other, 0))
        assert_nearly_along([vector], [pull / np.linalg.norm(pull)])


@pytest.mark.parametrize("loss", [SquaredLoss(), HuberLoss(0.5)])
@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("threaded", [False, True])
def test_pulls_from_lists_are_those_from_dense_arrays(
    threaded, smooth, loss, make_case, monkeypatch, threads
):
    case = make_case((7, 6, 5), share=0.5, loss=loss)
    pool = threads if threaded else None
    listed = entered(case, smooth=smooth, pool=pool)
    monkeypatch.setattr(pulls, "_FEW_OBSERVED", 0)
    dense = entered(case, smooth=smooth, pool=pool)
    # Sums in another order, which the turns hardly amplify.
    assert_same_component(listed, dense, rtol=1e-8, atol=1e-10)


def test_the_next_component_is_along_the_pull_of_what_is_left(make_case, cp_product):
    rng = np.random.default_rng(1)
    parts = [np.outer(rng.standard_normal(9), rng.standard_normal(7)) for _ in range(2)]
    case = make_case((9, 7), share=0.9)
    case = case.but(tensor=np.where(case.observed, 5 * parts[0] + parts[1], np.nan))
    alternation = case.alternation()
    stage = alternation.advance(
        alternation.nothing(),
        PENALTY,
        sweeps=20,
        smooth=False,
        directions=directions(case),
    )
    left, values, right = np.linalg.svd(residual(case, stage, cp_product))
    assert values[1] < 0.6 * values[0]
    assert_nearly_along(entered(case, stage), [left[:, 0], right[0]])


def test_entries_that_are_held_out_do_not_pull(make_case):
    case = make_case((7, 6, 5), share=0.6)
    hidden = case.observed & (np.random.default_rng(5).random((7, 6, 5)) < 0.3)
    case = case.but(hidden=hidden)
    other = case.but(tensor=np.where(hidden, 1e3, case.tensor))
    assert_same_component(entered(other), entered(case), rtol=0, atol=0)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_where_all_is_fitted_nothing_pulls(share, make_case, cp_product):
    case = make_case((5, 4, 3), share=share)
    start = case.start(2)
    case = case.but(tensor=np.where(case.observed, cp_product(start), np.nan))
    alternation = case.alternation()
    stage = alternation.advance(
        case.stage(start), PENALTY, sweeps=0, smooth=False, directions=directions(case)
    )
    assert stage.components == 2


def test_a_component_without_negative_entries_enters_without_any(make_case):
    case = make_case((7, 6, 5), non_negative=True)
    for vector in entered(case):
        assert vector.min() >= 0


def test_a_component_lowers_the_loss_as_it_enters(make_case):
    case = make_case((7, 6, 5))
    alternation = case.alternation()
    before = alternation.nothing()
    after = alternation.advance(
        before, PENALTY, sweeps=1, smooth=False, directions=directions(case)
    )
    assert before.train_loss == pytest.approx(np.mean(case.tensor[case.observed] ** 2))
    assert after.train_loss < before.train_loss
