"""Compiling: whether programs can run here, where they are kept, several at once."""

import contextlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import jax
import platformdirs

_OFF = "RANKRISE_COMPILE_CACHE"
# Programs that are compiled faster are not worth a file; JAX's own limit is a second.
_LEAST_SECONDS, _LEAST_SECONDS_OF_JAX = 0.3, 1.0
_process: int | None = None


def prepare() -> None:
    """Keep compiled programs on disk from here on, and refuse a forked process.

    Kept in the user's cache folder, for later processes, unless JAX is configured for
    another one or the environment variable `RANKRISE_COMPILE_CACHE` is 0.

    Raises
    ------
    RuntimeError
        In a process that was forked from one that had computed: JAX's threads are not
        in it, and what waits for them never ends.
    """
    global _process
    if _process is None:
        _process = os.getpid()
        _keep_programs()
    if _process != os.getpid():
        raise RuntimeError(
            "This process was forked from one that had computed with JAX, whose "
            "threads a fork does not take along; start it by 'spawn' or "
            "'forkserver', as `multiprocessing.get_context('spawn')` does."
        )


def lowered(program: Callable[..., Any], *arguments: Any) -> Any:
    """A program of `filter_jit` for arguments of these shapes, yet to be compiled."""
    return cast("Any", program).lower(*arguments)


def compile_together(lowered: Iterable[Any]) -> None:
    """Compile programs at once, which calls of the same shapes then find compiled."""
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(each.compile) for each in lowered]:
            done.result()


def _keep_programs() -> None:
    config: Any = jax.config
    limit = "jax_persistent_cache_min_compile_time_secs"
    is_on = os.environ.get(_OFF, "1") != "0" and config.jax_enable_compilation_cache
    if config.jax_compilation_cache_dir is not None or not is_on:
        return
    folder = Path(platformdirs.user_cache_dir("rankrise")) / "jax"
    with contextlib.suppress(OSError):  # a home that cannot be written has no cache
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            config.update("jax_compilation_cache_dir", str(folder))
            if getattr(config, limit) == _LEAST_SECONDS_OF_JAX:
                config.update(limit, _LEAST_SECONDS)
