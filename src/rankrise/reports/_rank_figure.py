"""What a rank was told by: held-out errors by number of components."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rankrise.completion import RankEstimate
from rankrise.reports._style import figure_style


def rank_figure(found: RankEstimate) -> Figure:
    """Held-out errors, and how far halves of the data agree, with the rank marked."""
    with figure_style():
        figure = Figure(figsize=(4.4, 3.4), layout="constrained")
        plot_rank(figure.subplots(), found)
    return figure


def plot_rank(panel: Axes, found: RankEstimate) -> None:
    """The same in one panel."""
    sizes = [row.components for row in found.rows]
    errors = np.array([row.heldout_error for row in found.rows])
    spreads = [row.standard_error for row in found.rows]
    panel.errorbar(sizes, errors, spreads, marker=".", capsize=2)
    if np.all(errors > 0) and np.max(errors, initial=1) > 5 * np.min(errors, initial=1):
        panel.set_yscale("log")
    panel.axvline(found.rank, color="C3", linewidth=0.8, linestyle="--")
    panel.set(xlabel="components", title=f"rank {found.rank}: held-out error")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    matches = [row.match for row in found.rows]
    if np.isfinite(matches).any():
        beside = panel.twinx()
        beside.plot(sizes, matches, "C2.", alpha=0.6)
        beside.set_ylim(0, 1.05)
        beside.set_ylabel("match of halves", color="C2")
