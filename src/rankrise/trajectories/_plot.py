"""Pictures of runs: component norms for each init scale, and errors beside them."""

from __future__ import annotations

import functools as ft
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.drawing import (
    GREY,
    Axes,
    Drawing,
    Panel,
    colour,
    look,
    number_ticks,
)
from rankrise.runs import Ending
from rankrise.trajectories._rises import rises

if TYPE_CHECKING:
    from rankrise.trajectories._trajectory import Clock, Trajectory

_SHOWN = 10
_MARGIN = 1.3
_CLOCKS = {
    "step": ("iterations", "Horizontal: steps of the solver"),
    "time": (
        "time of gradient flow",
        "Horizontal: time t of gradient flow, dW/dt = -grad L; of descent, the sum of "
        "its learning rates",
    ),
    "scaled time": (
        "scaled time",
        "Horizontal: time of gradient flow times the power of the init scale by which "
        "escapes come together as the scale falls to zero",
    ),
}
_ERRORS = {
    "reconstruction_error": "all entries",
    "train_error": "training entries",
    "heldout_error": "held-out entries",
}


def draw_runs(
    groups: Mapping[str, Sequence[Trajectory]], clock: Clock | None = None
) -> Drawing:
    """Component norms for each init scale and errors, in a row for each group of runs.

    Runs of several seeds share their init scale's panel: the first in full, the others
    faint. On the scaled time of the limit, norms and errors are plateaus.
    """
    every = [run for runs in groups.values() for run in runs]
    if clock is None:
        clock = "scaled time" if "note" in every[0].dataset else "step"
    rows = [_row(name, list(runs), clock) for name, runs in groups.items()]
    if not any(rows):
        raise InputError(
            "This trajectory holds neither component norms nor errors nor the loss, "
            "which are what its picture shows."
        )
    note = Ending.worst(run.result for run in every).warning
    return Drawing(rows, note=note, size=(2.9, 2.9))


def _row(name: str, runs: list[Trajectory], clock: Clock) -> list[Panel]:
    scales = _scales(runs)
    before = f"{name} " * bool(name)
    of_group = f", {name}" * bool(name)
    row = []
    measured = [run for run in runs if "component_norms" in run.dataset]
    top = max((highest(run.component_norms) for run in measured), default=1.0)
    for scale in scales if measured else []:
        same = ft.partial(np.array_equal, scale, equal_nan=True)
        of_scale = [run for run in measured if same(_scale(run))]

        def draw(panel: Axes, own: Any = of_scale, at: Any = scale) -> None:
            for number, run in enumerate(own):
                plot_components(panel, run, clock=clock, faint=number > 0)
            panel.set(title=_title(at), xlabel=_CLOCKS[clock][0])
            panel.set_xlim(0, max(_interesting_end(run, clock) for run in own))
            panel.set_ylim(0, 1.05 * top)
            if panel.get_subplotspec() is None or not _column(panel):
                panel.set_ylabel(f"{name}\n" * bool(name) + "component norm")
            number_ticks(panel.xaxis, panel.yaxis)

        row.append(
            Panel(
                f"{before}norms {scale:g}" if len(scales) > 1 else f"{before}norms",
                "Component norms (the product over modes of the norms of a component's "
                f"vectors) of the {_SHOWN} largest components, others grey; "
                f"{_title(scale)}{of_group}. {_CLOCKS[clock][1]}",
                draw,
            )
        )
    if any(name in run.dataset for run in runs for name in _ERRORS):
        row.append(
            Panel(
                f"{before}errors",
                "Relative error: the norm of the residual over that of the values"
                f"{of_group}. {_CLOCKS[clock][1]}",
                lambda panel: _plot_errors(panel, runs, scales, clock),
            )
        )
    if not row and all("loss" in run.dataset for run in runs):
        row.append(
            Panel(
                f"{before}loss",
                f"Training loss{of_group}. {_CLOCKS[clock][1]}",
                lambda panel: _plot_loss(panel, runs, clock),
            )
        )
    return row


def _column(panel: Axes) -> int:
    spec = panel.get_subplotspec()
    return 0 if spec is None else spec.colspan.start


def _scale(run: Trajectory) -> float:
    """The init scale of a run; NaN where it is not known."""
    labels = run.dataset.coords
    return float(labels["init_scale"]) if "init_scale" in labels else float("nan")


def _scales(runs: Sequence[Trajectory]) -> list[float]:
    # Of runs whose scale is not known there is one NaN.
    return np.unique([_scale(run) for run in runs])[::-1].tolist()


