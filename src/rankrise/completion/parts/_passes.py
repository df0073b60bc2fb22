"""Passes over all parts: a task for each on the workers, and sums in a tree.

Everything that a worker holds is made by tasks of Dask: what is lost with a worker is
made again, from the files where need be. Sums are taken in the order of the parts, a
few at a time, so nothing depends on which worker was faster.
"""

import functools as ft
import math
import operator
import time
from collections.abc import Callable, Sequence
from typing import Any

from rankrise._cluster import ATTEMPTS
from rankrise._errors import InputError

# Results that one task sums.
_SUMMED = 4
# How long a pass waits for workers where there are none.
_PATIENCE, _POLL_SECONDS = 120.0, 5.0


class Passes:
    """Tasks on the workers of a client.

    Parameters
    ----------
    replace
        Starts workers in the place of those that are gone for good.
    """

    def __init__(self, client: Any, replace: Callable[[], None]) -> None:
        self._client, self._replace = client, replace
        self._workers = sorted(client.scheduler_info(n_workers=-1)["workers"])

    def submit(
        self, function: Callable[..., Any], *arguments: Any, near: float | None = None
    ) -> Any:
        """Do a task.

        Parameters
        ----------
        near
            A share from zero to one of the workers; the task may be done elsewhere if
            that is gone.
        """
        options: dict[str, Any] = {}
        if near is not None and self._workers:
            place = min(int(near * len(self._workers)), len(self._workers) - 1)
            options = {"workers": [self._workers[place]], "allow_other_workers": True}
        return self._client.submit(
            function, *arguments, pure=False, retries=ATTEMPTS - 1, **options
        )

    def each(self, function: Callable[..., Any], *columns: Any) -> list[Any]:
        """A task for each item of the columns.

        Parameters
        ----------
        columns
            Lists of an item for each task; what is no list is given to all.
        """
        count = next(len(each) for each in columns if isinstance(each, list))
        given = [x if isinstance(x, list) else [x] * count for x in columns]
        return list(
            self._client.map(
                function, *given, pure=False, retries=ATTEMPTS - 1, batch_size=count
            )
        )

    def submit_with(
        self, function: Callable[..., Any], block: Any, content: Any, *arguments: Any
    ) -> Any:
        """The same of a block, whose content may be a value that Dask computes."""
        if not hasattr(content, "__dask_graph__"):
            return self.submit(function, block, content, *arguments)
        import dask

        task = dask.delayed(function, pure=False, traverse=False)
        return self._client.compute(
            task(block, content, *arguments), retries=ATTEMPTS - 1
        )

    def memory(self) -> float:
        """Bytes that all workers may take together; infinite where nothing is said."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        limits = [each["memory_limit"] or math.inf for each in workers]
        return float(sum(limits)) if limits else math.inf

    def shared(self, value: Any) -> Any:
        """What all tasks of a pass are given; held by the scheduler, so never lost."""
        return self.submit(_same, value)

    def summed(
        self, futures: Sequence[Any], add: Callable[[Any, Any], Any] = operator.add
    ) -> Any:
        """The sum of results, a few at a time in their order."""
        own = list(futures)
        while len(own) > 1:
            some = [own[n : n + _SUMMED] for n in range(0, len(own), _SUMMED)]
            own = self.each(_reduced, add, some)
        return own[0]

    def result(self, future: Any) -> Any:
        """What a task gives.

        Raises
        ------
        InputError
            If it ended its workers again and again, or there are none.
        """
        return self.results([future])[0]

    def results(self, futures: Sequence[Any]) -> list[Any]:
        """What several give."""
        from distributed import CancelledError, KilledWorker

        try:
            self._wait(futures)
            return list(self._client.gather(list(futures)))
        except KilledWorker as error:
            raise InputError(
                f"A part ended its worker {ATTEMPTS} times; give workers more memory, "
                "or divide the observations into more `parts`."
            ) from error
        except CancelledError as error:
            raise InputError(
                "The scheduler has lost this run; repeat the call, which goes on from "
                "its checkpoint if it has one."
            ) from error

    def _wait(self, futures: Sequence[Any]) -> None:
        from distributed import wait

        alone_since: float | None = None
        while True:
            try:
                wait(list(futures), timeout=_POLL_SECONDS)
                return
            except TimeoutError:
                self._replace()
            if self._client.scheduler_info(n_workers=-1)["workers"]:
                alone_since = None
                continue
            alone_since = alone_since or time.monotonic()
            if time.monotonic() - alone_since > _PATIENCE:
                raise InputError(
                    f"The scheduler has had no worker for {_PATIENCE:.0f} seconds; "
                    "start some, and begin again."
                )


def _same(value: Any) -> Any:
    return value


def _reduced(add: Callable[[Any, Any], Any], values: Sequence[Any]) -> Any:
    return ft.reduce(add, values)
