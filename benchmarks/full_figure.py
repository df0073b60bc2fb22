"""The paper's complexity figure by its full protocol, as many parts as time allows.

    python benchmarks/full_figure.py --ranks 1-3 [--dataset mnist] [--devices all]

Adam, 10,000 epochs, batches of 5000, ten classes, the data and both random controls.
A call fits its ranks and adds them to `full_figure.json`, where those of earlier calls
stay. One that is interrupted, killed or at its time limit goes on from its state when
it is given again. `--controls inputs` fits these alone. `--table` prints the results so
far, as in the documentation.

A component takes some ten seconds of one core for each class and control where a call
fits a hundred of them or more, and twice as long where it fits a few. On two cores give
each of two calls a core of its own. On a GPU give all ranks in one call.
"""

import argparse
import json
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from rankrise import Checkpoint, InputError
from rankrise._atomic import write_json
from rankrise._devices import Devices
from rankrise._environment import environment
from rankrise.complexity import CONTROL_NAMES, CONTROLS, SPLITS, Control, RankCurve
from rankrise.experiments import ComplexityConfig, run_complexity
from rankrise.experiments._readings import complexity_readings
from rankrise.runs import Ending, keeping_interrupted

RESULTS = Path(__file__).with_name("full_figure.json")
# A mean this near to the paper's counts as the same.
CLOSE = 1e-3
_NAMES = "dataset", "control", "rank", "split", "epochs", "classes"
_EPOCHS, _CLASSES = 10_000, 10


class Part(ComplexityConfig):
    """A part of the figure, which may leave out the data or some control."""

    part: tuple[Control, ...] = CONTROLS

    @property
    def control_list(self) -> tuple[Control, ...]:
        """Those of the part."""
        return self.part


def points(
    curve: RankCurve, dataset: str, epochs: int, spent: dict[str, float]
) -> Iterator[dict[str, Any]]:
    """A row for each control, rank and split, with the error of every class."""
    models = curve.to_dataframe()
    readings = complexity_readings(dataset)
    for (control, rank), own in models.groupby(["control", "rank"], sort=False):
        for split in SPLITS:
            read = readings.get((control, rank, split))
            errors = own[f"{split}_error"].to_numpy()
            yield {
                "dataset": dataset,
                "control": control,
                "rank": int(rank),
                "split": split,
                "epochs": epochs,
                "error": float(errors.mean()),
                "spread": float(errors.std()),
                "paper": None if read is None else read.mean,
                "classes": [str(target) for target in own["target"]],
                "by_class": [round(float(error), 6) for error in errors],
                **spent,
            }


def fit(
    dataset: str, config: ComplexityConfig, state: Path, devices: Devices
) -> tuple[RankCurve, dict[str, float]]:
    """What the models come to, and what this call took."""
    began, processor = time.monotonic(), time.process_time()
    result = run_complexity(
        dataset,
        config,
        checkpoint=Checkpoint(state, seconds=60.0, resume=True),
        progress=True,
        devices=devices,
    )
    spent = {
        "last_call_seconds": round(time.monotonic() - began, 1),
        "last_call_processor_seconds": round(time.process_time() - processor, 1),
    }
    return result.curve, spent


