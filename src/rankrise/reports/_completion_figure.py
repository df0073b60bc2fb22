"""What `rankrise complete` shows: components rising, and where the run was stopped."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rankrise._typing import Values
from rankrise.data import Observations
from rankrise.reports._dynamics_figure import highest, plot_components
from rankrise.reports._style import figure_style
from rankrise.trajectories import Trajectory

_CHANNELS = 3


def completion_figure(
    run: Trajectory, observations: Observations, completed: Values | None
) -> Figure:
    """Rising components and errors; for image-like tensors, before and after too.

    Image-like: order 3 with three values in the last mode.
    """
    dims = observations.mode_dims
    is_image = completed is not None and len(dims) == 3 and dims[2] == _CHANNELS
    panels = 4 if is_image else 2
    with figure_style():
        figure = Figure(figsize=(3.4 * panels, 3.1), layout="constrained")
        axes = figure.subplots(1, panels)
        plot_components(axes[0], run)
        axes[0].set(xlabel="iterations", title="component norms (standardized)")
        axes[0].set_ylim(0, None)
        _plot_errors(axes[1], run)
        if is_image and completed is not None:
            low, high = observations.values.min(), observations.values.max()
            _show(axes[2], observations.dense(), "observed", low, high)
            _show(axes[3], completed, "completed", low, high)
    return figure


def _plot_errors(panel: Axes, run: Trajectory) -> None:
    best = run.outcomes[0].best_step
    panel.plot(run.step, run.train_error, label="train")
    panel.plot(run.step, run.heldout_error, label="held out")
    if best is not None:
        panel.axvline(best, color="0.5", linewidth=0.8, linestyle="--", label="chosen")
    panel.set(xlabel="iterations", title="relative error (standardized)")
    panel.set_ylim(0, 1.05 * highest(run.train_error[:1]))
    panel.margins(x=0.01)
    panel.legend()


def _show(panel: Axes, picture: Values, title: str, low: float, high: float) -> None:
    shown = np.clip((picture - low) / (high - low), 0, 1)
    # Unobserved entries are white, so that gaps are seen as gaps.
    panel.imshow(np.where(np.isnan(shown), 1.0, shown), interpolation="nearest")
    panel.set_title(title)
    panel.set_axis_off()