def _title(scale: float) -> str:
    if np.isnan(scale):
        return "component norms"
    return f"init scale {scale:g}" if scale > 0 else "limit of init scale 0"


def _places(run: Trajectory, clock: Clock) -> npt.NDArray[Any]:
    """Where the saves are on the horizontal axis."""
    places = run.step if clock == "step" else run.time
    # Of the limit of deep matrices the time is not known.
    return places if np.isfinite(places).all() else run.step


def _drawn(clock: Clock) -> dict[str, Any]:
    return {"drawstyle": "steps-post"} if clock == "scaled time" else {}


def highest(values: npt.NDArray[np.floating]) -> float:
    """The largest finite value that is positive, or one; a run can diverge at once."""
    plotted = values[np.isfinite(values) & (values > 0)]
    return float(plotted.max(initial=0)) or 1.0


def plot_components(
    panel: Axes, run: Trajectory, *, clock: Clock = "step", faint: bool = False
) -> None:
    """The largest components of one run, each with its own look through time.

    Those that are kept besides are grey.
    """
    norms, others = np.split(run.component_norms, [_SHOWN], axis=1)
    panel.plot(
        _places(run, clock),
        others,
        color="0.7",
        linewidth=0.4,
        zorder=1,
        rasterized=True,  # there can be a thousand
        **_drawn(clock),
    )
    for place in range(norms.shape[1]):
        panel.plot(
            _places(run, clock),
            norms[:, place],
            alpha=0.25 if faint else 1.0,
            linewidth=0.8 if faint else 1.6,
            **look(place),
            **_drawn(clock),
        )
    panel.margins(x=0.01)


def _interesting_end(run: Trajectory, clock: Clock) -> float:
    """Where to end the axis: some while after the last component rose."""
    places = _places(run, clock)
    end = float(places[-1])
    if "component_norms" not in run.dataset:
        return end or 1.0
    saves = [save for save in rises(run.component_norms) if save is not None]
    last_rise = float(places[max(saves, default=0)])
    return min(end, _MARGIN * last_rise) or end or 1.0


def _plot_errors(
    panel: Axes, runs: Sequence[Trajectory], scales: Sequence[float], clock: Clock
) -> None:
    if len(runs) == 1 and {"heldout_error", "train_error"} <= set(runs[0].dataset):
        plot_heldout(panel, runs[0], clock)
        return
    name = next(n for n in _ERRORS if all(n in run.dataset for run in runs))
    for run in runs:
        style = {**look(_place(scales, run)), **_drawn(clock)}
        panel.plot(_places(run, clock), run.dataset[name].to_numpy(), **style)
    if len(scales) > 1:
        for place, scale in enumerate(scales):
            panel.plot([], [], label=_title(scale), **look(place))
        panel.legend(loc="best")
    panel.set_xlim(0, max(_interesting_end(run, clock) for run in runs))
    panel.set(xlabel=_CLOCKS[clock][0], title=name.replace("_", " "))
    panel.set_ylim(0, None)
    number_ticks(panel.xaxis, panel.yaxis)


def _place(scales: Sequence[float], run: Trajectory) -> int:
    scale = _scale(run)
    return 0 if np.isnan(scale) else scales.index(scale)


def plot_heldout(panel: Axes, run: Trajectory, clock: Clock = "step") -> None:
    """Errors of one run on several sets of entries, and which step was chosen."""
    best = run.outcomes[0].best_step
    for place, (name, words) in enumerate(_ERRORS.items()):
        if name in run.dataset:
            values = run.dataset[name].to_numpy()
            panel.plot(_places(run, clock), values, label=words, **look(place))
    if best is not None and clock == "step":
        panel.axvline(best, color=GREY, linewidth=0.8, linestyle="--", label="chosen")
    panel.set(xlabel=_CLOCKS[clock][0], title="relative error (standardized)")
    panel.set_ylim(0, 1.05 * highest(run.train_error[:1]))
    panel.margins(x=0.01)
    panel.legend(loc="best")
    number_ticks(panel.xaxis, panel.yaxis)


def _plot_loss(panel: Axes, runs: Sequence[Trajectory], clock: Clock) -> None:
    for run in runs:
        panel.plot(_places(run, clock), run.loss, color=colour(0), **_drawn(clock))
    panel.set(xlabel=_CLOCKS[clock][0], title="training loss")
    number_ticks(panel.xaxis, panel.yaxis)
