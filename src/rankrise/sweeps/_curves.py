"""A figure of merit against an axis, over seeds and whatever else varies."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rankrise._errors import InputError
from rankrise.drawing import Drawing, Plotted
from rankrise.sweeps._commands import COMMANDS

if TYPE_CHECKING:
    import pandas as pd

    from rankrise.sweeps._result import SweepResult

QUARTILES = (0.25, 0.5, 0.75)
SEEDS = ("seed", "start_seed", "seeds")
_MOST_CURVES, _MOST_PANELS = 7, 12


@dataclass(frozen=True, eq=False)
class Curves(Plotted):
    """Medians and quartiles of a figure of merit along an axis.

    Attributes
    ----------
    table
        A pandas.DataFrame with columns for `by`, `against`, `low` (the lower quartile),
        `median`, `high` (the upper) and `runs`, how many they are over.
    by
        What has a curve of its own; of several, all but the last have a panel each.
    words
        What the figure of merit is.
    """

    table: pd.DataFrame
    merit: str
    against: str
    by: tuple[str, ...]
    words: str
    is_logarithmic: bool
    note: str = ""

    def drawing(self) -> Drawing:
        """A panel for each value of all of `by` but the last, whose values are curves.

        Panels are `curves`, or named by these values, as `order 3`.
        """
        from rankrise.sweeps._plot import draw_curves

        return draw_curves(self)

    def __repr__(self) -> str:
        by = f", by {' and '.join(self.by)}" * bool(self.by)
        return (
            f"<Curves of {self.merit} against {self.against}{by}: {len(self.table)} "
            "points>"
        )


def make_curves(
    found: SweepResult, merit: str | None, against: str | None, by: Any
) -> Curves:
    """Curves of a sweep; see `SweepResult.curves`."""
    merit = merit or _first_merit(found)
    _check(found, merit)
    if not _is_numeric(found, merit):
        raise InputError(
            f"The column {merit!r} holds no numbers; there are figures of merit "
            f"{', '.join(found.merits)}."
        )
    against = against or _longest(found)
    by = _others(found, against) if by is None else by
    by = tuple(by) if isinstance(by, list | tuple) else (by,)
    for name in (against, *by):
        _check(found, name)
    if against in by or merit in (against, *by):
        raise InputError(f"{merit} against {against} by {by}: name each column once.")
    known = COMMANDS[found.settings.command].merits.get(merit)
    table = _summed(found.table, merit, against, by)
    panels = {tuple(row) for row in table[[*by[:-1]]].itertuples(index=False)}
    curves = table[by[-1]].nunique() if by else 1
    if len(panels) > _MOST_PANELS or curves > _MOST_CURVES:
        raise InputError(
            f"{len(panels)} panels with {curves} curves are too many to read; name "
            "fewer axes by `by`."
        )
    left_out = len(found.failed) + found.not_done
    return Curves(
        table,
        merit,
        against,
        by,
        known.words if known else merit.replace("_", " "),
        bool(known and known.logarithmic),
        f"{left_out} runs failed or are not done." if left_out else "",
    )


def _summed(
    table: pd.DataFrame, merit: str, against: str, by: tuple[str, ...]
) -> pd.DataFrame:
    import pandas as pd

    groups = table.groupby([*by, against], sort=True, dropna=False)[merit]
    low, median, high = (groups.quantile(share) for share in QUARTILES)
    return pd.DataFrame(
        {"low": low, "median": median, "high": high, "runs": groups.count()}
    ).reset_index()


def _first_merit(found: SweepResult) -> str:
    for name in found.merits:
        if found.table[name].notna().any():
            return name
    raise InputError("No run has a figure of merit: none is done.")


def _longest(found: SweepResult) -> str:
    """The axis of numbers with the most values."""
    numbers = [n for n in found.axes if n not in SEEDS and _is_numeric(found, n)]
    axes = numbers or [n for n in found.axes if n not in SEEDS] or [*found.axes]
    if not axes:
        raise InputError("Nothing varies in this sweep.")
    return max(axes, key=lambda name: found.table[name].nunique())


def _others(found: SweepResult, against: str) -> tuple[str, ...]:
    """Axes that have curves or panels, as far as they can be read."""
    axes = [n for n in found.axes if n not in (*SEEDS, against)]
    sizes = {name: found.table[name].nunique() for name in axes}
    # The longest that is not too long has curves; few values make panels.
    axes = sorted((n for n in axes if 1 < sizes[n] <= _MOST_CURVES), key=sizes.get)  # type: ignore[arg-type]
    for count in range(len(axes), 0, -1):
        for chosen in itertools.combinations(axes, count):
            if np.prod([sizes[n] for n in chosen[:-1]]) <= _MOST_PANELS:
                return chosen
    return ()


def _is_numeric(found: SweepResult, name: str) -> bool:
    return found.table[name].dtype.kind in "iuf"


def _check(found: SweepResult, name: str) -> None:
    if name not in found.table.columns.tolist():
        raise InputError(
            f"There is no column {name!r} in the sweep; there are axes "
            f"{', '.join(found.axes)} and figures of merit {', '.join(found.merits)}."
        )
