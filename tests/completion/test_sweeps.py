"""Sweeps of alternating least squares: against dense algebra, and their laws."""

import numpy as np
import pytest

from rankrise.losses import (
    AbsoluteLoss,
    HuberLoss,
    IdentityPoissonLoss,
    LogisticLoss,
    PoissonLoss,
    SmoothL1Loss,
    SquaredLoss,
)

DIMS = [(7, 6), (5, 4, 3), (4, 3, 2, 3), (3, 2, 2, 3, 2), (2, 3, 2, 2, 2, 2)]
# Sums of a few hundred products in another order, solved by another elimination.
ROUNDING = {"rtol": 1e-8, "atol": 1e-10}
# The observed share where observations are summed, and where what is missing is.
LISTED, COMPLEMENT = 0.5, 0.8
PENALTY = 0.05


def chain_precision(names, correlation):
    """Inverse of the covariance of a stationary chain seen at some places."""
    names = np.asarray(names)
    return np.linalg.inv(correlation ** np.abs(names[:, None] - names))


def khatri_rao(matrices, mode):
    """Of every entry, the products of all modes' rows but one."""
    order = len(matrices)
    total = np.ones((*map(len, matrices), matrices[0].shape[1]))
    for other, matrix in enumerate(matrices):
        if other != mode:
            shape = [1] * order + [matrix.shape[1]]
            shape[other] = len(matrix)
            total = total * matrix.reshape(shape)
    return total


def swept_densely(case, matrices, penalty, correlations, cp_product):
    """One sweep by the solution of the equations of all rows of a mode at once."""
    matrices = [matrix.copy() for matrix in matrices]
    rows, components = case.rows, matrices[0].shape[1]
    seen = np.ix_(*rows.names)
    tensor, shown = case.tensor[seen], case.shown[seen]
    precisions = [
        chain_precision(names, correlation) if correlation else np.eye(len(names))
        for names, correlation in zip(rows.names, correlations, strict=True)
    ]
    for mode, precision in enumerate(precisions):
        predictions = cp_product(matrices) + case.offset
        with np.errstate(invalid="ignore"):
            weights, targets = case.loss.majorizer(predictions, tensor)
        weights = np.where(shown > 0, shown * weights, 0.0)
        targets = np.where(shown > 0, targets - case.offset, 0.0)
        features = khatri_rao(matrices, mode)
        size = len(precision) * components
        matrix = np.kron(penalty * precision, np.eye(components))
        right = np.zeros(size)
        for row in range(len(precision)):
            place = slice(row * components, (row + 1) * components)
            h = np.take(features, row, mode).reshape(-1, components)
            a = np.take(weights, row, mode).ravel()
            matrix[place, place] += h.T @ (a[:, None] * h)
            right[place] = h.T @ (a * np.take(targets, row, mode).ravel())
        matrices[mode] = np.linalg.solve(matrix, right).reshape(-1, components)
    # Scaled between modes so that the penalty of a component is the same in all.
    shares = np.array(
        [
            np.einsum("ir,ij,jr->r", matrix, precision, matrix)
            for matrix, precision in zip(matrices, precisions, strict=True)
        ]
    )
    means = np.exp(np.mean(np.log(shares), axis=0))
    return [
        m * np.sqrt(means / share) for m, share in zip(matrices, shares, strict=True)
    ]


def by_norm(matrices):
    """Components by falling norm, as sweeps leave them."""
    norms = np.prod([np.linalg.norm(matrix, axis=0) for matrix in matrices], axis=0)
    order = np.argsort(-norms, kind="stable")
    return np.concatenate([matrix[:, order] for matrix in matrices])


def swept(case, matrices, *, smooth=False, pool=None, sweeps=1, penalty=PENALTY):
    alternation = case.alternation(pool)
    stage = case.stage(matrices)
    return alternation.advance(stage, penalty, sweeps=sweeps, smooth=smooth)


def split(case, stage):
    return list(case.rows.split(stage.factors))


def random_hidden(case, share=0.25):
    return case.observed & (np.random.default_rng(5).random(case.tensor.shape) < share)


def labels(case):
    return np.where(case.observed, case.tensor > 0, np.nan)


