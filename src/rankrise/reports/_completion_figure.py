"""What `rankrise complete` shows: how it was chosen, what was learned, how well."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rankrise._typing import Values
from rankrise.completion import Completion, Path
from rankrise.data import ModeAxis, cp_component_norms
from rankrise.experiments import CompletionResult
from rankrise.reports._dynamics_figure import highest, plot_components
from rankrise.reports._style import figure_style
from rankrise.trajectories import Trajectory

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


def completion_figure(result: CompletionResult, completed: Values | None) -> Figure:
    """How the components were chosen, held-out entries, and factors mode by mode.

    For image-like tensors the picture before and after too: order 3 with three values
    in the last mode.
    """
    completion = result.completion
    observations = completion.observations
    dims = observations.mode_dims
    is_image = completed is not None and len(dims) == 3 and dims[2] == _CHANNELS
    above, below = 5 if is_image else 3, min(len(dims), _MODES)
    with figure_style():
        figure = Figure(figsize=(3.4 * max(above, below), 6.0), layout="constrained")
        upper, lower = figure.subfigures(2, 1, squeeze=False)[:, 0]
        panels = upper.subplots(1, above)
        if result.trajectory is None:
            _plot_path(panels[0], completion)
            _plot_norms(panels[1], completion)
        else:
            _plot_rise(panels[0], result.run)
            _plot_errors(panels[1], result.run)
        _plot_heldout(panels[2], completion)
        if is_image and completed is not None:
            low, high = observations.values.min(), observations.values.max()
            _show(panels[3], observations.dense(), "observed", low, high)
            _show(panels[4], completed, "completed", low, high)
        _plot_factors(list(np.ravel(lower.subplots(1, below))), result)
    return figure


def _plot_path(panel: Axes, completion: Completion) -> None:
    """The least held-out error with every number of components."""
    reference = completion.reference
    for member in completion.members:
        if member is not reference:
            ranks, errors = _by_rank(member.path, "heldout_loss")
            panel.plot(ranks, errors, color="C1", alpha=0.25, linewidth=0.8)
    for name, words in (("train_loss", "train"), ("heldout_loss", "held out")):
        panel.plot(*_by_rank(reference.path, name), label=words, marker=".")
    panel.axvline(
        reference.path.best_point.rank, color="0.5", linewidth=0.8, linestyle="--"
    )
    panel.set(xlabel="components", title="error (standardized)")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.set_ylim(0, None)
    panel.legend()


def _by_rank(path: Path, name: str) -> tuple[list[int], list[float]]:
    """Numbers of components, and the error where the held-out loss was least."""
    best: dict[int, tuple[float, float]] = {}
    for point in path.points:
        found = point.heldout_loss, getattr(point, name)
        best[point.rank] = min(best.get(point.rank, found), found)
    ranks = sorted(best)
    return ranks, [math.sqrt(max(0.0, best[rank][1])) for rank in ranks]


def _plot_norms(panel: Axes, completion: Completion) -> None:
    norms = completion.component_norms[:_BARS]
    places = np.arange(1, len(norms) + 1)
    scores = completion.reproducibility[: len(norms)]
    panel.bar(places, norms, color="C0", alpha=0.35)
    panel.set(xlabel="component", title="component norm")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    if np.isfinite(scores).any():
        again = panel.twinx()
        again.plot(places, scores, "C3.")
        again.set_ylim(0, 1.05)
        again.set_ylabel("found again", color="C3")


def _plot_heldout(panel: Axes, completion: Completion) -> None:
    predictions = completion.heldout_predictions
    known = np.flatnonzero(~np.isnan(predictions))
    if len(known) > _POINTS:
        known = np.random.default_rng(0).choice(known, _POINTS, replace=False)
    values = completion.observations.values[known]
    panel.plot(values, predictions[known], ".", markersize=2, alpha=0.5)
    ends = [values.min(), values.max()]
    panel.plot(ends, ends, color="0.5", linewidth=0.8)
    panel.set(xlabel="observed", ylabel="predicted", title="held-out entries")


def _plot_factors(panels: list[Axes], result: CompletionResult) -> None:
    """Columns of each factor matrix, each of norm one."""
    matrices = result.factor_matrices
    order = np.argsort(-cp_component_norms(matrices), kind="stable")[:_DRAWN]
    for number, (panel, matrix) in enumerate(zip(panels, matrices, strict=False)):
        columns = matrix[:, order]
        sizes = np.linalg.norm(columns, axis=0)
        mark = "." if len(matrix) <= _MARKED else None
        for place, column in enumerate((columns / np.where(sizes > 0, sizes, 1)).T):
            label = f"component {place + 1}" if number == 0 else None
            panel.plot(column, marker=mark, linewidth=1, label=label)
        axis = result.axis(number)
        panel.set_title(axis.title(number))
        panel.xaxis.set_major_locator(MaxNLocator(_TICKS, integer=True))
        _label_ticks(panel, axis, len(matrix))
    if len(order):
        # Below all panels, where it hides no curve.
        handles, names = panels[0].get_legend_handles_labels()
        below = panels[0].figure
        below.legend(handles, names, loc="outside lower center", ncols=_DRAWN)


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


def _plot_rise(panel: Axes, run: Trajectory) -> None:
    plot_components(panel, run)
    panel.set(xlabel="iterations", title="component norms (standardized)")
    panel.set_ylim(0, None)


def _plot_errors(panel: Axes, run: Trajectory) -> None:
    best = run.outcomes[0].best_step
    panel.plot(run.step, run.train_error, label="train")
    panel.plot(run.step, run.heldout_error, label="held out")
    if best is not None:
        panel.axvline(best, color="0.5", linewidth=0.8, linestyle="--", label="chosen")
    panel.set(xlabel="iterations", title="relative error (standardized)")
    panel.set_ylim(0, 1.05 * highest(run.train_error[:1]))
    panel.margins(x=0.01)
    panel.legend()


def _show(panel: Axes, picture: Values, title: str, low: float, high: float) -> None:
    shown = np.clip((picture - low) / (high - low), 0, 1)
    # Unobserved entries are white, so that gaps are seen as gaps.
    panel.imshow(np.where(np.isnan(shown), 1.0, shown), interpolation="nearest")
    panel.set_title(title)
    panel.set_axis_off()
