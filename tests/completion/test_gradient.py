"""Completion by gradient descent, gradient flow and its limit, by the same door."""

import json

import numpy as np
import pytest

import rankrise as rr
from rankrise.completion import summarize_completion


def relative_error(found, gappy, whole):
    gaps = np.isnan(gappy)
    return np.linalg.norm((found.completed - whole)[gaps]) / np.linalg.norm(whole[gaps])


def paper(**options):
    return rr.GradientMethod(kind="paper", components=8, precision="float64", **options)


@pytest.fixture(scope="module")
def short(gappy):
    """Two runs that have left the start, which is all that most claims need."""
    return rr.complete(gappy, method=paper(steps=600, init_scales=(0.1, 0.03)))


def parts(found):
    """Observations trained on, and held out."""
    shown = found.folds.part != 0
    observations = found.observations
    return observations.take(shown), observations.take(~shown)


def test_the_run_of_least_held_out_error_is_chosen(short):
    runs = short.trajectory.runs()
    assert len(runs) == 2
    errors = [run.heldout_error.min() for run in runs]
    assert short.chosen == np.argmin(errors)
    np.testing.assert_array_equal(
        short.run.heldout_error, runs[short.chosen].heldout_error
    )


def test_the_factors_of_least_held_out_error_are_taken(short):
    run = short.run
    best = np.argmin(run.heldout_error)
    assert run.outcomes[0].best_step == run.step[best]
    assert short.reference.path.best == best
    _, heldout = parts(short)
    predictions = short.entries(heldout.indices) - short.offset
    values = heldout.values - short.offset
    error = np.linalg.norm(predictions - values) / np.linalg.norm(values)
    # In the units of the standardized values.
    assert run.heldout_error[best] == pytest.approx(error, rel=1e-9)


def test_it_is_one_model_that_is_not_shown_a_tenth(short, gappy):
    assert len(short.models) == 1
    _, heldout = parts(short)
    assert len(heldout) == round(0.1 * np.sum(~np.isnan(gappy)))
    assert np.isnan(short.reproducibility).all()


def test_missing_entries_are_what_the_factors_say(short, gappy, cp_product):
    gaps = np.isnan(gappy)
    expected = short.offset + cp_product(short.factors)
    np.testing.assert_allclose(short.completed[gaps], expected[gaps], atol=1e-12)
    np.testing.assert_array_equal(short.completed[~gaps], gappy[~gaps])


def test_components_are_in_order_of_their_norm(short):
    assert np.all(np.diff(short.component_norms) <= 0)
    assert short.rank == short.path[short.reference.path.best].components


def test_a_summary_has_the_runs_and_which_was_chosen(short):
    summary = summarize_completion(short, {"path": "data.npy"})
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["settings"]["method"]["components"] == 8
    assert summary["chosen_step"] == short.run.outcomes[0].best_step
    assert [run["init_scale"] for run in summary["runs"]] == [0.1, 0.03]
    assert (summary["result"], summary["rank"]) == ("stopped", short.rank)


def test_a_run_out_of_steps_says_so(short):
    assert short.ending is rr.Ending.STOPPED
    assert "stopped" in repr(short)


@pytest.mark.slow
def test_a_gradient_method_is_reached_by_its_name_or_with_options(gappy):
    by_options = rr.complete(gappy, method=rr.GradientMethod(steps=20, components=2))
    assert by_options.settings.gradient.kind == "paper"
    assert by_options.trajectory is not None


@pytest.mark.slow
def test_missing_entries_of_a_tensor_of_low_rank_are_recovered(gappy, whole):
    # Nine entries are held out, which choose a poor point now and then.
    found = [rr.complete(gappy, method=paper(steps=4000), seed=s) for s in range(5)]
    # A guess of the mean has an error of one; the run was cut off while it still fell.
    assert np.median([relative_error(one, gappy, whole) for one in found]) < 0.02
    # The two of the tensor, and perhaps one that takes back the offset.
    assert np.median([one.rank for one in found]) in (2, 3)


@pytest.mark.slow
def test_another_unit_of_the_data_changes_nothing_but_the_unit(gappy):
    # Few steps, because standardized values differ by rounding, which steps amplify.
    method = paper(steps=600, init_scales=(0.01,))
    one = rr.complete(gappy, method=method)
    assert one.component_norms[0] > 1  # it has left the start
    other = rr.complete(1.8 * gappy + 32.0, method=method)
    np.testing.assert_allclose(other.completed, 1.8 * one.completed + 32.0, atol=1e-6)


@pytest.mark.slow
def test_a_seed_fixes_the_result(short, gappy):
    method = paper(steps=600, init_scales=(0.1, 0.03))
    again = rr.complete(gappy, method=method)
    np.testing.assert_array_equal(again.completed, short.completed)


@pytest.mark.slow
def test_without_centering_there_is_no_offset(short, gappy):
    assert short.offset != 0
    found = rr.complete(gappy, method=paper(steps=1), center=False)
    assert found.offset == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["flow", "limit"])
def test_gradient_flow_and_its_limit_complete_too(kind, gappy, whole):
    options = {"init_scales": (0.03,)} if kind == "flow" else {}
    method = rr.GradientMethod(kind=kind, components=6, **options)
    # A tenth of these few entries is too little to choose a step by.
    found = rr.complete(gappy, method=method, heldout_share=0.25)
    assert relative_error(found, gappy, whole) < 0.1
    assert found.reference.path.best == np.argmin(found.run.heldout_error)
    assert np.all(found.std[np.isnan(gappy)] > 0)
