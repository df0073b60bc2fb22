"""Component norms of many runs as they rise, in a grid over two axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rankrise._errors import InputError
from rankrise.drawing import Drawing, Plotted
from rankrise.sweeps._curves import _SEEDS

if TYPE_CHECKING:
    from rankrise.sweeps._result import SweepResult

_MOST_ROWS, _MOST_COLUMNS = 6, 6


@dataclass(frozen=True, eq=False)
class Staircases(Plotted):
    """A grid of panels, each with the runs of one value of either axis."""

    found: SweepResult
    rows: str | None
    columns: str | None

    def drawing(self) -> Drawing:
        """One panel for each pair of values, as `order 3, init_scale 0.1`."""
        from rankrise.sweeps._plot import draw_staircases

        return draw_staircases(self)

    def values(self, name: str | None) -> list[Any]:
        """Values of an axis, in order; one without a name where there is none."""
        if name is None:
            return [None]
        return sorted(self.found.table[name].dropna().unique().tolist())

    def __repr__(self) -> str:
        return f"<Staircases over {self.rows} and {self.columns}>"


def make_staircases(
    found: SweepResult, rows: str | None, columns: str | None
) -> Staircases:
    """Staircases of a sweep; see `SweepResult.staircases`."""
    free = [n for n in found.axes if n not in (*_SEEDS, rows, columns)]
    free.sort(key=lambda name: found.table[name].nunique())
    if columns is None and free:
        columns = free.pop()
    if rows is None and free:
        rows = free.pop()
    for name in (rows, columns):
        if name is not None and name not in found.table:
            raise InputError(
                f"There is no column {name!r} in the sweep; there are axes "
                f"{', '.join(found.axes)}."
            )
    grid = Staircases(found, rows, columns)
    most = {rows: _MOST_ROWS, columns: _MOST_COLUMNS}
    for name, limit in most.items():
        count = len(grid.values(name))
        if count > limit:
            raise InputError(
                f"A grid holds {limit} values along a side, and {name} has {count}; "
                "name another axis, or take fewer rows of the table."
            )
    return grid
