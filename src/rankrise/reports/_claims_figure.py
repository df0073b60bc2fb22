"""A claim's figure: what was predicted beside what was measured."""

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rankrise._typing import Values
from rankrise.reports._style import figure_style
from rankrise.theory import Claim

# More points than these make a scatter plot heavy and no clearer.
_POINTS = 4000
_SIDE = 3.4


def claim_figure(claim: Claim) -> Figure:
    """The figure of one claim, with its verdict in the title."""
    panels = _PANELS[claim.theorem.name](claim)
    with figure_style():
        figure = Figure(
            figsize=(_SIDE * len(panels), 1.1 * _SIDE), layout="constrained"
        )
        axes = np.atleast_1d(figure.subplots(1, len(panels)))
        for panel, draw in zip(axes, panels, strict=True):
            draw(panel)
        figure.suptitle(f"{claim.theorem.title}: {claim.verdict}", fontsize=10)
    return figure


Panel = Callable[[Axes], None]


def _conservation(claim: Claim) -> list[Panel]:
    curves = claim.curves

    def drift(panel: Axes) -> None:
        # On logarithmic axes a drift of exactly zero has no place.
        panel.plot(curves["time"], np.maximum(curves["drift"], 1e-18))
        panel.axhline(claim.tolerance, color="0.5", linestyle="--", linewidth=0.8)
        panel.set(yscale="log", xlabel="time", title="drift under the flow")

    return [
        drift,
        _scatter(curves["predicted"], curves["measured"], "change in a step"),
    ]


def _growth(claim: Claim) -> list[Panel]:
    curves = claim.curves

    def norms(panel: Axes) -> None:
        panel.plot(curves["time"], curves["norms"])
        panel.set(xlabel="time", title="component norms")
        panel.set_ylim(0, None)

    return [norms, _scatter(curves["predicted"], curves["measured"], "rates")]


def _growth_bounds(claim: Claim) -> list[Panel]:
    curves = claim.curves

    def bounds(panel: Axes) -> None:
        rates = curves["measured"]
        every = slice(None, None, max(1, len(rates) // _POINTS))
        for name, color in (("upper", "C1"), ("lower", "C0")):
            points = (rates[every], curves[name][every])
            panel.plot(*points, ".", color=color, markersize=2, label=f"{name} bound")
        ends = [float(np.min(rates)), float(np.max(rates))]
        panel.plot(ends, ends, color="k", linewidth=0.8, label="measured")
        panel.set(xlabel="rate over that of full pull", title="bounds on rates")
        panel.legend()

    return [bounds]


def _escape(claim: Claim) -> list[Panel]:
    orders = sorted(
        int(name.removeprefix("time_order_"))
        for name in claim.curves
        if name.startswith("time_order_")
    )

    def panel_of(order: int) -> Panel:
        def draw(panel: Axes) -> None:
            time = claim.curves[f"time_order_{order}"]
            panel.plot(
                time, claim.curves[f"predicted_order_{order}"], label="predicted"
            )
            panel.plot(
                time,
                claim.curves[f"measured_order_{order}"],
                "k.",
                markersize=3,
                label="measured",
            )
            escape = claim.numbers.get(f"escape_time_order_{order}")
            if escape is not None:
                panel.axvline(escape, color="0.5", linestyle="--", linewidth=0.8)
            panel.set(xlabel="time", title=f"order {order}", yscale="log")
            panel.legend()

        return draw

    return [panel_of(order) for order in orders]


def _rank_one(claim: Claim) -> list[Panel]:
    curves = claim.curves

    def escapes(panel: Axes) -> None:
        alpha = curves["alpha"]
        bounds = (curves["earliest"], curves["latest"])
        panel.fill_between(alpha, *bounds, alpha=0.4, linewidth=0, label="bounds")
        panel.plot(alpha, curves["escape_time"], "k.-", label="measured")
        panel.set(xscale="log", yscale="log", xlabel="alpha", title="escape time")
        panel.legend()

    return [_against_alpha(curves, "sup distance", square=True), escapes]


def _corollary(claim: Claim) -> list[Panel]:
    curves = claim.curves

    def premise(panel: Axes) -> None:
        distances = np.maximum(curves["rank_one_distances"], 1e-16)
        panel.plot(curves["time"], distances.T, color="C0", alpha=0.3, linewidth=0.8)
        panel.set(yscale="log", xlabel="time", title="rank-one trajectories to W*")

    if "alpha" not in curves:
        return [premise]
    return [_against_alpha(curves, "nearest to W*", square=False), premise]


def _matrix_growth(claim: Claim) -> list[Panel]:
    depths = sorted(
        int(name.removeprefix("predicted_depth_"))
        for name in claim.curves
        if name.startswith("predicted_depth_")
    )
    return [
        _scatter(
            claim.curves[f"predicted_depth_{depth}"],
            claim.curves[f"measured_depth_{depth}"],
            f"rates, depth {depth}",
        )
        for depth in depths
    ]


def _against_alpha(curves: Mapping[str, Values], title: str, *, square: bool) -> Panel:
    def draw(panel: Axes) -> None:
        alpha, distance = curves["alpha"], curves["distance"]
        panel.plot(alpha, distance, "k.-", label="measured")
        if square:
            guide = distance[-1] * (alpha / alpha[-1]) ** 2
            panel.plot(alpha, guide, "--", color="0.5", label="alpha squared")
            panel.legend()
        panel.set(xscale="log", yscale="log", xlabel="alpha", title=title)

    return draw


def _scatter(predicted: Values, measured: Values, title: str) -> Panel:
    def draw(panel: Axes) -> None:
        across, up = np.ravel(predicted), np.ravel(measured)
        stride = max(1, len(across) // _POINTS)
        ends = [float(np.min(across, initial=0)), float(np.max(across, initial=0))]
        panel.plot(ends, ends, color="C0", linewidth=0.8)
        panel.plot(across[::stride], up[::stride], "k.", markersize=2)
        panel.set(xlabel="predicted", ylabel="measured", title=title)

    return draw


_PANELS: dict[str, Callable[[Claim], list[Panel]]] = {
    "conservation": _conservation,
    "growth": _growth,
    "growth-bounds": _growth_bounds,
    "escape": _escape,
    "rank-one": _rank_one,
    "corollary": _corollary,
    "matrix-growth": _matrix_growth,
}
