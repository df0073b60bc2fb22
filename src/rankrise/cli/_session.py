"""What all commands do around a run: compile cache, progress, results on the screen."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from rankrise.cli._folder import RunFolder
from rankrise.cli._options import OutputOptions

if TYPE_CHECKING:
    from rankrise.solvers import Checkpoint, Progress


def use_compile_cache() -> None:
    """Let JAX keep compiled programs between calls. Before JAX is imported."""
    import platformdirs

    folder = Path(platformdirs.user_cache_dir("rankrise")) / "jax"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")


def make_checkpoint(folder: RunFolder, options: OutputOptions) -> "Checkpoint":
    """The checkpoint of a run's folder."""
    from rankrise._errors import InputError
    from rankrise.solvers import Checkpoint

    if not options.checkpoint_seconds >= 0:
        raise InputError(
            f"--checkpoint-seconds is {options.checkpoint_seconds}; it cannot be "
            "negative."
        )
    return Checkpoint(folder.checkpoint, options.checkpoint_seconds, options.resume)


@contextmanager
def shown_progress(quiet: bool) -> "Iterator[Callable[[Progress], None] | None]":
    """A progress bar on stderr, or None where nobody would see it."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("compiling")

        def show(progress: "Progress") -> None:
            losses = " ".join(f"{loss:.2e}" for loss in progress.losses[:4])
            bar.update(
                task,
                description=f"loss {losses}",
                completed=progress.step,
                total=progress.max_steps,
            )

        yield show


def status_of(summary: dict[str, Any], folder: RunFolder, quiet: bool) -> int:
    """Say on stderr what a person must know of the outcome; the exit status."""
    if summary["result"] == "interrupted":
        print(
            f"rankrise: interrupted; the state is kept, go on with --out "
            f"{folder.path} --resume.",
            file=sys.stderr,
        )
        return 130
    if summary["result"] == "diverged" and not quiet:
        reasons = [r["reason"] for r in summary["runs"] if r["result"] == "diverged"]
        print(f"rankrise: a run diverged: {reasons[0]}.", file=sys.stderr)
    return 0
