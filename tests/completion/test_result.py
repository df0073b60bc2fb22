"""What a completion gives: the tensor, how far it may be off, and its components."""

import itertools
import json
from typing import Any

import numpy as np
import pytest

import rankrise as rr
from rankrise.completion import summarize_completion, unseen_entries

QUICK: dict[str, Any] = {"models": 3, "smooth": False, "max_components": 3}


@pytest.fixture(scope="module")
def found(gappy):
    return rr.complete(gappy, **QUICK)


@pytest.fixture(scope="module")
def gaps(gappy):
    return np.isnan(gappy)


# The tensor


def transformed(whole, loss):
    """Values that a loss is for."""
    if loss == "logistic":
        return (whole > 0).astype(float)
    if loss == "poisson":
        return np.random.default_rng(0).poisson(np.exp(0.5 * whole)).astype(float)
    return whole


@pytest.mark.parametrize("loss", ["squared", "logistic", "poisson"])
@pytest.mark.parametrize(
    "mode_dims", [(9, 8), (6, 5, 4), (4, 3, 4, 3), (3, 2, 3, 2, 3)]
)
def test_the_tensor_is_what_its_entries_are(mode_dims, loss, make_low_rank):
    gappy, whole = make_low_rank(mode_dims, 2, share=0.7)
    gappy = np.where(np.isnan(gappy), np.nan, transformed(whole, loss))
    gappy[1] = np.nan
    found = rr.complete(
        gappy,
        loss=loss,
        main_effects=loss == "squared",
        penalties=(1.0, 0.3),
        **QUICK,
    )
    unseen = np.argwhere(np.isnan(gappy))
    unseen = unseen[unseen[:, 0] != 1]
    assert len(unseen) > 5
    # Products of two halves of the modes, and of all of them.
    for whole_of, entries in (
        (found.completed, found.entries(unseen)),
        (found.std, found.entries_std(unseen)),
        *zip(found.interval(0.8), found.entries_interval(unseen, 0.8), strict=True),
    ):
        np.testing.assert_allclose(
            whole_of[tuple(unseen.T)], entries, rtol=1e-9, atol=1e-9
        )


def test_observed_entries_come_back_exactly(found, gappy, gaps):
    np.testing.assert_array_equal(found.completed[~gaps], gappy[~gaps])
    for bound in found.interval():
        np.testing.assert_array_equal(bound[~gaps], gappy[~gaps])


def test_only_what_was_observed_is_certain(found, gaps):
    assert np.all(found.std[~gaps] == 0)
    assert np.all(found.std[gaps] > 0)


def test_entries_are_the_mean_of_the_models(found, gaps):
    indices = np.argwhere(gaps)
    expected = np.mean(
        [
            model.baseline.offset
            + np.prod(
                [m[i] for m, i in zip(model.factors, indices.T, strict=True)], 0
            ).sum(axis=1)
            for model in found.models
        ],
        axis=0,
    )
    np.testing.assert_allclose(found.entries(indices), expected, rtol=1e-10)


def test_deviations_are_of_the_noise_and_the_spread_of_the_models(found, gaps):
    indices = np.argwhere(gaps)
    predictions = [
        model.predictions(indices, rr.losses.SquaredLoss()) for model in found.models
    ]
    spread = np.var(predictions, axis=0, ddof=1)
    own = found.entries_std(indices) ** 2 - spread
    shares = own / found.noise.variances(indices)
    # What is between models is in the held-out residuals already.
    assert 0.6 - 1e-9 <= shares[0] <= 1
    np.testing.assert_allclose(shares, shares[0], rtol=1e-6)


