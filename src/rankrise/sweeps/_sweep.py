"""`sweep`: many runs, each of which is done once, whatever comes between."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rankrise._atomic import atomic_path, write_json
from rankrise._cluster import LOCAL
from rankrise._errors import InputError, reason
from rankrise.runs import Finished, Pool, ShowProgress, Watch, showing
from rankrise.sweeps._plan import MOST_RUNS, Batch, Run, make_batches
from rankrise.sweeps._pool import check_cluster, open_pool
from rankrise.sweeps._result import SweepResult
from rankrise.sweeps._run_folder import (
    RUNS,
    clear_state,
    clear_unfinished,
    is_done,
    unpack_run,
)
from rankrise.sweeps._settings import SweepSettings
from rankrise.sweeps._table import require_parquet, write_tables
from rankrise.sweeps._work import MARK, Done, Place, do_batches

SWEEP = "sweep.json"
_TOGETHER_ON_GPU = 16
# Batches that a task has at most, and tasks for each worker of what is left: the last
# are short, so that no worker waits long for another.
_MOST_BATCHES, _TASKS_A_WORKER = 8, 8
# How runs under which workers ended are tried again: all at once, or one by one.
_ROUNDS = (True, False)
_ENDED_WORKERS = "its worker ended at every attempt, by a crash or for want of memory"


@dataclass(frozen=True)
class SweepProgress:
    """How many runs are done; given to `progress` before the first and after each."""

    done: int
    failed: int
    count: int
    workers: int

    @property
    def words(self) -> str:
        """How far the sweep is, for a person to read."""
        failed = f", {self.failed} failed" if self.failed else ""
        workers = f", {self.workers} worker{'s' * (self.workers != 1)}"
        return f"{self.done} of {self.count} runs done{failed}{workers}"

    @property
    def share(self) -> float:
        """What is done of the runs."""
        return (self.done + self.failed) / self.count


def sweep(
    settings: SweepSettings | Mapping[str, Any] | Path | str,
    out: Path | str = "runs/sweep",
    *,
    scheduler: Any = LOCAL,
    workers: int | None = None,
    slurm: Path | str | None = None,
    max_runs: int = MOST_RUNS,
    progress: ShowProgress | Callable[[SweepProgress], None] = None,
) -> SweepResult:
    """Do many runs of a command, on this machine or a cluster, and gather them.

    Each run has a folder of its own, named by its settings, that is there whole or not
    at all. Runs whose folder is there are not repeated, so that the same call goes on
    where one was killed, tries again what failed, and does what is new after the
    settings have changed.

    Parameters
    ----------
    settings
        A `SweepSettings`, its fields, or the path of a TOML file with them.
    out
        Folder for `sweep.parquet`, `sweep.nc` and the runs.
    scheduler
        `local` starts workers on this machine, which listen to nobody else; anything
        else is the address of a scheduler of Dask, such as tcp://10.0.0.5:8786, or a
        client of one. Workers that do not see `out` send what they have found.
    workers
        How many are started, by default one for every core. 0 does all runs in this
        process, without Dask.
    slurm
        A TOML file with the settings of jobs that are workers; see `SlurmSettings`.
    max_runs
        More are refused.
    progress
        True shows a bar at a terminal or in a notebook, and lines elsewhere; see
        `complete`. A function is called before the first run, when there may be no
        worker yet, and after each.

    Raises
    ------
    InputError
        If the settings make no sweep, or no cluster can be had.
    KeyboardInterrupt
        At Ctrl-C, once what is done is in the tables.

    Notes
    -----
    A run that fails is in the table with its reason, as is one whose worker ends at
    every attempt. The others go on.

    Examples
    --------
    >>> import tempfile, rankrise as rr
    >>> settings = rr.SweepSettings(
    ...     command="dynamics",
    ...     base={"mode_dim": 3, "order": 3, "target_rank": 1, "components": 2},
    ...     axes={"init_scales": [0.3, 0.1]},
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = rr.sweep(settings, folder, workers=0)
    >>> found.table["ending"].tolist()
    ['converged', 'converged']
    """
    settings = as_settings(settings)
    runs = settings.runs(max_runs)
    require_parquet()
    slurm = None if slurm is None else Path(slurm)
    check_cluster(scheduler, workers, slurm)
    out = Path(out)
    place = prepare_folder(out, settings)
    work = _Work(runs, out, place)
    with showing(progress) as report, Watch() as watch:
        try:
            if work.left:
                with open_pool(scheduler, workers=workers, slurm=slurm) as pool:
                    if report is not None:
                        # Workers may be long in coming.
                        report(work.progress(pool.workers))
                    for _ in work.through(pool, settings, lambda: bool(watch.ending())):
                        if report is not None:
                            report(work.progress(pool.workers))
        finally:
            # The workers have ended, and some of them in the middle of a file.
            clear_unfinished(out)
            write_tables(out, settings, runs, work.failures)
    return SweepResult.load(out)


def as_settings(
    given: SweepSettings | Mapping[str, Any] | Path | str,
) -> SweepSettings:
    """Settings in any of the forms that `sweep` takes."""
    if isinstance(given, SweepSettings):
        return given
    if isinstance(given, Mapping):
        return SweepSettings(**{str(name): value for name, value in given.items()})
    if isinstance(given, Path | str):
        return SweepSettings.read(given)
    raise InputError(
        "A sweep is given by SweepSettings, a mapping of their fields, or the path of "
        f"a TOML file, not {type(given).__name__}."
    )


def prepare_folder(out: Path, settings: SweepSettings) -> Place:
    """Make the folder of a sweep, and note what it is of."""
    content = settings.model_dump(mode="json")
    try:
        (out / RUNS).mkdir(parents=True, exist_ok=True)
        clear_unfinished(out)
        write_json(out / SWEEP, content)
        mark = hashlib.sha256(
            json.dumps([str(out.absolute()), content], sort_keys=True).encode()
        ).hexdigest()
        with atomic_path(out / MARK) as temporary:
            temporary.write_text(mark, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"The folder {out} cannot be written to ({error.strerror}); name another."
        ) from error
    return Place(str(out.absolute()), mark)


def batches_of(settings: SweepSettings, runs: Sequence[Run]) -> list[Batch]:
    """Runs that are computed as one."""
    return make_batches(runs, settings.together or _usual_together())


@dataclass
class _Work:
    """What is left of a sweep, and what has failed."""

    runs: list[Run]
    out: Path
    place: Place
    failures: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._by_key = {run.key: run for run in self.runs}
        self._done = {run.key for run in self.runs if is_done(self.out, run)}

    @property
    def left(self) -> bool:
        """Whether anything is."""
        return len(self._done) < len(self.runs)

    def progress(self, workers: int) -> SweepProgress:
        """How far it is."""
        counts = len(self._done), len(self.failures), len(self.runs)
        return SweepProgress(*counts, workers)

    def through(
        self, pool: Pool, settings: SweepSettings, stopped: Callable[[], bool]
    ) -> Iterator[None]:
        """Do what is left; yields as runs are done."""
        batches = [
            batch
            for batch in batches_of(settings, self.runs)
            if any(run.key not in self._done for run in batch)
        ]
        tasks = _shared_out(batches, pool.workers)
        suspects: list[Run] = []
        for finished in self._each(pool, tasks, stopped):
            if finished.lost:
                lost = [run for batch in tasks[finished.place] for run in batch]
                suspects += [run for run in lost if not self._note(run)]
            else:
                self._take(finished, tasks[finished.place])
            yield
        # Whoever was near a run that ends its worker is tried again, each alone; in the
        # last round nothing else goes on that could be to blame.
        for at_once in _ROUNDS:
            ones: list[list[Batch]] = [[(run,)] for run in suspects]
            suspects = []
            rounds: list[list[list[Batch]]]
            rounds = [ones] if at_once else [[one] for one in ones]
            for each in rounds:
                for finished in self._each(pool, each, stopped):
                    (run,) = each[finished.place][0]
                    if not finished.lost:
                        self._take(finished, [(run,)])
                    elif not self._note(run):
                        suspects.append(run)
                    yield
        for run in suspects:
            # It may be what ends them.
            clear_state(self.out, (run,))
            self.failures[run.key] = _ENDED_WORKERS

    def _each(
        self,
        pool: Pool,
        tasks: Sequence[Sequence[Batch]],
        stopped: Callable[[], bool],
    ) -> Iterator[Finished]:
        arguments = [(task, self.place) for task in tasks]
        return pool.each(do_batches, arguments, stopped)

    def _note(self, run: Run) -> bool:
        """Count a run as done, if it is."""
        if is_done(self.out, run):
            self._done.add(run.key)
        return run.key in self._done

    def _take(self, finished: Finished, batches: Sequence[Batch]) -> None:
        if finished.error is not None:
            for run in (run for batch in batches for run in batch):
                if not self._note(run):
                    self.failures[run.key] = reason_of(finished.error)
            return
        done: Done
        for done in finished.value:
            if done.failure:
                self.failures[done.key] = done.failure
                continue
            if done.files is not None:
                unpack_run(self.out, self._by_key[done.key], done.files)
            self._done.add(done.key)


def _shared_out(batches: Sequence[Batch], workers: int) -> list[Sequence[Batch]]:
    """Batches for each task; a worker that is done early takes the next."""
    tasks: list[Sequence[Batch]] = []
    first = 0
    while first < len(batches):
        share = (len(batches) - first) // (_TASKS_A_WORKER * max(1, workers))
        size = max(1, min(share, _MOST_BATCHES))
        tasks.append(batches[first : first + size])
        first += size
    return tasks


def reason_of(error: BaseException) -> str:
    """An error of a task in words."""
    named = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
    return f"{named}{reason(error)}" if isinstance(error, Exception) else named


def _usual_together() -> int:
    # On a CPU a batch takes as long as its runs, and compiles for every size.
    import jax

    return 1 if jax.default_backend() == "cpu" else _TOGETHER_ON_GPU
