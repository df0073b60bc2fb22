"""Components rise one after another, on every kind of problem."""

import jax
import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.experiments import DynamicsConfig, run_dynamics, summarize_dynamics
from rankrise.experiments._dynamics import _problem
from rankrise.runs import Checkpoint
from rankrise.synthetic import random_target

SMALL = {
    "mode_dims": (5, 5, 5),
    "target_rank": 2,
    "observations": 100,
    "components": 10,
    "init_scales": (0.003,),
    "steps": 4000,
}
TASKS = {
    "dense sensing": {"task": "sensing"},
    "sensing of rank 2": {"task": "sensing-rank-k", "measurement_rank": 2},
    "huber": {"loss": "huber"},
    "unequal mode dimensions": {"mode_dims": (4, 5, 6)},
    "missing fibers": {"gaps": "fibers"},
    "double precision": {"precision": "float64"},
    "deep matrix": {
        "factorization": "matrix",
        "mode_dims": (8, 8),
        "target_rank": 1,
        "observations": 50,
        "init_scales": (0.02,),
    },
}


def changed(config, **changes):
    return DynamicsConfig(**{**config.model_dump(exclude_unset=True), **changes})


@pytest.fixture(scope="module")
def smallest(staircase):
    """The run from the smaller of both init scales."""
    return staircase.trajectory.run(1)


@pytest.fixture(scope="module")
def seeds_config(staircase_config):
    """Two runs of the same problem again, so that nothing is compiled anew."""
    return changed(staircase_config, init_scales=(0.003,), start_seeds=(1, 7))


@pytest.fixture(scope="module")
def seeds(seeds_config):
    return run_dynamics(seeds_config)


# Each compiles a program of its own; these two differ least from the others.
MORE = ("huber", "unequal mode dimensions")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=pytest.mark.slow) if name in MORE else name
        for name in TASKS
    ],
)
def task(request):
    return run_dynamics(DynamicsConfig(**{**SMALL, **TASKS[request.param]}))


def test_as_many_components_rise_as_the_target_s_rank_one_after_another(staircase):
    rises = summarize_dynamics(staircase)["runs"][1]["rises"]
    assert [step is not None for step in rises] == [True] * 3 + [False] * 7
    first, second, third = rises[:3]
    # The plateau before each is several times as long as the first wait.
    assert first > 0
    assert second > 3 * first
    assert third > second + 3 * first


def test_what_rose_are_the_target_s_components(smallest, staircase):
    expected = np.sort(staircase.target.component_norms())[::-1]
    # The run ends at one percent of the norm of the observations.
    np.testing.assert_allclose(smallest.component_norms[-1, :3], expected, atol=0.02)


def test_the_smaller_init_scale_reconstructs_the_target_better(staircase):
    large, small = (run.reconstruction_error[-1] for run in staircase.trajectory.runs())
    assert small < 0.01 < large


def test_runs_converge_at_a_percent_of_the_observed_norm(smallest):
    assert smallest.result == "converged"
    last_above = smallest.step[smallest.train_error >= 0.01][-1]
    # The patience is 100 steps.
    assert 100 <= smallest.step[-1] - last_above <= 101


def test_component_index_is_the_column_of_the_final_factors(staircase):
    for run in staircase.trajectory.runs():
        norms = np.asarray(run.model.component_norms())
        # Computed twice, in single precision.
        np.testing.assert_allclose(
            run.component_norms[-1], norms[run.component_index], rtol=1e-5
        )


def test_runs_are_in_the_order_of_init_scales_each_over_all_seeds(staircase_config):
    config = changed(staircase_config, start_seeds=(4, 5), steps=1)
    trajectory = run_dynamics(config).trajectory
    assert [float(run.init_scale) for run in trajectory.runs()] == [
        *(0.1, 0.1),
        *(0.003, 0.003),
    ]
    assert [int(run.start_seed) for run in trajectory.runs()] == [4, 5, 4, 5]
    # The labels are those of the starts: norms scale with the cube.
    first, _, third, _ = trajectory.runs()
    ratio = first.component_norms[0].sum() / third.component_norms[0].sum()
    assert ratio == pytest.approx((0.1 / 0.003) ** 3, rel=1e-4)


def test_the_same_seed_gives_the_same_result(seeds, seeds_config):
    again = run_dynamics(seeds_config).trajectory
    assert again.dataset.identical(seeds.trajectory.dataset)


def test_another_seed_of_the_start_gives_another_run(seeds):
    first, second = seeds.trajectory.runs()
    assert first.outcomes[0].steps != second.outcomes[0].steps


