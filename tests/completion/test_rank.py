import functools
import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import rankrise as rr


def planted(dims, rank, *, seed=0, kind="normal", offset=0.0, noise=0.1, missing=0.5):
    """A noisy tensor of this rank with gaps, and its factors of unit columns."""
    rng = np.random.default_rng(seed)
    draw = rng.standard_normal if kind == "normal" else rng.random
    factors = [draw((dim, rank)) for dim in dims]
    factors = [each / np.linalg.norm(each, axis=0) for each in factors]
    tensor = np.zeros(dims)
    for columns in zip(*(each.T for each in factors), strict=True):
        tensor += functools.reduce(np.multiply.outer, columns)
    tensor = tensor / tensor.std() + offset
    tensor += noise * rng.standard_normal(dims)
    tensor[rng.random(dims) < missing] = np.nan
    return tensor, factors


def match(first, second):
    """Smallest factor match score over the components of the first."""
    scores = 1.0
    for one, other in zip(first, second, strict=True):
        own = [each / np.linalg.norm(each, axis=0) for each in (one, other)]
        scores = scores * np.abs(own[0].T @ own[1])
    return scores[linear_sum_assignment(-scores)].min()


@pytest.mark.parametrize(
    ("dims", "rank", "options"),
    [
        ((14, 12, 10), 3, {}),
        ((14, 12, 10), 2, {"offset": 2.0}),
        ((14, 12, 10), 2, {"kind": "uniform", "noise": 0.01}),
        ((14, 12, 10), 2, {"kind": "uniform", "noise": 0.01, "missing": 0.0}),
        ((9, 8, 7, 6), 4, {"missing": 0.3}),
        ((12, 10, 8), 1, {"noise": 0.3}),
    ],
)
def test_a_planted_rank_is_told_with_its_components(dims, rank, options):
    tensor, factors = planted(dims, rank, **options)
    found = rr.estimate_rank(tensor)
    assert found.rank == found.needed == rank
    assert match(factors, found.factors) > 0.98
    assert found.offset == pytest.approx(options.get("offset", 0.0), abs=0.2)
    row = found.table.loc[rank]
    assert row["match"] > 0.9
    assert row["heldout_error"] == found.table["heldout_error"].min()
    assert found.table.loc[0, "heldout_error"] > 3 * row["heldout_error"]


def test_noise_has_no_rank():
    rng = np.random.default_rng(0)
    found = rr.estimate_rank(rng.standard_normal((12, 10, 8)))
    assert found.rank == 0
    assert all(matrix.shape[1] == 0 for matrix in found.factors)


def test_rank_does_not_depend_on_the_unit_or_the_order_of_modes():
    tensor, factors = planted((14, 12, 10), 3)
    for other, axes in (
        (1e9 * tensor, (0, 1, 2)),
        (tensor.transpose(2, 0, 1), (2, 0, 1)),
    ):
        found = rr.estimate_rank(other)
        assert found.rank == 3
        assert match([factors[axis] for axis in axes], found.factors) > 0.98


@pytest.mark.parametrize(("dims", "rank"), [((30, 20), 2), ((40, 30), 3)])
def test_the_rank_of_a_matrix_is_that_of_its_singular_values(dims, rank):
    tensor, _ = planted(dims, rank, missing=0.3, noise=0.05)
    found = rr.estimate_rank(tensor)
    assert found.rank == rank
    for matrix in found.factors:
        gram = matrix.T @ matrix
        np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-8 * gram.max())


def test_a_matrix_has_at_most_as_many_components_as_rows():
    rng = np.random.default_rng(0)
    found = rr.estimate_rank(rng.standard_normal((40, 3)) @ rng.standard_normal((3, 4)))
    assert found.rank <= 4


def test_observations_of_weight_zero_are_as_gaps():
    tensor, _ = planted((12, 10, 8), 2)
    observations = rr.Observations.from_array(tensor)
    rng = np.random.default_rng(0)
    weights = (rng.random(len(observations)) < 0.8).astype(float)
    wrong = np.where(weights > 0, observations.values, 50.0)
    weighted = replace(observations, values=wrong, weights=weights)
    kept = observations.take(np.flatnonzero(weights))
    first, second = rr.estimate_rank(weighted), rr.estimate_rank(kept)
    assert first.rank == second.rank == 2
    np.testing.assert_allclose(first.rows, second.rows)


def test_a_completion_has_the_rank_and_the_components_that_predict():
    tensor, _ = planted((12, 10, 8), 2)
    found = rr.complete(tensor, models=2, smooth=False)
    assert found.rank == 2
    assert found.components >= 2
    assert list(found.rank_table.columns) == [
        "heldout_error",
        "standard_error",
        "match",
        "core_consistency",
        "explained",
    ]
    decomposition = pytest.importorskip("tensorly") and found.cp_tensor()
    assert decomposition.rank == 2


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["huber", "absolute"])
def test_an_outlier_does_not_change_the_rank_by_a_robust_loss(loss):
    tensor, factors = planted((14, 12, 10), 2, noise=0.02)
    tensor[0, 0, 0] = 1e4
    found = rr.estimate_rank(tensor, loss=loss, loss_threshold=0.1)
    assert found.rank == 2
    assert match(factors, found.factors) > 0.95


