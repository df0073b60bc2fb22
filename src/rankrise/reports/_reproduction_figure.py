"""The paper's figures with our curves, and what was read off the paper's as marks."""

from collections.abc import Mapping, Sequence
from itertools import islice, pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rankrise.complexity import SPLITS, RankCurve, Split
from rankrise.experiments import Variant
from rankrise.experiments._readings import (
    ComplexityReadings,
    DynamicsReading,
    complexity_readings,
    dynamics_readings,
)
from rankrise.reports._complexity_figure import COLOURS, complexity_figure
from rankrise.reports._dynamics_figure import dynamics_grid
from rankrise.reports._style import figure_style
from rankrise.trajectories import Trajectory

_MARK: dict[str, Any] = {
    "linestyle": "none",
    "markersize": 5,
    "markerfacecolor": "white",
    "zorder": 3,
}
_THIN: dict[str, Any] = {
    "linewidth": 0.6,
    "markersize": 4,
    "markerfacecolor": "white",
}
_ROOM = 1.08


def dynamics_reproduction_figure(
    variants: Mapping[Variant, Sequence[Trajectory]],
) -> Figure:
    """Component norms and errors by iteration, with a row for each variant.

    Hollow circles are the paper's. In the panels of norms they are at half the height
    of a component, at the bottom where the height was not read; in that of errors at
    the plateaus. Of variants that are not the paper's figure there are none.
    """
    several = len(variants) > 1
    figure = dynamics_grid(
        {name if several else "": runs for name, runs in variants.items()}
    )
    panels = iter(figure.axes)
    for variant, runs in variants.items():
        scales = sorted({float(run.init_scale) for run in runs}, reverse=True)
        row = list(islice(panels, len(scales) + 1))
        if variant == "main":
            _mark_dynamics(row, scales)
    return figure


def _mark_dynamics(row: Sequence[Axes], scales: Sequence[float]) -> None:
    """Mark what was read of the paper's figure in the panels of its init scales."""
    known = dynamics_readings()
    *panels, errors = row
    with figure_style():
        for place, scale in enumerate(scales):
            if scale in known:
                _mark_components(panels[place], known[scale])
                _mark_plateaus(errors, known[scale], f"C{place}")
        errors.plot([], [], "o", color="0.4", label="paper", **_MARK)
        errors.legend()


def _mark_components(panel: Axes, reading: DynamicsReading) -> None:
    heights = np.zeros(len(reading.half_heights))
    arrived = np.array(reading.arrival_norms)
    heights[: len(arrived)] = arrived / 2
    panel.plot(reading.half_heights, heights, "o", color="0.2", clip_on=False, **_MARK)
    _make_room(panel, reading.half_heights)


def _mark_plateaus(panel: Axes, reading: DynamicsReading, color: str) -> None:
    middles = [(a + b) / 2 for a, b in pairwise(reading.half_heights)]
    errors = reading.plateau_errors[: len(middles)]
    panel.plot(middles, errors, "o", color=color, **_MARK)
    _make_room(panel, reading.half_heights)


def _make_room(panel: Axes, places: Sequence[float]) -> None:
    end = panel.get_xlim()[1]
    panel.set_xlim(0, max(end, _ROOM * max(places, default=0.0)))


def complexity_reproduction_figure(curve: RankCurve, dataset: str) -> Figure:
    """Errors by rank; hollow circles on thin lines are the paper's."""
    figure = complexity_figure(curve, dataset)
    readings = complexity_readings(dataset)
    with figure_style():
        for panel, split in zip(figure.axes, SPLITS, strict=True):
            _mark_errors(panel, readings, curve, split)
        if readings:
            figure.axes[0].plot([], [], "o-", color="0.4", label="paper", **_THIN)
            figure.axes[0].legend()
    return figure


def _mark_errors(
    panel: Axes, readings: ComplexityReadings, curve: RankCurve, split: Split
) -> None:
    for control in curve.controls:
        points = sorted(
            (rank, reading.mean)
            for (of, rank, at), reading in readings.items()
            if (of, at) == (control, split)
        )
        if points:
            panel.plot(
                *zip(*points, strict=True),
                "o-",
                color=COLOURS[control],
                **_THIN,
            )
    # Our figure's limits were set before the paper's points were there.
    panel.autoscale(axis="y")
    panel.set_ylim(bottom=0)
