"""`solve`: the host's side of the loop."""

import os
import signal

import jax
import numpy as np
import optax
import pytest

from rankrise._errors import InputError
from rankrise.factorizations import (
    CPFactorization,
    DenseTensor,
    near_zero,
    near_zero_matrix,
)
from rankrise.problems import CompletionProblem
from rankrise.runs import Ending, keeping_interrupted
from rankrise.solvers import (
    AdaptiveGradientDescent,
    GradientDescent,
    OptaxDescent,
    RunFailedError,
    Stop,
    _start_checks,
    solve,
)
from rankrise.tensors import Observations
from rankrise.trajectories import SaveAt

# A rate at which the shared problem overflows within ten steps.
FAST = GradientDescent(50.0)


def interrupt(progress):
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("steps", [1, 7, 1000])
@pytest.mark.parametrize("save_at", [SaveAt.every(5), SaveAt.at([300])])
def test_where_chunks_end_changes_nothing(
    steps, save_at, chunks_of, run, starts, assert_identical
):
    expected = run(starts, max_steps=600, save_at=save_at)
    chunks_of(steps)
    chunked = run(starts, max_steps=600, save_at=save_at)
    assert_identical(chunked, expected)


@pytest.mark.parametrize("steps", [1, 1000])
def test_a_run_that_ends_between_saves_is_measured_where_it_ended(
    steps, chunks_of, run, starts
):
    chunks_of(steps)
    trajectory = run(starts[0], max_steps=600, save_at=SaveAt.at([50]))
    assert trajectory.step.tolist() == [0, 50, trajectory.outcomes[0].steps]


def test_all_components_are_kept_where_asked(run, starts):
    kept = run(starts[0], max_steps=5, kept_components="all")
    fewer = run(starts[0], max_steps=5, kept_components=np.int64(1))
    assert sorted(kept.component_index) == [0, 1, 2]
    assert len(fewer.component_index) < 3


@pytest.mark.parametrize("count", [0, -1, True])
def test_a_number_of_components_that_is_none_is_refused_before_a_run(
    count, run, starts
):
    words = "`kept_components` is .*; give a positive whole number or 'all'"
    with pytest.raises(ValueError, match=words):
        run(starts[0], max_steps=5, kept_components=count)


def test_adaptive_gradient_descent_is_the_default(run, starts):
    options = {"max_steps": 20, "stop": Stop()}
    by_default = run(starts[0], solver=None, **options)
    named = run(starts[0], solver=AdaptiveGradientDescent(), **options)
    np.testing.assert_array_equal(by_default.time, named.time)


def test_five_hundred_saves_are_the_default(run, starts):
    assert len(run(starts[3], max_steps=998).step) == 500


def test_one_run_has_its_model_and_several_have_theirs(run, starts):
    alone = run(starts[0], max_steps=50)
    assert alone.model is alone.models[0]
    several = run(starts, max_steps=50)
    assert len(several.models) == 4
    with pytest.raises(InputError, match="has 4 runs"):
        several.model  # noqa: B018


def test_labels_and_settings_are_on_the_trajectory(run, starts):
    labels = {"init_scale": [0.5, 0.3, 0.1, 0.02]}
    trajectory = run(starts, max_steps=50, run_labels=labels, settings={"seed": 4})
    assert [part.init_scale for part in trajectory.runs()] == labels["init_scale"]
    assert trajectory.dataset.attrs["settings"] == '{"seed": 4}'


def test_progress_is_told_after_every_chunk(chunks_of, run, starts):
    chunks_of(40)
    told = []
    save_at = SaveAt.at([300])
    trajectory = run(starts, max_steps=600, save_at=save_at, progress=told.append)
    steps = [1, *range(41, 600, 40), 600]
    assert [progress.step for progress in told] == steps
    assert {progress.max_steps for progress in told} == {600}
    assert (told[0].running, told[-1].running) == (4, 1)
    # Every run's, in their order, as they were before the last step taken.
    last = [part.loss[-1] for part in trajectory.runs()]
    np.testing.assert_allclose(told[-1].losses, last, rtol=0.1)


def test_a_time_limit_stops_a_run(run, starts):
    trajectory = run(starts[0], max_steps=600, max_seconds=0.0)
    (outcome,) = trajectory.outcomes
    assert outcome.result == Ending.TIME_LIMIT
    assert outcome.reason == f"time limit reached after step {outcome.steps}"
    assert trajectory.step[-1] == outcome.steps < 600


def test_an_interrupt_is_raised(run, starts):
    previous = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(starts[0], max_steps=600, progress=interrupt)
    assert signal.getsignal(signal.SIGINT) is previous


def test_interrupted_runs_are_kept_where_it_was_asked_for(chunks_of, run, starts):
    chunks_of(7)

    def interrupt_third(progress):
        if progress.step == 15:
            interrupt(progress)

    save_at = SaveAt.at([300])
    with keeping_interrupted():
        trajectory = run(
            starts, max_steps=600, save_at=save_at, progress=interrupt_third
        )
    assert trajectory.result == Ending.INTERRUPTED
    assert trajectory.outcomes[0].reason == "interrupted after step 15"
    assert trajectory.step.tolist() == [[0, 15]] * 4


def test_an_interrupt_in_the_last_chunk_finds_the_runs_done(chunks_of, run, starts):
    chunks_of(1)
    with keeping_interrupted():
        trajectory = run(starts[0], max_steps=1, progress=interrupt)
    assert trajectory.outcomes[0].reason == "step limit of 1 reached"


