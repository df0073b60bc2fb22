"""A client of Dask `distributed`: workers of this machine, or those of a scheduler."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import spawn
from typing import Any

from rankrise._checks import check_whole
from rankrise._environment import usable_cores
from rankrise._errors import InputError, reason
from rankrise._optional import imported
from rankrise._version import __version__

LOCAL = "local"
# How often a task may end its worker before it is given up.
ATTEMPTS = 3
_CONNECT_SECONDS = 20.0
_MOST_WORKERS = 10_000
# As Dask names processes that are workers.
_WORKER_NAME = "Dask Worker process"


@contextmanager
def open_client(
    scheduler: Any = LOCAL, workers: int | None = None, *, steal: bool = True
) -> Iterator[tuple[Any, Callable[[], None]]]:
    """A client of a cluster, and what replaces workers that are gone for good.

    Parameters
    ----------
    scheduler
        `local` starts workers on this machine; an address is that of a scheduler. A
        client is used as it is, and not closed.
    workers
        How many are started, by default one for every core.
    steal
        Whether workers without work take that of others, and with it their data.

    Raises
    ------
    InputError
        If Dask is not installed, or no scheduler answers.
    """
    check_workers(scheduler, workers)
    from distributed import Client

    if isinstance(scheduler, Client):
        if scheduler.status != "running":
            raise InputError(
                f"The client of Dask is {scheduler.status}; give one that is connected "
                "to its scheduler."
            )
        with saying_scheduler_lost(scheduler):
            yield scheduler, _nothing
        return
    if not isinstance(scheduler, str):
        raise InputError(
            f"`scheduler` is {scheduler!r}; give 'local', the address of a scheduler "
            "of Dask, or a client."
        )
    with quiet():
        if scheduler == LOCAL:
            with _local(workers or usable_cores(), steal) as opened:
                yield opened
        else:
            with _client_of(scheduler) as client, saying_scheduler_lost(client):
                yield client, _nothing


@contextmanager
def saying_scheduler_lost(client: Any) -> Iterator[None]:
    """Say in one sentence that the scheduler is gone for good, where a block fails so.

    The client has tried to connect again by then, for as long as it may take to connect
    at first.

    Raises
    ------
    InputError
        If the block failed because the scheduler is gone.
    """
    address = client.scheduler.address
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if not _is_lost(client, address, error):
            raise
        raise InputError(
            f"The scheduler at {address} is gone; start one and its workers, and "
            "repeat the call, which goes on from what was kept."
        ) from error


def _is_lost(client: Any, address: str, error: Exception) -> bool:
    from distributed.comm import CommClosedError

    if client.status == "connecting":
        return isinstance(error, CommClosedError) or (
            isinstance(error, OSError) and address in str(error)
        )
    return client.status in ("closing", "closed")


def _nothing() -> None:
    """Who started the workers replaces them."""


def check_workers(scheduler: Any, workers: int | None) -> None:
    """Refuse what is no cluster, before anything is done.

    Raises
    ------
    InputError
        If workers are asked for that are there already, or Dask is not installed.
    """
    if workers is not None:
        check_whole("`workers`", workers, 1, _MOST_WORKERS)
    if workers is not None and scheduler != LOCAL:
        raise InputError(
            "`workers` are started on this machine or by Slurm; those of a scheduler "
            "have been started already, so leave it out."
        )
    imported(
        "distributed",
        "cluster",
        "Several processes need",
        "stay in this one, without `scheduler` and with `workers` 0",
    )


@contextmanager
def quiet() -> Iterator[None]:
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
def _local(workers: int, steal: bool) -> Iterator[tuple[Any, Callable[[], None]]]:
    import dask
    from distributed import Client, LocalCluster

    limits = {
        "distributed.scheduler.allowed-failures": ATTEMPTS - 1,
        "distributed.scheduler.work-stealing": steal,
        # A worker that takes long to start again is no lost one.
        "distributed.deploy.lost-worker-timeout": "60s",
        "distributed.worker.preload": ["rankrise._worker_signals"],
        # Nobody looks at what they sample, up to a hundred times a second.
        "distributed.worker.profile.enabled": False,
        "distributed.admin.tick.interval": "1s",
        "distributed.admin.system-monitor.interval": "10s",
    }
    with (
        dask.config.set(limits),
        _alone(),
        # Nobody but this machine reaches it.
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            # There is a web server also where no dashboard is.
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client, lambda: cluster.scale(workers)


@contextmanager
def _alone() -> Iterator[None]:
    """Workers that start do not run the program again that starts them.

    A script without `if __name__ == "__main__"` would begin its run in each of them.
    All that they do is imported from rankrise. Other processes start as ever.
    """
    module: Any = spawn
    prepared = module.get_preparation_data

    def without_main(name: str) -> dict[str, Any]:
        data: dict[str, Any] = prepared(name)
        if name.startswith(_WORKER_NAME):
            for key in [key for key in data if key.startswith("init_main")]:
                del data[key]
        return data

    module.get_preparation_data = without_main
    try:
        yield
    finally:
        module.get_preparation_data = prepared


@contextmanager
def _client_of(address: str) -> Iterator[Any]:
    from distributed import Client

    try:
        # In a thread, for a notebook has a loop of its own.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, _answered(address)).result()
        client = Client(address, timeout=_CONNECT_SECONDS)
    except (OSError, ValueError, TypeError) as error:
        silent = isinstance(error, TimeoutError)
        why = "no answer in time" if silent else reason(error)
        remedy = "start one by `dask scheduler`, and give the address it prints"
        if address.startswith("tls:") and isinstance(error, TypeError):
            remedy = "name certificates in Dask's configuration, distributed.comm.tls"
        raise InputError(
            f"No scheduler of Dask answers at {address or repr(address)} ({why}); "
            f"{remedy}."
        ) from error
    with client:
        _check_versions(client)
        yield client


async def _answered(address: str) -> None:
    """Connect once, with a limit of time.

    A client would wait for ever for a server that takes the connection and says
    nothing.
    """
    from distributed.comm import connect
    from distributed.security import Security

    own = Security().get_connection_args("client")
    comm = await asyncio.wait_for(
        connect(address, timeout=_CONNECT_SECONDS, **own), _CONNECT_SECONDS
    )
    await comm.close()


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
