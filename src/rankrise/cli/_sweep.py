"""`rankrise sweep SWEEP.toml`."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from rankrise._errors import InputError
from rankrise.cli._folder import RunFolder
from rankrise.cli._options import OutputOptions
from rankrise.cli._refusal import OF_CLUSTERS
from rankrise.cli._session import running, status_of
from rankrise.cli._status import DONE, VIOLATED
from rankrise.cli._terminal import say

if TYPE_CHECKING:
    from rankrise.sweeps import SweepResult, SweepSettings

# Failures that are printed; all are in the table.
_LISTED = 10


def sweep(
    file: Path | None = None,
    /,
    *,
    scheduler: str = "local",
    workers: int | None = None,
    slurm: Path | None = None,
    max_runs: int | None = None,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    output: OutputOptions | None = None,
) -> int:
    """Do many runs of one command, on this machine or a cluster, and gather them.

    Writes sweep.parquet (a row a run), sweep.nc (all trajectories), a folder for each
    run under runs, sweep.png, .pdf and .svg, and for dynamics staircases.png. With
    --resume no run is repeated that is done; those that failed are tried again, and a
    file that has changed may ask for more. The exit status is 1 if a run failed.

    Parameters
    ----------
    file
        A TOML file: command, [base] settings, [axes] with lists and ranges, [[zip]]
        for axes that go along together, seeds, where. Left out when resuming.
    scheduler
        Address of a scheduler of Dask such as tcp://10.0.0.5:8786; by default workers
        are started on this machine.
    workers
        How many workers are started, by default one for every core; 0 does all runs in
        this process, without Dask.
    slurm
        A TOML file with the settings of jobs of Slurm, each of which is a worker.
    max_runs
        A sweep of more runs is refused; 10000 by default.
    dry_run
        Say how many runs there are and how long they may take, and with --slurm what a
        job is, and do nothing.
    """
    output = output or OutputOptions()
    with _in_words_of_the_file():
        return _sweep(file, scheduler, workers, slurm, max_runs, dry_run, output)


@contextmanager
def _in_words_of_the_file() -> Iterator[None]:
    """Settings are named as in the file; only what the command takes has a flag."""
    try:
        yield
    except InputError as error:

        def quoted(name: re.Match[str]) -> str:
            return name[0] if name[1] in OF_CLUSTERS else f"'{name[1]}'"

        raise InputError(re.sub("`([^`]*)`", quoted, str(error))) from error


def _sweep(
    file: Path | None,
    scheduler: str,
    workers: int | None,
    slurm: Path | None,
    max_runs: int | None,
    dry_run: bool,
    output: OutputOptions,
) -> int:
    from rankrise.sweeps import MOST_RUNS, check_cluster, open_pool

    check_cluster(scheduler, workers, slurm)
    most = MOST_RUNS if max_runs is None else max_runs
    if dry_run:
        settings = _settings(file, output)
        # A scheduler that does not answer would stop the sweep.
        elsewhere = scheduler != "local"
        with open_pool(scheduler) if elsewhere else nullcontext():
            _announce(settings, output, most, scheduler, workers)
        if slurm is not None:
            from rankrise.sweeps import slurm_script

            say()
            for line in slurm_script(slurm).splitlines():
                say(line)
        return DONE
    folder = RunFolder(output, "sweep")
    settings = _settings(file, output)
    if file is not None:
        folder.check_not_replaced(file)
    if not output.quiet:
        _announce(settings, output, most, scheduler, workers)
    from rankrise import sweeps

    def begin() -> None:
        folder.begin(settings)

    with running(begin, output) as progress:
        begin()
        if output.force:
            sweeps.clear_runs(folder.path)
        found = sweeps.sweep(
            settings,
            folder.path,
            scheduler=scheduler,
            workers=workers,
            slurm=slurm,
            max_runs=most,
            progress=progress,
        )
    # The resumed sweep draws it.
    written = [] if found.not_done else _draw(found)
    summary = sweeps.summarize_sweep(found)
    folder.finish(summary)
    if not output.quiet:
        _print(found, written)
    return status_of(summary, folder) or (VIOLATED if len(found.failed) else DONE)


def _settings(file: Path | None, output: OutputOptions) -> "SweepSettings":
    from rankrise.sweeps import SweepSettings, read_settings

    if file is not None:
        return SweepSettings.read(file)
    if not output.resume:
        raise InputError(
            "sweep needs a file: rankrise sweep SWEEP.toml, with lines such as "
            'command = "dynamics".'
        )
    return read_settings(output.out or Path("runs/sweep"))


def _announce(
    settings: "SweepSettings",
    output: OutputOptions,
    most: int,
    scheduler: str,
    workers: int | None,
) -> None:
    """Say what will be done, before it starts."""
    from rankrise._environment import usable_cores
    from rankrise.runs import time_in_words
    from rankrise.sweeps import expected_sweep_time, runs_left

    runs = settings.runs(most)
    out = output.out or Path("runs/sweep")
    axes = " x ".join(f"{name} {count}" for name, count in settings.axis_sizes.items())
    say(f"{len(runs)} runs of {settings.command}: {axes or 'no axis'}")
    left = runs_left(runs, out)
    if output.resume and left < len(runs):
        say(f"{len(runs) - left} are done")
    if not left:
        return
    # How many workers a cluster will have is not known.
    count = (workers or 1) if workers is not None else usable_cores()
    count = 1 if scheduler != "local" else count
    expected = expected_sweep_time(runs, out, count)
    by = f"{count} worker{'s' * (count > 1)}"
    words = f"{time_in_words(expected.seconds)} with {by}"
    say(f"expected time: {words} ({expected.basis}; compiling apart)")


def _draw(found: "SweepResult") -> list[Path]:
    from rankrise.reports import save_figure

    written = []
    for name, picture in found.pictures().items():
        path, *_ = save_figure(picture.figure(), found.folder / name)
        written.append(path)
    return written


def _print(found: "SweepResult", written: list[Path]) -> None:
    failed: Any = found.failed
    say(
        f"{len(found.table) - len(failed) - found.not_done} runs done, {len(failed)} "
        f"failed" + f", {found.not_done} not done" * bool(found.not_done)
    )
    for _, row in failed.head(_LISTED).iterrows():
        at = ", ".join(f"{name} {row[name]}" for name in found.axes)
        say(f"failed: {at or row['run']}: {row['reason']}", file=sys.stderr)
    if len(failed) > _LISTED:
        say(f"{len(failed) - _LISTED} more failed; the table has them", file=sys.stderr)
    say(f"table: {found.folder / 'sweep.parquet'}")
    for path in written:
        say(f"picture: {path}")