# Against dense algebra


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("share", [LISTED, COMPLEMENT])
@pytest.mark.parametrize("mode_dims", DIMS)
def test_a_sweep_solves_the_normal_equations_of_every_mode(
    mode_dims, share, weighted, held_out, make_case, cp_product
):
    case = make_case(mode_dims, share=share)
    if weighted:
        weights = np.random.default_rng(3).uniform(0.2, 3, mode_dims)
        case = case.but(weights=weights)
    if held_out:
        case = case.but(hidden=random_hidden(case))
    start = case.start(2)
    expected = swept_densely(case, start, PENALTY, [0] * len(mode_dims), cp_product)
    found = swept(case, start).factors
    np.testing.assert_allclose(found, by_norm(expected), **ROUNDING)


@pytest.mark.parametrize("components", [1, 3, 8, 9, 40])
def test_a_sweep_solves_them_for_any_number_of_components(
    components, make_case, cp_product
):
    # More than a chunk of observations in a row, and more components than rows.
    case = make_case((4, 20, 15), share=LISTED)
    start = case.start(components)
    expected = swept_densely(case, start, 5.0, [0] * 3, cp_product)
    found = swept(case, start, penalty=5.0)
    # Components that a sweep leaves small are dropped, so look at what is left.
    kept = by_norm(expected)[:, : found.components]
    assert found.components >= min(components, 4)
    np.testing.assert_allclose(found.factors, kept, rtol=1e-6, atol=1e-8)


@pytest.mark.slow  # They are compiled for this alone.
def test_a_sweep_solves_them_for_more_rows_than_16_bits_can_number(make_case):
    case = make_case((70_000, 3, 2), share=LISTED)
    assert case.rows.starts[-1] > 2**16
    seen = np.ix_(*case.rows.names)
    tensor, shown = case.tensor[seen], case.shown[seen]
    start = case.start(2)
    matrices = list(start)
    for mode in range(3):
        h = np.moveaxis(khatri_rao(matrices, mode), mode, 0)
        h = h.reshape(len(matrices[mode]), -1, 2)
        a, t = (
            np.moveaxis(each, mode, 0).reshape(len(h), -1)
            for each in (shown, np.where(shown > 0, tensor, 0.0))
        )
        squares = np.einsum("is,isr,isq->irq", a, h, h) + PENALTY * np.eye(2)
        rights = np.einsum("is,isr->ir", a * t, h)
        matrices[mode] = np.linalg.solve(squares, rights[..., None])[..., 0]
    shares = np.array([np.sum(matrix**2, axis=0) for matrix in matrices])
    means = np.exp(np.mean(np.log(shares), axis=0))
    expected = by_norm(
        [m * np.sqrt(means / s) for m, s in zip(matrices, shares, strict=True)]
    )
    np.testing.assert_allclose(swept(case, start).factors, expected, **ROUNDING)


@pytest.mark.parametrize("held_out", [False, True])
def test_summing_what_is_missing_gives_what_summing_observations_gives(
    held_out, make_case
):
    case = make_case((6, 5, 4), share=0.9)
    assert len(case.alternation().arrangement.missing.begins)
    if held_out:
        case = case.but(hidden=random_hidden(case))
    start = case.start(3)
    # With weights there is no other way than to sum observations.
    weighted = case.but(weights=np.ones((6, 5, 4)))
    found, expected = swept(case, start).factors, swept(weighted, start).factors
    np.testing.assert_allclose(found, expected, **ROUNDING)


@pytest.mark.parametrize(
    "loss",
    [
        AbsoluteLoss(),
        HuberLoss(0.7),
        SmoothL1Loss(0.7),
        LogisticLoss(),
        PoissonLoss(),
    ],
    ids=lambda loss: type(loss).__name__,
)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_sweep_solves_the_least_squares_that_stand_for_the_loss(
    loss, weighted, make_case, cp_product
):
    case = make_case((5, 4, 3), loss=loss, offset=0.4)
    tensor = labels(case) if loss.is_linked else case.tensor
    case = case.but(tensor=tensor, hidden=random_hidden(case))
    if weighted:
        case = case.but(weights=np.random.default_rng(3).uniform(0.2, 3, (5, 4, 3)))
    start = case.start(2)
    expected = swept_densely(case, start, PENALTY, [0] * 3, cp_product)
    found = swept(case, start).factors
    # Where a value is met its weight is 10^6 times the usual.
    np.testing.assert_allclose(found, by_norm(expected), rtol=1e-6, atol=1e-8)


