"""Run every benchmark, print what was measured and write it to a file."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import ensemble_epoch
import gradient_step
import time_to_solution
from _dense_measurements import torch_version
from rankrise._atomic import write_json
from rankrise._environment import environment, usable_cores

# A module each: `run()` gives a dictionary for JSON, `tables(it)` what to print.
BENCHMARKS = {
    "gradient_step": gradient_step,
    "ensemble_epoch": ensemble_epoch,
    "time_to_solution": time_to_solution,
}
RESULTS = Path(__file__).with_name("results.json")


def measure(console: Console) -> dict[str, Any]:
    """Results of all benchmarks, beside what they depend on; no date, no place."""
    results: dict[str, Any] = {"environment": surroundings()}
    for name, benchmark in BENCHMARKS.items():
        with console.status(f"{name} ..."):
            results[name] = benchmark.run()
        console.print(*benchmark.tables(results[name]), sep="\n")
    return results


def surroundings() -> dict[str, Any]:
    """Versions, device and cores of this machine."""
    found = environment()
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    versions = {
        **found["versions"],
        "blas": f"{blas['name']} {blas['version']}",
        "torch": torch_version(),
    }
    return {**found, "versions": versions, "cores": usable_cores()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=RESULTS, help="where the results go (JSON)"
    )
    out = parser.parse_args(arguments).out
    console = Console()
    results = measure(console)
    write_json(out, results)
    console.print(f"wrote {os.path.relpath(out)}")


if __name__ == "__main__":
    main()
