"""Completes one tensor by whichever rankrise is on the path, and says what it took.

A script, for it runs in a process of its own: `DATA` is an `.npy` with NaN, which is
completed whole, or an `.npz` with `indices`, `values`, `mode_dims` and perhaps `asked`,
rows of indices whose entries and bounds go to `OUT`. It prints JSON. Before the time
that is taken, `--before tiny` completes a small tensor, which imports and loads what is
needed, and `--before same` completes the same tensor once.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import rankrise as rr
import rankrise.completion as completion_folder
from _processes import LEVELS, forget_peak, peak_bytes

# Before the engine of kernels, observations were completed by another name.
_OLD = getattr(completion_folder, "complete_observations", None)


def main(arguments: Sequence[str] | None = None) -> None:
    """Complete, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--before", choices=("tiny", "same"))
    options = parser.parse_args(arguments)
    given = np.load(options.data)
    compiling = _Compiling()
    if options.before:
        _complete(given if options.before == "same" else _tiny())
    before = forget_peak()
    compiling.forget()
    began = time.perf_counter(), time.process_time()
    found, entries = _complete(given)
    ended = time.perf_counter(), time.process_time()
    said: dict[str, Any] = {
        "seconds": ended[0] - began[0],
        "cpu_seconds": ended[1] - began[1],
        "compiling_seconds": compiling.seconds,
        "compiled": compiling.programs,
        "bytes_before": before,
        "peak_bytes": peak_bytes(),
        "components": int(found.rank if _OLD else found.components),
        "ending": str(getattr(found, "ending", None) or found.result),
    }
    if options.out:
        models = found.members if _OLD else found.models
        bounds_at = found.interval if _OLD else found.entries_interval
        bounds = np.array([bounds_at(given["asked"], level) for level in LEVELS])
        np.savez(options.out, entries=entries, bounds=bounds)
        said |= {"models": len(models), "smooth": bool(found.reference.smooth)}
    sys.stdout.write(json.dumps(said))


def _complete(given: Any) -> tuple[Any, Any]:
    """What was found, and the entries that are asked for."""
    if isinstance(given, np.ndarray):
        found = rr.complete(given)
        _ = found.std
        return found, found.completed
    dims = tuple(given["mode_dims"].tolist())
    observations = rr.Observations.from_coordinates(
        given["indices"], given["values"], dims
    )
    found = rr.complete(observations) if _OLD is None else _OLD(observations)
    asked = given["asked"] if "asked" in given else observations.indices[:1]
    return found, found.entries(asked)


def _tiny() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    indices = np.argwhere(rng.random((6, 5, 4)) < 0.6)
    values = rng.standard_normal(len(indices))
    return {"indices": indices, "values": values, "mode_dims": np.array([6, 5, 4])}


class _Compiling:
    """What JAX took to trace programs and to compile or load them."""

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []
        self.programs = 0
        if _OLD is not None:
            import jax

            jax.monitoring.register_event_duration_secs_listener(self._note_span)
            jax.monitoring.register_event_listener(self._note_event)

    def forget(self) -> None:
        """Begin anew."""
        self._spans, self.programs = [], 0

    @property
    def seconds(self) -> float:
        """Of all together: a program that is traced within another counts once."""
        total, last = 0.0, -math.inf
        for begin, end in sorted(self._spans):
            total += max(0.0, end - max(begin, last))
            last = max(last, end)
        return total

    def _note_span(self, event: str, seconds: float, **_: Any) -> None:
        if event.startswith("/jax/core/compile/"):
            now = time.perf_counter()
            self._spans.append((now - seconds, now))

    def _note_event(self, event: str, **_: Any) -> None:
        # Those that are not on disk: compiling them takes several threads.
        self.programs += event == "/jax/compilation_cache/cache_misses"


if __name__ == "__main__":
    main()