def smooth_start(case):
    """Rows that change slowly, so that neighbours are found to be alike."""
    rng = np.random.default_rng(2)
    return [
        1 + 0.2 * np.cumsum(rng.standard_normal((dim, 2)), axis=0)
        for dim in case.rows.dims
    ]


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("share", [LISTED, COMPLEMENT])
def test_rows_that_are_neighbours_are_solved_for_together(
    share, threaded, make_case, cp_product, threads
):
    case = make_case((8, 3, 6), share=share)
    start = smooth_start(case)
    found = swept(case, start, smooth=True, pool=threads if threaded else None)
    # Three rows are too few to tell.
    assert found.correlations[1] == 0
    assert np.all(found.correlations[[0, 2]] > 0.4)
    expected = swept_densely(case, start, PENALTY, found.correlations, cp_product)
    np.testing.assert_allclose(found.factors, by_norm(expected), **ROUNDING)


def test_rows_between_which_none_is_observed_are_correlated_less(make_case, cp_product):
    case = make_case((12, 5, 4))
    tensor = case.tensor.copy()
    tensor[[2, 3, 8]] = np.nan
    case = case.but(tensor=tensor)
    assert case.rows.names[0].tolist() == [0, 1, 4, 5, 6, 7, 9, 10, 11]
    start = smooth_start(case)
    found = swept(case, start, smooth=True)
    assert found.correlations[0] > 0.4
    expected = swept_densely(case, start, PENALTY, found.correlations, cp_product)
    np.testing.assert_allclose(found.factors, by_norm(expected), **ROUNDING)


def test_factors_that_may_not_be_negative_reach_the_best_of_those(
    make_case, cp_product
):
    case = make_case((6, 5, 4), share=0.7, non_negative=True)
    case = case.but(tensor=case.tensor + 0.5)
    stage = case.stage([np.abs(matrix) for matrix in case.start(3)])
    alternation = case.alternation()
    for _ in range(600):
        stage = alternation.advance(stage, PENALTY, sweeps=2, smooth=False)
        assert stage.factors.min() >= 0
    assert stage.components
    matrices = split(case, stage)
    residuals = np.where(case.observed, case.tensor - cp_product(matrices), 0.0)
    for mode, matrix in enumerate(matrices):
        others = tuple(m for m in range(3) if m != mode)
        pulls = np.sum(residuals[..., None] * khatri_rao(matrices, mode), axis=others)
        slopes = pulls - PENALTY * matrix
        # Karush, Kuhn and Tucker: nothing pulls a positive entry, nor a zero one up.
        assert np.max(slopes) < 1e-5
        np.testing.assert_allclose(slopes * matrix, 0, atol=1e-5)
    # The constraint binds somewhere, or this would prove nothing.
    assert any(np.any(matrix == 0) for matrix in matrices)


@pytest.mark.parametrize(
    ("share", "loss"),
    [(LISTED, SquaredLoss()), (COMPLEMENT, SquaredLoss()), (LISTED, HuberLoss(0.5))],
)
@pytest.mark.parametrize("non_negative", [False, True])
def test_threads_give_what_one_thread_gives(
    share, loss, non_negative, make_case, threads
):
    case = make_case((40, 9, 8), share=share, loss=loss, non_negative=non_negative)
    case = case.but(hidden=random_hidden(case))
    start = [np.abs(matrix) for matrix in case.start(3)]
    alone = swept(case, start, sweeps=3)
    shared = swept(case, start, sweeps=3, pool=threads)
    # Rows are solved alike; only what all rows add to is summed in another order.
    np.testing.assert_allclose(shared.factors, alone.factors, rtol=1e-10, atol=1e-12)
    assert shared.train_loss == pytest.approx(alone.train_loss, rel=1e-10)
    assert shared.heldout_loss == pytest.approx(alone.heldout_loss, rel=1e-10)


def test_threads_give_the_same_again_to_the_bit(make_case, threads):
    case = make_case((40, 9, 8))
    start = case.start(3)
    first, second = (swept(case, start, sweeps=3, pool=threads) for _ in range(2))
    np.testing.assert_array_equal(first.factors, second.factors)


