"""Train and test error by CP rank, real data beside random controls."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rankrise.complexity import SPLITS, Control, RankCurve
from rankrise.experiments._complexity_comparison import CONTROL_NAMES
from rankrise.reports._style import figure_style
from rankrise.tables import TargetKind

COLOURS: dict[Control, str] = {
    "real": "tab:blue",
    "inputs": "tab:orange",
    "labels": "tab:red",
}
_UNITS: dict[TargetKind, str] = {
    "classes": "mean squared",
    "values": "share of the variance",
}
_TITLES: dict[TargetKind, str] = {
    "classes": "one class against all others",
    "values": "values predicted",
}


def complexity_figure(curve: RankCurve, dataset: str) -> Figure:
    """Mean errors by rank; bars are their standard deviation over classes or values.

    A dotted line is the error of predicting the mean of what is to be predicted.
    """
    with figure_style():
        figure = Figure(figsize=(8, 3.4), layout="constrained")
        panels = figure.subplots(1, 2, sharex=True)
        for panel, split in zip(panels, SPLITS, strict=True):
            for control in curve.controls:
                panel.errorbar(
                    curve.ranks,
                    curve.mean(control, split),
                    yerr=curve.spread(control, split),
                    fmt="o-",
                    markersize=3,
                    capsize=2,
                    color=COLOURS[control],
                    label=CONTROL_NAMES[control],
                )
            constant = float(curve.constant_errors[split].mean())
            panel.axhline(constant, color="grey", ls=":", lw=1, label="constant")
            panel.set_xlabel("CP rank (components)")
            panel.set_ylabel(f"{split} error ({_UNITS[curve.kind]})")
            panel.set_ylim(bottom=0)
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panels[0].legend()
        figure.suptitle(f"{dataset}: {_TITLES[curve.kind]}", fontsize=10)
    return figure