def test_the_error_of_the_mean_is_that_of_one_model_less_their_spread(found):
    indices = unseen_entries(
        found.observations.indices, found.observations.mode_dims, found.settings.seed
    )
    predictions = [
        model.predictions(indices, rr.losses.SquaredLoss()) for model in found.models
    ]
    spread = np.mean(np.var(predictions, axis=0, ddof=1))
    count = len(found.models)
    least = 0.6 * found.noise.variance
    own = max(found.noise.variance - (2 - 1 / count) * spread, least)
    variances = found.entries_std(indices) ** 2 - np.var(predictions, axis=0, ddof=1)
    share = np.mean(variances / found.noise.variances(indices))
    assert share == pytest.approx(own / found.noise.variance)


def test_slices_that_were_never_observed_are_not_invented(gappy):
    holed = gappy.copy()
    holed[2] = np.nan
    found = rr.complete(holed, **QUICK)
    assert list(found.unobserved_slices()) == [(0, 2)]
    assert found.unobserved_slice_count == 1
    for each in (found.completed, found.std, *found.interval()):
        assert np.isnan(each[2]).all()
        assert np.isfinite(np.delete(each, 2, axis=0)).all()
    # Asked for by name they are what the rest says.
    assert np.isfinite(found.entries(np.array([[2, 0, 0]]))).all()
    np.testing.assert_array_equal(found.factors[0][2], 0)


def test_slices_that_were_never_observed_change_nothing_elsewhere(found, gappy):
    wider = np.insert(gappy, [0, 3, 3, 6], np.nan, axis=0)
    assert wider.shape[0] == 10
    other = rr.complete(wider, **QUICK).completed
    rows = [1, 2, 3, 6, 7, 8]
    np.testing.assert_array_equal(other[rows], found.completed)


# Bounds


def test_a_higher_level_is_a_wider_interval(found, gaps):
    widths = [
        np.subtract(*found.interval(level)[::-1])[gaps] for level in (0.5, 0.8, 0.95)
    ]
    for narrow, wide in itertools.pairwise(widths):
        assert np.all(narrow <= wide)
    assert np.all(widths[0] < widths[-1])


def test_the_interval_is_around_the_completed_entries(found, gaps):
    lower, upper = found.interval(0.8)
    middle = (lower + upper) / 2
    np.testing.assert_allclose(middle[gaps], found.completed[gaps], atol=1e-12)


def test_an_interval_covers_about_its_share_of_the_gaps(make_low_rank):
    gappy, whole = make_low_rank((15, 12, 10), 2, share=0.5)
    noise = np.random.default_rng(1).standard_normal(whole.shape)
    lower, upper = rr.complete(gappy + 0.3 * noise, **QUICK).interval(0.9)
    truth = whole + 0.3 * noise
    missing = np.isnan(gappy)
    inside = (lower <= truth) & (truth <= upper)
    # Nine hundred gaps, and bounds that are drawn from as many held-out entries.
    assert np.mean(inside[missing]) == pytest.approx(0.9, abs=0.06)


@pytest.mark.parametrize("level", [2.0, 0.0, 1.0, -0.1])
def test_a_level_that_is_no_share_is_refused(level, found):
    with pytest.raises(rr.InputError, match="it must lie between 0 and 1"):
        found.interval(level)


# Components


def test_factors_are_those_of_the_model_of_least_held_out_loss(found, gappy):
    losses = [model.path.best_point.heldout_loss for model in found.models]
    assert found.reference is found.models[np.argmin(losses)]
    assert [matrix.shape[0] for matrix in found.factors] == list(gappy.shape)
    norms = np.prod([np.linalg.norm(matrix, axis=0) for matrix in found.factors], 0)
    np.testing.assert_allclose(found.component_norms, norms)
    assert np.all(np.diff(norms) <= 0)
    assert found.path is found.reference.path.points


def test_components_above_a_hundredth_of_the_largest_are_counted(found):
    norms = found.component_norms
    assert found.components == np.sum(norms > 0.01 * norms[0])


