"""What a completion shows: how it was chosen, how well, what was learned."""

from __future__ import annotations

import functools as ft
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rankrise._typing import Indices, Values
from rankrise.completion._model import signed, unit_columns
from rankrise.drawing import (
    GREY,
    MISSING,
    Axes,
    Drawing,
    Panel,
    colour,
    label_indices,
    log_axis,
    look,
    marker,
    number_ticks,
    whole_ticks,
)
from rankrise.tensors import ModeAxis

if TYPE_CHECKING:
    from rankrise.completion._model import Model
    from rankrise.completion._path import Path
    from rankrise.completion._rank_table import RankEstimate
    from rankrise.completion._result import Completion
    from rankrise.completion.parts._result import CompletionOfParts

_CHANNELS = 3
# Of components whose factors are drawn, and of modes they are drawn for.
_DRAWN, _MODES = 5, 6
# Of held-out entries that are drawn as points.
_POINTS = 5000
# Of components that have a bar each.
_BARS = 20
# Longer factors are drawn without a mark for every row.
_MARKED = 30
# Of characters of a mode's name along an axis.
_NAME = 24
# Rows and columns of a picture of entries; of longer modes every other, and so on.
_PIXELS = 400
# Largest over smallest error from which an axis is logarithmic.
_FAR = 5.0


def draw_rank(found: RankEstimate, units: str = "") -> Drawing:
    """The table as curves: held-out errors with the rank marked, and the matches."""
    if not found.rows:
        return Drawing([[_told_without(found)]])
    errors = Panel(
        "rank",
        "Held-out error of fits with ever more components, with its standard error; "
        f"chosen: {found.words}",
        lambda panel: _plot_errors(panel, found, units),
    )
    match = Panel(
        "match",
        "Match: smallest factor match score of a component between fits to two halves "
        "of the data (1: found again); explained: share of the variance, or of the "
        "loss, that the fit takes, where it is no worse than the mean",
        lambda panel: _plot_match(panel, found),
    )
    return Drawing([[errors, match]])


def _told_without(found: RankEstimate) -> Panel:
    def draw(panel: Axes) -> None:
        words = f"rank {found.rank}, told without\na table by components"
        panel.text(0.5, 0.5, words, ha="center", va="center")
        panel.set_axis_off()

    return Panel("rank", f"{found.words}, told without a table by components", draw)


def _plot_errors(panel: Axes, found: RankEstimate, units: str) -> None:
    sizes = [row.components for row in found.rows]
    errors = np.array([row.heldout_error for row in found.rows])
    spreads = [row.standard_error for row in found.rows]
    bars: dict[str, Any] = {"marker": marker(0), "markersize": 4, "capsize": 2}
    panel.errorbar(sizes, errors, spreads, label="held-out error", **bars, **look(0))
    if np.all(errors > 0) and np.max(errors, initial=1) > _FAR * np.min(errors):
        log_axis(panel, "y")
    _mark_choice(panel, found)
    _label(panel, "components", _with("error", units))
    panel.set_title(f"rank {found.rank}: held-out error")
    panel.legend(loc="best")


def _mark_choice(panel: Axes, found: RankEstimate) -> None:
    at = [row.heldout_error for row in found.rows if row.components == found.rank]
    panel.axvline(found.rank, color=colour(1), linewidth=1, linestyle="--")
    words = f"chosen: {found.rank}"
    panel.plot(found.rank, at[0], "*", color=colour(1), ms=12, label=words, zorder=3)


def _plot_match(panel: Axes, found: RankEstimate) -> None:
    sizes = [row.components for row in found.rows]
    for place, name in enumerate(("match", "explained")):
        shares = np.array([getattr(row, name) for row in found.rows])
        # Without an offset nothing is worse than the mean.
        shares[shares < 0] = np.nan
        panel.plot(sizes, shares, label=name, marker=marker(place), ms=4, **look(place))
    panel.axvline(found.rank, color=colour(1), linewidth=1, linestyle="--")
    panel.set_ylim(0, 1.05)
    _label(panel, "components", "from 0 to 1")
    panel.set_title("match of halves, explained")
    panel.legend(loc="best")


