"""What `rankrise complete` shows: how it was chosen, what was learned, how well."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rankrise._typing import Values
from rankrise.completion import Completion, Path
from rankrise.reports._rank_figure import plot_rank
from rankrise.reports._style import figure_style
from rankrise.tensors import ModeAxis

_CHANNELS = 3
# Of components whose factors are drawn, and of modes they are drawn for.
_DRAWN, _MODES = 5, 6
# Of held-out entries that are drawn as points.
_POINTS = 5000
# Of components that have a bar each.
_BARS = 20
# Longer factors are drawn without a mark for every row.
_MARKED = 30
# Of indices that have a tick, and of characters of a label there.
_TICKS, _LABEL = 8, 12


def completion_figure(found: Completion, completed: Values | None) -> Figure:
    """How the components were chosen, held-out entries, and factors mode by mode.

    For image-like tensors the picture before and after too: order 3 with three values
    in the last mode.
    """
    observations = found.observations
    dims = observations.mode_dims
    is_image = completed is not None and len(dims) == 3 and dims[2] == _CHANNELS
    rank = found.rank_in_time
    is_ranked = rank is not None and bool(rank.rows)
    above = 3 + is_ranked + 2 * is_image
    below = min(len(dims), _MODES)
    with figure_style():
        figure = Figure(figsize=(3.4 * max(above, below), 6.0), layout="constrained")
        upper, lower = figure.subfigures(2, 1, squeeze=False)[:, 0]
        panels = upper.subplots(1, above)
        if found.trajectory is None:
            _plot_path(panels[0], found)
            _plot_norms(panels[1], found)
        else:
            from rankrise.reports._descent_panels import plot_errors, plot_rise

            plot_rise(panels[0], found.run)
            plot_errors(panels[1], found.run)
        _plot_heldout(panels[2], found)
        if rank is not None and rank.rows:
            plot_rank(panels[3], rank)
        if is_image and completed is not None:
            low, high = observations.values.min(), observations.values.max()
            _show(panels[-2], observations.dense(), "observed", low, high)
            _show(panels[-1], completed, "completed", low, high)
        _plot_factors(list(np.ravel(lower.subplots(1, below))), found)
    return figure


def _plot_path(panel: Axes, found: Completion) -> None:
    """The least held-out error with every number of components."""
    reference = found.reference
    for model in found.models:
        if model is not reference:
            counts, errors = _by_components(model.path, "heldout_loss")
            panel.plot(counts, errors, color="C1", alpha=0.25, linewidth=0.8)
    for name, words in (("train_loss", "train"), ("heldout_loss", "held out")):
        panel.plot(*_by_components(reference.path, name), label=words, marker=".")
    best = reference.path.best_point.components
    panel.axvline(best, color="0.5", linewidth=0.8, linestyle="--")
    panel.set(xlabel="components", title="error (standardized)")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.set_ylim(0, None)
    panel.legend()


def _by_components(path: Path, name: str) -> tuple[list[int], list[float]]:
    """Numbers of components, and the error where the held-out loss was least."""
    best: dict[int, tuple[float, float]] = {}
    for point in path.points:
        losses = point.heldout_loss, getattr(point, name)
        best[point.components] = min(best.get(point.components, losses), losses)
    counts = sorted(best)
    return counts, [math.sqrt(max(0.0, best[count][1])) for count in counts]


def _plot_norms(panel: Axes, found: Completion) -> None:
    norms = found.component_norms[:_BARS]
    places = np.arange(1, len(norms) + 1)
    scores = found.reproducibility[: len(norms)]
    panel.bar(places, norms, color="C0", alpha=0.35)
    panel.set(xlabel="component", title="component norm")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    if np.isfinite(scores).any():
        again = panel.twinx()
        again.plot(places, scores, "C3.")
        again.set_ylim(0, 1.05)
        again.set_ylabel("found again", color="C3")


def _plot_heldout(panel: Axes, found: Completion) -> None:
    predictions = found.heldout_predictions
    known = np.flatnonzero(~np.isnan(predictions))
    if len(known) > _POINTS:
        known = np.random.default_rng(0).choice(known, _POINTS, replace=False)
    values = found.observations.values[known]
    panel.plot(values, predictions[known], ".", markersize=2, alpha=0.5)
    ends = [values.min(), values.max()]
    panel.plot(ends, ends, color="0.5", linewidth=0.8)
    panel.set(xlabel="observed", ylabel="predicted", title="held-out entries")


def _plot_factors(panels: list[Axes], found: Completion) -> None:
    """Columns of each factor matrix, each of norm one, at rows that were observed."""
    reference = found.reference
    for mode, panel in enumerate(panels):
        names, matrix = reference.rows.names[mode], reference.factors[mode][:-1]
        columns = matrix[:, :_DRAWN]
        sizes = np.linalg.norm(columns, axis=0)
        mark = "." if len(matrix) <= _MARKED else None
        for place, column in enumerate((columns / np.where(sizes > 0, sizes, 1)).T):
            label = f"component {place + 1}" if mode == 0 else None
            panel.plot(names, column, marker=mark, linewidth=1, label=label)
        axis = found.axis(mode)
        panel.set_title(axis.title(mode))
        panel.xaxis.set_major_locator(MaxNLocator(_TICKS, integer=True))
        _label_ticks(panel, axis, reference.rows.mode_dims[mode])
    if len(found.component_norms):
        # Below all panels, where it hides no curve.
        handles, words = panels[0].get_legend_handles_labels()
        below = panels[0].figure
        below.legend(handles, words, loc="outside lower center", ncols=_DRAWN)


def _label_ticks(panel: Axes, axis: ModeAxis, dim: int) -> None:
    def label(place: float, _: int | None) -> str:
        index = round(place)
        if not 0 <= index < dim:
            return ""
        name = axis.label(index)
        return name if len(name) <= _LABEL else f"{name[: _LABEL - 1]}…"

    panel.xaxis.set_major_formatter(FuncFormatter(label))
    if axis.labels is None:
        panel.set_xlabel("index")
    else:
        panel.tick_params(axis="x", labelrotation=30)


def _show(panel: Axes, picture: Values, title: str, low: float, high: float) -> None:
    shown = np.clip((picture - low) / (high - low), 0, 1)
    # Unobserved entries are white, so that gaps are seen as gaps.
    panel.imshow(np.where(np.isnan(shown), 1.0, shown), interpolation="nearest")
    panel.set_title(title)
    panel.set_axis_off()
