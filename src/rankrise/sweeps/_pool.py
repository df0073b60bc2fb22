"""Processes that tasks are done by: this one, or workers of Dask."""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from rankrise._environment import usable_cores
from rankrise._errors import InputError, reason
from rankrise._version import __version__
from rankrise.runs import Finished, Pool, ThisProcess

# How often workers may end under a task before it is handed back as lost.
_DEATHS = 3
_POLL_SECONDS = 0.05
# How often workers that are gone for good are replaced.
_REPLACE_SECONDS = 5.0
_CONNECT_SECONDS = 20.0
LOCAL = "local"
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

    @property
    def workers(self) -> int:
        return max(1, len(self._client.nthreads()))

    def each(
        self,
        function: Callable[..., Any],
        tasks: Sequence[tuple[Any, ...]],
        stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[Finished]:
        from distributed import as_completed

        sent: dict[int, Any] = {}
        futures = {
            self._client.submit(
                _in_worker, function, *self._shared(arguments, sent), pure=False
            ): place
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
                    left -= 1
                    yield _finished(futures.pop(future), future, value)
        finally:
            with suppress(Exception):
                self._client.cancel(list(futures), force=True)

    def _shared(self, arguments: Sequence[Any], sent: dict[int, Any]) -> list[Any]:
        """Arguments, of which those that are large go to a worker once for all tasks.

        They are what a task gives, which is done again where its worker is lost.
        """
        from distributed.protocol.pickle import dumps

        for argument in arguments:
            if is_dataclass(argument) and id(argument) not in sent:
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
    from distributed import CancelledError, KilledWorker

    if future.status == "finished":
        return Finished(place, value)
    error = value[1] if isinstance(value, tuple) else value
    if not isinstance(error, BaseException):
        error = CancelledError(str(error))
    lost = isinstance(error, KilledWorker | CancelledError)
    return Finished(place, error=error, lost=lost)


@contextmanager
def open_pool(
    scheduler: str = LOCAL,
    *,
    workers: int | None = None,
    slurm: Path | None = None,
) -> Iterator[Pool]:
    """Somewhere to do tasks, as long as the block lasts.

    Parameters
    ----------
    scheduler
        `local` starts workers on this machine; anything else is a scheduler's address.
    workers
        How many are started, by default one for every core; 0 is this process.
    slurm
        A TOML file with the settings of jobs that are workers.

    Raises
    ------
    InputError
        If Dask is not installed, or no scheduler answers.
    """
    if workers is not None and not 0 <= workers <= _MOST_WORKERS:
        raise InputError(
            f"`workers` is {workers}; give a whole number up to {_MOST_WORKERS}."
        )
    if workers == 0:
        if scheduler != LOCAL or slurm is not None:
            raise InputError("`workers` is 0, but a cluster is named; leave one out.")
        yield ThisProcess()
        return
    require_dask()
    with _quiet():
        yield from _open(scheduler, workers, slurm)


def _open(scheduler: str, workers: int | None, slurm: Path | None) -> Iterator[Pool]:
    if slurm is not None:
        if scheduler != LOCAL:
            raise InputError("`slurm` and `scheduler` are two clusters; give one.")
        from rankrise.sweeps._slurm import open_slurm

        with open_slurm(slurm, workers) as client:
            yield DaskPool(client)
    elif scheduler == LOCAL:
        with _local_pool(workers or usable_cores()) as pool:
            yield pool
    else:
        if workers is not None:
            raise InputError(
                "`workers` are started on this machine or by Slurm; those of a "
                "scheduler have been started already, so leave it out."
            )
        with _client_of(scheduler) as client:
            yield DaskPool(client)


_MOST_WORKERS = 10_000


def require_dask() -> None:
    """Refuse to go on without Dask, and say how it is had."""
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise InputError(
            "Several processes need Dask, which is not installed: pip install "
            "'rankrise[cluster]'; or give `workers` 0 to stay in this one."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing is said of connections that open and close; what is lost, we tell."""
    import distributed  # noqa: F401  # Here it sets the levels of its loggers.

    names = [n for n in logging.root.manager.loggerDict if n.startswith("distributed")]
    levels = {name: logging.getLogger(name).level for name in names}
    try:
        for name in names:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def _local_pool(workers: int) -> Iterator[Pool]:
    import dask
    from distributed import Client, LocalCluster

    limits = {
        "distributed.scheduler.allowed-failures": _DEATHS - 1,
        # A worker that takes long to start again is no lost one.
        "distributed.deploy.lost-worker-timeout": "60s",
    }
    with (
        dask.config.set(limits),
        _alone(),
        # Nobody but this machine reaches it.
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield DaskPool(client, lambda: cluster.scale(workers))


@contextmanager
def _alone() -> Iterator[None]:
    """Workers that start do not run the program again that starts them.

    A script without `if __name__ == "__main__"` would begin its sweep in each of them.
    All that they do is imported from rankrise.
    """
    main = sys.modules["__main__"]
    hidden = {name: getattr(main, name, None) for name in ("__file__", "__spec__")}
    try:
        main.__spec__ = None
        if hidden["__file__"] is not None:
            del main.__file__
        yield
    finally:
        main.__spec__ = hidden["__spec__"]
        if hidden["__file__"] is not None:
            main.__file__ = hidden["__file__"]


@contextmanager
def _client_of(address: str) -> Iterator[Any]:
    from distributed import Client

    try:
        client = Client(address, timeout=_CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise InputError(
            f"No scheduler of Dask answers at {address} ({reason(error)}); start one "
            "by `dask scheduler`, and give the address it prints."
        ) from error
    with client:
        _check_versions(client)
        yield client


def _check_versions(client: Any) -> None:
    try:
        versions = client.run(_version)
    except Exception as error:
        raise InputError(
            f"A worker cannot load rankrise ({reason(error)}); install version "
            f"{__version__} for all of them."
        ) from error
    for worker, version in versions.items():
        if version != __version__:
            raise InputError(
                f"The worker {worker} has rankrise {version}, and this is "
                f"{__version__}; install the same everywhere."
            )


def _version() -> str:
    return __version__
