"""`complete`: whatever form a tensor with gaps comes in, the same values come out."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import xarray as xr

import rankrise as rr

QUICK: dict[str, Any] = {"models": 2, "smooth": False, "max_components": 3}


def relative_error(found, gappy, whole):
    gaps = np.isnan(gappy)
    return np.linalg.norm((found.completed - whole)[gaps]) / np.linalg.norm(whole[gaps])


@pytest.fixture(scope="module")
def found(gappy):
    return rr.complete(gappy, **QUICK)


# Forms


@pytest.fixture(scope="module")
def table(gappy):
    """One row an observed entry, in no order."""
    rows = np.random.default_rng(0).permutation(np.argwhere(~np.isnan(gappy)))
    return pd.DataFrame(
        {
            "subject": [f"s{i}" for i in rows[:, 0]],
            "sensor": rows[:, 1],
            "day": pd.Timestamp("2024-05-01") + pd.to_timedelta(rows[:, 2], unit="D"),
            "response": gappy[tuple(rows.T)],
        }
    )


def test_gaps_are_filled_and_what_was_observed_stays(found, gappy, whole):
    observed = ~np.isnan(gappy)
    np.testing.assert_array_equal(found.completed[observed], gappy[observed])
    assert relative_error(found, gappy, whole) < 0.2


@pytest.mark.parametrize("dtype", [np.int16, np.bool_])
def test_integers_and_booleans_are_completed_as_numbers(dtype, gappy):
    mask = ~np.isnan(gappy)
    values = np.where(mask, np.round(gappy), 0).astype(dtype)
    found = rr.complete(values, mask, **QUICK)
    as_floats = rr.complete(np.where(mask, values.astype(float), np.nan), **QUICK)
    assert found.completed.dtype == np.float64
    np.testing.assert_array_equal(found.completed, as_floats.completed)


def test_single_precision_comes_back_in_single_precision(found, gappy):
    single = rr.complete(gappy.astype(np.float32), **QUICK)
    assert single.completed.dtype == np.float32
    # Steps amplify what the values differ by.
    np.testing.assert_allclose(single.completed, found.completed, atol=1e-3)


def test_an_array_with_a_mask_gives_the_same(found, gappy):
    mask = ~np.isnan(gappy)
    other = rr.complete(np.where(mask, gappy, 0.0), mask, **QUICK)
    np.testing.assert_array_equal(other.completed, found.completed)


def test_a_masked_array_gives_the_same(found, gappy):
    other = rr.complete(np.ma.masked_invalid(gappy), **QUICK).completed
    assert isinstance(other, np.ma.MaskedArray)
    assert not np.ma.is_masked(other)
    np.testing.assert_array_equal(other.data, found.completed)


def test_an_xarray_gives_the_same_with_its_coordinates(found, gappy):
    array = xr.DataArray(
        gappy,
        dims=("x", "y", "t"),
        coords={"y": list("abcde"), "t": [0.5, 1.0, 2.0, 4.0]},
        attrs={"units": "mV"},
    )
    other = rr.complete(array, **QUICK)
    np.testing.assert_array_equal(other.completed.values, found.completed)
    xr.testing.assert_identical(other.completed.copy(data=gappy), array)
    # So do deviations and bounds.
    for each in (other.std, *other.interval()):
        assert each.dims == ("x", "y", "t")


def test_a_long_table_in_no_order_gives_the_same_rows(found, table):
    completed = rr.complete(table, **QUICK).completed
    assert list(completed.columns) == list(table.columns)
    values = completed.sort_values(["subject", "sensor", "day"])["response"]
    np.testing.assert_array_equal(values, found.completed.ravel())


def test_values_of_a_table_may_be_another_column(found, table):
    turned = table[["response", "day", "sensor", "subject"]]
    other = rr.complete(turned, values="response", **QUICK).completed
    values = other.sort_values(["subject", "sensor", "day"])["response"]
    # Modes are solved for in another order.
    np.testing.assert_allclose(values, found.completed.ravel(), atol=0.5)
    assert not values.isna().any()


def test_coordinates_of_a_sparse_matrix_give_the_same(gappy):
    matrix = gappy.reshape(gappy.shape[0], -1)
    rows, columns = np.nonzero(~np.isnan(matrix))
    sparse = sp.coo_array((matrix[rows, columns], (rows, columns)), matrix.shape)
    dense = rr.complete(matrix, **QUICK).completed
    np.testing.assert_array_equal(rr.complete(sparse, **QUICK).completed, dense)


def test_observations_give_the_same_in_any_order(found, gappy):
    observations = rr.Observations.from_array(gappy)
    order = np.random.default_rng(3).permutation(len(observations))
    other = rr.complete(observations.take(order), **QUICK)
    np.testing.assert_array_equal(other.completed, found.completed)
    np.testing.assert_array_equal(other.std, found.std)


def test_settings_in_one_object_give_the_same(found, gappy):
    settings = rr.CompletionSettings(**QUICK)
    other = rr.complete_tensor(rr.incomplete_tensor(gappy), settings)
    np.testing.assert_array_equal(other.completed, found.completed)


# What is found


def test_a_tensor_of_low_rank_is_found_without_naming_a_rank(make_low_rank):
    gappy, whole = make_low_rank((10, 9, 8), 2, share=0.5)
    penalties = (1.0, 0.1, 1e-3, 1e-5)
    found = rr.complete(
        gappy, models=2, smooth=False, center=False, penalties=penalties
    )
    # The smallest penalty shrinks what is learned by about its size.
    assert relative_error(found, gappy, whole) < 1e-3
    assert found.rank == 2
    assert np.all(found.reproducibility[:2] > 0.999)
    assert found.ending is rr.Ending.CONVERGED


@pytest.mark.parametrize("size", [1e12, 1e-12])
def test_the_unit_of_the_values_does_not_matter(size, found, gappy):
    other = rr.complete(size * gappy, **QUICK)
    assert other.rank == found.rank
    np.testing.assert_allclose(
        other.completed, size * found.completed, rtol=1e-6, atol=1e-6 * size
    )


def test_a_shift_of_the_values_shifts_what_is_completed(gappy):
    found, other = (
        rr.complete(gappy + shift, center=True, **QUICK) for shift in (0.0, 32.0)
    )
    np.testing.assert_allclose(other.completed, found.completed + 32.0, atol=1e-6)
    assert other.offset == pytest.approx(found.offset + 32.0)


@pytest.mark.parametrize(
    ("mode_dims", "cp_rank", "share"),
    [
        ((15, 12), 1, 0.9),
        ((1, 9, 8), 1, 0.7),
        ((5, 4, 5, 4), 1, 0.6),
        ((3, 4, 3, 2, 3, 3), 1, 0.7),
    ],
)
def test_matrices_flat_modes_and_high_orders_are_completed(
    mode_dims, cp_rank, share, make_low_rank
):
    gappy, whole = make_low_rank(mode_dims, cp_rank, share=share)
    found = rr.complete(gappy, models=2, smooth=False, max_components=4)
    assert relative_error(found, gappy, whole) < 0.05


def test_a_huge_outlier_does_not_spoil_a_huber_fit(make_low_rank):
    gappy, whole = make_low_rank((10, 9, 8), 2)
    outlier = tuple(np.argwhere(~np.isnan(gappy))[17])
    gappy[outlier] = 1e6
    found = rr.complete(gappy, models=2, smooth=False, max_components=4, loss="huber")
    assert relative_error(found, gappy, whole) < 0.1
    # The outlier is nearly all of the spread, and nothing of the median.
    assert found.typical_error() < 0.2


def test_labels_are_completed_by_probabilities(make_low_rank):
    gappy, whole = make_low_rank((10, 9, 8), 1, share=0.8)
    labels = np.where(np.isnan(gappy), np.nan, whole > 0)
    found = rr.complete(labels, models=2, smooth=False, loss="logistic")
    probabilities = found.entries(np.argwhere(np.ones(labels.shape)))
    assert np.all((probabilities >= 0) & (probabilities <= 1))
    lower, upper = found.interval(0.9)
    assert np.all((lower >= 0) & (lower <= upper) & (upper <= 1))
    gaps = np.isnan(labels)
    # The larger class has a share of about a half.
    assert np.mean((found.completed > 0.5)[gaps] == (whole > 0)[gaps]) > 0.8


def test_counts_are_completed_by_rates(make_low_rank):
    gappy, whole = make_low_rank((10, 9, 8), 1, share=0.8)
    rates = np.exp(1 + 0.7 * whole)
    counts = np.random.default_rng(1).poisson(rates).astype(float)
    gaps = np.isnan(gappy)
    found = rr.complete(
        np.where(gaps, np.nan, counts), models=2, smooth=False, loss="poisson"
    )
    rest = found.completed[gaps]
    assert np.all(rest > 0)
    assert np.mean((rest - rates[gaps]) ** 2) < 0.3 * np.var(rates[gaps])


def test_factors_that_may_not_be_negative_are_not(make_low_rank):
    gappy, _ = make_low_rank((10, 9, 8), 2)
    found = rr.complete(np.abs(gappy), models=2, smooth=False, non_negative=True)
    assert found.offset == 0
    for model in found.models:
        for matrix in model.factors:
            assert np.all(matrix >= 0)


def test_main_effects_complete_an_additive_tensor():
    rows, columns, layers = np.ogrid[:7, :6, :5]
    whole = np.sin(rows) + 2 * np.cos(columns) + 0.3 * layers
    gappy = np.where(np.random.default_rng(0).random(whole.shape) < 0.4, np.nan, whole)
    found = rr.complete(gappy, models=2, max_components=1, main_effects=True)
    # Effects are shrunk by one in some twenty entries of a slice.
    mean = np.nanmean(gappy)
    off, spread = ((each - whole)[np.isnan(gappy)] for each in (found.completed, mean))
    assert np.linalg.norm(off) < 0.1 * np.linalg.norm(spread)


@dataclass(frozen=True)
class LogCosh(rr.losses.AbstractLoss):
    """One of a user's own, of the residual."""

    def __call__(self, predictions, values):
        return np.logaddexp(predictions - values, values - predictions) - np.log(2)

    def slopes(self, distances):
        return np.tanh(distances)


