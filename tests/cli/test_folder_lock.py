"""One process holds the folder of a run; who died holds nothing."""

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rankrise._errors import InputError
from rankrise.cli import _folder_lock
from rankrise.cli._folder_lock import LOCK, FolderLock


def record(folder, **changes):
    """Write a lock file as a process that was killed leaves it; the current one."""
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": "today"}
    (folder / LOCK).write_text(json.dumps(holder | changes))


@pytest.fixture
def dead():
    """The number of a process that no longer lives."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def without_locks(monkeypatch):
    """A file system that has no locks."""

    def fail(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(_folder_lock.fcntl, "flock", fail)


def test_a_folder_is_held_by_one_who_is_named(tmp_path):
    lock = FolderLock(tmp_path)
    words = (
        rf"{re.escape(str(tmp_path))} is in use by process {os.getpid()} on "
        rf"{re.escape(socket.gethostname())} since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d"
    )
    with pytest.raises(InputError, match=words):
        FolderLock(tmp_path)
    lock.release()
    FolderLock(tmp_path).release()


def test_a_lock_leaves_nothing(tmp_path):
    (tmp_path / "there").mkdir()
    folder = tmp_path / "there" / "new" / "run"
    lock = FolderLock(folder)
    assert (folder / LOCK).exists()
    lock.release()
    lock.release()
    assert [*tmp_path.rglob("*")] == [tmp_path / "there"]


def test_a_folder_that_was_made_for_a_lock_stays_with_what_is_in_it(tmp_path):
    lock = FolderLock(tmp_path / "run")
    (tmp_path / "run" / "summary.json").touch()
    lock.release()
    assert [*(tmp_path / "run").iterdir()] == [tmp_path / "run" / "summary.json"]


def test_the_file_of_a_killed_process_says_nothing(tmp_path):
    code = f"""
import os, signal
from pathlib import Path
from rankrise.cli._folder_lock import FolderLock
lock = FolderLock(Path({str(tmp_path)!r}))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert (tmp_path / LOCK).exists()
    FolderLock(tmp_path).release()
    assert not (tmp_path / LOCK).exists()


# The second has a number that is in use again by another process: this one.
@pytest.mark.parametrize("changes", [{"host": "elsewhere"}, {}])
def test_the_operating_system_knows_better_than_the_file(changes, tmp_path):
    record(tmp_path, **changes)
    lock = FolderLock(tmp_path)
    assert json.loads((tmp_path / LOCK).read_text())["since"] != "today"
    lock.release()


def test_a_file_that_its_holder_removes_meanwhile_is_no_lock(tmp_path, monkeypatch):
    first = FolderLock(tmp_path)
    real, opened = os.open, []

    def opening(path, *rest):
        file = real(path, *rest)
        if not opened:
            # The second has opened the file of the first, who ends now.
            first.release()
        opened.append(file)
        return file

    monkeypatch.setattr(_folder_lock.os, "open", opening)
    second = FolderLock(tmp_path)
    assert len(opened) == 2
    with pytest.raises(InputError, match="in use"):
        FolderLock(tmp_path)
    second.release()


def test_a_folder_that_another_removes_meanwhile_is_made_again(tmp_path, monkeypatch):
    real, opened = os.open, []

    def opening(path, *rest):
        opened.append(path)
        if len(opened) == 1:
            Path(path).parent.rmdir()
        return real(path, *rest)

    monkeypatch.setattr(_folder_lock.os, "open", opening)
    lock = FolderLock(tmp_path / "run")
    assert len(opened) == 2
    lock.release()
    assert not (tmp_path / "run").exists()


def test_a_lock_that_is_no_longer_ours_is_left_to_its_holder(tmp_path):
    first = FolderLock(tmp_path)
    (tmp_path / LOCK).unlink()
    second = FolderLock(tmp_path)
    first.release()
    assert (tmp_path / LOCK).exists()
    second.release()


def test_a_fork_releases_nothing(tmp_path, monkeypatch):
    lock = FolderLock(tmp_path)
    with monkeypatch.context() as patch:
        # As it is in a fork; a real one of this process, with JAX in it, may hang.
        patch.setattr(_folder_lock.os, "getpid", lambda: -1)
        lock.release()
    with pytest.raises(InputError, match="in use"):
        FolderLock(tmp_path)
    lock.release()
    assert not (tmp_path / LOCK).exists()


def test_a_disk_without_room_for_the_name_is_said_and_leaves_nothing(
    tmp_path, monkeypatch
):
    def fail(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_folder_lock.os, "write", fail)
    with pytest.raises(OSError, match="No space left"):
        FolderLock(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 0, "host": "", "since": ""}'])
def test_who_holds_a_folder_without_a_name_is_another(text, tmp_path):
    lock = FolderLock(tmp_path)
    (tmp_path / LOCK).write_text(text)
    with pytest.raises(InputError, match="in use by another process; wait"):
        FolderLock(tmp_path)
    lock.release()


# Where the file system has no locks


def test_a_living_process_that_is_named_holds_the_folder(tmp_path, without_locks):
    lock = FolderLock(tmp_path)
    with pytest.raises(InputError, match=f"in use by process {os.getpid()} on"):
        FolderLock(tmp_path)
    lock.release()
    FolderLock(tmp_path).release()


def test_a_process_of_another_host_may_live(tmp_path, without_locks, dead):
    record(tmp_path, pid=dead, host="elsewhere")
    with pytest.raises(InputError, match="on elsewhere since today"):
        FolderLock(tmp_path)


@pytest.mark.parametrize("pid", [None, 2**80, -1, "1"])
def test_a_process_that_does_not_live_holds_nothing(pid, tmp_path, without_locks, dead):
    record(tmp_path, pid=dead if pid is None else pid)
    FolderLock(tmp_path).release()
    assert not (tmp_path / LOCK).exists()
