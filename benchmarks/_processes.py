"""Programs in processes of their own: what they took, and whose source they ran.

Imports little, for what is measured imports this too.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

# Of the bounds of entries that a completion is asked for.
LEVELS = (0.5, 0.8, 0.9, 0.95)
HERE = Path(__file__).resolve().parents[1]
# Compiled programs of a checkout that needs them are kept, as its Makefile does.
_JAX_CACHE = Path(tempfile.gettempdir()) / "rankrise-benchmarks-jax"
_LOOK = 0.02
# Linux counts in KiB.
_KIB = 1024


@dataclass(frozen=True)
class Usage:
    """What a process took from its start to its end.

    Attributes
    ----------
    cpu_seconds
        Of all its threads, in its own code and in the system's.
    peak_bytes
        Of memory; at least what the process that started it had in use.
    output
        What it printed.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str


class ProcessError(RuntimeError):
    """A process ended otherwise than well, or not in time."""


def python(checkout: Path, *arguments: str, timeout: float | None = None) -> Usage:
    """Run Python with the package of a checkout."""
    command = [sys.executable, *arguments]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            env=environment_of(checkout),
        )
        status, used = _waited(process, timeout)
        seconds = time.perf_counter() - began
        if status is None:
            raise ProcessError(f"not done in {timeout:g} s")
        if status:
            said = _text(errors).strip().splitlines() or ["no words"]
            raise ProcessError(f"ended with {status}: {said[-1]}"[:300])
        cpu_seconds = used.ru_utime + used.ru_stime
        return Usage(seconds, cpu_seconds, _KIB * used.ru_maxrss, _text(out))


def environment_of(checkout: Path) -> dict[str, str]:
    """Environment in which `import rankrise` finds the package of a checkout."""
    source = checkout.resolve() / "src"
    if not (source / "rankrise").is_dir():
        raise ValueError(f"{checkout} has no src/rankrise; name a checkout's folder.")
    rest = os.environ.get("PYTHONPATH")
    return {
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(_JAX_CACHE),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "MPLBACKEND": "Agg",
        **os.environ,
        "PYTHONPATH": f"{source}{os.pathsep}{rest}" if rest else str(source),
    }


def commit_of(checkout: Path) -> str:
    """The commit of a checkout, in short; its name where git knows none."""
    command = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or checkout.resolve().name


def peak_bytes() -> int:
    """The most memory that this process has used, since `forget_peak` if that went."""
    found = _status("VmHWM")
    if found is not None:
        return found
    return _KIB * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def forget_peak() -> int:
    """Let `peak_bytes` begin anew where the system can; what is in use now."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return peak_bytes()
    return _status("VmRSS") or peak_bytes()


def _status(name: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return next((_KIB * int(each) for each in found), None)


def _waited(
    process: subprocess.Popen[bytes], timeout: float | None
) -> tuple[int | None, resource.struct_rusage]:
    """How it ended, None where it had to be ended; and what it used."""
    end = None if timeout is None else time.monotonic() + timeout
    try:
        while True:
            flag = 0 if end is None else os.WNOHANG
            pid, status, used = os.wait4(process.pid, flag)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                return process.returncode, used
            if end is not None and time.monotonic() > end:
                break
            time.sleep(_LOOK)
    except BaseException:
        _ended(process)
        raise
    return None, _ended(process)


def _ended(process: subprocess.Popen[bytes]) -> resource.struct_rusage:
    process.kill()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")