def _label(panel: Axes, across: str, up: str) -> None:
    """Numbers of components across."""
    panel.set(xlabel=across, ylabel=up)
    whole_ticks(panel.xaxis)
    number_ticks(panel.yaxis)


def _with(words: str, units: str) -> str:
    return f"{words} ({units})" if units else words


def _named(axis: ModeAxis, mode: int) -> str:
    """The name of a mode, as long as a panel has room for, with its units."""
    name = axis.title(mode)
    if len(name) > _NAME:
        name = f"{name[: _NAME - 1]}…"
    return _with(name, axis.units.removesuffix(" 00:00:00"))


def draw_completion(found: Completion) -> Drawing:
    """All panels of a completion."""
    units = found.input.units
    rank, chosen = found.rank_in_time, list[Panel]()
    if rank is not None and rank.rows:
        chosen += draw_rank(rank, units).rows[0]
    if found.trajectory is None:
        reference = found.reference
        chosen += [
            _path_panel(reference, found.models),
            _norms_panel(reference, units, found.reproducibility),
        ]
    else:
        norms, errors = found.run.drawing().rows[0]
        chosen += [
            norms._replace(caption=f"{norms.caption}; standardized units"),
            errors,
        ]
    entries = [_heldout_panel(found), *_entry_panels(found)]
    axes = map(found.axis, range(found.observations.order))
    factors = [_factor_panel(found.reference, *pair) for pair in enumerate(axes)]
    dims = " × ".join(map(str, found.observations.mode_dims))
    title = _with(found.input.name or "", units)
    return Drawing(
        [chosen, entries, factors[:_MODES]],
        f"{title}: {dims}" if title else dims,
        found.warning,
    )


def draw_parts(found: CompletionOfParts) -> Drawing:
    """The panels of a completion whose observations are not at hand."""
    model = found.model
    # Whether components are found again is not known of one model.
    chosen = list(draw_rank(found.rank_estimate).rows[0][:1])
    chosen += [_path_panel(model, [model]), _norms_panel(model)]
    factors = [_factor_panel(model, *pair) for pair in enumerate(found.axes)]
    dims = " × ".join(map(str, found.mode_dims))
    return Drawing([chosen, factors[:_MODES]], dims, found.ending.warning)


def _path_panel(reference: Model, models: Sequence[Model]) -> Panel:
    return Panel(
        "path",
        "Errors of the models in standardized units (the values less the baseline, "
        "over their deviation) by number of components on the path of penalties, each "
        "at the penalty with the least held-out error; others than the reference faint",
        lambda panel: _plot_path(panel, reference, models),
    )


def _plot_path(panel: Axes, reference: Model, models: Sequence[Model]) -> None:
    """The least held-out error with every number of components."""
    for model in models:
        if model is not reference:
            counts, errors = _by_components(model.path, "heldout_loss")
            panel.plot(counts, errors, color=colour(1), alpha=0.25, linewidth=0.8)
    for place, (name, words) in enumerate(
        (("train_loss", "training"), ("heldout_loss", "held out"))
    ):
        style = {**look(place), "marker": marker(place), "markersize": 4}
        panel.plot(*_by_components(reference.path, name), label=words, **style)
    best = reference.path.best_point.components
    panel.axvline(best, color=GREY, linewidth=1, linestyle=":", label=f"best: {best}")
    panel.set_ylim(0, None)
    _label(panel, "components", "error, standardized")
    panel.set_title("models")
    panel.legend(loc="best")


def _by_components(path: Path, name: str) -> tuple[list[int], list[float]]:
    """Numbers of components, and the error where the held-out loss was least."""
    best: dict[int, tuple[float, float]] = {}
    for point in path.points:
        losses = point.heldout_loss, getattr(point, name)
        best[point.components] = min(best.get(point.components, losses), losses)
    counts = sorted(best)
    return counts, [math.sqrt(max(0.0, best[count][1])) for count in counts]


