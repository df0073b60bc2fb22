"""Completing a large sparse tensor: time a pass, memory, and what is found.

Ten million observed entries of a 10000 x 10000 x 1000 tensor, 0.01% of it. A pass
solves for every factor matrix once. It is timed beside products of a sparse matrix with
as many stored entries (SciPy, one thread): with a dense matrix of as many columns as
there are components, and with one so wide that it takes as many operations. Made to be
run by itself: it takes minutes and some gigabytes.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import scipy.sparse
from rich.console import Console, RenderableType
from rich.table import Table

import rankrise as rr
from _timing import Case, Timing, clocked, interleaved, ratio
from rankrise._atomic import write_json
from rankrise._environment import environment
from rankrise.completion import Completing, CompletingProgress, complete_observations
from rankrise.completion._alternating import CompletionData, completion_data, swept
from rankrise.completion._layout import lay_out, stack_rows
from rankrise.completion._neighbours import solve_rows
from rankrise.completion._normal_equations import normal_equations, own_rows
from rankrise.data import cp_entries
from rankrise.losses import SquaredLoss

RESULTS = Path(__file__).with_name("large_completion.json")
_GIGABYTE = 1e9


@dataclass(frozen=True)
class LargeSizes:
    """The tensor, what it is made of, and how long to look."""

    mode_dims: tuple[int, ...] = (10_000, 10_000, 1000)
    observed: int = 10_000_000
    components: int = 3
    noise: float = 0.5
    width: int = 8
    max_seconds: float = 400.0
    repeats: int = 3

    @property
    def operations(self) -> int:
        """Of the equations of one mode, for each observation.

        The product of the other modes' rows and its weighting, its outer product with
        itself and with the target, each a multiplication and an addition.
        """
        order, width = len(self.mode_dims), self.width
        return (order - 2) * width + width + 2 * width**2 + 2 * width


def run(sizes: LargeSizes | None = None) -> dict[str, Any]:
    """Complete in one process, time passes in another; each tells its peak memory."""
    sizes = sizes or LargeSizes()
    return {"sizes": asdict(sizes) | {"operations": sizes.operations}} | {
        part: _in_process(part, sizes) for part in ("completion", "passes")
    }


def _in_process(part: str, sizes: LargeSizes) -> dict[str, Any]:
    command = [sys.executable, __file__, "--part", part, json.dumps(asdict(sizes))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout))


class _Truth:
    """Components of uniform entries with unit variance, and noise on what is observed.

    Products of normal entries have outliers that a random start follows instead.
    """

    def __init__(self, sizes: LargeSizes) -> None:
        self._sizes, self._rng = sizes, np.random.default_rng(0)
        self._matrices = [
            self._rng.uniform(-(3**0.5), 3**0.5, (dim, sizes.components))
            for dim in sizes.mode_dims
        ]

    def indices(self, count: int) -> npt.NDArray[Any]:
        """Distinct entries."""
        flat = self._rng.integers(0, np.prod(self._sizes.mode_dims), count)
        columns = np.unravel_index(np.unique(flat), self._sizes.mode_dims)
        return np.stack(columns, axis=1).astype(np.int32)

    def entries(self, indices: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(cp_entries(self._matrices, indices))

    def observations(self) -> rr.Observations:
        indices = self.indices(self._sizes.observed)
        # Rows come in no order, as they do from files.
        indices = indices[self._rng.permutation(len(indices))]
        values = self.entries(indices)
        values += self._sizes.noise * self._rng.standard_normal(len(values))
        dims = self._sizes.mode_dims
        return rr.Observations.from_coordinates(indices, values, dims)


def _completed(sizes: LargeSizes) -> dict[str, Any]:
    """Time, memory, rank and errors of one model."""
    truth = _Truth(sizes)
    observations = truth.observations()
    held = observations.indices.nbytes + observations.values.nbytes
    before, began, moves = _peak_bytes(), time.monotonic(), 0

    def count(progress: CompletingProgress) -> None:
        nonlocal moves
        moves += 1
        print(progress.point, file=sys.stderr, flush=True)

    completing = Completing(
        models=1,
        smooth=False,
        max_components=sizes.width,
        max_seconds=sizes.max_seconds,
    )
    completion = complete_observations(observations, completing, progress=count)
    seconds = time.monotonic() - began
    fresh = truth.indices(100_000)
    wanted = truth.entries(fresh)
    error = np.linalg.norm(completion.entries(fresh) - wanted)
    return {
        "observed": len(observations),
        "seconds": seconds,
        "moves": moves,
        "result": completion.result,
        "rank": completion.rank,
        "relative_error": float(error / np.linalg.norm(wanted)),
        "heldout_error": completion.errors()["heldout_error"],
        "data_bytes": held,
        "peak_bytes_before": before,
        "peak_bytes": _peak_bytes(),
    }


def _timed(sizes: LargeSizes) -> dict[str, Any]:
    """A pass, its modes, and sparse products."""
    observations = _Truth(sizes).observations()
    with jax.enable_x64(True):
        times = interleaved(
            _cases(sizes, observations), repeats=sizes.repeats, seconds=0.1
        )
    equal = times["sparse product, equal operations"]
    narrow = times["sparse product, equal width"]
    order = len(sizes.mode_dims)
    rows = [
        {
            "name": name,
            "seconds": timing.median,
            "times_equal_operations": ratio(timing, equal),
            "times_equal_width": ratio(timing, narrow),
        }
        for name, timing in times.items()
    ]
    return {
        "cases": rows,
        "pass_times_equal_operations": _per_mode(times["pass"], equal, order),
        "peak_bytes": _peak_bytes(),
    }


def _per_mode(one_pass: Timing, product: Timing, order: int) -> float:
    """A pass has as many operations as one product for each mode."""
    return ratio(one_pass, product) / order


def _cases(sizes: LargeSizes, observations: rr.Observations) -> dict[str, Case]:
    data, tall = _data(sizes, observations)
    penalty, none = jnp.asarray(1.0), jnp.zeros(len(sizes.mode_dims))
    one_pass = jax.jit(lambda data, tall: swept(data, tall, none, penalty))
    one_mode = jax.jit(_solved)
    cases = {"pass": _case(lambda: one_pass(data, tall))}
    for mode in range(len(sizes.mode_dims)):
        at = jnp.int32(mode)
        cases[f"mode {mode + 1}"] = _case(lambda at=at: one_mode(data, tall, at))
    first, second = observations.indices[:, 0], observations.indices[:, 1]
    # Row by row; entries that coincide in these two modes stay apart.
    order = np.lexsort((second, first))
    rows, columns = sizes.mode_dims[:2]
    begins = np.searchsorted(first[order], np.arange(rows + 1)).astype(np.int32)
    stored = observations.values[order], second[order], begins
    matrix = scipy.sparse.csr_matrix(stored, shape=(rows, columns))
    for name, width in {
        "sparse product, equal width": sizes.width,
        "sparse product, equal operations": sizes.operations // 2,
    }.items():
        dense = np.random.default_rng(0).standard_normal((columns, width))
        cases[name] = _case(lambda dense=dense: matrix @ dense)
    return cases


def _case(step: Callable[[], Any]) -> Case:
    def steps(count: int) -> None:
        for _ in range(count):
            jax.block_until_ready(step())

    return Case(clocked(steps))


def _solved(data: CompletionData, tall: jax.Array, mode: jax.Array) -> jax.Array:
    """The factor matrix of one mode: its equations, and their solution."""

    def of_group(group: int, place: jax.Array, tall: jax.Array) -> jax.Array:
        chunks, targets = data.layout.groups[group], data.targets[group]
        matrix = own_rows(data.layout, tall, mode, chunks.rows)
        equations = normal_equations(
            chunks, place, tall, matrix, targets, data.offset, data.loss
        )
        dim, one, zero = data.layout.modes.dims[mode], jnp.ones(()), jnp.zeros(())
        found = solve_rows(equations, one, dim, zero, matrix)
        return jnp.pad(found, ((0, len(tall) - len(found)), (0, 0)))

    return data.layout.at_mode(mode, of_group, tall)


def _data(
    sizes: LargeSizes, observations: rr.Observations
) -> tuple[CompletionData, jax.Array]:
    layout, places = lay_out(observations.indices, observations.mode_dims)
    ones = np.ones(len(observations))
    data = completion_data(
        layout,
        places,
        observations.values,
        weights=ones,
        heldout=0 * ones,
        offset=0.0,
        loss=SquaredLoss(),
        non_negative=False,
    )
    rng = np.random.default_rng(1)
    matrices = [rng.standard_normal((dim, sizes.width)) for dim in sizes.mode_dims]
    return data, jnp.asarray(stack_rows(matrices, len(layout.modes.of_row)))


def _peak_bytes() -> int:
    # Linux counts in KiB.
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def tables(result: dict[str, Any]) -> list[RenderableType]:
    """The result for people to read."""
    done, sizes = result["completion"], result["sizes"]
    table = Table(title=f"{done['observed']:,} entries of {sizes['mode_dims']}")
    table.add_column("what")
    for heading in ("s", "x equal operations", "x equal width"):
        table.add_column(heading, justify="right")
    for row in result["passes"]["cases"]:
        ratios = row["times_equal_operations"], row["times_equal_width"]
        table.add_row(
            row["name"], f"{row['seconds']:.3f}", *(f"{n:.2f}" for n in ratios)
        )
    return [
        table,
        f"A pass takes {result['passes']['pass_times_equal_operations']:.2f} times "
        f"sparse products of equal operation count ({sizes['operations']} for each "
        "observation and mode).",
        f"Completed in {done['seconds']:.0f} s, {done['moves']} moves "
        f"({done['result']}): rank {done['rank']}, relative error "
        f"{done['relative_error']:.4f}, held-out error {done['heldout_error']:.3f} "
        f"where the noise is {sizes['noise']}.",
        f"Peak memory {done['peak_bytes'] / _GIGABYTE:.2f} GB; before completing "
        f"{done['peak_bytes_before'] / _GIGABYTE:.2f} GB, the data "
        f"{done['data_bytes'] / _GIGABYTE:.2f} GB.",
    ]


_PARTS = {"completion": _completed, "passes": _timed}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write; or measure one part for the process that asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--observed", type=int, default=LargeSizes.observed)
    parser.add_argument("--part", nargs=2, metavar=("NAME", "SIZES"))
    options = parser.parse_args(arguments)
    if options.part:
        part, sizes = options.part
        given = json.loads(sizes)
        given["mode_dims"] = tuple(given["mode_dims"])
        sys.stdout.write(json.dumps(_PARTS[part](LargeSizes(**given))))
        return
    console = Console()
    result = {"environment": environment()}
    result |= run(LargeSizes(observed=options.observed))
    console.print(*tables(result), sep="\n")
    write_json(options.out, result)
    console.print(f"wrote {os.path.relpath(options.out)}")


if __name__ == "__main__":
    main()
