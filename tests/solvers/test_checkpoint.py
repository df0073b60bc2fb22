"""Runs that were killed go on where they were."""

import json
import os
import signal

import jax
import numpy as np
import optax
import pytest

from rankrise._errors import InputError
from rankrise.factorizations import near_zero
from rankrise.runs import Checkpoint, Ending, read_checkpoint, write_checkpoint
from rankrise.solvers import (
    AdaptiveGradientDescent,
    GradientDescent,
    GradientFlow,
    Minibatch,
    OptaxDescent,
    Stop,
)
from rankrise.trajectories import SaveAt


def slow(*chunks):
    return [pytest.param(chunk, marks=pytest.mark.slow) for chunk in chunks]


SAVE_AT = SaveAt.every(5)
SOLVERS = {
    "adaptive": AdaptiveGradientDescent(0.02, 0.9),
    "adam": OptaxDescent(optax.adam(0.01)),
    # Batches of six out of twenty, so that epochs and chunks end at different steps.
    "minibatch": Minibatch(GradientDescent(0.1), 6),
}


class KilledError(Exception):
    """Stands for a kill: nothing after it is written."""


def killed_after(chunks):
    told = []

    def progress(_):
        told.append(1)
        if len(told) == chunks:
            raise KilledError

    return progress


@pytest.fixture
def resumed_after(run, tmp_path, chunks_of):
    """A run killed in some chunk of at most three or seven steps, and resumed."""
    path = tmp_path / "checkpoint.npz"

    def kill_and_resume(chunks, *arguments, steps=7, **options):
        chunks_of(steps)
        with pytest.raises(KilledError):
            run(
                *arguments,
                **options,
                checkpoint=Checkpoint(path, seconds=0.0),
                progress=killed_after(chunks),
            )
        return run(
            *arguments,
            **options,
            checkpoint=Checkpoint(path, seconds=0.0, resume=True),
        )

    return kill_and_resume


# Chunks of three steps end at saves and between them.
@pytest.mark.parametrize("chunks", [2, 44, *slow(1, 9)])
def test_a_resumed_run_is_the_unbroken_one(
    chunks, resumed_after, run, starts, assert_identical
):
    unbroken = run(starts[0], max_steps=600, save_at=SAVE_AT)
    resumed = resumed_after(chunks, starts[0], steps=3, max_steps=600, save_at=SAVE_AT)
    assert_identical(resumed, unbroken)


# Chunks of seven, cut where 16 saves end: the batch shrinks after chunks 60 and 84.
@pytest.mark.parametrize("chunks", [10, 61, *slow(60, 85)])
def test_a_resumed_batch_is_the_unbroken_one(
    chunks, resumed_after, run, starts, assert_identical
):
    unbroken = run(starts, max_steps=600, save_at=SAVE_AT)
    resumed = resumed_after(chunks, starts, max_steps=600, save_at=SAVE_AT)
    assert_identical(resumed, unbroken)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_state_of_a_solver_is_resumed(
    solver, resumed_after, run, starts, assert_identical
):
    options = {"solver": SOLVERS[solver], "max_steps": 50, "stop": Stop()}
    unbroken = run(starts[0], **options)
    assert_identical(resumed_after(4, starts[0], **options), unbroken)


def test_a_finished_run_is_resumed_as_it_is(run, starts, tmp_path, assert_identical):
    path = tmp_path / "checkpoint.npz"
    options = {"max_steps": 600, "save_at": SAVE_AT}
    finished = run(starts[0], **options, checkpoint=Checkpoint(path))
    again = run(starts[0], **options, checkpoint=Checkpoint(path, resume=True))
    assert_identical(again, finished)


def test_an_interrupted_run_is_resumed(
    chunks_of, run, starts, tmp_path, assert_identical
):
    path = tmp_path / "checkpoint.npz"
    unbroken = run(starts, max_steps=600, save_at=SAVE_AT)
    chunks_of(7)
    with pytest.raises(KeyboardInterrupt):
        run(
            starts,
            max_steps=600,
            save_at=SAVE_AT,
            checkpoint=Checkpoint(path),
            progress=lambda _: os.kill(os.getpid(), signal.SIGINT),
        )
    resumed = run(
        starts,
        max_steps=600,
        save_at=SAVE_AT,
        checkpoint=Checkpoint(path, resume=True),
    )
    assert_identical(resumed, unbroken)


def test_seconds_add_up_over_resumptions(run, starts, tmp_path):
    path = tmp_path / "checkpoint.npz"
    first = run(starts[0], max_steps=50, checkpoint=Checkpoint(path))
    second = run(starts[0], max_steps=50, checkpoint=Checkpoint(path, resume=True))
    assert second.seconds_run == first.seconds_run
    assert second.seconds_compile > first.seconds_compile


def test_a_run_cut_off_goes_on_under_the_same_limit(
    run, starts, tmp_path, assert_identical
):
    options = {"max_steps": 60, "max_seconds": 1e-9}
    kept = Checkpoint(tmp_path / "checkpoint.npz", resume=True)
    cut = run(starts[0], **options, checkpoint=kept)
    assert cut.result is Ending.TIME_LIMIT
    for _ in range(60):
        if cut.result is not Ending.TIME_LIMIT:
            break
        cut = run(starts[0], **options, checkpoint=kept)
    assert_identical(cut, run(starts[0], max_steps=60))