def _norms_panel(
    reference: Model, units: str = "", scores: Values | None = None
) -> Panel:
    count = len(reference.component_norms)
    shown = f"{min(count, _BARS)} of {count} components"

    def draw(panel: Axes) -> None:
        norms = reference.component_norms[:_BARS]
        places = np.arange(1, len(norms) + 1)
        bars = panel.bar(places, norms, color=colour(5), edgecolor=colour(0))
        if scores is not None and np.isfinite(scores[: len(norms)]).any():
            shares = scores[: len(norms)]
            words = [f"{share:.2f}" if share == share else "" for share in shares]
            panel.bar_label(bars, words, fontsize=6, rotation=90, padding=2)
            panel.margins(y=0.2)
        # A few bars are no wider than many.
        panel.set_xlim(0.4, max(len(norms), 3) + 0.6)
        _label(panel, "component", _with("norm", units))
        panel.set_title(f"norms: {shown}")

    above = (
        ""
        if scores is None
        else (
            "; the number above a bar is its mean factor match score over the other "
            "models (1: all found it again)"
        )
    )
    return Panel(
        "norms", f"Component norms of the reference model ({shown}){above}", draw
    )


def _heldout_panel(found: Completion) -> Panel:
    predictions = found.heldout_predictions
    known = np.flatnonzero(~np.isnan(predictions))
    count = len(known)
    if count > _POINTS:
        known = np.random.default_rng(0).choice(known, _POINTS, replace=False)
    values = found.observations.values[known]

    def draw(panel: Axes) -> None:
        ends = [values.min(initial=0), values.max(initial=0)]
        if len(values):
            ends = [values.min(), values.max()]
        style: dict[str, Any] = {"markersize": 2, "alpha": 0.5, "rasterized": True}
        panel.plot(values, predictions[known], ".", color=colour(0), **style)
        panel.plot(ends, ends, color=GREY, linewidth=0.8, label="equal")
        units = found.input.units
        panel.set(xlabel=_with("observed", units), ylabel=_with("predicted", units))
        panel.set_title("held-out entries")
        number_ticks(panel.xaxis, panel.yaxis)
        panel.legend(loc="best")

    shown = f"{len(known)} of {count}" if len(known) < count else f"all {count}"
    return Panel(
        "heldout",
        f"Observed entries ({shown}) against their predictions by the model that they "
        "were held out from",
        draw,
    )


# Entries as a picture.


class _Slice(NamedTuple):
    """Entries of two modes, or a picture with colours; gaps are NaN where observed."""

    modes: tuple[int, ...]
    steps: tuple[int, ...]
    indices: Indices
    shape: tuple[int, ...]
    observed: Values
    words: str


def _entry_panels(found: Completion) -> list[Panel]:
    shown = _slice(found)
    missing = np.isnan(shown.observed)

    def filled(of: Callable[[Indices], Values], otherwise: Values) -> Values:
        whole = otherwise.copy()
        whole[missing] = of(shown.indices[missing.ravel()])
        return whole

    completed = filled(found.entries, shown.observed)
    pictures = [("observed", shown.observed), ("completed", completed)]
    if len(shown.shape) == 2:
        std = filled(found.entries_std, np.zeros(shown.shape))
        std[np.isnan(completed)] = np.nan
        pictures.append(("standard deviation", std))
    known = completed[~np.isnan(completed)]
    if len(shown.shape) > 2:
        known = found.observations.values
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    captions = {
        "observed": "Observed entries; those that were not observed are grey and "
        "hatched",
        "completed": "The same completed",
        "standard deviation": "Standard deviation of the errors of completed entries, "
        "zero where observed",
    }
    panels = []
    for name, picture in pictures:

        def draw(panel: Axes, name: str = name, picture: Values = picture) -> None:
            ends = (0.0, None) if name == "standard deviation" else (low, high)
            _show(panel, found, shown, picture, ends)
            panel.set_title("\n".join(filter(None, (name, shown.words))))

        words = f", {shown.words}" * bool(shown.words)
        panels.append(Panel(name, f"{captions[name]}{words}", draw))
    return panels


