"""The picture of errors by rank: real data beside random controls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rankrise.complexity._controls import CONTROL_NAMES, CONTROLS
from rankrise.drawing import (
    GREY,
    Axes,
    Drawing,
    Panel,
    look,
    marker,
    number_ticks,
    whole_ticks,
)

if TYPE_CHECKING:
    from rankrise.complexity._curve import RankCurve

_UNITS = {"classes": "mean squared", "values": "share of the variance"}
_PREDICTED = {
    "classes": "one class told from all others (label 1 or 0)",
    "values": "values predicted, as a share of the variance in training",
}


def draw_curve(curve: RankCurve) -> Drawing:
    """Training and test errors by rank."""
    over = "classes or values" if len(curve.targets) > 1 else "seeds"
    panels = []
    for split in ("train", "test"):

        def draw(panel: Axes, split: Any = split) -> None:
            for control in curve.controls:
                place = CONTROLS.index(control)
                panel.errorbar(
                    curve.ranks,
                    curve.mean(control, split),
                    yerr=curve.spread(control, split),
                    markersize=4,
                    capsize=2,
                    label=CONTROL_NAMES[control],
                    marker=marker(place),
                    **look(place),
                )
            constant = float(curve.constant_errors[split].mean())
            panel.axhline(constant, color=GREY, ls=":", lw=1, label="constant")
            panel.set_xlabel("CP rank (components)")
            panel.set_ylabel(f"{split} error ({_UNITS[curve.kind]})")
            panel.set_ylim(bottom=0)
            number_ticks(panel.yaxis)
            whole_ticks(panel.xaxis)
            panel.legend(loc="best")

        panels.append(
            Panel(
                split,
                f"Mean squared {split} error by CP rank, {_PREDICTED[curve.kind]}: "
                f"means and standard deviations over {over}; constant is the error of "
                "predicting the mean",
                draw,
            )
        )
    return Drawing([panels], note=curve.ending.warning, size=(4.0, 3.2))
