"""Completing small and odd tensors: processor seconds and memory of whole processes.

Each is completed in a process of its own, three times, in turn with the rankrise of
another checkout (`--old CHECKOUT`). Then, density by density, a sweep by each way to
the normal equations. Made to be run by itself on an idle machine.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table

from _processes import HERE, ProcessError, Usage, commit_of, python
from _speed_cases import CASES, SpeedCase
from _timing import surroundings
from rankrise._atomic import write_json

RESULTS = Path(__file__).with_name("completion_speed.json")
OURS = "rankrise"
CROSSING = "crossing"
_FOLDER = Path(__file__).parent
_WIDTH = 150
_LARGE_ARRAY = 2**24


def run_case(
    case: SpeedCase, checkouts: Mapping[str, Path], *, repeats: int
) -> dict[str, Any]:
    """Complete it so many times by each checkout, in turn."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in checkouts}
    failures: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = json.dumps(asdict(case))
        python(HERE, str(_FOLDER / "_speed_cases.py"), made, str(folder))
        for repeat in range(repeats):
            for peer, checkout in checkouts.items():
                if peer in failures:
                    continue
                patience = None if peer == OURS else case.patience
                out = folder / f"{peer} {repeat}"
                try:
                    runs[peer].append(_run(case, folder, out, checkout, patience))
                except ProcessError as error:
                    failures[peer] = str(error)
    return {"case": asdict(case), "runs": runs, "failures": failures}


def _run(
    case: SpeedCase, folder: Path, out: Path, checkout: Path, patience: float | None
) -> dict[str, Any]:
    file = str(folder / case.file_name)
    if case.journey == "command":
        command = "-m", "rankrise", "complete", file, "--out", str(out)
        used = python(checkout, *command, timeout=patience)
        return _took(used) | {"peak_bytes": used.peak_bytes}
    before = ("--before", "same") if case.journey == "again" else ()
    script = str(_FOLDER / "_completing_process.py")
    used = python(checkout, script, file, *before, timeout=patience)
    fit = json.loads(used.output)
    whole = _took(used) if case.journey == "fresh" else fit
    # What it says itself, for what the system counts begins with its parent's.
    return {
        **{key: whole[key] for key in ("seconds", "cpu_seconds")},
        "peak_bytes": fit["peak_bytes"],
        "fit": fit,
    }


def _took(used: Usage) -> dict[str, Any]:
    return {"seconds": used.seconds, "cpu_seconds": used.cpu_seconds}


def run_crossing(sizes: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Sweeps by each way to normal equations."""
    script = str(_FOLDER / "_equation_crossing.py")
    found = json.loads(python(HERE, script, json.dumps(sizes or {})).output)
    return [dict(row) for row in found]


def median(result: Mapping[str, Any], peer: str, key: str) -> float | None:
    """Over a peer's runs; None where there are none."""
    runs = result["runs"].get(peer, [])
    return statistics.median(each[key] for each in runs) if runs else None


def tables(results: Mapping[str, Any]) -> list[RenderableType]:
    """The results for people to read."""
    cases = results["cases"]
    olds = {peer for each in cases.values() for peer in each["runs"]} - {OURS}
    found: list[RenderableType] = []
    for old in sorted(olds) or [None]:
        found.append(_case_table(cases, old))
    if CROSSING in results:
        found.append(_crossing_table(results[CROSSING]))
    return found


def _case_table(cases: Mapping[str, Any], old: str | None) -> Table:
    table = Table(
        title=f"Medians of {OURS}, and of {old}" if old else f"Medians of {OURS}"
    )
    table.add_column("case", no_wrap=True)
    table.add_column("how")
    for heading in ("CPU s", "s", "old CPU s", "old / new", "x beside", "MB", "old MB"):
        table.add_column(heading, justify="right")
    table.add_column("x array", justify="right")
    table.add_column("goal")
    for name, result in cases.items():
        table.add_row(name, result["case"]["journey"], *_cells(cases, result, old))
    return table


def _cells(
    cases: Mapping[str, Any], result: Mapping[str, Any], old: str | None
) -> list[str]:
    case = result["case"]
    cpu, peak = (median(result, OURS, key) for key in ("cpu_seconds", "peak_bytes"))
    before = median(result, old, "cpu_seconds") if old else None
    old_peak = median(result, old, "peak_bytes") if old else None
    other = cases.get(case["beside"] or "")
    beside = median(other, OURS, "cpu_seconds") if other else None
    array = SpeedCase(**case).array_bytes if case["form"] == "array" else 0
    return [
        _said(result, OURS, cpu),
        _number(median(result, OURS, "seconds")),
        _said(result, old, before) if old else "",
        _number(before, cpu),
        _number(cpu, beside) if case["beside"] else "",
        _number(peak, 1e6),
        _number(old_peak, 1e6),
        # Beside a small array stands what Python itself takes.
        _number(peak, array) if array > _LARGE_ARRAY else "",
        case["goal"],
    ]


def _said(result: Mapping[str, Any], peer: str, seconds: float | None) -> str:
    return result["failures"].get(peer) or _number(seconds)


def _number(value: float | None, unit: float | None = 1.0) -> str:
    return f"{value / unit:.3g}" if value is not None and unit else ""


def _crossing_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Milliseconds a sweep; one thread")
    for heading in ("components", "observed share"):
        table.add_column(heading, justify="right")
    ways = ("observed", "missing", "dense")
    for heading in ("what is observed", "all less what is missing", "dense BLAS"):
        table.add_column(heading, justify="right")
    table.add_column("the engine takes")
    for row in sorted(rows, key=lambda row: (row["components"], row["density"])):
        times = (f"{1e3 * row[way]:.3f}" for way in ways)
        table.add_row(
            str(row["components"]), f"{row['density']:g}", *times, row["listed"]
        )
    return table


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = [*(case.name for case in CASES), CROSSING]
    listed = ", ".join(names).replace("%", "%%")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=names,
        help=f"a part: {listed}; the rest of OUT stays",
    )  # fmt: skip
    parser.add_argument(
        "--old",
        type=Path,
        metavar="CHECKOUT",
        help="complete by the rankrise of this folder too",
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS, help="results (JSON)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write after each case, print."""
    options = _options(arguments)
    wanted = options.only or [*(case.name for case in CASES), CROSSING]
    checkouts = {OURS: HERE}
    if options.old:
        checkouts[f"{OURS} at {commit_of(options.old)}"] = options.old
    console = Console()
    console.width = max(console.width, _WIDTH)
    results: dict[str, Any] = {"cases": {}}
    if options.out.exists():
        results = json.loads(options.out.read_text(encoding="utf-8"))
    results["environment"] = surroundings()
    for case in CASES:
        if case.name in wanted:
            with console.status(f"{case.name} ..."):
                results["cases"][case.name] = run_case(
                    case, checkouts, repeats=options.repeats
                )
            write_json(options.out, results)
    if CROSSING in wanted:
        with console.status(f"{CROSSING} ..."):
            results[CROSSING] = run_crossing()
        write_json(options.out, results)
    console.print(*tables(results), sep="\n")
    console.print(f"wrote {os.path.relpath(options.out)}")


if __name__ == "__main__":
    main()
