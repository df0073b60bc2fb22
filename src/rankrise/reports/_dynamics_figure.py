"""The paper's dynamics figure: components against iterations, and how near they get."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rankrise.reports._style import figure_style
from rankrise.trajectories import Trajectory, rises

_SHOWN = 10
_MARGIN = 1.3
_LABELS = {
    "step": "iterations",
    "time": "time of gradient flow",
    "scaled time": "scaled time",
}
Clock = Literal["step", "time", "scaled time"]


def dynamics_figure(runs: Sequence[Trajectory], *, clock: Clock = "step") -> Figure:
    """Component norms for each init scale, and reconstruction errors side by side.

    Runs of several seeds share their init scale's panel: the first in full, the
    others faint. On the scaled time of the limit, norms and errors are plateaus.
    """
    return dynamics_grid({"": runs}, clock=clock)


def dynamics_grid(
    groups: Mapping[str, Sequence[Trajectory]], *, clock: Clock = "step"
) -> Figure:
    """The same in a row for each group of runs, named at its left.

    The errors of a group are in its last panel.
    """
    columns = 1 + max(len(_scales(runs)) for runs in groups.values())
    with figure_style():
        size = (2.9 * columns, 2.9 * len(groups))
        figure = Figure(figsize=size, layout="constrained")
        rows = figure.subplots(len(groups), columns, squeeze=False)
        for axes, (name, runs) in zip(rows, groups.items(), strict=True):
            scales = _scales(runs)
            for unused in axes[len(scales) : -1]:
                figure.delaxes(unused)
            top = max(highest(run.component_norms) for run in runs)
            for panel, scale in zip(axes, scales, strict=False):
                _plot_scale(panel, runs, scale, clock)
                panel.set_ylim(0, 1.05 * top)
            axes[0].set_ylabel(f"{name}\n" * bool(name) + "component norms")
            _plot_errors(axes[-1], runs, scales, clock)
    return figure


def _scales(runs: Sequence[Trajectory]) -> list[float]:
    return sorted({float(run.init_scale) for run in runs}, reverse=True)


def _plot_scale(
    panel: Axes, runs: Sequence[Trajectory], scale: float, clock: Clock
) -> None:
    of_scale = [run for run in runs if float(run.init_scale) == scale]
    for place, run in enumerate(of_scale):
        plot_components(panel, run, clock=clock, faint=place > 0)
    panel.set(title=_title(scale), xlabel=_LABELS[clock])
    panel.set_xlim(0, max(_interesting_end(run, clock) for run in of_scale))


def _title(scale: float) -> str:
    return f"init scale {scale:g}" if scale > 0 else "limit of init scale 0"


def _places(run: Trajectory, clock: Clock) -> npt.NDArray[Any]:
    """Where the saves are on the horizontal axis."""
    places = run.step if clock == "step" else run.time
    # Of the limit of deep matrices the time is not known.
    return places if np.isfinite(places).all() else run.step


def _style(clock: Clock) -> dict[str, Any]:
    return {"drawstyle": "steps-post"} if clock == "scaled time" else {}


def highest(values: npt.NDArray[np.floating]) -> float:
    """The largest finite value that is positive, or one; a run can diverge at once."""
    plotted = values[np.isfinite(values) & (values > 0)]
    return float(plotted.max(initial=0)) or 1.0


def plot_components(
    panel: Axes, run: Trajectory, *, clock: Clock = "step", faint: bool = False
) -> None:
    """The largest components of one run, each in its own color through time.

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
        **_style(clock),
    )
    for place in range(norms.shape[1]):
        panel.plot(
            _places(run, clock),
            norms[:, place],
            color=f"C{place % 10}",
            alpha=0.25 if faint else 1.0,
            linewidth=0.8 if faint else 1.6,
            **_style(clock),
        )
    panel.margins(x=0.01)


def _interesting_end(run: Trajectory, clock: Clock) -> float:
    """Where to end the axis: some while after the last component rose."""
    places = _places(run, clock)
    saves = [save for save in rises(run.component_norms) if save is not None]
    last_rise = float(places[max(saves, default=0)])
    end = float(places[-1])
    return min(end, _MARGIN * last_rise) or end or 1.0


def _plot_errors(
    panel: Axes, runs: Sequence[Trajectory], scales: Sequence[float], clock: Clock
) -> None:
    for run in runs:
        color = f"C{scales.index(float(run.init_scale))}"
        places = _places(run, clock)
        panel.plot(places, run.reconstruction_error, color=color, **_style(clock))
    for place, scale in enumerate(scales):
        panel.plot([], [], color=f"C{place}", label=_title(scale))
    panel.set_xlim(0, max(_interesting_end(run, clock) for run in runs))
    panel.set(xlabel=_LABELS[clock], title="reconstruction error")
    panel.set_ylim(0, None)
    panel.legend()
