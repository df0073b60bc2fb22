"""Pictures of experiments: descent beside the flow and its limit, claims at a glance,
and what was read off the paper's figures as marks."""

from __future__ import annotations

import functools as ft
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from rankrise.complexity import CONTROLS, RankCurve
from rankrise.drawing import (
    GREY,
    Axes,
    Drawing,
    Panel,
    colour,
    log_axis,
    look,
    marker,
    number_ticks,
    value_ticks,
)
from rankrise.experiments._readings import (
    DynamicsReading,
    complexity_readings,
    dynamics_readings,
)
from rankrise.trajectories import Trajectory, draw_groups

if TYPE_CHECKING:
    from rankrise.experiments._agreement import AgreementResult
    from rankrise.experiments._verification import VerificationResult

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
_PAPER = "Hollow: read off the paper's figure"
# Exact agreement has no place on a logarithmic axis.
_LEAST = 1e-18


# Descent, the flow and its limit.


def draw_agreement(result: AgreementResult) -> Drawing:
    """Norms on the one clock, and how distances fall with learning rate and scale."""
    row = [
        Panel(
            "norms",
            "Component norms under gradient flow and under gradient descent at the "
            "largest learning rate, by time: the sum of learning rates",
            lambda panel: _plot_clock(panel, result),
        ),
        Panel(
            "learning rates",
            "Largest difference of a component norm between descent and the flow, over "
            "the largest norm, by learning rate; order 1 is in proportion to it",
            lambda panel: _plot_rates(panel, result),
        ),
        Panel(
            "plateaus",
            "Reconstruction error of the flow by scaled time (time times the power of "
            "the init scale by which escapes come together), and of its limit",
            lambda panel: _plot_plateaus(panel, result),
        ),
        Panel(
            "init scales",
            "How far the flow is from its limit by init scale: errors at the middle of "
            "plateaus, and times of escapes, relative",
            lambda panel: _plot_scales(panel, result),
        ),
    ]
    return Drawing([row], note=result.limit.result.warning, size=(3.2, 3.1))


def _plot_clock(panel: Axes, result: AgreementResult) -> None:
    coarsest = result.descents[0]
    flow, descent = result.flow, coarsest.trajectory
    panel.plot(flow.time, flow.component_norms, **look(0))
    panel.plot(descent.time, descent.component_norms, **look(1))
    panel.plot([], [], label="flow", **look(0))
    panel.plot([], [], label=f"descent, rate {coarsest.learning_rate:.3g}", **look(1))
    panel.set(xlabel="time of gradient flow", ylabel="norm", title="component norms")
    panel.set_xlim(0, float(flow.time[-1]))
    number_ticks(panel.xaxis, panel.yaxis)
    panel.legend(loc="best")


def _plot_rates(panel: Axes, result: AgreementResult) -> None:
    fixed = result.descents[:-1]
    rates = np.array([descent.learning_rate for descent in fixed])
    distances = np.array([descent.distance for descent in fixed])
    words = f"measured, order {result.convergence_order:.3g}"
    panel.plot(rates, distances, label=words, marker=marker(0), **look(0))
    guide = distances[-1] * rates / rates[-1]
    panel.plot(rates, guide, color=GREY, linestyle=":", label="order 1")
    panel.set(
        xlabel="learning rate",
        ylabel="distance, relative",
        title="distance of descent to the flow",
    )
    log_axis(panel, "x", "y")
    value_ticks(panel.xaxis, rates)
    panel.legend(loc="best")


def _plot_plateaus(panel: Axes, result: AgreementResult) -> None:
    for place, flow in enumerate(result.flows):
        panel.plot(
            flow.scaled_time,
            flow.trajectory.reconstruction_error,
            label=f"init scale {flow.init_scale:g}",
            **look(place),
        )
    limit = result.limit
    end = result.flows[-1].scaled_time[-1]
    panel.step(
        [*limit.time, end],
        [*limit.reconstruction_error, limit.reconstruction_error[-1]],
        where="post",
        color="black",
        linewidth=0.9,
        label="limit",
    )
    panel.set(
        xlabel="scaled time", ylabel="relative error", title="reconstruction error"
    )
    number_ticks(panel.xaxis, panel.yaxis)
    panel.legend(loc="best")


def _plot_scales(panel: Axes, result: AgreementResult) -> None:
    scales = [flow.init_scale for flow in result.flows]
    gaps = [flow.gap for flow in result.flows]
    escapes = [float(np.max(flow.escape_gaps)) for flow in result.flows]
    for place, (name, own) in enumerate((("plateaus", gaps), ("escapes", escapes))):
        panel.plot(scales, own, label=name, marker=marker(place), **look(place))
    panel.set(
        xlabel="init scale",
        ylabel="distance, relative",
        title="flow to its limit",
    )
    log_axis(panel, "x", "y")
    value_ticks(panel.xaxis, scales)
    panel.legend(loc="best")


# All claims.