# Laws


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", [IdentityPoissonLoss(), PoissonLoss()])
def test_sweeps_over_rates_of_counts_only_lower_the_objective(
    loss, smooth, weighted, make_case, cp_product
):
    rng = np.random.default_rng(1)
    rates = cp_product([rng.gamma(0.5, 1.5, (dim, 2)) for dim in (8, 6, 7)])
    start = loss.start(float(rates.mean()), rates.size)
    case = make_case((8, 6, 7), share=0.7, non_negative=loss.is_additive, offset=start)
    case = case.but(
        tensor=np.where(case.observed, rng.poisson(rates), np.nan),
        loss=loss,
        weights=rng.uniform(0.2, 3, (8, 6, 7)) if weighted else None,
    )
    # From too small and too large, where steps are boldest.
    for scale in (0.1, 1.0, 2.0):
        stage = case.stage([scale * np.abs(matrix) for matrix in case.start(3)])
        alternation, before = case.alternation(), np.inf
        begun = case.objective(split(case, stage), 1e-9)
        for _ in range(25):
            stage = alternation.advance(stage, 1e-9, sweeps=1, smooth=smooth)
            objective = case.objective(split(case, stage), 1e-9)
            # Sums of two hundred losses, and a penalty of hardly anything.
            assert objective <= before + 1e-7
            assert not loss.is_additive or stage.factors.min(initial=0.0) >= 0
            before = objective
        assert before < 0.7 * begun


def test_components_in_another_order_come_out_the_same(make_case):
    case = make_case((5, 4, 3))
    start = case.start(3)
    turned = [matrix[:, [2, 0, 1]] for matrix in start]
    np.testing.assert_allclose(
        swept(case, turned).factors, swept(case, start).factors, **ROUNDING
    )


def test_scaling_between_modes_changes_nothing_that_is_solved_for(make_case):
    case = make_case((5, 4, 3), share=COMPLEMENT)
    start = case.start(2)
    scaled = [1e3 * start[0], 4.0 * start[1], start[2] / 8.0]
    # A penalty would favour one scaling, so there is next to none.
    expected, found = (swept(case, each, penalty=1e-12) for each in (start, scaled))
    np.testing.assert_allclose(found.factors, expected.factors, rtol=1e-7, atol=1e-9)


def test_components_weigh_the_same_in_all_modes(make_case):
    case = make_case((9, 4, 3, 2))
    norms = [np.linalg.norm(m, axis=0) for m in split(case, swept(case, case.start(3)))]
    np.testing.assert_allclose(norms, np.broadcast_to(norms[0], (4, 3)), rtol=1e-10)


@pytest.mark.parametrize("smooth", [False, True])
def test_indices_counted_backwards_turn_the_factors_around(smooth, make_case):
    case = make_case((8, 4, 6))
    start = smooth_start(case)
    turned = case.but(tensor=case.tensor[::-1, :, ::-1])
    backwards = [start[0][::-1], start[1], start[2][::-1]]
    expected = split(case, swept(case, start, smooth=smooth))
    found = split(turned, swept(turned, backwards, smooth=smooth))
    for ours, theirs, step in zip(found, expected, (-1, 1, -1), strict=True):
        np.testing.assert_allclose(ours, theirs[::step], **ROUNDING)


def test_indices_in_another_order_put_the_rows_in_that_order(make_case):
    case = make_case((8, 4, 6))
    start = case.start(2)
    order = np.random.default_rng(4).permutation(8)
    found = split(
        case, swept(case.but(tensor=case.tensor[order]), [start[0][order], *start[1:]])
    )
    expected = split(case, swept(case, start))
    np.testing.assert_allclose(found[0], expected[0][order], **ROUNDING)
    np.testing.assert_allclose(found[1], expected[1], **ROUNDING)


