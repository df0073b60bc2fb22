"""What a page shows of a sweep: figures of merit against an axis, and its runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from rankrise._errors import InputError
from rankrise.reports._stored_run import StoredRun

if TYPE_CHECKING:
    from rankrise.sweeps import Curves

# Of figures of merit, those that matter most first, and of panels of each.
_MERITS, _PANELS = 3, 4


def sweep_panels(run: StoredRun, notes: list[str]) -> Iterator[dict[str, Any]]:
    """A panel for each figure of merit that was measured, and each value of an axis."""
    found = run.sweep
    left_out = len(found.failed) + found.not_done
    if left_out:
        notes.append(f"{left_out} runs failed or are not done.")
    measured = [name for name in found.merits if found.table[name].notna().any()]
    for merit in measured[:_MERITS]:
        try:
            yield from _panels(found.curves(merit))
        except InputError as error:
            # A sweep can be of any form.
            notes.append(f"{merit} is not drawn: {error}")


def sweep_rows(run: StoredRun) -> list[dict[str, Any]]:
    """A row for each run: its settings on the axes, its ending, figures of merit."""
    found = run.sweep
    table = found.table[[*found.axes, "ending", *found.merits]]
    table = table.dropna(axis="columns", how="all").astype(object)
    rows: list[dict[str, Any]] = table.where(table.notna(), None).to_dict("records")
    return rows


def _panels(curves: Curves) -> Iterator[dict[str, Any]]:
    *outer, inner = curves.by or ("",)
    groups: Any = curves.table.groupby(outer, sort=True) if outer else [((), None)]
    for values, part in list(groups)[:_PANELS]:
        part = curves.table if part is None else part
        at = ", ".join(map(_named, outer, values))
        own: Any = part.groupby(inner, sort=True) if inner else [("", part)]
        traces = [
            {
                "name": _named(inner, value) if inner else "median",
                "x": _places(each[curves.against]),
                "y": each["median"].tolist(),
                "error": (each["high"] - each["median"]).tolist(),
                "below": (each["median"] - each["low"]).tolist(),
                "mode": "lines+markers",
            }
            for value, each in own
        ]
        against = curves.against.replace("_", " ")
        title = f"{curves.words[:1].upper()}{curves.words[1:]}"
        yield {
            "kind": "curves",
            "title": f"{title}, {at}" if at else title,
            "caption": "Medians over the runs, and bars between the quartiles.",
            "x": against,
            "y": curves.words,
            "traces": traces,
            "log": curves.is_logarithmic,
            "logx": _is_wide(curves.table[curves.against]),
        }


def _named(axis: str, value: Any) -> str:
    words = f"{value:.4g}" if isinstance(value, float) else str(value)
    return f"{axis.replace('_', ' ')} {words}"


def _places(values: Any) -> list[Any]:
    if values.dtype.kind in "iuf":
        return [each.item() for each in values.to_numpy()]
    return [str(each) for each in values]


def _is_wide(values: Any) -> bool:
    """Whether numbers lie so far apart that a logarithmic axis shows them better."""
    if values.dtype.kind not in "iuf":
        return False
    low, high = float(np.min(values)), float(np.max(values))
    return 0 < 5 * low < high
