"""Runs that are cut off, and go on: checkpoints, time limits, threads."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import rankrise as rr

QUICK: dict[str, Any] = {"models": 2, "smooth": False, "max_components": 3}


class StoppedError(Exception):
    """Stands for a kill."""


def stopping_after(count):
    """A callback that ends the run at the next point."""
    left = count

    def stop(at):
        nonlocal left
        left -= 1
        if left < 0:
            raise StoppedError

    return stop


def assert_same(found, expected):
    np.testing.assert_array_equal(found.completed, expected.completed)
    np.testing.assert_array_equal(found.std, expected.std)
    for ours, theirs in zip(found.models, expected.models, strict=True):
        assert ours.path.points == theirs.path.points
        assert (ours.number, ours.smooth) == (theirs.number, theirs.smooth)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.npz"


@pytest.mark.parametrize(
    "settings",
    [
        QUICK,
        {"models": 4, "penalties": (1.0, 0.1), "max_components": 2},
        {"models": 4, "penalties": (1.0, 0.1), "center": True},
        {**QUICK, "loss": "huber", "main_effects": True},
        {**QUICK, "non_negative": True},
    ],
    ids=["plain", "both-ways", "centered", "huber", "non-negative"],
)
def test_a_killed_run_goes_on_to_the_same_result(settings, gappy, path):
    expected = rr.complete(gappy, **settings)
    checkpoint = rr.Checkpoint(path, seconds=0.0, resume=True)
    kills = 0
    for count in (4, 5, 8, 10**6):
        try:
            found = rr.complete(
                gappy,
                **settings,
                checkpoint=checkpoint,
                progress=stopping_after(count),
            )
        except StoppedError:
            kills += 1
            continue
        break
    # It was left off somewhere, and began with what it had; how often depends on how
    # far threads are when a report is read.
    assert kills >= 1
    assert_same(found, expected)


def test_an_interrupted_run_goes_on_to_the_same_result(gappy, path):
    expected = rr.complete(gappy, **QUICK)
    checkpoint = rr.Checkpoint(path, seconds=0.0, resume=True)
    seen = []

    def interrupt(at):
        seen.append(at)
        if len(seen) == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        rr.complete(gappy, **QUICK, checkpoint=checkpoint, progress=interrupt)
    assert_same(rr.complete(gappy, **QUICK, checkpoint=checkpoint), expected)


def test_a_resumed_run_does_not_do_again_what_is_done(gappy, path):
    seen = []
    rr.complete(gappy, **QUICK, progress=seen.append)
    points = len(seen)
    checkpoint = rr.Checkpoint(path, seconds=0.0, resume=True)
    with pytest.raises(StoppedError):
        rr.complete(
            gappy,
            **QUICK,
            checkpoint=checkpoint,
            progress=stopping_after(points * 2 // 3),
        )
    again = []
    rr.complete(gappy, **QUICK, checkpoint=checkpoint, progress=again.append)
    # Those at which it was left off, of every model that was under way, come twice.
    assert len(again) <= points - points * 2 // 3 + 4


def test_a_run_without_resuming_begins_anew(gappy, path):
    with pytest.raises(StoppedError):
        rr.complete(
            gappy,
            **QUICK,
            checkpoint=rr.Checkpoint(path, seconds=0.0),
            progress=stopping_after(8),
        )
    assert path.exists()
    seen = []
    rr.complete(gappy, **QUICK, checkpoint=rr.Checkpoint(path), progress=seen.append)
    assert sum(at.point.components == 0 for at in seen) >= 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "seed = '0', not '1'"),
        ({"max_components": 4}, "max_components = '3', not '4'"),
        ({"loss": "huber"}, "loss = "),
    ],
)
def test_a_state_of_other_settings_is_refused(change, words, gappy, path):
    checkpoint = rr.Checkpoint(path, seconds=0.0, resume=True)
    rr.complete(gappy, **QUICK, checkpoint=checkpoint)
    with pytest.raises(rr.InputError, match=words):
        rr.complete(gappy, **{**QUICK, **change}, checkpoint=checkpoint)


def test_a_state_of_other_observations_is_refused(gappy, path):
    checkpoint = rr.Checkpoint(path, seconds=0.0, resume=True)
    rr.complete(gappy, **QUICK, checkpoint=checkpoint)
    with pytest.raises(rr.InputError, match="of a run with other observations"):
        rr.complete(2 * gappy, **QUICK, checkpoint=checkpoint)


@pytest.mark.parametrize("content", [b"", b"not a zip file", "cut"])
def test_a_damaged_state_is_refused(content, gappy, path):
    checkpoint = rr.Checkpoint(path, seconds=0.0, resume=True)
    rr.complete(gappy, **QUICK, checkpoint=checkpoint)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content == "cut" else content)
    with pytest.raises(rr.InputError, match="cannot be read as a checkpoint"):
        rr.complete(gappy, **QUICK, checkpoint=checkpoint)


def test_a_place_that_cannot_be_written_to_is_found_at_once(gappy, tmp_path):
    seen = []
    checkpoint = rr.Checkpoint(tmp_path / "none" / "state.npz")
    with pytest.raises(OSError, match="none"):
        rr.complete(gappy, **QUICK, checkpoint=checkpoint, progress=seen.append)
    assert len(seen) <= 4


# Time


def test_a_time_limit_keeps_what_is_found(gappy):
    found = rr.complete(gappy, **QUICK, max_seconds=1e-9)
    assert found.ending is rr.Ending.TIME_LIMIT
    assert len(found.models) == 1
    assert np.isfinite(found.completed).all()
    assert "time limit" in repr(found)


def test_a_run_that_its_time_limit_ended_goes_on_to_the_same_result(gappy, path):
    expected = rr.complete(gappy, **QUICK)
    checkpoint = rr.Checkpoint(path, resume=True)
    part = rr.complete(gappy, **QUICK, checkpoint=checkpoint, max_seconds=1e-9)
    assert part.ending is rr.Ending.TIME_LIMIT
    found = rr.complete(gappy, **QUICK, checkpoint=checkpoint, max_seconds=1e6)
    assert found.ending is rr.Ending.CONVERGED
    assert_same(found, expected)


@pytest.fixture
def clock(monkeypatch):
    """A clock of runs that stands still unless it is moved."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr("rankrise.runs._watch.time", clock)
    return clock