def test_without_resume_a_checkpoint_is_replaced(
    run, starts, tmp_path, assert_identical
):
    path = tmp_path / "checkpoint.npz"
    path.write_text("of something else")
    run(starts[0], max_steps=50, checkpoint=Checkpoint(path))
    assert "segment" in read_checkpoint(path, {})[1]


def test_a_checkpoint_is_not_written_before_its_time(chunks_of, run, starts, tmp_path):
    path = tmp_path / "checkpoint.npz"
    chunks_of(7)
    seconds = []

    def progress(_):
        if path.exists():
            seconds.append(read_checkpoint(path, {})[2])

    checkpoint = Checkpoint(path, seconds=1000.0)
    run(starts[0], max_steps=50, checkpoint=checkpoint, progress=progress)
    # Once at the first chunk, and once more at the end.
    assert len(set(seconds)) == 1
    assert read_checkpoint(path, {})[2] > seconds[0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"seed": 1, "dims": (4, 3)}, r"with seed = 0, not 1;"),
        ({"seed": 0, "dims": (4, 4)}, r"with dims = \[4, 3\], not \[4, 4\];"),
        ({"seed": 0}, r"with dims = \[4, 3\], not None;"),
        ({"seed": 0, "dims": (4, 3), "loss": "huber"}, r"loss = None, not 'huber';"),
    ],
)
def test_changed_settings_are_refused_by_name(settings, words, tmp_path, run, starts):
    path = tmp_path / "checkpoint.npz"
    write_checkpoint(path, {}, {}, fingerprint={"seed": 0, "dims": (4, 3)})
    with pytest.raises(InputError, match=words):
        run(
            starts[0],
            max_steps=50,
            checkpoint=Checkpoint(path, resume=True),
            settings=settings,
        )


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-100])


def damaged(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def text(path):
    path.write_text("not a checkpoint")


def single_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def other_arrays(path):
    np.savez(path, mode_1=np.zeros(3))


def other_facts(path):
    np.savez(path, meta=np.array(json.dumps([1, 2])))


@pytest.mark.parametrize(
    "spoil", [cut_off, damaged, text, single_array, other_arrays, other_facts]
)
def test_a_file_that_is_no_checkpoint_is_refused(spoil, run, starts, tmp_path):
    path = tmp_path / "checkpoint.npz"
    run(starts[0], max_steps=50, checkpoint=Checkpoint(path))
    spoil(path)
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        run(starts[0], max_steps=50, checkpoint=Checkpoint(path, resume=True))


def test_a_checkpoint_of_another_number_of_runs_is_refused(run, starts, tmp_path):
    path = tmp_path / "checkpoint.npz"
    run(starts, max_steps=50, checkpoint=Checkpoint(path))
    with pytest.raises(InputError, match="checkpoint is of another run"):
        run(starts[:2], max_steps=50, checkpoint=Checkpoint(path, resume=True))


def test_a_checkpoint_of_another_solver_is_refused(run, starts, tmp_path):
    path = tmp_path / "checkpoint.npz"
    run(starts[0], max_steps=50, checkpoint=Checkpoint(path))
    with pytest.raises(InputError, match="checkpoint is of another run"):
        run(
            starts[0],
            solver=SOLVERS["adam"],
            stop=Stop(),
            max_steps=50,
            checkpoint=Checkpoint(path, resume=True),
        )


def test_a_checkpoint_of_another_number_of_components_is_refused(run, starts, tmp_path):
    path = tmp_path / "checkpoint.npz"
    run(starts[0], max_steps=50, checkpoint=Checkpoint(path))
    other = near_zero(starts[0].mode_dims, 4, key=jax.random.key(0))
    with pytest.raises(InputError, match=r"\(4, 3\) where .*\(4, 4\) belongs"):
        run(other, max_steps=50, checkpoint=Checkpoint(path, resume=True))


@pytest.mark.parametrize("chunks", [31, *slow(10, 50)])
def test_resumed_batches_one_after_another_are_the_unbroken_ones(
    chunks, resumed_after, run, starts, assert_identical
):
    options = {"max_steps": 200, "save_at": SAVE_AT, "together": 3}
    unbroken = run(starts, **options)
    resumed = resumed_after(chunks, starts, **options)
    assert_identical(resumed, unbroken)


@pytest.mark.parametrize("chunks", [6, *slow(1)])
def test_a_resumed_flow_is_the_unbroken_one(
    chunks, resumed_after, run, starts, assert_identical
):
    options = {
        "solver": GradientFlow(),
        "end_time": 60.0,
        "max_steps": 5000,
        "save_at": SaveAt.every(1),
        "stop": Stop(),
    }
    unbroken = run(starts[:2], **options)
    assert_identical(resumed_after(chunks, starts[:2], **options), unbroken)