def draw_verification(result: VerificationResult) -> Drawing:
    """Errors of all claims beside their tolerances."""
    note = ""
    if result.interrupted:
        note = "Cut short by an interrupt: some claims are missing."
    caption = (
        "Error of every claim (as its explanation defines it), with a bar up to its "
        "error of measuring, and its tolerance; a claim holds where the error is at "
        "most the tolerance"
    )
    panel = Panel("claims", caption, lambda panel: _plot_claims(panel, result))
    return Drawing([[panel]], note=note, size=(4.6, 3.4))


def _plot_claims(panel: Axes, result: VerificationResult) -> None:
    names = [f"{c.theorem.name}: {c.verdict}" for c in result.claims]
    for place, claim in enumerate(result.claims):
        panel.plot(claim.tolerance, place, "|", color="k", ms=14, mew=2)
        if claim.error is None or not np.isfinite(claim.error):
            continue
        error = max(claim.error, _LEAST)
        holds = claim.verdict != "violated"
        style: Mapping[str, Any] = {"color": colour(0 if holds else 1), "ms": 6}
        panel.plot(error, place, "o" if holds else "X", **style)
        if claim.measuring_error:
            ends = [error, error + claim.measuring_error]
            panel.plot(ends, [place, place], "-", color=GREY, lw=1)
    panel.plot([], [], "|", color="k", ms=10, mew=2, ls="none", label="tolerance")
    panel.plot([], [], "o", color=colour(0), ls="none", label="error")
    log_axis(panel, "x")
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.set_xlabel("error and tolerance")
    panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


# The paper's figures.


def draw_dynamics_reproduction(
    variants: Mapping[str, Sequence[Trajectory]],
) -> Drawing:
    """Component norms and errors by iteration, with a row for each variant.

    Hollow circles are the paper's. In the panels of norms they are at half the height
    of a component, at the bottom where the height was not read; in that of errors at
    the plateaus. Of variants that are not the paper's figure there are none.
    """
    several = len(variants) > 1
    groups = {name if several else "": runs for name, runs in variants.items()}
    drawing = draw_groups(groups, "step")
    rows = [
        _marked_dynamics(row, runs) if variant == "main" else row
        for row, (variant, runs) in zip(drawing.rows, variants.items(), strict=True)
    ]
    return drawing._replace(rows=rows)


def _marked_dynamics(
    row: Sequence[Panel], runs: Sequence[Trajectory]
) -> Sequence[Panel]:
    """Mark what was read of the paper's figure in the panels of its init scales."""
    known = dynamics_readings()
    scales = sorted({float(run.init_scale) for run in runs}, reverse=True)
    *panels, errors = row

    def mark_errors(panel: Axes) -> None:
        for place, scale in enumerate(scales):
            if scale in known:
                _mark_plateaus(panel, known[scale], place)
        panel.plot([], [], "o", color="0.4", label="paper", **_MARK)
        panel.legend(loc="best")

    marked = [
        _marked(panel, ft.partial(_mark_components, reading=known[scale]))
        if scale in known
        else panel
        for panel, scale in zip(panels, scales, strict=True)
    ]
    return [*marked, _marked(errors, mark_errors)]


def _marked(panel: Panel, mark: Callable[[Axes], None]) -> Panel:
    def draw(ax: Axes) -> None:
        panel.draw(ax)
        mark(ax)

    return panel._replace(caption=f"{panel.caption}. {_PAPER}", draw=draw)


def _mark_components(panel: Axes, reading: DynamicsReading) -> None:
    heights = np.zeros(len(reading.half_heights))
    arrived = np.array(reading.arrival_norms)
    heights[: len(arrived)] = arrived / 2
    panel.plot(reading.half_heights, heights, "o", color="0.2", clip_on=False, **_MARK)
    _make_room(panel, reading.half_heights)


def _mark_plateaus(panel: Axes, reading: DynamicsReading, place: int) -> None:
    middles = [(a + b) / 2 for a, b in pairwise(reading.half_heights)]
    errors = reading.plateau_errors[: len(middles)]
    panel.plot(middles, errors, marker(place), color=colour(place), **_MARK)
    _make_room(panel, reading.half_heights)


def _make_room(panel: Axes, places: Sequence[float]) -> None:
    end = panel.get_xlim()[1]
    panel.set_xlim(0, max(end, _ROOM * max(places, default=0.0)))


def draw_complexity_reproduction(curve: RankCurve, dataset: str) -> Drawing:
    """Errors by rank; hollow markers on thin lines are the paper's."""
    drawing = curve.drawing()._replace(title=dataset)
    readings = complexity_readings(dataset)
    if not readings:
        return drawing

    def mark(panel: Axes, split: str) -> None:
        for place, control in enumerate(CONTROLS):
            points = sorted(
                (rank, reading.mean)
                for (of, rank, at), reading in readings.items()
                if (of, at) == (control, split) and control in curve.controls
            )
            if points:
                own = {"color": colour(place), "marker": marker(place), **_THIN}
                panel.plot(*zip(*points, strict=True), **own)
        panel.plot([], [], "o-", color="0.4", label="paper", **_THIN)
        # The limits were set before the paper's points were there.
        panel.autoscale(axis="y")
        panel.set_ylim(bottom=0)
        panel.legend(loc="best")

    row = [
        _marked(panel, ft.partial(mark, split=panel.name)) for panel in drawing.rows[0]
    ]
    return drawing._replace(rows=[row])
