"""The folder of a run: one process at a time, and what kills leave."""

import subprocess
import sys
from contextlib import suppress

import pytest

from rankrise._atomic import atomic_path
from rankrise.cli._folder import RunFolder
from rankrise.cli._folder_lock import LOCK, FolderLock, release_held
from rankrise.cli._main import run
from rankrise.cli._options import OutputOptions
from rankrise.experiments import CompletionConfig


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def work(folder, *, seed=0, **flags):
    """What a command does with its folder; its results are an empty picture."""
    ours = RunFolder(OutputOptions(out=folder, **flags), "complete")
    try:
        ours.begin(CompletionConfig(seed=seed))
        (folder / "completion.png").touch()
        ours.finish({"result": "finished"})
    finally:
        release_held()


@pytest.fixture
def finished(tmp_path):
    """The folder of a finished run."""
    work(tmp_path / "run")
    return tmp_path / "run"


def left_by_a_kill(path):
    """A temporary file as it lies there when its writer is killed."""
    with suppress(ZeroDivisionError), atomic_path(path) as temporary:
        raise ZeroDivisionError
    temporary.touch()
    return temporary


# One process at a time


@pytest.fixture
def held(finished):
    """A folder with results that another run works in."""
    lock = FolderLock(finished)
    yield finished
    lock.release()


def test_another_process_is_refused_before_anything_heavy(held, check_refusal):
    before = contents(held)
    code = f"""
import sys
from rankrise.cli._main import run
status = run(["complete", "x.npy", "--force", "--out", {str(held)!r}])
heavy = {{"jax", "numpy", "matplotlib", "xarray", "scipy", "optax"}} & set(sys.modules)
sys.exit(status if not heavy else str(heavy))
"""
    command = [sys.executable, "-c", code]
    other = subprocess.run(command, capture_output=True, text=True)
    words = r"is in use by process \d+ on .* since .*; wait until .* --out"
    check_refusal(other.returncode, other.stdout, other.stderr, words)
    assert contents(held) == before


@pytest.mark.parametrize("flags", [["--force"], ["--resume"], []])
def test_no_flag_breaks_a_lock(flags, held, assert_refused):
    before = contents(held)
    assert_refused(["complete", "x.npy", "--out", held, *flags], "is in use by process")
    assert contents(held) == before


def test_of_several_files_only_that_of_a_held_folder_is_refused(
    held, monkeypatch, capfd
):
    begun = []

    def is_finished(self):
        begun.append(self.path.name)
        return True

    monkeypatch.setattr(RunFolder, "is_finished", is_finished)
    tokens = ["complete", "run.npy", "x.npy", "--quiet", "--force"]
    assert run([*tokens, "--out", str(held.parent)]) == 2
    assert "run is in use by process" in capfd.readouterr().err
    assert begun == ["x"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, AssertionError])
def test_a_folder_is_free_after_every_end(error, tmp_path, monkeypatch):
    held = []

    def fail(self):
        held.append((self.path / LOCK).exists())
        raise error

    monkeypatch.setattr(RunFolder, "is_finished", fail)
    # A bug of ours is not caught, and holds no folder either.
    with suppress(AssertionError):
        run(["complete", "x.npy", "--out", "run"])
    assert held == [True]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_is_free_as_soon_as_its_run_is_finished(resume, finished):
    options = OutputOptions(out=finished, resume=resume, force=not resume, quiet=True)
    folder = RunFolder(options, "complete")
    assert (finished / LOCK).exists()
    if resume:
        assert folder.is_finished()
    else:
        folder.finish({"result": "finished"})
    assert not (finished / LOCK).exists()
    release_held()


def test_an_interrupt_before_a_run_leaves_no_folder(tmp_path):
    code = """
import os, signal
from pathlib import Path
from rankrise.cli._folder_lock import hold
from rankrise.cli._interrupts import leave_when_interrupted
leave_when_interrupted()
hold(Path("runs/complete"))
os.kill(os.getpid(), signal.SIGINT)
"""
    process = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE)
    assert process.returncode == 130
    assert not (tmp_path / "runs").exists()


# What kills leave


def test_a_run_killed_before_its_settings_were_in_place_is_started_again(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / LOCK).write_text("{}")
    left_by_a_kill(folder / "settings.json")
    work(folder)
    assert set(contents(folder)) == {"settings.json", "summary.json", "completion.png"}


@pytest.mark.parametrize("flag", ["force", "resume"])
def test_a_start_clears_what_was_half_written(flag, finished):
    before = set(contents(finished))
    left_by_a_kill(finished / "checkpoint.npz")
    (finished / ".notes-12345678.txt").touch()
    work(finished, **{flag: True})
    assert set(contents(finished)) == {*before, ".notes-12345678.txt"}


def test_a_refused_start_clears_nothing(finished, assert_refused):
    left = left_by_a_kill(finished / "settings.json")
    assert_refused(["complete", "x.npy", "--out", finished], "is not empty")
    assert left.exists()


def test_no_kill_leaves_new_settings_beside_old_results(finished, monkeypatch):
    before = (finished / "settings.json").read_bytes()
    clear = RunFolder._clear_results

    def killed(self):
        clear(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "_clear_results", killed)
    with pytest.raises(KeyboardInterrupt):
        work(finished, seed=1, force=True)
    assert contents(finished) == {"settings.json": before}
