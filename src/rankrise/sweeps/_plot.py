"""Pictures of sweeps."""

from __future__ import annotations

import functools as ft
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rankrise.drawing import (
    Axes,
    Drawing,
    Panel,
    colour,
    log_axis,
    look,
    marker,
    number_ticks,
    value_ticks,
)

if TYPE_CHECKING:
    import pandas as pd

    from rankrise.sweeps._curves import Curves
    from rankrise.sweeps._staircases import Staircases

_COLUMNS = 4
_SHOWN = 10
# Settings, and figures of merit, further apart than this lie on a logarithmic axis.
_WIDE, _WIDE_MERIT = 5.0, 20.0


def draw_curves(curves: Curves) -> Drawing:
    """Medians with a band between the quartiles."""
    *outer, inner = curves.by or ("",)
    parts: list[tuple[str, pd.DataFrame]] = [("", curves.table)]
    if outer:
        groups = curves.table.groupby(outer, sort=True, dropna=False)
        parts = [(_at(outer, values), part) for values, part in groups]
    panels = [
        Panel(
            name or "curves",
            f"{curves.words} against {curves.against.replace('_', ' ')}"
            f"{f', {name}' * bool(name)}: medians, and a band between the quartiles, "
            f"over {_counts(part)} runs a point",
            ft.partial(_curves, curves=curves, part=part, inner=inner, title=name),
        )
        for name, part in parts
    ]
    width = min(_COLUMNS, len(panels))
    rows = [panels[i : i + width] for i in range(0, len(panels), width)]
    return Drawing(rows, note=curves.note)


def draw_staircases(grid: Staircases) -> Drawing:
    """Norms of the largest components against iterations."""
    data, table = grid.found.trajectories, grid.table
    places = {run: place for place, run in enumerate(data["run"].to_numpy())}
    counts = np.bincount(data["run_index"].to_numpy(), minlength=len(places))
    ends = np.cumsum(counts)
    norms, steps = data["component_norms"].to_numpy(), data["step"].to_numpy()

    def draw(panel: Axes, own: list[str], title: str) -> None:
        highest = 0.0
        for number, run in enumerate(own):
            end = ends[places[run]]
            saves = slice(end - counts[places[run]], end)
            shown = norms[saves, :_SHOWN]
            for component in range(shown.shape[1]):
                style: Any = look(component)
                if number:
                    style |= {"alpha": 0.25, "linewidth": 0.8}
                panel.plot(steps[saves], shown[:, component], **style)
            highest = max(highest, float(np.nanmax(shown, initial=0.0)))
        panel.set(title=title, xlabel="iterations")
        panel.set_xlim(0, None)
        panel.set_ylim(0, 1.05 * highest or 1.0)
        if _is_first(panel):
            panel.set_ylabel("component norm")
        number_ticks(panel.xaxis, panel.yaxis)

    rows = []
    for row in grid.values(grid.rows):
        panels = []
        for column in grid.values(grid.columns):
            at = {grid.rows: row, grid.columns: column}
            named = {name: value for name, value in at.items() if name is not None}
            chosen = table
            for name, value in named.items():
                chosen = chosen[chosen[name] == value]
            own = [run for run in chosen["run"] if run in places]
            if own:
                panels.append(
                    _staircase(_at([*named], tuple(named.values())), own, draw)
                )
        rows.append(panels)
    return Drawing(rows, _at([*grid.at], tuple(grid.at.values())), size=(2.6, 2.4))


def _staircase(name: str, own: list[str], draw: Callable[..., None]) -> Panel:
    title = name.replace("_", " ")
    return Panel(
        name or "norms",
        f"Norms of the {_SHOWN} largest components{f'; {title}' * bool(title)}; the "
        f"first of {len(own)} runs in full, the others faint",
        ft.partial(draw, own=own, title=title),
    )


def _curves(
    panel: Axes, curves: Curves, part: pd.DataFrame, inner: str, title: str
) -> None:
    groups: Any = [("", part)]
    if inner:
        groups = part.groupby(inner, sort=True, dropna=False)
    numeric = part[curves.against].dtype.kind in "iuf"
    names = sorted(curves.table[curves.against].astype(str).unique())
    for place, (value, own) in enumerate(groups):
        where = own[curves.against]
        x = (
            where.to_numpy()
            if numeric
            else where.astype(str).map(names.index).to_numpy()
        )
        low, middle, high = (own[n].to_numpy() for n in ("low", "median", "high"))
        panel.fill_between(x, low, high, color=colour(place), alpha=0.18, linewidth=0)
        words = _short(value)
        panel.plot(
            x, middle, **look(place), marker=marker(place), markersize=4, label=words
        )
    if inner:
        panel.legend(loc="best", title=inner.replace("_", " "))
    panel.set(title=title.replace("_", " "))
    panel.set_xlabel(curves.against.replace("_", " "))
    if _is_first(panel):
        panel.set_ylabel(curves.words)
    values: Any = np.unique(curves.table[curves.against].to_numpy()) if numeric else []
    if not numeric:
        panel.set_xticks(range(len(names)), names)
    wide = []
    if numeric and _is_wide(part[curves.against].tolist(), _WIDE):
        wide.append("x")
    if curves.is_logarithmic and _is_wide([*part["low"], *part["high"]], _WIDE_MERIT):
        wide.append("y")
    log_axis(panel, *wide)
    number_ticks(*[panel.xaxis] * numeric, panel.yaxis)
    value_ticks(panel.xaxis, values)


def _is_wide(values: Sequence[float], ratio: float) -> bool:
    """Whether numbers are so far apart that a logarithmic axis shows them better."""
    finite = np.array([value for value in values if np.isfinite(value)])
    return len(finite) > 1 and bool(0 < ratio * finite.min() < finite.max())


def _is_first(panel: Axes) -> bool:
    """Whether nothing stands left of it."""
    spec = panel.get_subplotspec()
    return spec is None or spec.colspan.start == 0


def _at(names: list[str], values: Any) -> str:
    values = values if isinstance(values, tuple) else (values,)
    return ", ".join(f"{n} {_short(v)}" for n, v in zip(names, values, strict=True))


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _counts(part: pd.DataFrame) -> str:
    low, high = int(part["runs"].min()), int(part["runs"].max())
    return str(low) if low == high else f"{low} to {high}"