def test_components_that_all_models_have_are_reproducible(make_low_rank):
    gappy, _ = make_low_rank((10, 9, 8), 2)
    found = rr.complete(gappy, center=False, models=3, smooth=False)
    assert np.all(found.reproducibility[:2] > 0.99)
    assert np.all(found.reproducibility <= 1 + 1e-12)


def test_with_a_single_model_nothing_is_said_of_reproducibility(gappy):
    single = rr.complete(gappy, models=1, smooth=False, max_components=2)
    assert len(single.reproducibility) == len(single.component_norms) > 0
    assert np.isnan(single.reproducibility).all()


def test_a_cp_tensor_of_tensorly_is_the_reference_model(found, gappy):
    tensorly = pytest.importorskip("tensorly", reason="TensorLy is not installed")
    tensor = found.cp_tensor(components="all")
    everywhere = np.argwhere(np.ones(gappy.shape))
    expected = found.reference.predictions(everywhere, rr.losses.SquaredLoss())
    np.testing.assert_allclose(
        tensorly.cp_to_tensor(tensor).ravel(), expected, atol=1e-12
    )
    for factor in tensor.factors:
        np.testing.assert_allclose(np.linalg.norm(factor, axis=0), 1)


def test_a_cp_tensor_of_the_rank_is_without_main_effects_that_were_asked_for(gappy):
    pytest.importorskip("tensorly", reason="TensorLy is not installed")
    found = rr.complete(gappy, main_effects=True, **QUICK)
    with pytest.raises(rr.InputError, match="what main effects leave"):
        found.cp_tensor()


def test_a_cp_tensor_of_the_reference_has_its_main_effects(gappy):
    tensorly = pytest.importorskip("tensorly", reason="TensorLy is not installed")
    found = rr.complete(gappy, main_effects=True, **QUICK)
    everywhere = np.argwhere(np.ones(gappy.shape))
    expected = found.reference.predictions(everywhere, rr.losses.SquaredLoss())
    np.testing.assert_allclose(
        tensorly.cp_to_tensor(found.cp_tensor("all")).ravel(), expected, atol=1e-12
    )


def test_saved_factors_are_the_models_again(found, gappy, tmp_path, cp_product):
    path = found.save_factors(tmp_path)
    with np.load(path) as file:
        offsets = file["offset"]
    others = [model for model in found.models if model is not found.reference]
    everywhere = np.argwhere(np.ones(gappy.shape))
    for number, model in enumerate([found.reference, *others]):
        loaded = rr.trajectories.load_factors(path, run=number).factor_matrices
        tensor = offsets[number] + cp_product([np.asarray(m) for m in loaded])
        expected = model.predictions(everywhere, rr.losses.SquaredLoss())
        np.testing.assert_allclose(tensor.ravel(), expected, atol=1e-12)


def test_saved_main_effects_are_those_of_the_models(gappy, tmp_path):
    found = rr.complete(gappy, main_effects=True, **QUICK)
    with np.load(found.save_factors(tmp_path)) as file:
        for mode in range(3):
            expected = found.reference.baseline.effects[mode][:-1]
            np.testing.assert_array_equal(file[f"effects_{mode + 1}"][0], expected)


def test_factors_of_a_mode_that_is_mostly_unobserved_name_their_rows(tmp_path):
    rng = np.random.default_rng(0)
    names = np.unique(rng.integers(0, 10**9, 12))
    places = np.argwhere(rng.random((len(names), 9)) < 0.8)
    indices = np.stack([names[places[:, 0]], places[:, 1]], axis=1)
    observations = rr.Observations.from_coordinates(
        indices, rng.standard_normal(len(indices)), (10**9, 9)
    )
    found = rr.complete(observations, penalties=(1.0,), **QUICK)
    with np.load(found.save_factors(tmp_path)) as file:
        np.testing.assert_array_equal(file["rows_1"], names)
        assert "rows_2" not in file
        assert len(file["run_0_mode_1"]) == len(names)


# How good it is


