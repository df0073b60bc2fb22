"""A claim's picture: predicted beside measured, and residuals against the tolerance."""

from __future__ import annotations

import functools as ft
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rankrise._typing import Values
from rankrise.drawing import (
    GREY,
    Axes,
    Drawing,
    Panel,
    colour,
    log_axis,
    look,
    number_ticks,
    value_ticks,
)

if TYPE_CHECKING:
    from rankrise.theory._claim import Claim

# More points than these make a scatter plot heavy and no clearer.
_POINTS = 4000
# Exact agreement has no place on a logarithmic axis.
_LEAST = 1e-18
_SYMBOLS = (
    "sigma_r: norm of component r; gamma_r: its pull, the inner product of the "
    "negative gradient of the loss with the component's direction"
)
# What residuals are shares of.
_RELATIVE_TO = {
    "conservation": "the largest squared norm of a vector",
    "growth": "the rate if the pull were all of the gradient, or of the largest norm",
    "growth-bounds": "the larger bound at full pull",
    "escape": "the predicted norm",
    "matrix-growth": "the rate if the pull were all of the gradient",
}


def draw_claim(claim: Claim) -> Drawing:
    """The panels of a claim that was measured."""
    title = f"{claim.theorem.title}: {claim.verdict}"
    return Drawing([_PANELS[claim.theorem.name](claim)], title)


def mark_tolerance(panel: Axes, tolerance: float) -> None:
    """The tolerance as a line with its number."""
    panel.axhline(tolerance, color=colour(1), linestyle="--", linewidth=1)
    panel.annotate(
        f"tolerance {tolerance:.3g}",
        (0.02, tolerance),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        color=colour(1),
        fontsize=8,
    )


def _residuals(claim: Claim, name: str = "residuals", words: str = "") -> list[Panel]:
    """Errors that were told apart, from the largest to the least."""
    if name not in claim.curves or not np.size(claim.curves[name]):
        return []

    def draw(panel: Axes) -> None:
        errors = np.asarray(claim.curves[name])
        shares = 100 * np.arange(1, len(errors) + 1) / len(errors)
        panel.plot(shares, np.maximum(errors, _LEAST), ".-", color=colour(0), ms=4)
        panel.set_ylim(0.3 * max(_LEAST, float(np.min(errors))), 30 * claim.tolerance)
        log_axis(panel, "y")
        mark_tolerance(panel, claim.tolerance)
        panel.set(
            xlabel="share of comparisons (%)",
            ylabel="|measured − predicted|, relative",
            title=f"residuals{words}",
        )
        number_ticks(panel.xaxis)

    over = _RELATIVE_TO.get(claim.theorem.name, "what is predicted")
    return [
        Panel(
            name,
            f"Residuals{words}: |measured - predicted| over {over}, of comparisons "
            "told apart from their error of measuring, largest first, exact agreement "
            f"at {_LEAST:g}; the claim holds where none is "
            f"above the tolerance, {claim.tolerance:.3g}",
            draw,
        )
    ]


def _conservation(claim: Claim) -> list[Panel]:
    curves = claim.curves

    def drift(panel: Axes) -> None:
        panel.plot(curves["time"], np.maximum(curves["drift"], _LEAST), color=colour(0))
        log_axis(panel, "y")
        panel.set(xlabel="time t", ylabel="drift, relative", title="drift of the flow")
        mark_tolerance(panel, claim.tolerance)
        number_ticks(panel.xaxis)

    return [
        Panel(
            "drift",
            "Largest change of ||w_r^n||^2 - ||w_r^m||^2 since the start of gradient "
            "flow, over the largest squared norm; w_r^n: the vector of component r in "
            "mode n",
            drift,
        ),
        Panel(
            "steps",
            "Change of ||w_r^n||^2 - ||w_r^m||^2 in one step of gradient descent; "
            "predicted: eta^2 (||g_r^n||^2 - ||g_r^m||^2), where eta is the learning "
            "rate and g_r^n the gradient by w_r^n",
            _scatter(curves["predicted"], curves["measured"], "change in a step"),
        ),
        *_residuals(claim),
    ]