@dataclass(frozen=True)
class Quartic(rr.losses.AbstractLoss):
    """One without anything to complete by."""

    def __call__(self, predictions, values):
        return (predictions - values) ** 4


def test_a_loss_of_ones_own_with_slopes_completes(make_low_rank):
    gappy, whole = make_low_rank((10, 9, 8), 2)
    found = rr.complete(gappy, models=2, smooth=False, loss=LogCosh())
    assert relative_error(found, gappy, whole) < 0.1


def test_a_loss_of_ones_own_without_slopes_is_refused_at_the_door(gappy):
    with pytest.raises(rr.InputError, match="Quartic has no `majorizer`"):
        rr.complete(gappy, loss=Quartic())


def test_weights_make_what_has_more_of_it_count_more(make_low_rank):
    gappy, whole = make_low_rank((10, 9, 8), 2)
    rng = np.random.default_rng(2)
    noisy = rng.random(gappy.shape) < 0.4
    spoiled = gappy + np.where(noisy, 3 * rng.standard_normal(gappy.shape), 0)
    weights = np.where(noisy, 1e-3, 1.0)
    errors = []
    for given in (None, weights):
        observations = rr.Observations.from_array(spoiled, weights=given)
        errors.append(
            relative_error(rr.complete(observations, **QUICK), spoiled, whole)
        )
    assert errors[1] < 0.3 * errors[0]