def test_errors_are_relative_to_the_values_and_to_their_spread(found):
    values = found.observations.values
    everywhere = np.argwhere(np.ones(found.completed.shape))
    predictions = found.reference.predictions(everywhere, rr.losses.SquaredLoss())
    predictions = predictions.reshape(found.completed.shape)
    shown = found.folds.part != found.reference.number
    # Three models are not shown a fifth each.
    known = ~np.isnan(found.heldout_predictions)
    assert 0.5 < np.mean(known) < 0.7
    residuals = {
        "train": (predictions[tuple(found.observations.indices.T)] - values)[shown],
        "heldout": (found.heldout_predictions - values)[known],
    }
    errors = found.errors()
    for name, own in (("train", values[shown]), ("heldout", values[known])):
        residual = np.linalg.norm(residuals[name])
        centered = np.linalg.norm(own - values.mean())
        expected = {
            f"{name}_error": residual / np.sqrt(len(own)),
            f"{name}_relative_error": residual / np.linalg.norm(own),
            f"{name}_centered_error": residual / centered,
        }
        assert {key: errors[key] for key in expected} == pytest.approx(expected)
    assert found.heldout_error == errors["heldout_error"]
    assert found.heldout_relative_error == errors["heldout_relative_error"]


def test_held_out_predictions_are_of_the_model_that_was_not_shown_them(found):
    for model in found.models:
        hidden = found.folds.part == model.number
        assert hidden.any()
        indices = found.observations.indices[hidden]
        np.testing.assert_allclose(
            found.heldout_predictions[hidden],
            model.predictions(indices, rr.losses.SquaredLoss()),
        )


def test_the_held_out_loss_of_a_path_is_that_of_its_model(found):
    residuals = found.observations.values - found.heldout_predictions
    for model in found.models:
        loss = np.mean(residuals[found.folds.part == model.number] ** 2)
        # Paths are in standardized units.
        expected = model.path.best_point.heldout_loss * model.baseline.scale**2
        assert loss == pytest.approx(expected, rel=1e-9)


def test_a_completion_is_told_in_few_lines(found):
    text = repr(found)
    assert len(text.splitlines()) <= 10
    assert len(text) < 500
    assert "6 x 5 x 4" in text
    assert f"{found.components} components" in text
    assert "converged" in text


def test_a_misspelled_name_is_no_attribute(found):
    with pytest.raises(AttributeError):
        _ = found.complted


def test_a_run_by_alternation_has_no_trajectory(found):
    with pytest.raises(rr.InputError, match="no trajectory; see `path`"):
        _ = found.run


def test_a_summary_is_strict_json(found):
    summary = summarize_completion(found, {"path": "data.npy"}, level=0.8)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["result"] == "converged"
    assert summary["rank"] == found.rank
    assert summary["components"] == found.components
    assert len(summary["rank_table"]) == len(found.rank_table)
    assert summary["heldout_error"] == found.heldout_error
    assert len(summary["models"]) == 3
    assert summary["interval"]["level"] == 0.8


@pytest.mark.parametrize(
    ("indices", "words"),
    [
        ([[0, 0, 1.5]], "whole numbers"),
        ([[0, 0]], "2 columns but the tensor has 3"),
        ([0, 0, 1], "one row per observed entry"),
        ([["a", "b", "c"]], "whole numbers are needed"),
    ],
)
def test_indices_that_name_no_entry_are_refused(gappy, indices, words):
    found = rr.complete(gappy, models=2)
    for method in (found.entries, found.entries_std, found.are_unobserved):
        with pytest.raises(rr.InputError, match=words):
            method(indices)


def test_indices_may_be_a_list(gappy):
    found = rr.complete(gappy, models=2)
    given = found.entries([[0, 0, 1], [1, 2.0, 0]])
    np.testing.assert_array_equal(
        given, found.entries(np.array([[0, 0, 1], [1, 2, 0]]))
    )
