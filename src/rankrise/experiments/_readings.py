"""What the paper's figures show, read off the published plots.

Razin, Maman and Cohen (2021), arXiv 2102.09972. The paper gives these results as plots
alone; the numbers are pixels turned into values.
"""

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from rankrise.complexity import Control, Split

_FOLDER = files("rankrise.experiments") / "readings"
_CONTROLS: Mapping[str, Control] = {
    "original": "data",
    "rand image": "inputs",
    "rand label": "labels",
}
_SPLITS: Mapping[str, Split] = {"train": "train", "test": "test"}


@dataclass(frozen=True)
class DynamicsReading:
    """One init scale of the dynamics figure; components in the order they rise.

    Attributes
    ----------
    half_heights
        Iterations at which a component passes half its height.
    arrival_norms, final_norms
        Component norms where each stops rising, and at iteration 12,000.
    plateau_errors
        Reconstruction error after each of them rose.
    risen
        How many components do not stay below .005.
    """

    init_scale: float
    half_heights: tuple[float, ...]
    arrival_norms: tuple[float, ...]
    final_norms: tuple[float, ...]
    plateau_errors: tuple[float, ...]
    final_error: float
    risen: int | None


@dataclass(frozen=True)
class ComplexityReading:
    """A point of the complexity figure.

    Attributes
    ----------
    mean, spread
        Mean and spread of the errors over classes; the spread is NaN where no bar can
        be read.
    """

    mean: float
    spread: float


ComplexityReadings = Mapping[tuple[Control, int, Split], ComplexityReading]


@cache
def dynamics_readings() -> Mapping[float, DynamicsReading]:
    """The dynamics figure, init scale by init scale."""
    content = json.loads((_FOLDER / "dynamics.json").read_text(encoding="utf-8"))
    return {run["init_scale"]: _dynamics_reading(run) for run in content["runs"]}


def _dynamics_reading(run: dict[str, Any]) -> DynamicsReading:
    lists = {
        name: tuple(map(float, value))
        for name, value in run.items()
        if isinstance(value, list)
    }
    return DynamicsReading(**{**run, **lists})


@cache
def complexity_readings(dataset: str) -> ComplexityReadings:
    """The complexity figure of a data set; empty where none was read."""
    text = (_FOLDER / "complexity_mnist.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {
        (
            _CONTROLS[row["variant"]],
            int(row["rank"]),
            _SPLITS[row["split"]],
        ): ComplexityReading(
            float(row["mean_error"]), float(row["std_error_bar"] or math.nan)
        )
        for row in csv.DictReader(lines)
        if row["dataset"] == dataset
    }
