"""Component norms of many runs as they rise, in a grid over two axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rankrise._errors import InputError
from rankrise.drawing import Drawing, Plotted
from rankrise.sweeps._curves import SEEDS

if TYPE_CHECKING:
    import pandas as pd

    from rankrise.sweeps._result import SweepResult

# Along a side of the grid.
_MOST_VALUES = 5


@dataclass(frozen=True, eq=False)
class Staircases(Plotted):
    """A grid of panels, each with the runs of one value of either axis.

    Attributes
    ----------
    at
        Values of other axes, of which it is.
    """

    found: SweepResult
    rows: str | None
    columns: str | None
    at: Mapping[str, Any]

    @property
    def table(self) -> pd.DataFrame:
        """The rows of the sweep's table that are shown."""
        table = self.found.table
        for name, value in self.at.items():
            table = table[table[name] == value]
        return table

    def drawing(self) -> Drawing:
        """One panel for each pair of values, as `order 3, init_scale 0.1`."""
        from rankrise.sweeps._plot import draw_staircases

        return draw_staircases(self)

    def values(self, name: str | None) -> list[Any]:
        """Values of an axis, in order, evenly chosen where they are too many.

        One without a name where there is no axis.
        """
        if name is None:
            return [None]
        values = sorted(self.table[name].dropna().unique().tolist())
        places = np.linspace(0, len(values) - 1, min(len(values), _MOST_VALUES))
        return [values[place] for place in places.round().astype(int)]

    def __repr__(self) -> str:
        return f"<Staircases over {self.rows} and {self.columns}>"


def make_staircases(
    found: SweepResult, rows: str | None, columns: str | None
) -> Staircases:
    """Staircases of a sweep; see `SweepResult.staircases`."""
    free = [n for n in found.axes if n not in (*SEEDS, rows, columns)]
    free.sort(key=lambda name: found.table[name].nunique())
    if columns is None and free:
        columns = free.pop()
    if rows is None and free:
        rows = free.pop()
    for name in (rows, columns):
        if name is not None and name not in found.table.columns.tolist():
            raise InputError(
                f"There is no column {name!r} in the sweep; there are axes "
                f"{', '.join(found.axes)}."
            )
    at = {name: found.table[name].iloc[0] for name in free}
    return Staircases(found, rows, columns, at)
