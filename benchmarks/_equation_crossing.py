"""A sweep by either way to normal equations, density by density.

The kernels sum over what is observed, or take what is missing off the equations of
all entries. Beside them stands a third way, all of it BLAS on a dense mask: products of
each two columns of a factor matrix, contracted with the mask. One thread.
"""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
from threadpoolctl import threadpool_limits

from _masked_contraction import contract, pair_products, symmetric
from _timing import Case, clocked, interleaved
from rankrise.completion import _arrangement as arrangements
from rankrise.completion._alternating import Alternation, Stage
from rankrise.completion._arrangement import Arrangement, Rows
from rankrise.losses import SquaredLoss

_PENALTY = 1.0
OBSERVED, MISSING, DENSE = "observed", "missing", "dense"


@dataclass(frozen=True)
class CrossingSizes:
    """The tensor, and where to look."""

    mode_dims: tuple[int, ...] = (60, 50, 40)
    components: tuple[int, ...] = (4, 8, 16, 32)
    densities: tuple[float, ...] = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)
    repeats: int = 3
    seconds: float = 0.2


def run(sizes: CrossingSizes) -> list[dict[str, Any]]:
    """Seconds of a sweep by each way; the engine's own choice is in `listed`."""
    rows = []
    for density in sizes.densities:
        rng = np.random.default_rng(0)
        tensor = rng.standard_normal(sizes.mode_dims)
        mask = rng.random(sizes.mode_dims) < density
        for components in sizes.components:
            factors = [rng.standard_normal((d, components)) for d in sizes.mode_dims]
            with threadpool_limits(1):
                times = interleaved(
                    _cases(tensor, mask, factors),
                    repeats=sizes.repeats,
                    seconds=sizes.seconds,
                )
            row = {"density": density, "components": components}
            row |= {name: timing.median for name, timing in times.items()}
            rows.append(row | {"listed": _listed(mask)})
    return rows


def _listed(mask: Any) -> str:
    indices = np.argwhere(mask).astype(np.int32)
    found = Arrangement.of(indices, Rows.of(indices, mask.shape))
    return MISSING if len(found.missing.begins) else OBSERVED


def sweeps(tensor: Any, mask: Any, factors: Sequence[Any]) -> dict[str, Any]:
    """A function for each way, which sweeps once from the same factors.

    Those of the engine give a `Stage`, the dense one the factor matrices.
    """
    indices = np.argwhere(mask).astype(np.int32)
    rows = Rows.of(indices, mask.shape)
    with mock.patch.object(arrangements, "_FEW_MISSING", math.inf):
        missing = Arrangement.of(indices, rows)
    observed = replace(missing, missing=missing.observed.none)
    stage = Stage(np.concatenate(factors), np.zeros(mask.ndim), 0.0, 0.0)

    def sweep_of(arrangement: Arrangement) -> Any:
        nowhere = arrangement.spread(np.zeros(len(indices), np.uint8))
        alternation = Alternation(
            arrangement, tensor[mask], None, nowhere, 1, loss=SquaredLoss()
        )
        return lambda: alternation.advance(stage, _PENALTY, sweeps=1, smooth=False)

    values, ones = np.where(mask, tensor, 0.0), mask.astype(np.float64)
    return {
        OBSERVED: sweep_of(observed),
        MISSING: sweep_of(missing),
        DENSE: lambda: _dense_sweep(values, ones, factors),
    }


def _dense_sweep(values: Any, mask: Any, factors: Sequence[Any]) -> list[Any]:
    factors = list(factors)
    components = factors[0].shape[1]
    for mode in range(mask.ndim):
        pairs = [pair_products(factor) for factor in factors]
        matrices = symmetric(contract(mask, pairs, mode), components)
        matrices += _PENALTY * np.eye(components)
        right = contract(values, factors, mode)
        factors[mode] = np.linalg.solve(matrices, right[..., None])[..., 0]
    return factors


def _cases(tensor: Any, mask: Any, factors: Sequence[Any]) -> dict[str, Case]:
    def case(sweep: Any) -> Case:
        def steps(count: int) -> None:
            for _ in range(count):
                sweep()

        return Case(clocked(steps))

    return {name: case(each) for name, each in sweeps(tensor, mask, factors).items()}


if __name__ == "__main__":
    given = {
        name: tuple(each) if isinstance(each, list) else each
        for name, each in json.loads(sys.argv[1]).items()
    }
    sys.stdout.write(json.dumps(run(CrossingSizes(**given))))
