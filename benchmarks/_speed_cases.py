"""Small and odd tensors to complete, and the files that they are given in.

A script as well: it writes the file of a case in a process of its own, so that what the
making takes of memory is not that of the benchmark, which those it starts inherit.
"""

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

# How long edges of a missing block are, as shares of mode dimensions.
_BLOCK = 0.25


@dataclass(frozen=True)
class SpeedCase:
    """A tensor and how it is completed.

    Attributes
    ----------
    journey
        `again`: in a process that has completed it once. `fresh`: by a new process,
        imports and all. `command`: `rankrise complete`, from start to files and
        picture.
    observed
        Which share of the entries, or how many of them.
    components
        Of which the tensor is a sum; None for TensorLy's kinetic data.
    gaps
        `blocks`: boxes of neighbouring entries are missing.
    form
        How it is given: `array` (`.npy`), `coordinates` or `table` (`.csv`).
    beside
        The case whose processor seconds it is to be seen beside.
    patience
        Seconds until an older rankrise is given up.
    """

    name: str
    journey: Literal["again", "fresh", "command"]
    mode_dims: tuple[int, ...]
    observed: float
    components: int | None = 3
    noise: float = 0.1
    gaps: Literal["random", "blocks"] = "random"
    form: Literal["array", "coordinates", "table"] = "array"
    goal: str = ""
    beside: str | None = None
    patience: float | None = None

    @property
    def array_bytes(self) -> int:
        """Of all entries in double precision."""
        return 8 * math.prod(self.mode_dims)

    @property
    def file_name(self) -> str:
        """What its file is called."""
        suffix = {"array": "npy", "coordinates": "npz", "table": "csv"}[self.form]
        return f"tensor.{suffix}"


_SMALL = (30, 20, 12)
_MIDDLE = (120, 40, 50)
# TensorLy's.
_KINETIC = (64, 12, 10, 60)
_RANDOM = "kinetic, 50% at random"

CASES = (
    SpeedCase("small, again", "again", _SMALL, 0.4, goal="0.4 s"),
    SpeedCase("small, fresh", "fresh", _SMALL, 0.4, goal="2.5 s, 300 MB"),
    SpeedCase("small, command", "command", _SMALL, 0.4, goal="4 s, 300 MB"),
    SpeedCase("noisy, rank 3", "fresh", _MIDDLE, 0.65, noise=1.0, goal="old / 6"),
    SpeedCase(
        "noisy, rank 12", "fresh", _MIDDLE, 0.65, components=12, noise=1.0,
        goal="old / 6",
    ),
    SpeedCase(_RANDOM, "fresh", _KINETIC, 0.5, components=None),
    SpeedCase(
        "kinetic, one gap", "fresh", _KINETIC, math.prod(_KINETIC) - 1,
        components=None, goal="2 x random", beside=_RANDOM,
    ),
    SpeedCase(
        "kinetic, 20% in blocks", "fresh", _KINETIC, 0.8, components=None,
        gaps="blocks", goal="2 x random", beside=_RANDOM,
    ),
    SpeedCase(
        "cube", "fresh", (200, 200, 200), 0.5, components=5, goal="60 s, 8 x array"
    ),
    SpeedCase(
        "table", "command", (2000, 500, 100), 2_000_000, form="table", goal="50 s"
    ),
    SpeedCase("tall matrix", "fresh", (10_000, 7), 60, goal="seconds", patience=160.0),
    SpeedCase(
        "long mode", "fresh", (10**9, 30, 20), 500, form="coordinates",
        goal="seconds", patience=160.0,
    ),
)  # fmt: skip


def write_file(case: SpeedCase, folder: Path) -> None:
    """Make the tensor of a case, always the same, and write its file."""
    path = folder / case.file_name
    if case.form == "array":
        tensor = _whole(case)
        tensor[~_observed(case)] = np.nan
        np.save(path, tensor)
        return
    indices, values = _listed(case)
    if case.form == "coordinates":
        np.savez(path, indices=indices, values=values, mode_dims=case.mode_dims)
        return
    import pandas as pd

    columns = {f"mode_{n}": column for n, column in enumerate(indices.T, start=1)}
    pd.DataFrame({**columns, "value": values}).to_csv(path, index=False)


def _whole(case: SpeedCase) -> Any:
    if case.components is None:
        from _completion_cases import DATA_SETS

        return DATA_SETS["kinetic"].load()
    rng = np.random.default_rng(0)
    first, *rest = _matrices(case, rng)
    rows = rest[0]
    for matrix in rest[1:]:
        rows = (rows[:, None] * matrix).reshape(-1, case.components)
    tensor = (first @ rows.T).reshape(case.mode_dims)
    tensor += case.noise * rng.standard_normal(case.mode_dims)
    return tensor


def _matrices(case: SpeedCase, rng: np.random.Generator) -> list[Any]:
    return [rng.standard_normal((dim, case.components)) for dim in case.mode_dims]


def _observed(case: SpeedCase) -> Any:
    rng = np.random.default_rng(1)
    entries = math.prod(case.mode_dims)
    count = round(case.observed * entries) if case.observed < 1 else int(case.observed)
    observed = np.ones(case.mode_dims, bool)
    if case.gaps == "blocks":
        edges = [max(1, round(_BLOCK * dim)) for dim in case.mode_dims]
        while np.sum(observed) > count:
            corner = [
                rng.integers(0, dim - edge + 1)
                for dim, edge in zip(case.mode_dims, edges, strict=True)
            ]
            box = [slice(a, a + edge) for a, edge in zip(corner, edges, strict=True)]
            observed[tuple(box)] = False
        return observed
    observed.reshape(-1)[rng.permutation(entries)[count:]] = False
    return observed


def _listed(case: SpeedCase) -> tuple[Any, Any]:
    """Entries at random of a tensor that is not made whole."""
    rng = np.random.default_rng(0)
    flat = np.unique(rng.integers(0, math.prod(case.mode_dims), int(case.observed)))
    # Some coincide, so there are a little fewer.
    flat = rng.permutation(flat)
    columns = np.unravel_index(flat, case.mode_dims)
    values = case.noise * rng.standard_normal(len(flat))
    for r in range(case.components or 0):
        product = np.ones(len(flat))
        for mode, column in enumerate(columns):
            # Of a long mode, factors of the rows that occur.
            names, places = np.unique(column, return_inverse=True)
            own = np.random.default_rng((r, mode)).standard_normal(len(names))
            product *= own[places]
        values += product
    return np.stack(columns, axis=1), values


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    given["mode_dims"] = tuple(given["mode_dims"])
    write_file(SpeedCase(**given), Path(sys.argv[2]))
