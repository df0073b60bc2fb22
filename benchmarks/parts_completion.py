"""Completing observations in parts: seconds, bytes of a worker, what a pass takes.

A tensor as in `large_completion.py` is written as Parquet parts; workers that are
processes of this machine complete it. Passes of one component number are timed by
themselves. Made to be run by itself, on a machine with nothing else to do: it takes
minutes, and about 100 bytes of memory an observation.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import rankrise as rr
from _large_tensor import LargeSizes, LargeTensor
from rankrise._atomic import write_json
from rankrise._cluster import open_client
from rankrise._environment import environment

RESULTS = Path(__file__).with_name("parts_completion.json")


def write_parts(sizes: LargeSizes, folder: Path, files: int) -> int:
    """Write observations in no order, a file after another; their bytes on disk."""
    observations = LargeTensor(sizes).observations()
    order = np.random.default_rng(1).permutation(len(observations))
    written = 0
    for number, rows in enumerate(np.array_split(order, files)):
        columns = observations.indices[rows].T
        frame = pd.DataFrame({f"mode_{n + 1}": own for n, own in enumerate(columns)})
        frame["value"] = observations.values[rows]
        path = folder / f"part-{number:03d}.parquet"
        frame.to_parquet(path, index=False)
        written += path.stat().st_size
    return written


@contextmanager
def opened(workers: int, limit: str | None) -> Iterator[Any]:
    """A client of workers of this machine, each with so much memory."""
    if limit is None:
        with open_client("local", workers, steal=False) as (client, _):
            yield client
        return
    from distributed import Client, LocalCluster

    here = "127.0.0.1:0"
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=limit,
            dashboard_address=here,
            worker_dashboard_address=here,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def measure(
    sizes: LargeSizes, folder: Path, workers: int, limit: str | None = None
) -> dict[str, Any]:
    """Complete the parts; what it took."""
    moments: list[tuple[float, int, float]] = []

    with opened(workers, limit) as client:
        client.run(_processor_seconds)

        def note(progress: Any) -> None:
            spent = sum(client.run(_processor_seconds).values())
            moments.append((time.monotonic(), progress.point.components, spent))

        began, own = time.monotonic(), time.process_time()
        found = rr.complete_parts(
            folder,
            scheduler=client,
            max_components=sizes.width,
            max_seconds=sizes.max_seconds,
            mode_dims=sizes.mode_dims,
            progress=note,
        )
        seconds, driver = time.monotonic() - began, time.process_time() - own
        peaks, processors = (
            list(client.run(each).values()) for each in (_peak, _processor_seconds)
        )
    return {
        "workers": workers,
        "memory_limit": limit,
        "ending": found.ending,
        "parts": found.parts,
        "observed": found.observed,
        "seconds": seconds,
        "reading_seconds": moments[0][0] - began,
        "driver_processor_seconds": driver,
        "driver_peak_bytes": _peak(),
        "worker_processor_seconds": processors,
        "worker_peak_bytes": peaks,
        "heldout_error": found.heldout_error,
        "components": found.components,
        "points": [
            {"seconds": moment - began, "components": count, "processor": spent}
            for moment, count, spent in moments
        ],
    }


def _peak() -> int:
    """Most memory of this process; what getrusage says is its parent's if more."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def _processor_seconds() -> float:
    return time.process_time()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure with each number of workers."""
    sizes = LargeSizes()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--observed", type=int, default=sizes.observed)
    parser.add_argument("--mode-dims", type=int, nargs="+", default=sizes.mode_dims)
    parser.add_argument("--width", type=int, default=sizes.width)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--memory-limit", help="of a worker, such as 2GB")
    parser.add_argument("--max-seconds", type=float, default=sizes.max_seconds)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    sizes = LargeSizes(
        mode_dims=tuple(given.mode_dims),
        observed=given.observed,
        width=given.width,
        max_seconds=given.max_seconds,
    )
    with tempfile.TemporaryDirectory() as folder:
        written = write_parts(sizes, Path(folder), given.files)
        runs = [
            measure(sizes, Path(folder), workers, given.memory_limit)
            for workers in given.workers
        ]
    result = {"file_bytes": written, "runs": runs, **environment()}
    write_json(given.out, result)
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
