"""The host's clock of a long run."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from rankrise._errors import InputError
from rankrise.runs import Checkpoint, Ending, Watch, keeping_interrupted


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.npz"


def interrupt(number=signal.SIGINT):
    os.kill(os.getpid(), number)


# Time


def test_a_run_ends_at_its_time_limit(clock):
    with Watch(max_seconds=10.0) as watch:
        clock.now += 9.9
        assert watch.ending() is None
        clock.now += 0.2
        assert watch.ending() is Ending.TIME_LIMIT


def test_seconds_stand_still_afterwards(clock):
    with Watch() as watch:
        clock.now += 3.0
    clock.now += 5.0
    assert watch.seconds == 3.0


def test_each_resumption_has_the_time_limit_anew(clock, path):
    with Watch(checkpoint=Checkpoint(path)) as watch:
        clock.now += 6.0
        watch.save({}, {})
    clock.now += 100.0
    resumed = Checkpoint(path, resume=True)
    with Watch(checkpoint=resumed, max_seconds=10.0) as watch:
        assert watch.load() == ({}, {})
        assert watch.seconds == 6.0
        clock.now += 9.0
        assert watch.ending() is None
        clock.now += 1.0
        assert watch.ending() is Ending.TIME_LIMIT
        assert watch.seconds == 16.0


# Checkpoints


def test_a_state_is_due_at_once_and_then_every_so_often(clock, path):
    with Watch(checkpoint=Checkpoint(path, seconds=30.0)) as watch:
        assert watch.is_due
        watch.save({}, {})
        clock.now += 29.0
        assert not watch.is_due
        clock.now += 1.0
        assert watch.is_due


def test_what_was_just_loaded_is_not_due(path):
    with Watch(checkpoint=Checkpoint(path)) as watch:
        watch.save({}, {})
    with Watch(checkpoint=Checkpoint(path, resume=True)) as watch:
        watch.load()
        assert not watch.is_due


def test_without_a_checkpoint_nothing_is_asked_for_or_written():
    def fingerprint():
        raise AssertionError("a fingerprint may take long")

    with Watch(fingerprint=fingerprint) as watch:
        assert watch.load() is None
        assert not watch.is_due
        watch.save({}, {})


def test_without_resume_a_state_is_not_loaded(path):
    with Watch(checkpoint=Checkpoint(path)) as watch:
        watch.save({}, {})
        assert watch.load() is None


def test_the_fingerprint_is_written_and_asked_for(path):
    with Watch(checkpoint=Checkpoint(path), fingerprint=lambda: {"seed": 0}) as watch:
        watch.save({}, {"at": 3})
    resumed = Checkpoint(path, resume=True)
    with Watch(checkpoint=resumed, fingerprint={"seed": 0}) as watch:
        assert watch.load() == ({}, {"at": 3})
    with (
        Watch(checkpoint=resumed, fingerprint={"seed": 1}) as watch,
        pytest.raises(InputError, match="seed = 0, not 1"),
    ):
        watch.load()


# Interrupts


def test_an_interrupt_is_raised_when_the_state_has_been_written(path):
    def run():
        with Watch(checkpoint=Checkpoint(path)) as watch:
            assert watch.ending() is None
            interrupt()
            assert watch.ending() is Ending.INTERRUPTED
            watch.save({}, {})

    with pytest.raises(KeyboardInterrupt):
        run()
    assert path.exists()


def test_a_second_interrupt_is_heard_at_once():
    went_on = []

    def run():
        with Watch():
            interrupt()
            went_on.append(1)
            interrupt()
            went_on.append(2)

    with pytest.raises(KeyboardInterrupt):
        run()
    assert went_on == [1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_kept_is_not_raised(number):
    with keeping_interrupted():
        with Watch() as watch:
            interrupt(number)
            assert watch.ending() is Ending.INTERRUPTED
        # It was of that run alone.
        with Watch() as watch:
            assert watch.ending() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("kept", [True, False])
def test_handlers_are_put_back(number, kept):
    before = signal.getsignal(number)
    if kept:
        with keeping_interrupted(), Watch():
            assert signal.getsignal(number) != before
    else:
        with Watch():
            heard = number == signal.SIGINT
            assert (signal.getsignal(number) != before) == heard
    assert signal.getsignal(number) is before


def test_an_error_is_not_hidden_by_an_interrupt():
    def run():
        with Watch():
            interrupt()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()


def test_runs_within_runs_hear_the_same_interrupt():
    with keeping_interrupted(), Watch() as outer:
        with Watch() as inner:
            interrupt()
            assert inner.ending() is Ending.INTERRUPTED
        assert outer.ending() is Ending.INTERRUPTED


def test_an_interrupt_leaves_runs_within_runs():
    left = []

    def run():
        with Watch():
            with Watch():
                interrupt()
                left.append("inner goes on")
            left.append("outer goes on")

    with pytest.raises(KeyboardInterrupt):
        run()
    assert left == ["inner goes on"]


def test_threads_leave_signals_alone():
    before, found = signal.getsignal(signal.SIGINT), []

    def work():
        with Watch() as watch:
            found.extend([signal.getsignal(signal.SIGINT), watch.ending()])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before, None]


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 7)]
)
def test_sigterm_ends_a_library_call_and_ctrl_c_raises_out_of_it(number, status):
    program = f"""
import os, signal, sys
from rankrise.runs import Watch
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    with Watch() as watch:
        os.kill(os.getpid(), {int(number)})
except KeyboardInterrupt:
    sys.exit(7)
"""
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == status