class Slow:
    """An array that takes ten seconds to be read."""

    def __init__(self, array, clock):
        self.array, self.clock = array, clock

    def __array__(self, dtype=None, copy=None):
        self.clock.now += 10.0
        return np.asarray(self.array, dtype)


@pytest.mark.parametrize(
    "settings", [QUICK, pytest.param({"method": "limit"}, marks=pytest.mark.slow)]
)
def test_the_time_limit_counts_from_the_start_of_the_call(settings, gappy, clock):
    found = rr.complete(Slow(gappy, clock), **settings, max_seconds=9.0)
    assert found.ending is rr.Ending.TIME_LIMIT
    # Another call has a time of its own.
    found = rr.complete(gappy, **settings, max_seconds=9.0)
    assert found.ending is not rr.Ending.TIME_LIMIT


def test_what_its_time_limit_cut_short_is_not_called_unpredictable(caplog):
    noise = np.random.default_rng(0).standard_normal((12, 10, 8))
    noise[:3, :3] = np.nan
    found = rr.complete(noise, **QUICK, max_seconds=1e-9)
    assert found.ending is rr.Ending.TIME_LIMIT
    assert [words for words in caplog.messages if "fibers" not in words] == []


def test_calls_of_a_queue_come_to_the_whole_under_one_limit(gappy, path, clock):
    expected = rr.complete(gappy, **QUICK)

    def slow(at):
        clock.now += 1.0

    checkpoint = rr.Checkpoint(path, resume=True)
    limited = {"checkpoint": checkpoint, "max_seconds": 2.5, "progress": slow}
    seconds = []
    for _ in range(100):
        found = rr.complete(gappy, **QUICK, **limited)
        seconds.append(found.seconds)
        if found.ending is not rr.Ending.TIME_LIMIT:
            break
    assert len(seconds) > 2
    assert np.all(np.diff(seconds) >= 1.0)  # Those of all calls are told.
    assert_same(found, expected)


# Threads


def test_progress_tells_of_every_model_in_the_callers_thread(gappy):
    seen, threads = [], set()

    def tell(at):
        seen.append(at)
        threads.add(threading.current_thread())

    found = rr.complete(gappy, **QUICK, progress=tell)
    assert threads == {threading.current_thread()}
    # Before the first model is begun a run tells that it is under way.
    assert (seen[0].model, seen[0].models) == (0, 2)
    assert {(at.model, at.models) for at in seen[1:]} == {(1, 2), (2, 2)}
    for model in found.models:
        told = [at.point for at in seen if at.model == model.number + 1]
        # A point is told of again where only the penalty falls; the last may not be.
        told, points = (list(dict.fromkeys(each)) for each in (told, model.path.points))
        assert len(points) - 1 <= len(told)
        assert told == points[: len(told)]


def test_an_error_of_progress_comes_out_and_leaves_no_thread(gappy):
    rr.complete(gappy, **QUICK)
    before = set(threading.enumerate())
    with pytest.raises(StoppedError):
        rr.complete(gappy, **QUICK, progress=stopping_after(3))
    assert set(threading.enumerate()) <= before


def test_calls_from_several_threads_at_once_give_what_one_gives(make_low_rank):
    tensors = [make_low_rank((7, 6, 5), 2, seed=seed)[0] for seed in range(4)]
    expected = [rr.complete(each, **QUICK).completed for each in tensors]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda each: rr.complete(each, **QUICK), tensors))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours.completed, theirs)
