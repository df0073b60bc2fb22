"""Run every benchmark, or those named, and print what was measured.

    python benchmarks/run.py [gradient_step] [ensemble_epoch] [time_to_solution]

All of them together are written to a file.
"""

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


def measure(names: Sequence[str], console: Console) -> dict[str, Any]:
    """Results of the named benchmarks, and what they depend on; no date, no place."""
    results: dict[str, Any] = {"environment": surroundings()}
    for name in names:
        with console.status(f"{name} ..."):
            results[name] = BENCHMARKS[name].run()
        console.print(*BENCHMARKS[name].tables(results[name]), sep="\n")
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", help=f"which: {', '.join(BENCHMARKS)} (all of them)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help=f"where the results go (JSON; {RESULTS.name} if all are run)",
    )
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.names if name not in BENCHMARKS]:
        parser.error(f"no benchmark {unknown[0]}; there are {', '.join(BENCHMARKS)}")
    console = Console()
    results = measure(asked.names or list(BENCHMARKS), console)
    out = asked.out or (None if asked.names else RESULTS)
    if out is not None:
        write_json(out, results)
        console.print(f"wrote {os.path.relpath(out)}")


if __name__ == "__main__":
    main()
