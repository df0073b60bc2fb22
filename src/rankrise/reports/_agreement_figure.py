"""Descent beside the flow, and the flow beside its limit."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from rankrise.experiments import AgreementResult
from rankrise.reports._style import figure_style


def agreement_figure(result: AgreementResult) -> Figure:
    """Norms on the one clock, and how distances fall with learning rate and scale."""
    with figure_style():
        figure = Figure(figsize=(12.5, 3.1), layout="constrained")
        clock, rates, plateaus, scales = figure.subplots(1, 4)
        _plot_clock(clock, result)
        _plot_rates(rates, result)
        _plot_plateaus(plateaus, result)
        _plot_scales(scales, result)
    return figure


def _plot_clock(panel: Axes, result: AgreementResult) -> None:
    coarsest = result.descents[0]
    panel.plot(result.flow.time, result.flow.component_norms, color="C0")
    trajectory = coarsest.trajectory
    panel.plot(trajectory.time, trajectory.component_norms, color="C1", linestyle="--")
    panel.plot([], [], color="C0", label="flow")
    label = f"descent, rate {coarsest.learning_rate:.3g}"
    panel.plot([], [], color="C1", linestyle="--", label=label)
    panel.set(xlabel="time of gradient flow", title="component norms")
    panel.set_xlim(0, float(result.flow.time[-1]))
    panel.legend()


def _plot_rates(panel: Axes, result: AgreementResult) -> None:
    fixed = result.descents[:-1]
    rates = np.array([descent.learning_rate for descent in fixed])
    distances = np.array([descent.distance for descent in fixed])
    panel.loglog(
        rates, distances, "o-", label=f"measured, order {result.convergence_order:.2f}"
    )
    guide = distances[-1] * rates / rates[-1]
    panel.loglog(rates, guide, color="0.6", linestyle=":", label="order 1")
    panel.set(xlabel="learning rate", title="distance of descent to the flow")
    # Within two decades the labels of minor ticks overlap.
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.legend()


def _plot_plateaus(panel: Axes, result: AgreementResult) -> None:
    for place, flow in enumerate(result.flows):
        panel.plot(
            flow.scaled_time,
            flow.trajectory.reconstruction_error,
            color=f"C{place}",
            label=f"init scale {flow.init_scale:g}",
        )
    limit = result.limit
    end = result.flows[-1].scaled_time[-1]
    panel.step(
        [*limit.time, end],
        [*limit.reconstruction_error, limit.reconstruction_error[-1]],
        where="post",
        color="black",
        linewidth=0.9,
        label="limit",
    )
    panel.set(xlabel="scaled time", title="reconstruction error")
    panel.legend()


def _plot_scales(panel: Axes, result: AgreementResult) -> None:
    scales = [flow.init_scale for flow in result.flows]
    panel.loglog(scales, [flow.gap for flow in result.flows], "o-", label="plateaus")
    escapes = [float(np.max(flow.escape_gaps)) for flow in result.flows]
    panel.loglog(scales, escapes, "s-", label="escape times (relative)")
    panel.set(xlabel="init scale", title="distance of the flow to its limit")
    panel.legend()