def _slice(found: Completion) -> _Slice:
    observations = found.input.observations
    dims, order = observations.mode_dims, observations.order
    if order == 3 and dims[2] == _CHANNELS:
        modes: tuple[int, ...] = (0, 1, 2)
    else:
        longest = sorted(range(order), key=lambda mode: -dims[mode])[:2]
        modes = tuple(sorted(longest))
    others = [mode for mode in range(order) if mode not in modes]
    fixed, rows = np.zeros(order, np.int64), np.arange(len(observations))
    if others:
        # Of all slices one with observed entries and gaps in it.
        keys, place, counts = np.unique(
            observations.indices[:, others],
            axis=0,
            return_inverse=True,
            return_counts=True,
        )
        size = math.prod(dims[mode] for mode in modes)
        chosen = np.argmax(counts * (size - counts + 1.0))
        fixed[others] = keys[chosen]
        rows = np.flatnonzero(place.ravel() == chosen)
    steps = tuple(-(-dims[mode] // _PIXELS) for mode in modes)
    shape = tuple(-(-dims[m] // step) for m, step in zip(modes, steps, strict=True))
    grid = np.indices(shape).reshape(len(modes), -1).T
    indices = np.tile(fixed, (len(grid), 1))
    indices[:, modes] = grid * steps
    own = observations.indices[rows][:, modes]
    on_grid = np.all(own % steps == 0, axis=1)
    observed = np.full(shape, np.nan)
    observed[tuple((own[on_grid] // steps).T)] = observations.values[rows[on_grid]]
    axes = found.input.axes
    named = [f"{axes[m].title(m)} {axes[m].label(int(fixed[m]))}" for m in others]
    return _Slice(modes, steps, indices, shape, observed, ", ".join(named))


def _label_of(axis: ModeAxis, step: int, place: int) -> str:
    return axis.label(place * step)


def _show(
    panel: Axes,
    found: Completion,
    shown: _Slice,
    picture: Values,
    ends: tuple[float, float | None],
) -> None:
    low, high = ends
    if len(shown.shape) > 2:
        scaled = np.clip((picture - low) / ((high or 1.0) - low or 1.0), 0, 1)
        grey = np.where(np.isnan(scaled), float(MISSING), scaled)
        panel.imshow(grey, interpolation="nearest")
        panel.set_axis_off()
        return
    background: dict[str, Any] = {"facecolor": MISSING, "edgecolor": "white"}
    panel.patch.set(hatch="////", linewidth=0, **background)
    image = panel.imshow(
        np.ma.masked_invalid(picture),
        aspect="auto",
        interpolation="nearest",
        cmap="viridis",
        vmin=low,
        vmax=high,
    )
    bar = panel.figure.colorbar(image, ax=panel)
    bar.set_label(found.input.units)
    number_ticks(bar.ax.yaxis)
    pairs = zip((panel.yaxis, panel.xaxis), shown.modes, shown.steps, strict=True)
    for axis, mode, step in pairs:
        own = found.axis(mode)
        label_indices(
            axis,
            ft.partial(_label_of, own, step),
            -(-found.observations.mode_dims[mode] // step),
        )
        axis.set_label_text(_named(own, mode))


# Factors.


def _factor_panel(reference: Model, mode: int, axis: ModeAxis) -> Panel:
    count = len(reference.component_norms)
    drawn = min(count, _DRAWN)
    shown = f"{drawn} of {count} components"

    def draw(panel: Axes) -> None:
        names = reference.rows.names[mode]
        columns = unit_columns(signed(reference.factors)[mode][:-1, :_DRAWN])
        for place, column in enumerate(columns.T):
            style = {**look(place), "linewidth": 1.2}
            if len(names) <= _MARKED:
                style |= {"marker": marker(place), "markersize": 3.5}
            panel.plot(names, column, label=f"component {place + 1}", **style)
        panel.axhline(0, color=GREY, linewidth=0.5)
        dim = reference.rows.mode_dims[mode]
        label_indices(panel.xaxis, axis.label, dim)
        number_ticks(panel.yaxis)
        panel.set_title(shown)
        panel.set_xlabel(_named(axis, mode))
        # One serves the panels of all modes.
        if count and (mode == 0 or len(panel.figure.axes) == 1):
            panel.legend(loc="best", fontsize=6)

    return Panel(
        f"factors {axis.title(mode)}",
        f"Factors of mode {axis.title(mode)}: {shown} of the reference model, each of "
        "norm one at the indices that were observed; signs are such that the largest "
        "entry is positive in every mode but the last",
        draw,
    )