def test_a_seed_fixes_the_result(found, gappy):
    again = rr.complete(gappy, **QUICK)
    np.testing.assert_array_equal(again.completed, found.completed)
    other = rr.complete(gappy, seed=1, **QUICK)
    assert np.any(other.completed != found.completed)


@pytest.mark.parametrize("in_order", [True, False])
def test_rows_that_change_slowly_are_taken_to_be_alike_and_others_not(in_order):
    rng = np.random.default_rng(0)
    times = np.linspace(0, 3, 60)[:, None]
    whole = np.sin(times * [1, 2]) @ rng.standard_normal((2, 12))
    if not in_order:
        whole = rng.permutation(whole)
    gappy = np.where(rng.random(whole.shape) < 0.5, np.nan, whole)
    found = rr.complete(
        gappy + 0.2 * rng.standard_normal(whole.shape), models=2, max_components=6
    )
    assert {model.smooth for model in found.models} == {in_order}


# Sizes


def test_a_mode_of_a_billion_costs_what_is_observed():
    rng = np.random.default_rng(0)
    rows = np.unique(rng.integers(0, 10**9, 40))
    indices = np.unique(
        np.stack([rng.choice(rows, 500), rng.integers(0, 30, 500)], axis=1), axis=0
    )
    factor = dict(zip(rows.tolist(), rng.standard_normal(len(rows)), strict=True))
    values = np.array([factor[i] * np.cos(j) for i, j in indices.tolist()])
    observations = rr.Observations.from_coordinates(indices, values, (10**9, 30))
    found = rr.complete(observations, models=2, smooth=False)
    assert np.std(found.entries(indices) - values) < 0.1 * np.std(values)
    assert found.unobserved_slice_count >= 10**9 - 40
    with pytest.raises(rr.InputError, match="ask `entries` for those"):
        _ = found.completed