@pytest.mark.slow
def test_the_rank_of_counts_is_that_of_their_log_rates():
    rng = np.random.default_rng(0)
    factors = [0.9 * rng.standard_normal((dim, 2)) for dim in (15, 14, 12)]
    rates = np.exp(1 + np.einsum("ir,jr,kr->ijk", *factors))
    found = rr.estimate_rank(rng.poisson(rates).astype(float), loss="poisson")
    assert found.rank == 2


def test_estimates_are_the_same_again_and_by_another_seed_alike():
    tensor, _ = planted((12, 10, 8), 2)
    first, again, other = (rr.estimate_rank(tensor, seed=seed) for seed in (0, 0, 1))
    for one, two in zip(first.factors, again.factors, strict=True):
        np.testing.assert_array_equal(one, two)
    assert first.rows == again.rows
    assert other.rank == first.rank


def test_it_is_said_where_more_components_were_not_allowed():
    tensor, _ = planted((12, 10, 8), 3)
    found = rr.estimate_rank(tensor, max_components=1)
    assert found.is_limited
    assert "as many components as are allowed" in found.words
    assert not rr.estimate_rank(tensor, max_components=9).is_limited


def test_what_components_gain_by_rounding_does_not_count():
    rng = np.random.default_rng(0)
    tensor = np.einsum(
        "ir,jr,kr->ijk", *(rng.standard_normal((dim, 3)) for dim in (16, 30, 12))
    )
    tensor[rng.random(tensor.shape) < 0.2] = np.nan
    assert rr.estimate_rank(tensor).rank == 3


def test_progress_tells_every_number_that_was_tried():
    tensor, _ = planted((12, 10, 8), 2)
    seen = []
    rr.estimate_rank(tensor, progress=seen.append)
    assert [at.components for at in seen][:3] == [0, 1, 2]
    assert all(at.heldout_error > 0 for at in seen)


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        (np.full((5, 4, 3), np.nan), {}, "None of the 60 entries"),
        (np.ones((5, 4, 3)), {}, "values equal 1"),
        (np.arange(60.0).reshape(5, 4, 3), {"max_components": 0}, "max_components"),
        (np.arange(60.0).reshape(5, 4, 3), {"loss": "logistic"}, "labels are 0 and 1"),
    ],
)
def test_what_cannot_be_used_is_refused(source, options, words):
    with pytest.raises(rr.InputError, match=words):
        rr.estimate_rank(source, **options)


# The fits


def test_a_fit_lies_where_no_small_change_lowers_the_objective():
    from rankrise.completion import PlainFits

    tensor, _ = planted((8, 7, 6), 2, missing=0.2)
    seen = np.argwhere(~np.isnan(tensor))
    starts = np.array([0, 8, 15, 21])
    rows = np.ascontiguousarray(seen + starts[:-1], np.int32)
    values = tensor[tuple(seen.T)]
    fits = PlainFits(
        starts, rows, values, np.ones(len(values)), rr.losses.SquaredLoss()
    )
    every = np.arange(len(values))

    def objective(factors, offset):
        own = [factors[a:b] for a, b in itertools.pairwise(starts)]
        predictions = offset + np.einsum("ir,jr,kr->ijk", *own)[tuple(seen.T)]
        return np.sum((values - predictions) ** 2) + 0.01 * np.sum(factors**2)

    fit = fits.nothing(every, offset=True)
    for number in range(2):
        fit = fits.extended(fit, every, 0.01, seed=(number,))
    least = objective(fit.factors, fit.offset)
    assert fit.objective == pytest.approx(least)
    rng = np.random.default_rng(0)
    for _ in range(20):
        change = 0.05 * rng.standard_normal(fit.factors.shape)
        assert objective(fit.factors + change, fit.offset) > least
        assert objective(fit.factors, fit.offset + 0.05 * rng.standard_normal()) > least


# Large sparse tensors


def test_components_of_heavy_tailed_factors_are_found_in_a_sparse_tensor():
    rng = np.random.default_rng(0)
    dims, observed = (900, 800, 120), 400_000
    factors = [rng.standard_normal((dim, 3)) for dim in dims]
    flat = np.unique(rng.integers(np.prod(dims), size=observed))
    indices = np.stack(np.unravel_index(flat, dims), axis=1)
    values = sum(
        np.prod([f[i, r] for f, i in zip(factors, indices.T, strict=True)], axis=0)
        for r in range(3)
    )
    values = values / values.std() + 0.5 * rng.standard_normal(len(values))
    observations = rr.Observations.from_coordinates(indices, values, dims)
    found = rr.complete(observations, models=1, smooth=False)
    assert found.heldout_error < 0.51
    assert found.components == 3
    assert match(factors, found.factors) > 0.98


def test_in_sparse_noise_no_component_is_found_and_it_is_said(caplog):
    rng = np.random.default_rng(0)
    dims = (3000, 2000, 100)
    flat = np.unique(rng.integers(np.prod(dims), size=310_000))
    indices = np.stack(np.unravel_index(flat, dims), axis=1)
    observations = rr.Observations.from_coordinates(
        indices, rng.standard_normal(len(flat)), dims
    )
    found = rr.complete(observations, models=1, smooth=False)
    assert found.components == 0
    assert "no component stands out from the noise" in caplog.text
