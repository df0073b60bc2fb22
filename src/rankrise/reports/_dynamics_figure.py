"""The paper's Figure 1: components against iterations, and how near they get."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rankrise.reports._style import figure_style
from rankrise.trajectories import Trajectory

_SHOWN = 10
_MARGIN = 1.3
# Components below this share of the largest did not rise.
_RISEN_SHARE = 0.01


def dynamics_figure(runs: Sequence[Trajectory]) -> Figure:
    """Component norms for each init scale, and reconstruction errors side by side.

    Runs of several seeds share their init scale's panel: the first in full, the
    others faint.
    """
    scales = sorted({float(run.init_scale) for run in runs}, reverse=True)
    with figure_style():
        figure = Figure(figsize=(2.9 * (len(scales) + 1), 2.9), layout="constrained")
        axes = np.atleast_1d(figure.subplots(1, len(scales) + 1))
        top = max(highest(run.component_norms) for run in runs)
        for panel, scale in zip(axes, scales, strict=False):
            of_scale = [run for run in runs if float(run.init_scale) == scale]
            for place, run in enumerate(of_scale):
                plot_components(panel, run, faint=place > 0)
            panel.set(title=f"init scale {scale:g}", xlabel="iterations")
            panel.set_ylim(0, 1.05 * top)
            panel.set_xlim(0, max(_interesting_steps(run) for run in of_scale))
        axes[0].set_ylabel("component norms")
        _plot_errors(axes[-1], runs, scales)
    return figure


def highest(values: npt.NDArray[np.floating]) -> float:
    """The largest finite value that is positive, or one; a run can diverge at once."""
    plotted = values[np.isfinite(values) & (values > 0)]
    return float(plotted.max(initial=0)) or 1.0


def plot_components(panel: Axes, run: Trajectory, *, faint: bool = False) -> None:
    """The largest components of one run, each in its own color through time."""
    norms = run.component_norms[:, :_SHOWN]
    for place in range(norms.shape[1]):
        panel.plot(
            run.step,
            norms[:, place],
            color=f"C{place % 10}",
            alpha=0.25 if faint else 1.0,
            linewidth=0.8 if faint else 1.6,
        )
    panel.margins(x=0.01)


def _interesting_steps(run: Trajectory) -> float:
    """Where to end the axis: some while after the last component rose."""
    norms = run.component_norms
    risen = norms[:, norms[-1] > _RISEN_SHARE * norms[-1].max()]
    last_rise = run.step[np.argmax(risen >= risen[-1] / 2, axis=0)].max(initial=0)
    return float(max(min(run.step[-1], _MARGIN * last_rise), 1))


def _plot_errors(
    panel: Axes, runs: Sequence[Trajectory], scales: Sequence[float]
) -> None:
    for run in runs:
        color = f"C{scales.index(float(run.init_scale))}"
        panel.plot(run.step, run.reconstruction_error, color=color)
    for place, scale in enumerate(scales):
        panel.plot([], [], color=f"C{place}", label=f"init scale {scale:g}")
    panel.set_xlim(0, max(_interesting_steps(run) for run in runs))
    panel.set(xlabel="iterations", title="reconstruction error")
    panel.set_ylim(0, None)
    panel.legend()
