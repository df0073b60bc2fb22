"""What a completion by a gradient method shows of its chosen run."""

from matplotlib.axes import Axes

from rankrise.reports._dynamics_figure import highest, plot_components
from rankrise.trajectories import Trajectory


def plot_rise(panel: Axes, run: Trajectory) -> None:
    """Component norms against iterations."""
    plot_components(panel, run)
    panel.set(xlabel="iterations", title="component norms (standardized)")
    panel.set_ylim(0, None)


def plot_errors(panel: Axes, run: Trajectory) -> None:
    """Errors on entries trained on and held out, and which step was chosen."""
    best = run.outcomes[0].best_step
    panel.plot(run.step, run.train_error, label="train")
    panel.plot(run.step, run.heldout_error, label="held out")
    if best is not None:
        panel.axvline(best, color="0.5", linewidth=0.8, linestyle="--", label="chosen")
    panel.set(xlabel="iterations", title="relative error (standardized)")
    panel.set_ylim(0, 1.05 * highest(run.train_error[:1]))
    panel.margins(x=0.01)
    panel.legend()