def test_a_second_interrupt_is_heard_at_once(run, starts):
    def twice(progress):
        interrupt(progress)
        interrupt(progress)

    previous = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(starts[0], max_steps=600, progress=twice)
    assert signal.getsignal(signal.SIGINT) is previous


def test_a_diverged_run_is_a_result_unless_told_to_throw(run, starts):
    trajectory = run(starts[0], solver=FAST, max_steps=100)
    assert trajectory.result == "diverged"
    with pytest.raises(RunFailedError, match="A run diverged: no longer") as caught:
        run(starts[0], solver=FAST, max_steps=100, throw=True)
    assert caught.value.trajectory.outcomes == trajectory.outcomes


def test_throw_hears_of_a_diverged_run_beside_an_interrupted_one(run, starts):
    large = near_zero(starts[0].mode_dims, 3, init_scale=30.0, key=jax.random.key(0))
    with pytest.raises(RunFailedError) as caught:
        run([starts[0], large], max_steps=10, save_at=SaveAt.at([9]), throw=True)
    results = [outcome.result for outcome in caught.value.trajectory.outcomes]
    assert results == ["stopped", "diverged"]


def test_a_record_too_large_for_memory_is_refused(monkeypatch, run, starts):
    # 51 saves of the loss and of three component norms, of 8 bytes each.
    monkeypatch.setattr(_start_checks, "_RECORD_BYTES", 51 * 4 * 8)
    options = {"max_steps": 50, "save_at": SaveAt.every(1)}
    run(starts[0], **options)
    with pytest.raises(InputError, match="51 times along 2 run"):
        run(starts[:2], **options)


def cp(mode_dims, components=3):
    # By NumPy, because `jax.numpy` would compile while tests are collected.
    return CPFactorization(
        tuple(jax.device_put(np.ones((dim, components))) for dim in mode_dims)
    )


@pytest.mark.parametrize(
    ("starts", "words"),
    [
        ([], "There is no start"),
        (cp((3, 4, 2)), r"dimensions \(3, 4, 2\) but the problem has \(4, 3, 2\)"),
        (cp((4, 3)), r"dimensions \(4, 3\) but the problem has \(4, 3, 2\)"),
        ([cp((4, 3, 2), 3), cp((4, 3, 2), 4)], r"\(4, 3\).* and .*\(4, 4\)"),
        (
            [cp((4, 3, 2)), DenseTensor(jax.device_put(np.zeros((4, 3, 2))))],
            "CPFactorization .* and DenseTensor",
        ),
    ],
)
def test_starts_that_do_not_fit_are_refused(starts, words, run):
    with pytest.raises(InputError, match=words):
        run(starts, max_steps=5)


def test_starts_with_other_layers_inside_are_refused():
    observations = Observations.from_array(np.arange(12.0).reshape(4, 3))
    starts = [
        near_zero_matrix((4, 3), 2, hidden_dim=width, key=jax.random.key(0))
        for width in (5, 6)
    ]
    problem = CompletionProblem.from_observations(observations)
    with pytest.raises(InputError, match="arrays of equal shapes"):
        solve(problem, starts, max_steps=5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_steps": 0}, "step limit is 0"),
        ({"max_steps": 2**31}, "step limit is 2147483648"),
        ({"max_steps": 5, "select": "heldout"}, "no observable 'heldout'.* loss"),
        ({"max_steps": 5, "select": "component_norms"}, "choose among loss"),
        (
            {"max_steps": 5, "stop": Stop(flat_steps=3)},
            "`flat_steps` waits on the observable",
        ),
        ({"max_steps": 5, "run_labels": {"seed": [1, 2]}}, r"2 value\(s\) for 1 run"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, words, run, starts):
    with pytest.raises(InputError, match=words):
        run(starts[0], **options)


def test_a_start_of_another_precision_is_refused(run):
    with jax.enable_x64(False):
        start = cp((4, 3, 2))
    with pytest.raises(InputError, match="in float32 but the problem in float64"):
        run(start, max_steps=5)


def test_batches_one_after_another_are_the_single_runs(run, starts, assert_identical):
    options = {"max_steps": 200, "save_at": SaveAt.every(20)}
    singly = run(starts, together=1, **options)
    for start, part in zip(starts, singly.runs(), strict=True):
        alone = run(start, **options)
        assert part.outcomes == alone.outcomes
        assert part.dataset.identical(alone.dataset)


def test_runs_that_wait_when_time_is_over_are_measured_at_their_start(run, starts):
    trajectory = run(starts, max_steps=600, max_seconds=0.0, together=1)
    assert trajectory.run(3).step.tolist() == [0]
    assert trajectory.outcomes[3].reason == "time limit reached after step 0"


def test_descent_saves_after_the_first_step_that_reaches_a_time(run, starts):
    times = [0.0, 0.25, 1.0]
    trajectory = run(starts[0], save_at=SaveAt.times(times))
    # Steps of a tenth, whose sum may round to either side of one.
    assert trajectory.step.tolist()[:2] == [0, 3]
    assert trajectory.time[-1] == pytest.approx(1.0, abs=0.11)
    assert trajectory.outcomes[0].reason == "end time 1 reached"


def test_an_end_time_cuts_a_schedule_of_steps(run, starts):
    save_at = SaveAt.every(3)
    trajectory = run(starts[0], max_steps=100, end_time=0.95, save_at=save_at)
    assert trajectory.step.tolist() == [0, 3, 6, 9, 10]


def test_a_solver_without_a_clock_reaches_no_time(problem, starts):
    solver = OptaxDescent(optax.adam(0.01))
    with pytest.raises(InputError, match="no reading on the clock"):
        solve(problem, starts[0], solver, end_time=1.0)
