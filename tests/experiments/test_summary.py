"""`summary.json`."""

import json
import math

import numpy as np
import pytest

from rankrise._strict import strict
from rankrise._version import __version__
from rankrise.experiments import summarize_dynamics
from rankrise.trajectories import rises

COMMON = {
    "settings",
    "versions",
    "device",
    "seed",
    "result",
    "steps",
    "gradient_evaluations",
    "seconds_compile",
    "seconds_run",
    "runs",
}
RUN = {
    "init_scale",
    "seed",
    "result",
    "reason",
    "steps",
    "gradient_evaluations",
    "train_loss",
    "train_error",
    "reconstruction_error",
    "component_norms",
    "rises",
    "rise_times",
    "rejected_steps",
    "time",
}


@pytest.fixture(scope="module")
def dynamics_summary(staircase):
    return summarize_dynamics(staircase)


def test_a_summary_of_dynamics_holds_what_it_promises(dynamics_summary):
    assert set(dynamics_summary) == COMMON | {"target_component_norms"}
    assert [set(run) for run in dynamics_summary["runs"]] == [RUN, RUN]


def test_a_summary_is_strict_json(dynamics_summary):
    content = json.dumps(dynamics_summary, allow_nan=False)
    assert json.loads(content) == dynamics_summary


def test_a_summary_says_what_the_result_depends_on(dynamics_summary, staircase):
    assert dynamics_summary["settings"] == staircase.config.model_dump(mode="json")
    assert dynamics_summary["seed"] == 1
    assert dynamics_summary["versions"]["rankrise"] == __version__
    assert dynamics_summary["device"].startswith("cpu")


def test_a_run_of_a_summary_is_the_end_of_its_trajectory(dynamics_summary, staircase):
    for run, part in zip(
        dynamics_summary["runs"], staircase.trajectory.runs(), strict=True
    ):
        (outcome,) = part.outcomes
        assert run["init_scale"] == part.init_scale
        assert (run["result"], run["steps"]) == ("converged", outcome.steps)
        assert run["train_loss"] == part.loss[-1]
        assert run["reconstruction_error"] == part.reconstruction_error[-1]
        assert run["component_norms"] == part.component_norms[-1, :10].tolist()


def test_totals_are_over_all_runs(dynamics_summary):
    runs = dynamics_summary["runs"]
    assert dynamics_summary["steps"] == max(run["steps"] for run in runs)
    assert dynamics_summary["gradient_evaluations"] == sum(
        run["gradient_evaluations"] for run in runs
    )


def test_a_component_rises_where_it_first_passes_half_its_final_norm():
    norms = np.array(
        [
            [0.7, 0.1, 0.1, 0.1],
            [0.9, 0.9, 0.1, 0.1],
            [1.0, 0.1, 5.0, 0.1],
            [0.2, 1.1, 0.1, 0.1],
            [1.6, 2.0, 0.02, 0.0199],
        ]
    )
    # The last two end at a hundredth of the largest, which is no rise, and below it.
    assert rises(norms) == [1, 3, None, None]
    assert rises(norms[:, :1]) == [1]


def test_a_component_that_ends_just_above_a_hundredth_of_the_largest_rose():
    assert rises(np.array([[0.0, 0.0], [1.0, 0.0101]])) == [1, 1]


def test_numbers_that_json_does_not_have_become_none():
    summary = {
        "nan": math.nan,
        "nested": {"inf": -np.inf, "list": [np.float32(np.nan), 1.5]},
        "rest": ("text", 3, None, True),
    }
    assert strict(summary) == {
        "nan": None,
        "nested": {"inf": None, "list": [None, 1.5]},
        "rest": ["text", 3, None, True],
    }