def _growth(claim: Claim) -> list[Panel]:
    curves = claim.curves

    def norms(panel: Axes) -> None:
        for place, row in enumerate(np.atleast_2d(np.transpose(curves["norms"]))):
            panel.plot(curves["time"], row, **look(place))
        panel.set(xlabel="time t", ylabel="sigma_r", title="component norms")
        panel.yaxis.label.set_text("$\\sigma_r$")
        panel.set_ylim(0, None)
        number_ticks(panel.xaxis, panel.yaxis)

    return [
        Panel("norms", f"Component norms by time of gradient flow; {_SYMBOLS}", norms),
        Panel(
            "rates",
            "Rates d sigma_r/dt; predicted: N sigma_r^(2-2/N) gamma_r, N the order",
            _scatter(curves["predicted"], curves["measured"], "rates $d\\sigma_r/dt$"),
        ),
        *_residuals(claim),
    ]


def _growth_bounds(claim: Claim) -> list[Panel]:
    curves = claim.curves

    def bounds(panel: Axes) -> None:
        rates = curves["measured"]
        every = slice(None, None, max(1, len(rates) // _POINTS))
        for place, (name, mark) in enumerate((("lower", "v"), ("upper", "^"))):
            panel.plot(
                rates[every],
                curves[name][every],
                mark,
                color=colour(place),
                markersize=2,
                label=f"{name} bound",
                rasterized=True,
            )
        ends = [float(np.min(rates)), float(np.max(rates))]
        panel.plot(ends, ends, color="k", linewidth=0.8, label="measured")
        panel.set(
            xlabel="measured rate, relative",
            ylabel="bound, relative",
            title="bounds on rates",
        )
        number_ticks(panel.xaxis, panel.yaxis)
        panel.legend(loc="best", markerscale=3)

    return [
        Panel(
            "bounds",
            "Lower and upper bounds on d sigma_r/dt against what was measured, over "
            f"the rate at full pull; {_SYMBOLS}",
            bounds,
        ),
        *_residuals(claim),
    ]


def _numbers(claim: Claim, before: str) -> list[int]:
    return sorted(
        int(name.removeprefix(before))
        for name in claim.curves
        if name.startswith(before)
    )


def _escape(claim: Claim) -> list[Panel]:
    def draw(panel: Axes, order: int) -> None:
        curves = claim.curves
        time, measured = curves[f"time_order_{order}"], f"measured_order_{order}"
        predicted = curves[f"predicted_order_{order}"]
        panel.plot(time, predicted, color=colour(0), label="predicted")
        panel.plot(
            time, curves[measured], "o", color="k", mfc="none", ms=4, label="measured"
        )
        escape = claim.numbers.get(f"escape_time_order_{order}")
        if escape is not None and np.isfinite(escape):
            panel.axvline(escape, color=GREY, linestyle=":", label="escape time")
        panel.set(xlabel="time t", ylabel="$u(t)$", title=f"order {order}")
        log_axis(panel, "y")
        number_ticks(panel.xaxis)
        panel.legend(loc="best")

    return [
        *(
            Panel(
                f"order {order}",
                f"Norm u = sigma_r^(1/N) of a component's vectors at order N = {order} "
                "under a constant pull gamma",
                ft.partial(draw, order=order),
            )
            for order in _numbers(claim, "time_order_")
        ),
        *_residuals(claim),
    ]


def _rank_one(claim: Claim) -> list[Panel]:
    curves = claim.curves

    def escapes(panel: Axes) -> None:
        alpha = curves["alpha"]
        bounds = (curves["earliest"], curves["latest"])
        panel.fill_between(
            alpha, *bounds, color=colour(5), alpha=0.5, linewidth=0, label="bounds"
        )
        panel.plot(alpha, curves["escape_time"], "k.-", label="measured")
        panel.set(xlabel="$\\alpha$", ylabel="time t", title="escape time")
        log_axis(panel, "x", "y")
        value_ticks(panel.xaxis, alpha)
        panel.legend(loc="best")

    return [
        Panel(
            "distance",
            "Largest distance of the end tensor from the rank-one trajectory, by the "
            "size alpha of the start; the claim holds where it falls at least like "
            f"alpha^2, within a tolerance of {claim.tolerance:.3g} in the power",
            _against_alpha(claim, "distance to the trajectory", square=True),
        ),
        Panel(
            "escape",
            "Time at which the component has grown to the sphere, and its bounds",
            escapes,
        ),
    ]


def _corollary(claim: Claim) -> list[Panel]:
    curves = claim.curves

    def premise(panel: Axes) -> None:
        distances = np.maximum(curves["rank_one_distances"], 1e-16)
        panel.plot(
            curves["time"], distances.T, color=colour(0), alpha=0.3, linewidth=0.8
        )
        panel.set(
            xlabel="time t",
            ylabel="distance, relative",
            title="rank-one trajectories to W*",
        )
        log_axis(panel, "y")
        number_ticks(panel.xaxis)

    shown = Panel(
        "premise",
        "Distances of balanced rank-one trajectories to W*, the rank-one tensor where "
        "the leading one ends, over its norm",
        premise,
    )
    if "alpha" not in curves:
        return [shown]
    return [
        Panel(
            "distance",
            "How near the end tensor comes to W*, by the size alpha of the start; the "
            "claim holds where the last is below the tolerance, "
            f"{claim.tolerance:.3g}",
            _against_alpha(claim, "nearest to W*", square=False),
        ),
        shown,
    ]


def _matrix_growth(claim: Claim) -> list[Panel]:
    panels = []
    for depth in _numbers(claim, "predicted_depth_"):
        predicted = claim.curves[f"predicted_depth_{depth}"]
        measured = claim.curves[f"measured_depth_{depth}"]
        draw = _scatter(predicted, measured, f"rates, depth {depth}")
        panels.append(
            Panel(
                f"depth {depth}",
                "Rates ds_r/dt of singular values s_r of a balanced product of "
                f"L = {depth} matrices; predicted: L s_r^(2-2/L) <-grad L, u_r v_r^T>",
                draw,
            )
        )
        words = f", depth {depth}"
        panels += _residuals(claim, f"residuals_depth_{depth}", words)
    return panels


def _against_alpha(claim: Claim, title: str, *, square: bool) -> Callable[[Axes], None]:
    def draw(panel: Axes) -> None:
        alpha, distance = claim.curves["alpha"], claim.curves["distance"]
        panel.plot(alpha, distance, "o-", color=colour(0), ms=4, label="measured")
        if square:
            guide = distance[-1] * (alpha / alpha[-1]) ** 2
            panel.plot(alpha, guide, "--", color=GREY, label="$\\alpha^2$")
            panel.legend(loc="best")
        log_axis(panel, "x", "y")
        value_ticks(panel.xaxis, alpha)
        if not square:
            mark_tolerance(panel, claim.tolerance)
        panel.set(xlabel="$\\alpha$", ylabel="distance, relative", title=title)

    return draw


def _scatter(predicted: Values, measured: Values, title: str) -> Callable[[Axes], None]:
    def draw(panel: Axes) -> None:
        across, up = np.ravel(predicted), np.ravel(measured)
        stride = max(1, len(across) // _POINTS)
        points: Mapping[str, Any] = {"markersize": 3, "rasterized": True}
        panel.plot(across[::stride], up[::stride], ".", color=colour(0), **points)
        panel.axline((0, 0), slope=1, color=GREY, linewidth=0.8, label="equal")
        panel.set(xlabel="predicted", ylabel="measured", title=title)
        number_ticks(panel.xaxis, panel.yaxis)
        panel.legend(loc="best")

    return draw


_PANELS: dict[str, Callable[[Any], list[Panel]]] = {
    "conservation": _conservation,
    "growth": _growth,
    "growth-bounds": _growth_bounds,
    "escape": _escape,
    "rank-one": _rank_one,
    "corollary": _corollary,
    "matrix-growth": _matrix_growth,
}
