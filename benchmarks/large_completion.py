"""Completing a large sparse tensor: time a pass, memory, and what is found.

Ten million observed entries of a 10000 x 10000 x 1000 tensor, 0.01% of it. A pass
solves for every factor matrix once, by all cores. It is timed beside a pass of another
checkout (`--old CHECKOUT`, of commit 249ea99), beside products of a sparse matrix with
as many stored entries (SciPy, one thread): with a dense matrix of as many columns as
there are components, and with one so wide that it takes as many operations; and beside
its bounds: a dense product of as many operations, and a dot product of as many bytes.
Made to be run by itself: it takes minutes and some gigabytes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from rich.console import Console, RenderableType
from rich.table import Table

import rankrise as rr
from _large_tensor import LargeSizes, LargeTensor
from _processes import HERE, commit_of, environment_of, forget_peak, peak_bytes, python
from _timing import Case, clocked, interleaved, ratio
from rankrise._atomic import write_json
from rankrise._environment import environment, usable_cores
from rankrise.completion import CompletionProgress
from rankrise.completion._alternating import Alternation, Stage
from rankrise.completion._arrangement import Arrangement, Rows
from rankrise.losses import SquaredLoss

RESULTS = Path(__file__).with_name("large_completion.json")
PASS, OLD = "pass", "pass of the old"
_SPARSE_EQUAL = "sparse product, equal operations"
_SPARSE_NARROW = "sparse product, equal width"
_ARITHMETIC = "dense product, as many operations"
_MEMORY = "dot product, as many bytes"
_GIGABYTE = 1e9
_PARTS = ("completion", "passes")
_TINY = LargeSizes(mode_dims=(6, 5, 4), observed=60)


def run(
    sizes: LargeSizes, *, parts: Sequence[str] = _PARTS, old: Path | None = None
) -> dict[str, Any]:
    """Complete in one process, time passes in another; each tells its peak memory."""
    result: dict[str, Any] = {"sizes": asdict(sizes) | {"operations": sizes.operations}}
    if old is not None:
        result["old"] = commit_of(old)
    for part in parts:
        task = {"part": part, "sizes": asdict(sizes), "old": old and str(old)}
        used = python(HERE, __file__, "--task", json.dumps(task))
        result[part] = json.loads(used.output)
    return result


def _completed(sizes: LargeSizes) -> dict[str, Any]:
    """Time, memory, rank and errors of one model."""
    truth = LargeTensor(sizes)
    observations = truth.observations()
    held = observations.indices.nbytes + observations.values.nbytes
    # Loads the kernels, which is no memory of observations.
    rr.complete(LargeTensor(_TINY).observations(), models=1)
    most_before, before = peak_bytes(), forget_peak()
    began, worked, moves = time.monotonic(), time.process_time(), 0

    def count(progress: CompletionProgress) -> None:
        nonlocal moves
        moves += 1

    found = rr.complete(
        observations,
        models=1,
        smooth=False,
        max_components=sizes.width,
        max_seconds=sizes.max_seconds,
        progress=count,
    )
    seconds, cpu_seconds = time.monotonic() - began, time.process_time() - worked
    most = peak_bytes()
    fresh = truth.indices(100_000)
    wanted = truth.entries(fresh)
    error = np.linalg.norm(found.entries(fresh) - wanted)
    return {
        "observed": len(observations),
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "moves": moves,
        "ending": str(found.ending),
        "components": found.components,
        "relative_error": float(error / np.linalg.norm(wanted)),
        "heldout_error": found.errors()["heldout_error"],
        "data_bytes": held,
        "bytes_before": before,
        "bytes_an_observation": (most - before) / len(observations),
        "peak_bytes": max(most, most_before),
    }


def _timed(sizes: LargeSizes, old: Path | None) -> dict[str, Any]:
    """A pass, that of the old, and sparse products."""
    observations = LargeTensor(sizes).observations(in_order=True)
    with ExitStack() as stack:
        cases = _product_cases(sizes, observations)
        pool = stack.enter_context(ThreadPoolExecutor(usable_cores()))
        rows = Rows.of(observations.indices, observations.mode_dims)
        arrangement = Arrangement.of(observations.indices, rows)
        for name, threads in ((PASS, pool), (f"{PASS}, one thread", None)):
            values = observations.values
            cases[name] = _pass_case(arrangement, values, sizes.width, threads)
        if old is not None:
            cases[OLD] = stack.enter_context(_old_case(sizes, observations, old))
        cases |= _bound_cases(sizes, arrangement)
        times = interleaved(cases, repeats=sizes.repeats, seconds=0.1)
    rows = [
        {
            "name": name,
            "seconds": timing.median,
            "times_equal_operations": ratio(timing, times[_SPARSE_EQUAL]),
            "times_equal_width": ratio(timing, times[_SPARSE_NARROW]),
            "times_pass": ratio(timing, times[PASS]),
        }
        for name, timing in times.items()
    ]
    return {
        "cases": rows,
        "cores": usable_cores(),
        # A pass has as many operations as one product for each mode.
        "pass_times_equal_operations": ratio(times[PASS], times[_SPARSE_EQUAL])
        / len(sizes.mode_dims),
        # Whatever computes a pass multiplies so often and reads so much.
        "pass_times_bound": times[PASS].median
        / max(times[_ARITHMETIC].median, times[_MEMORY].median),
        "pass_times_sum_of_bounds": times[PASS].median
        / (times[_ARITHMETIC].median + times[_MEMORY].median),
        "peak_bytes": peak_bytes(),
    }


def _pass_case(
    arrangement: Arrangement, values: Any, width: int, pool: Executor | None
) -> Case:
    nowhere = arrangement.spread(np.zeros(len(arrangement), np.uint8))
    alternation = Alternation(
        arrangement, values, None, nowhere, 1, loss=SquaredLoss(), pool=pool
    )
    rng = np.random.default_rng(1)
    factors = rng.standard_normal((int(arrangement.rows.starts[-1]), width))
    stage = Stage(factors, np.zeros(len(arrangement.rows.dims)), 0.0, 0.0)
    return _case(lambda: alternation.advance(stage, 1.0, sweeps=1, smooth=False))


def _product_cases(sizes: LargeSizes, observations: rr.Observations) -> dict[str, Case]:
    first, second = observations.indices[:, 0], observations.indices[:, 1]
    rows, columns = sizes.mode_dims[:2]
    # They run in order; entries that coincide in these two modes stay apart.
    begins = np.searchsorted(first, np.arange(rows + 1)).astype(np.int32)
    stored = observations.values, second.copy(), begins
    matrix = scipy.sparse.csr_matrix(stored, shape=(rows, columns))
    cases = {}
    for name, width in {
        _SPARSE_NARROW: sizes.width,
        _SPARSE_EQUAL: sizes.operations // 2,
    }.items():
        dense = np.random.default_rng(0).standard_normal((columns, width))
        cases[name] = _case(lambda dense=dense: matrix @ dense)
    return cases


def _bound_cases(sizes: LargeSizes, arrangement: Arrangement) -> dict[str, Case]:
    """The arithmetic of a pass and the bytes that it reads, at BLAS's rates."""
    order, observed = len(sizes.mode_dims), len(arrangement)
    side, rng = 2048, np.random.default_rng(0)
    columns = max(1, order * observed * sizes.operations // (2 * side**2))
    left, right = rng.standard_normal((side, side)), np.ones((side, columns))
    # Indices of the other modes, a target and a part at every place.
    held = arrangement.observed.others.nbytes + 9 * order * observed
    one, other = np.ones(held // 16), np.ones(held // 16)
    return {
        _ARITHMETIC: _case(lambda: left @ right),
        _MEMORY: _case(lambda: one @ other),
    }


@contextmanager
def _old_case(
    sizes: LargeSizes, observations: rr.Observations, old: Path
) -> Iterator[Case]:
    """Passes of another checkout, in a process that takes them when asked."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "indices.npy", observations.indices)
        np.save(Path(folder) / "values.npy", observations.values)
        script = str(Path(__file__).with_name("_old_pass.py"))
        command = [sys.executable, script, folder, json.dumps(asdict(sizes))]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment_of(old),
        )

        def seconds(steps: int) -> float:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{steps}\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        with process:
            yield Case(seconds)


def _case(step: Callable[[], Any]) -> Case:
    def steps(count: int) -> None:
        for _ in range(count):
            step()

    return Case(clocked(steps))


def tables(result: dict[str, Any]) -> list[RenderableType]:
    """The result for people to read."""
    found: list[RenderableType] = []
    if "passes" in result:
        found += _pass_tables(result)
    if "completion" in result:
        found += _completion_words(result["completion"], result["sizes"])
    return found


def _pass_tables(result: dict[str, Any]) -> list[RenderableType]:
    sizes, passes = result["sizes"], result["passes"]
    table = Table(
        title=f"{sizes['observed']:,} entries of {sizes['mode_dims']}, "
        f"{sizes['width']} components; {passes['cores']} cores; the old is "
        f"{result.get('old', 'not asked for')}"
    )
    table.add_column("what")
    for heading in ("s", "x pass", "x equal operations", "x equal width"):
        table.add_column(heading, justify="right")
    for row in passes["cases"]:
        keys = "times_pass", "times_equal_operations", "times_equal_width"
        table.add_row(
            row["name"], f"{row['seconds']:.3f}", *(f"{row[key]:.2f}" for key in keys)
        )
    return [
        table,
        f"A pass takes {passes['pass_times_equal_operations']:.2f} times "
        f"sparse products of equal operation count ({sizes['operations']} for each "
        f"observation and mode). It takes {passes['pass_times_bound']:.2f} times the "
        "longer of its two bounds, arithmetic and memory at BLAS's rates, and "
        f"{passes['pass_times_sum_of_bounds']:.2f} times their sum.",
    ]


def _completion_words(done: dict[str, Any], sizes: dict[str, Any]) -> list[str]:
    return [
        f"{done['observed']:,} entries of {sizes['mode_dims']} completed in "
        f"{done['seconds']:.0f} s ({done['seconds'] / 60:.1f} minutes; processor "
        f"{done['cpu_seconds']:.0f} s), {done['moves']} moves ({done['ending']}): "
        f"{done['components']} components, relative error "
        f"{done['relative_error']:.4f}, held-out error {done['heldout_error']:.3f} "
        f"where the noise is {sizes['noise']}.",
        f"Peak memory {done['peak_bytes'] / _GIGABYTE:.2f} GB; in use before "
        f"completing {done['bytes_before'] / _GIGABYTE:.2f} GB, the data "
        f"{done['data_bytes'] / _GIGABYTE:.2f} GB: completing took "
        f"{done['bytes_an_observation']:.0f} bytes an observation.",
    ]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    sizes = LargeSizes
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--observed", type=int, default=sizes.observed)
    parser.add_argument(
        "--mode-dims", type=int, nargs="+", default=sizes.mode_dims, metavar="DIM"
    )
    parser.add_argument(
        "--components", type=int, default=sizes.components, help="of the tensor"
    )
    parser.add_argument(
        "--normal", action="store_true", help="factors of normal, not uniform entries"
    )
    parser.add_argument(
        "--width", type=int, default=sizes.width, help="components at most"
    )
    parser.add_argument("--max-seconds", type=float, default=sizes.max_seconds)
    parser.add_argument("--repeats", type=int, default=sizes.repeats)
    parser.add_argument("--only", choices=_PARTS, help="one part of the two")
    parser.add_argument(
        "--old", type=Path, metavar="CHECKOUT", help="time its pass beside"
    )
    parser.add_argument("--task", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _do(task: dict[str, Any]) -> dict[str, Any]:
    given = task["sizes"]
    sizes = LargeSizes(**given | {"mode_dims": tuple(given["mode_dims"])})
    if task["part"] == "completion":
        return _completed(sizes)
    return _timed(sizes, task["old"] and Path(task["old"]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write; or measure one part for the process that asked."""
    options = _options(arguments)
    if options.task:
        sys.stdout.write(json.dumps(_do(json.loads(options.task))))
        return
    sizes = LargeSizes(
        mode_dims=tuple(options.mode_dims),
        observed=options.observed,
        components=options.components,
        normal=options.normal,
        width=options.width,
        max_seconds=options.max_seconds,
        repeats=options.repeats,
    )
    parts = (options.only,) if options.only else _PARTS
    result = {"environment": environment()} | run(sizes, parts=parts, old=options.old)
    console = Console()
    console.print(*tables(result), sep="\n")
    write_json(options.out, result)
    console.print(f"wrote {os.path.relpath(options.out)}")


if __name__ == "__main__":
    main()
