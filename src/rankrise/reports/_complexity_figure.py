"""Train and test error by CP rank, real data beside random twins."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rankrise.complexity import Control, RankCurve
from rankrise.reports._style import figure_style

_LABELS: dict[Control, str] = {
    "real": "real",
    "inputs": "random inputs",
    "labels": "random labels",
}
_COLOURS: dict[Control, str] = {
    "real": "tab:blue",
    "inputs": "tab:orange",
    "labels": "tab:red",
}


def complexity_figure(curve: RankCurve, dataset: str) -> Figure:
    """Mean over classes and seeds; bars are the standard deviation over classes."""
    with figure_style():
        figure = Figure(figsize=(8, 3.4), layout="constrained")
        panels = figure.subplots(1, 2, sharex=True)
        for panel, split in zip(panels, ("train", "test"), strict=True):
            for control in curve.controls:
                _draw(panel, curve, control, split)
            panel.set_xlabel("CP rank (components)")
            panel.set_ylabel(f"{split} error (mean squared)")
            panel.set_ylim(bottom=0)
        panels[0].legend()
        figure.suptitle(f"{dataset}: one class against all others", fontsize=10)
    return figure


def _draw(panel: Axes, curve: RankCurve, control: Control, split: str) -> None:
    errors = [curve.errors(control, rank, split).mean(axis=1) for rank in curve.ranks]
    panel.errorbar(
        curve.ranks,
        [np.mean(each) for each in errors],
        yerr=[np.std(each) for each in errors],
        fmt="o-",
        markersize=3,
        capsize=2,
        color=_COLOURS[control],
        label=_LABELS[control],
    )