def test_few_observations_of_a_long_matrix_are_completed_in_seconds():
    rng = np.random.default_rng(0)
    places = rng.choice(70_000, 60, replace=False)
    indices = np.stack([places // 7, places % 7], axis=1)
    observations = rr.Observations.from_coordinates(
        indices, rng.standard_normal(60), (10_000, 7)
    )
    found = rr.complete(observations)
    assert found.completed.shape == (10_000, 7)
    assert np.isnan(found.completed).any(axis=1).sum() >= 10_000 - 60
    assert found.seconds < 20


def test_an_order_of_thirty_is_completed():
    rng = np.random.default_rng(0)
    indices = np.unique(rng.integers(0, 2, (400, 30)), axis=0)
    factors = 1 + 0.3 * rng.standard_normal((30, 2))
    values = np.prod(factors[np.arange(30), indices], axis=1)
    observations = rr.Observations.from_coordinates(indices, values, (2,) * 30)
    found = rr.complete(observations, models=2, smooth=False, max_components=2)
    assert found.heldout_relative_error < 1
    assert np.isfinite(found.entries(indices)).all()


def test_memory_does_not_grow_with_the_number_of_entries():
    # The tensor has 10^20 entries, more than 64 bits can count.
    rng = np.random.default_rng(0)
    indices = np.unique(rng.integers(0, (4, 5, 3, 4), (100, 4)), axis=0)
    factors = [rng.standard_normal(5) for _ in range(4)]
    values = np.prod([f[i] for f, i in zip(factors, indices.T, strict=True)], axis=0)
    observations = rr.Observations.from_coordinates(
        indices * 20_000, values, (10**5,) * 4
    )
    found = rr.complete(observations, models=2, penalties=(0.5,), max_components=1)
    assert np.isfinite(found.entries(observations.indices)).all()
    assert found.unobserved_slice_count == 4 * 10**5 - sum(
        len(np.unique(column)) for column in indices.T
    )


# Refusals and warnings


def few():
    array = np.full((4, 4), np.nan)
    array.flat[:9] = np.arange(9.0)
    return array


def constant():
    array = np.full((4, 4), 2.5)
    array[0, 0] = np.nan
    return array


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (few(), "Only 9 of 16 entries are observed; at least 10"),
        (constant(), "All observed values equal 2.5, so there is nothing to learn"),
    ],
)
def test_data_with_nothing_to_complete_or_to_learn_is_refused(array, words):
    with pytest.raises(rr.InputError, match=words):
        rr.complete(array)


def test_a_sentinel_value_that_stands_for_missing_is_suspected(gappy, caplog):
    marked = np.where(np.isnan(gappy), -999.0, gappy)
    rr.complete(marked, models=2)
    assert re.search(r"the value -999 occurs \d+ times, far from", caplog.text)


def test_a_full_tensor_is_asked_for_its_components_rank_and_noise(caplog):
    rng = np.random.default_rng(0)
    factors = [rng.standard_normal((dim, 2)) for dim in (12, 10, 8)]
    tensor = np.einsum("ir,jr,kr->ijk", *factors)
    tensor += 0.1 * rng.standard_normal(tensor.shape)
    found = rr.complete(tensor, models=3)
    np.testing.assert_array_equal(found.completed, tensor)
    assert not found.std.any()
    assert found.rank == 2
    assert found.heldout_error == pytest.approx(0.1, rel=0.2)
    assert "all 960 entries are observed, so none is filled" in caplog.text


def test_it_is_said_where_more_components_are_not_allowed(gappy, caplog):
    rr.complete(gappy, models=2, max_components=1)
    assert "as many components as `max_components` allows, 1" in caplog.text


