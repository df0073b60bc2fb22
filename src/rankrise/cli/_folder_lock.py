"""A lock on the folder of a run, which one process holds at a time."""

import json
import os
import socket
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from rankrise._errors import InputError

LOCK = ".rankrise.lock"

# Each means that another run ended within the last microseconds.
_ATTEMPTS = 100


@dataclass(frozen=True)
class _Holder:
    """Who holds a folder, as its lock file says."""

    pid: int
    host: str
    since: str

    def is_alive(self) -> bool:
        """Whether the process lives; one of another host may."""
        if self.host != socket.gethostname():
            return True
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            return True
        return True


class FolderLock:
    """Held from its making to `release`, or to the end of the process, however it ends.

    The operating system keeps the lock, so that of a killed process is free at once
    and its file says nothing. The file names the holder for those who are refused.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / LOCK
        self._pid = os.getpid()
        self._made: list[Path] = []
        self._file: int | None = self._taken()
        try:
            self._name_holder(self._file)
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Free the folder and remove the file, and a folder left empty that we made.

        Nothing happens the second time, or in a fork, whose parent holds the lock.
        """
        if self._file is None or self._pid != os.getpid():
            return
        file, self._file = self._file, None
        with suppress(OSError):
            # While it is locked: who opens it now finds that its name is gone.
            if _is_at(file, self._path):
                self._path.unlink()
        with suppress(OSError):
            # Closing alone leaves it locked where a fork has the file open.
            _unlock(file)
        os.close(file)
        for made in self._made:
            with suppress(OSError):
                made.rmdir()

    def _taken(self) -> int:
        for _ in range(_ATTEMPTS):
            self._made = _missing(self._folder) or self._made
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:
                # A run that ended just now has removed the folder it had made.
                continue
            if self._is_held(file):
                holder = _holder(file)
                os.close(file)
                raise InputError(self._in_use(holder))
            if _is_at(file, self._path):
                return file
            # A run that ended just now has removed the file that we locked.
            os.close(file)
        raise FileNotFoundError(2, os.strerror(2), str(self._path))

    def _is_held(self, file: int) -> bool:
        try:
            return not _lock(file)
        except OSError:
            # A file system without locks; then the process that is named decides.
            holder = _holder(file)
            return holder is not None and holder.is_alive()

    def _name_holder(self, file: int) -> None:
        since = datetime.now().astimezone().isoformat(" ", "seconds")
        holder = _Holder(self._pid, socket.gethostname(), since)
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, (json.dumps(asdict(holder)) + "\n").encode())

    def _in_use(self, holder: _Holder | None) -> str:
        by = "another process"
        if holder is not None:
            by = f"process {holder.pid} on {holder.host} since {holder.since}"
        return (
            f"The folder {self._folder} is in use by {by}; wait until that ends, stop "
            "it or name another folder with --out."
        )


_held: list[FolderLock] = []


def hold(folder: Path) -> FolderLock:
    """Take the lock of a folder, at the longest until `release_held`."""
    lock = FolderLock(folder)
    _held.append(lock)
    return lock


def release_held() -> None:
    """Release what `hold` has taken."""
    while _held:
        _held.pop().release()


def _missing(folder: Path) -> list[Path]:
    """The folder and those above it that are not there, the deepest first."""
    return [each for each in (folder, *folder.parents) if not each.exists()]


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _holder(file: int) -> _Holder | None:
    try:
        os.lseek(file, 0, os.SEEK_SET)
        named = json.loads(os.read(file, 4096))
        holder = _Holder(named["pid"], named["host"], named["since"])
    except (ValueError, TypeError, KeyError):
        return None
    # Zero and negative numbers are of groups of processes.
    is_process = isinstance(holder.pid, int) and holder.pid > 0
    return holder if is_process else None


if sys.platform == "win32":
    import msvcrt

    # Beyond what is written: Windows lets nobody read what is locked.
    _PLACE = 1 << 20

    def _lock(file: int) -> bool:
        os.lseek(file, _PLACE, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _unlock(file: int) -> None:
        os.lseek(file, _PLACE, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(file: int) -> bool:
        """Whether the lock is ours now; an OSError where the file system has none."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
