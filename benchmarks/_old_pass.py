"""Passes of the completion that was compiled by XLA, on demand.

A script, run with the source of commit 249ea99 on the path: it reads observations from
a folder (`indices.npy`, `values.npy`) and sizes as JSON. Then, for every line with a
number, it takes so many passes and prints how many seconds that took.
"""
# ruff: noqa: I001 - it would sort by modules of this checkout, which some are not.

import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rankrise.completion._alternating import completion_data, swept
from rankrise.completion._layout import lay_out, stack_rows
from rankrise.problems import SquaredLoss


def main(folder: Path, sizes: dict[str, Any]) -> None:
    """Take passes as long as there are lines."""
    jax.config.update("jax_enable_x64", True)
    indices, values = (np.load(folder / f"{n}.npy") for n in ("indices", "values"))
    dims = tuple(sizes["mode_dims"])
    layout, places = lay_out(indices, dims)
    ones = np.ones(len(values))
    data = completion_data(
        layout,
        places,
        values,
        weights=ones,
        heldout=0 * ones,
        offset=0.0,
        loss=SquaredLoss(),
        non_negative=False,
    )
    rng = np.random.default_rng(1)
    matrices = [rng.standard_normal((dim, sizes["width"])) for dim in dims]
    start = jnp.asarray(stack_rows(matrices, len(layout.modes.of_row)))
    penalty, none = jnp.asarray(1.0), jnp.zeros(len(dims))
    one_pass = jax.jit(lambda data, start: swept(data, start, none, penalty))
    for line in sys.stdin:
        began = time.perf_counter()
        for _ in range(int(line)):
            jax.block_until_ready(one_pass(data, start))
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