@pytest.mark.parametrize(
    ("loss", "words"),
    [("logistic", "labels are 0 and 1"), ("poisson", "counts are not negative")],
)
def test_values_that_a_loss_is_not_for_are_refused(loss, words, gappy):
    with pytest.raises(rr.InputError, match=words):
        rr.complete(gappy, loss=loss)


def test_slices_without_an_observed_entry_are_warned_of(gappy, caplog):
    holed = gappy.copy()
    holed[3] = np.nan
    holed[:, 1] = np.nan
    with caplog.at_level("WARNING", logger="rankrise"):
        found = rr.complete(holed, **QUICK)
    assert list(found.unobserved_slices()) == [(0, 3), (1, 1)]
    assert "index 3 (counted from 0) of mode 1 (and in 1 other slice)" in caplog.text


def test_warnings_use_the_names_and_labels_of_the_data(gappy, caplog):
    holed = gappy.copy()
    holed[0] = np.nan
    holed[1, 1, 1] = 1e9
    array = xr.DataArray(
        holed,
        dims=list("abc"),
        coords={
            name: [f"{name}-{k}" for k in range(dim)]
            for name, dim in zip("abc", gappy.shape, strict=True)
        },
    )
    with caplog.at_level("WARNING", logger="rankrise"):
        rr.complete(array, **QUICK)
    assert "no entry is observed at a-0 of a;" in caplog.text
    assert "the value 1e+09 at (a-1, b-1, c-1)" in caplog.text


def test_a_sentinel_value_beside_gaps_is_warned_of(gappy, caplog):
    marked = gappy.copy()
    marked[tuple(np.argwhere(~np.isnan(gappy))[:5].T)] = -999
    with caplog.at_level("WARNING", logger="rankrise"):
        rr.complete(gappy, **QUICK)
        assert "occurs" not in caplog.text
        rr.complete(marked, **QUICK)
    assert "the value -999 occurs 5 times, far from all others" in caplog.text


def test_a_poor_fit_is_warned_of(caplog):
    noise = np.random.default_rng(0).standard_normal((8, 7, 6))
    noise[noise > 0.8] = np.nan
    with caplog.at_level("WARNING", logger="rankrise"):
        found = rr.complete(noise, **QUICK)
    assert found.errors()["heldout_centered_error"] > 0.5
    assert "little was learned" in caplog.text
    assert "--" not in caplog.text


@dataclass(frozen=True)
class BrokenLoss(rr.losses.AbstractLoss):
    """Gives whatever it is made with in place of weights."""

    weight: float

    def __call__(self, predictions, values):
        return (predictions - values) ** 2

    def majorizer(self, predictions, values):
        return np.full(len(values), self.weight), values


@pytest.mark.parametrize(
    ("weight", "words"), [(np.nan, "not a finite number"), (-1.0, "negative weights")]
)
def test_a_loss_whose_majorizer_is_none_is_refused(weight, words):
    tensor = np.random.default_rng(0).normal(size=(6, 5, 4))
    tensor[0, 0, 0] = np.nan
    with pytest.raises(rr.InputError, match=words):
        rr.complete(tensor, loss=BrokenLoss(weight), models=2)


def test_no_more_components_enter_than_a_matrix_can_have():
    rng = np.random.default_rng(0)
    tensor = np.outer(rng.normal(size=12), rng.normal(size=10))
    tensor[rng.random(tensor.shape) < 0.4] = np.nan
    found = rr.complete(tensor, models=2)
    assert max(point.components for point in found.path) <= 10


def test_an_entry_of_weight_zero_teaches_nothing_and_stays_as_it_came():
    rng = np.random.default_rng(0)
    tensor = np.einsum("i,j,k->ijk", *(rng.normal(size=dim) for dim in (7, 6, 5)))
    weights = np.ones(tensor.shape)
    weights[2, 3, 1] = 0
    tensor[rng.random(tensor.shape) < 0.4] = np.nan
    tensor[2, 3, 1] = 1e6
    observations = rr.Observations.from_array(tensor, weights=weights)
    found = rr.complete(observations, models=2, center=False)
    assert found.completed[2, 3, 1] == 1e6
    assert np.abs(found.entries([[2, 3, 1]])) < 100