def test_modes_in_another_order_put_the_factors_in_that_order(make_case, make_low_rank):
    # Modes are solved for in turn, so what agrees is where the sweeps come to rest.
    gappy, _ = make_low_rank((6, 5, 4), 1)
    case = make_case((6, 5, 4)).but(tensor=gappy)
    turned = case.but(tensor=np.transpose(gappy, (2, 0, 1)))
    start = case.start(1)
    at_rest = []
    for one, matrices in (
        (case, start),
        (turned, [start[2], start[0], start[1]]),
    ):
        stage = one.stage(matrices)
        alternation = one.alternation()
        for _ in range(60):
            stage = alternation.advance(stage, PENALTY, sweeps=2, smooth=False)
        at_rest.append(split(one, stage))
    expected, found = at_rest
    for ours, theirs in zip(found, [expected[2], *expected[:2]], strict=True):
        # Signs may differ in pairs.
        np.testing.assert_allclose(np.abs(ours), np.abs(theirs), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("share", [LISTED, COMPLEMENT])
@pytest.mark.parametrize("loss", [SquaredLoss(), HuberLoss(0.5)])
def test_values_that_are_held_out_move_nothing(share, loss, make_case):
    case = make_case((6, 5, 4), share=share, loss=loss)
    hidden = random_hidden(case)
    case = case.but(hidden=hidden)
    other = case.but(tensor=np.where(hidden, 100.0, case.tensor))
    start = case.start(2)
    found, expected = swept(other, start, sweeps=3), swept(case, start, sweeps=3)
    np.testing.assert_array_equal(found.factors, expected.factors)
    assert found.train_loss == expected.train_loss
    assert found.heldout_loss > expected.heldout_loss


@pytest.mark.parametrize("loss", [SquaredLoss(), HuberLoss(0.5), AbsoluteLoss()])
def test_what_is_held_out_counts_as_if_it_were_missing(loss, make_case):
    case = make_case((6, 5, 4), share=LISTED, loss=loss)
    hidden = random_hidden(case)
    # All slices keep an entry, so the rows stay the same.
    hidden[tuple(np.arange(6) % dim for dim in (6, 5, 4))] = False
    start = case.start(2)
    found = swept(case.but(hidden=hidden), start, sweeps=2)
    without = swept(
        case.but(tensor=np.where(hidden, np.nan, case.tensor)), start, sweeps=2
    )
    np.testing.assert_allclose(found.factors, without.factors, **ROUNDING)
    assert found.train_loss == pytest.approx(without.train_loss, rel=1e-9)


@pytest.mark.parametrize("share", [LISTED, COMPLEMENT])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", [SquaredLoss(), HuberLoss(0.5), LogisticLoss()])
def test_losses_are_those_of_the_factors(loss, weighted, share, make_case):
    case = make_case((6, 5, 4), share=share, loss=loss, offset=0.3)
    if loss.is_linked:
        case = case.but(tensor=labels(case))
    hidden = random_hidden(case)
    weights = np.random.default_rng(3).uniform(0.2, 3, (6, 5, 4))
    case = case.but(hidden=hidden, weights=weights if weighted else None)
    stage = swept(case, case.start(2), sweeps=2)
    losses = case.losses(split(case, stage))
    each = weights if weighted else np.ones((6, 5, 4))
    # The train loss is what is left of the sum of squares, so it cancels a little.
    shown = case.observed & ~hidden
    assert stage.train_loss == pytest.approx(
        np.average(losses[shown], weights=each[shown]), rel=1e-9
    )
    assert stage.heldout_loss == pytest.approx(
        np.average(losses[hidden], weights=each[hidden]), rel=1e-9
    )


@pytest.mark.parametrize("non_negative", [False, True])
@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize(
    "loss", [SquaredLoss(), HuberLoss(0.3), LogisticLoss(), AbsoluteLoss()]
)
def test_the_objective_never_rises(loss, threaded, non_negative, make_case, threads):
    case = make_case((7, 6, 5), share=0.6, loss=loss, non_negative=non_negative)
    if loss.is_linked:
        case = case.but(tensor=labels(case))
    case = case.but(hidden=random_hidden(case))
    start = [np.abs(matrix) for matrix in case.start(2)]
    stage, alternation = (
        case.stage(start),
        case.alternation(threads if threaded else None),
    )
    found = [case.objective(split(case, stage), PENALTY)]
    for _ in range(12):
        stage = alternation.advance(stage, PENALTY, sweeps=1, smooth=False)
        found.append(case.objective(split(case, stage), PENALTY))
    # A component that is dropped had a thousandth of the largest's norm.
    assert np.max(np.diff(found)) <= 1e-6 * found[0]
    assert found[-1] < 0.9 * found[0]
