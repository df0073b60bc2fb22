"""Processes that tasks are done by: this one, or workers of Dask."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from rankrise._cluster import (
    LOCAL,
    check_workers,
    open_client,
    quiet,
    saying_scheduler_lost,
)
from rankrise._errors import InputError
from rankrise.runs import Finished, Pool, ThisProcess

_POLL_SECONDS = 0.05
# How often workers that are gone for good are replaced.
_REPLACE_SECONDS = 5.0
# Bytes of an argument that goes along with each task.
_SMALL = 100_000


class DaskPool(Pool):
    """Workers of Dask `distributed`, which go on while others are lost and come back.

    Parameters
    ----------
    client
        Whoever opened it closes it.
    replace
        Starts workers in the place of those that are gone for good.
    """

    def __init__(self, client: Any, replace: Callable[[], None] = lambda: None) -> None:
        self._client = client
        self._replace = replace
        self._workers, self._counted = 1, -math.inf

    @property
    def workers(self) -> int:
        # Asking takes a millisecond, and runs may end every few.
        if time.monotonic() - self._counted > _REPLACE_SECONDS:
            # A scheduler that starts again does not answer meanwhile.
            with suppress(OSError):
                self._workers = len(self._client.nthreads())
            self._counted = time.monotonic()
        return self._workers

    def each(
        self,
        function: Callable[..., Any],
        tasks: Sequence[tuple[Any, ...]],
        stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[Finished]:
        from distributed import as_completed

        sent: dict[int, Any] = {}
        futures = {
            self._sent(function, arguments, sent): place
            for place, arguments in enumerate(tasks)
        }
        queue = as_completed(list(futures), with_results=True, raise_errors=False)
        left, replaced = len(futures), time.monotonic()
        try:
            while left:
                if stopped():
                    return
                if time.monotonic() - replaced > _REPLACE_SECONDS:
                    self._replace()
                    replaced = time.monotonic()
                arrived = queue.next_batch(block=False)
                if not arrived:
                    time.sleep(_POLL_SECONDS)
                for future, value in arrived:
                    place = futures.pop(future)
                    if future.cancelled():
                        # By a scheduler that has started again and knows nothing of it.
                        again = self._sent(function, tasks[place], sent)
                        futures[again] = place
                        queue.add(again)
                        continue
                    left -= 1
                    yield _finished(place, future, value)
        finally:
            with suppress(Exception):
                self._client.cancel(list(futures), force=True)

    def _sent(
        self,
        function: Callable[..., Any],
        arguments: Sequence[Any],
        sent: dict[int, Any],
    ) -> Any:
        shared = self._shared(arguments, sent)
        return self._client.submit(_in_worker, function, *shared, pure=False)

    def _shared(self, arguments: Sequence[Any], sent: dict[int, Any]) -> list[Any]:
        """Arguments, of which those that are large go to a worker once for all tasks.

        They are what a task gives, which is done again where its worker is lost.
        """
        from distributed import Future
        from distributed.protocol.pickle import dumps

        def is_there(argument: Any) -> bool:
            before = sent.get(id(argument))
            lost = isinstance(before, Future) and before.cancelled()
            return before is not None and not lost

        for argument in arguments:
            if is_dataclass(argument) and not is_there(argument):
                large = len(dumps(argument)) > _SMALL
                sent[id(argument)] = (
                    self._client.submit(_itself, argument, pure=False)
                    if large
                    else argument
                )
        return [sent.get(id(argument), argument) for argument in arguments]


def _itself(argument: Any) -> Any:
    return argument


def _in_worker(function: Callable[..., Any], *arguments: Any) -> Any:
    import dask

    # Else xarray would ask the scheduler for a lock on each file that it writes.
    with dask.config.set(scheduler="synchronous"):
        return function(*arguments)


def _finished(place: int, future: Any, value: Any) -> Finished:
    from distributed import KilledWorker

    if future.status == "finished":
        return Finished(place, value)
    error = value[1] if isinstance(value, tuple) else value
    if not isinstance(error, BaseException):
        error = RuntimeError(str(error))
    return Finished(place, error=error, lost=isinstance(error, KilledWorker))


@contextmanager
def open_pool(
    scheduler: Any = LOCAL,
    *,
    workers: int | None = None,
    slurm: Path | None = None,
) -> Iterator[Pool]:
    """Somewhere to do tasks, as long as the block lasts.

    Parameters
    ----------
    scheduler
        `local` starts workers on this machine; anything else is a scheduler's address,
        or a client.
    workers
        How many are started, by default one for every core; 0 is this process.
    slurm
        A TOML file with the settings of jobs that are workers.

    Raises
    ------
    InputError
        If Dask is not installed, or no scheduler answers.
    """
    check_cluster(scheduler, workers, slurm)
    if workers == 0:
        yield ThisProcess()
        return
    yield from _open(scheduler, workers, slurm)


def check_cluster(
    scheduler: Any, workers: int | None, slurm: Path | None = None
) -> None:
    """Refuse what is no cluster, before anything is done.

    Raises
    ------
    InputError
        If two are named, or Dask is not installed.
    """
    if slurm is not None and scheduler != LOCAL:
        raise InputError("`slurm` and `scheduler` are two clusters; give one.")
    if workers == 0 and (scheduler != LOCAL or slurm is not None):
        raise InputError("`workers` is 0, but a cluster is named; leave one out.")
    if workers != 0:
        check_workers(scheduler, workers)


def _open(scheduler: Any, workers: int | None, slurm: Path | None) -> Iterator[Pool]:
    if slurm is None:
        with open_client(scheduler, workers) as opened:
            yield DaskPool(*opened)
        return
    from rankrise.sweeps._slurm import open_slurm

    with quiet(), open_slurm(slurm, workers) as client, saying_scheduler_lost(client):
        yield DaskPool(client)
