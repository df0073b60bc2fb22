"""Completion by gradient methods: the run of least held-out error is chosen."""

import numpy as np
import pytest

import rankrise as rr
from rankrise.completion import summarize_completion

COMMON = {"settings", "versions", "device", "seed", "result", "steps", "runs"}
OWN = {"chosen_run", "chosen_step", "rank", "heldout_error", "unobserved_slices"}
PAPER = rr.GradientMethod(components=8, steps=8000, precision="float64")


@pytest.fixture(scope="module")
def gappy_tensor():
    """About a quarter of a tensor of CP rank 2 is missing."""
    rng = np.random.default_rng(1)
    factors = [rng.standard_normal((dim, 2)) for dim in (6, 5, 4)]
    whole = np.einsum("ir,jr,kr->ijk", *factors)
    return np.where(rng.random(whole.shape) < 0.75, whole, np.nan)


@pytest.fixture(scope="module")
def found(gappy_tensor):
    return rr.complete(gappy_tensor, method=PAPER)


def test_the_run_of_least_held_out_error_is_chosen(found):
    runs = found.trajectory.runs()
    assert len(runs) == len(PAPER.init_scales) == 3
    assert found.chosen == np.argmin([run.heldout_error.min() for run in runs])
    best = np.argmin(found.run.heldout_error)
    assert found.run.outcomes[0].best_step == found.run.step[best]
    # In the units of the standardized values.
    hidden = found.observations.take(np.flatnonzero(found.folds.part == 0))
    predictions = found.entries(hidden.indices) - found.offset
    values = hidden.values - found.offset
    error = np.linalg.norm(predictions - values) / np.linalg.norm(values)
    assert found.run.heldout_error[best] == pytest.approx(error, rel=1e-9)


def test_the_path_is_what_the_run_measured(found):
    points = found.path
    np.testing.assert_allclose(
        np.sqrt([point.heldout_loss for point in points]), found.run.heldout_error
    )
    assert found.rank == points[found.models[0].path.best].components


def test_a_seed_fixes_the_result(found, gappy_tensor):
    again = rr.complete(gappy_tensor, method=PAPER)
    np.testing.assert_array_equal(again.completed, found.completed)


def test_the_unit_of_the_values_does_not_matter(found, gappy_tensor):
    celsius = rr.complete(1.8 * gappy_tensor + 32, method=PAPER)
    # The same descent but for rounding, which thousands of steps add up.
    np.testing.assert_allclose(celsius.completed, 1.8 * found.completed + 32, atol=1e-6)


@pytest.mark.parametrize("kind", ["flow", "limit"])
def test_flow_and_its_limit_complete_as_well(kind, gappy_tensor, found):
    scales = {"init_scales": (0.1,)} if kind == "flow" else {}
    method = rr.GradientMethod(kind=kind, components=4, precision="float64", **scales)
    other = rr.complete(gappy_tensor, method=method, max_components=3)
    gaps = np.isnan(gappy_tensor)
    difference = np.linalg.norm((other.completed - found.completed)[gaps])
    assert difference < 0.5 * np.linalg.norm(found.completed[gaps])


def test_a_summary_has_the_runs_and_which_was_chosen(found):
    summary = summarize_completion(found, {"path": "data.npy"})
    assert set(summary) >= COMMON | OWN
    assert summary["settings"]["method"]["components"] == 8
    assert summary["chosen_step"] == found.run.outcomes[0].best_step
    assert summary["result"] == found.ending
    assert len(summary["runs"]) == 3


def test_a_start_that_overflows_is_a_run_that_diverges(gappy_tensor):
    method = rr.GradientMethod(components=2, init_scales=(1e15,), steps=20)
    assert rr.complete(gappy_tensor, method=method).ending == rr.Ending.DIVERGED