def added(
    before: dict[str, Any], rows: Sequence[dict[str, Any]], about: dict[str, Any]
) -> dict[str, Any]:
    """Results with these rows, which take the place of the same ones."""

    def name(row: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(row[key] for key in _NAMES[:-1]), tuple(row[_NAMES[-1]])

    rows_by_name = {name(row): row for row in [*before.get("points", ()), *rows]}
    return {**about, "points": [rows_by_name[key] for key in sorted(rows_by_name)]}


def in_full(rows: Sequence[dict[str, Any]], dataset: str) -> list[dict[str, Any]]:
    """Those of a data set that follow the protocol: others are trials."""
    protocol = dataset, _EPOCHS, _CLASSES

    def of(row: dict[str, Any]) -> tuple[Any, ...]:
        return row["dataset"], row["epochs"], len(row["classes"])

    return [row for row in rows if of(row) == protocol]


def table(rows: Sequence[dict[str, Any]], dataset: str) -> str:
    """Markdown: for each control and rank ours, the paper's and the difference."""
    lines = [
        "| | rank | training: ours | paper | difference | test: ours | paper "
        "| difference |",
        "|---|---|---|---|---|---|---|---|",
    ]
    own = {(r["control"], r["rank"], r["split"]): r for r in in_full(rows, dataset)}
    for control, name in CONTROL_NAMES.items():
        for rank in sorted({key[1] for key in own if key[0] == control}):
            cells = [name, str(rank)]
            for split in SPLITS:
                row = own[control, rank, split]
                cells += _cells(row["error"], row["paper"])
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cells(ours: float, paper: float | None) -> list[str]:
    if paper is None:
        return [f"{ours:.4f}", "", ""]
    return [f"{ours:.4f}", f"{paper:.4f}", f"{ours - paper:+.4f}"]


def summary(rows: Sequence[dict[str, Any]], dataset: str) -> str:
    """How many points there are, and how many are close to the paper's."""
    own = [row for row in in_full(rows, dataset) if row["paper"] is not None]
    if not own:
        return f"{dataset}: no point of the paper's plot"
    away = [abs(row["error"] - row["paper"]) for row in own]
    return (
        f"{dataset}: {len(own)} of {len(complexity_readings(dataset))} points; "
        f"{np.count_nonzero(np.array(away) <= CLOSE)} within {CLOSE} of the paper's, "
        f"at most {max(away):.4f} away"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit the ranks that are asked for, and print all that there are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ranks", nargs="+", default=["1-15"])
    parser.add_argument("--controls", nargs="+", choices=CONTROLS, default=CONTROLS)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--epochs", type=int, default=_EPOCHS)
    parser.add_argument("--classes", nargs="+")
    parser.add_argument("--devices", type=_devices, help="number of devices, or all")
    parser.add_argument(
        "--max-seconds", type=float, help="time limit of each control, in seconds"
    )
    parser.add_argument(
        "--table", action="store_true", help="print the results so far, fit nothing"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    try:
        return _run(given)
    except InputError as error:
        print(f"full_figure: {error}", file=sys.stderr)
        return 2


def _devices(given: str) -> int | str:
    return given if given == "all" else int(given)


def _run(given: argparse.Namespace) -> int:
    found = _before(given.out)
    if not given.table:
        config = Part(
            part=tuple(given.controls),
            ranks=tuple(given.ranks),
            classes=None if given.classes is None else tuple(given.classes),
            optimizer="adam",
            epochs=given.epochs,
            folds=1,
            max_seconds=given.max_seconds,
        )
        names = [given.dataset, *given.ranks, *given.controls, str(given.epochs)]
        names += given.classes or ()
        part = re.sub(r"[^\w.-]", "_", " ".join(names))
        state = given.out.with_suffix(".unfinished") / part / "state.npz"
        try:
            state.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{given.out.parent} cannot be written to ({error.strerror}); name "
                "another file with --out."
            ) from error
        with keeping_interrupted():
            curve, spent = fit(given.dataset, config, state, given.devices)
        if curve.ending in (Ending.INTERRUPTED, Ending.TIME_LIMIT):
            print(f"{curve.ending}: give the same call again to go on.")
            return 1
        rows = list(points(curve, given.dataset, given.epochs, spent))
        found = added(found, rows, environment())
        write_json(given.out, found)
        shutil.rmtree(state.parent)
        with suppress(OSError):
            state.parent.parent.rmdir()
    rows = found.get("points", [])
    if trials := len(rows) - len(in_full(rows, given.dataset)):
        print(f"Left out: {trials} points of trials or of other data sets.")
    print(table(rows, given.dataset))
    print(summary(rows, given.dataset))
    return 0


def _before(out: Path) -> dict[str, Any]:
    """Results of earlier calls."""
    if not out.exists():
        return {}
    try:
        found = json.loads(out.read_text(encoding="utf-8"))
        rows = [tuple(row[name] for name in _NAMES) for row in found["points"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{out} holds no results of this program; name another file with --out."
        ) from error
    return found if rows else {}


if __name__ == "__main__":
    raise SystemExit(main())