def test_a_run_does_not_depend_on_its_neighbours(seeds, smallest):
    beside_another = seeds.trajectory.run(0)
    # Rounding in single precision, grown over thousands of steps.
    np.testing.assert_allclose(
        beside_another.component_norms[-1, :3],
        smallest.component_norms[-1, :3],
        rtol=0.05,
    )


def test_the_observed_entries_do_not_depend_on_the_target(staircase_config):
    def observed(seed, target_rank):
        config = changed(staircase_config, seed=seed, target_rank=target_rank)
        target = random_target(config.dims, target_rank, seed=seed)
        return np.asarray(_problem(config, target).indices)  # type: ignore[attr-defined]

    expected = observed(seed=1, target_rank=3)
    np.testing.assert_array_equal(observed(seed=1, target_rank=2), expected)
    assert (observed(seed=2, target_rank=3) != expected).any()


def test_the_target_does_not_depend_on_what_is_observed(task):
    config = task.config
    expected = random_target(config.dims, config.target_rank, seed=config.seed)
    for ours, theirs in zip(task.target.factor_matrices, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs.astype(config.precision))


def test_every_task_recovers_its_target(task):
    run = task.trajectory.run(0)
    assert run.result == "converged"
    # One percent on what is observed, and some more on what is not.
    assert run.reconstruction_error[-1] < 0.03


def test_a_run_is_in_the_precision_asked_for(task):
    leaves = jax.tree.leaves(task.trajectory.models[0])
    assert {leaf.dtype.name for leaf in leaves} == {task.config.precision}
    assert task.trajectory.loss.dtype == task.config.precision


def test_the_settings_guard_the_checkpoint(seeds_config, tmp_path):
    path = tmp_path / "checkpoint.npz"
    config = changed(seeds_config, steps=20)
    run_dynamics(config, checkpoint=Checkpoint(path))
    with pytest.raises(InputError, match="written with steps = 20, not 30"):
        run_dynamics(
            changed(config, steps=30), checkpoint=Checkpoint(path, resume=True)
        )


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"save_every": 50}, [0, 50, 100, 120]),
        ({"saves": 4}, [0, 40, 80, 120]),
        ({"saves": 3, "save_spacing": "logarithmic"}, [0, 1, 11, 120]),
    ],
)
def test_saves_are_spaced_as_asked(options, steps, seeds_config):
    config = changed(seeds_config, steps=120, **options)
    assert run_dynamics(config).trajectory.run(0).step.tolist() == steps


@pytest.fixture(scope="module")
def flowing(staircase_config):
    return run_dynamics(changed(staircase_config, solver="flow", save_every=None))


@pytest.fixture(scope="module")
def limiting(staircase_config):
    scales = DynamicsConfig().init_scales
    config = changed(
        staircase_config,
        solver="limit",
        save_every=None,
        steps=None,
        init_scales=scales,
    )
    return run_dynamics(config)


def test_the_flow_rises_as_descent_does_in_a_tenth_of_the_steps(flowing, staircase):
    flow, descent = flowing.trajectory.run(1), staircase.trajectory.run(1)
    assert flow.result == "converged"
    # At another end of the last step, at a percent of the observed norm.
    np.testing.assert_allclose(
        flow.component_norms[-1, :3], descent.component_norms[-1, :3], atol=0.02
    )
    assert flow.outcomes[0].steps < descent.outcomes[0].steps / 10


def test_the_flow_is_measured_at_every_step_and_counts_its_gradients(flowing):
    run = flowing.trajectory.run(1)
    assert run.step.tolist() == list(range(run.outcomes[0].steps + 1))
    summary = summarize_dynamics(flowing)["runs"][1]
    assert summary["gradient_evaluations"] > 4 * summary["steps"]
    assert summary["rise_times"][:3] == sorted(summary["rise_times"][:3])


@pytest.mark.slow
def test_the_limit_s_plateaus_are_those_of_the_smallest_init_scale(limiting, smallest):
    run = limiting.trajectory.run(0)
    assert float(run.init_scale) == 0
    assert run.step.tolist() == [0, 1, 2, 3]
    # Where descent is flattest between two rises; the init scale is not zero yet.
    for plateau in run.reconstruction_error:
        assert np.min(np.abs(smallest.reconstruction_error - plateau)) < 0.01
    risen = np.sort(run.component_index[:3])
    np.testing.assert_array_equal(risen, np.sort(smallest.component_index[:3]))


def test_a_flow_ends_at_the_end_time_and_saves_evenly_in_time(staircase_config):
    config = changed(
        staircase_config, solver="flow", save_every=None, saves=5, end_time=100.0
    )
    run = run_dynamics(config).trajectory.run(0)
    np.testing.assert_allclose(run.time, [0, 25, 50, 75, 100])
