"""The picture of an ensemble: losses by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rankrise.drawing import Axes, Drawing, Panel, log_axis, look, whole_ticks
from rankrise.runs import Ending

if TYPE_CHECKING:
    from rankrise.ensembles._fit import EnsembleFit


def draw_fit(fit: EnsembleFit) -> Drawing:
    """Training and, where they were measured, test losses."""
    splits: dict[str, Any] = {
        "train": (np.arange(1, len(fit.train_losses) + 1), fit.train_losses)
    }
    if len(fit.test_epochs):
        splits["test"] = (fit.test_epochs, fit.test_losses)
    sizes = sorted({member.components for member in fit.members})
    panels = []
    for split, (epochs, losses) in splits.items():

        def draw(panel: Axes, split: str = split, at: Any = (epochs, losses)) -> None:
            for place, size in enumerate(sizes):
                own = [k for k, m in enumerate(fit.members) if m.components == size]
                label = f"{size} component{'s' * (size != 1)} ({len(own)})"
                for column in own:
                    panel.plot(
                        at[0],
                        at[1][:, column],
                        label=label if column == own[0] else None,
                        alpha=max(0.15, 1 / len(own) ** 0.5),
                        **look(place),
                    )
            panel.set_xlabel("epoch")
            panel.set_ylabel(f"{split} loss")
            log_axis(panel, "y")
            whole_ticks(panel.xaxis)
            panel.legend(loc="best", title="models of")

        caption = f"Mean {split} loss by epoch, a line a model"
        panels.append(Panel(split, caption, draw))
    ending = Ending.worst(fit.endings)
    return Drawing([panels], note=ending.warning, size=(4.0, 3.2))
