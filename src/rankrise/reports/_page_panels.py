"""The panels of a page: what each command's results are drawn as, in plain data."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from rankrise.reports._page_arrays import tensor_panels
from rankrise.reports._page_sweep import sweep_panels
from rankrise.reports._stored_run import (
    StoredRun,
    refusing_damage,
    stored_claims,
    stored_progress,
)

Panel = dict[str, Any]
# Saves of a run and points of a scatter on a page: more show nothing more.
_SAVES, _POINTS, _COMPONENTS = 400, 2000, 16
# Exact agreement has no place on a logarithmic axis.
_LEAST = 1e-18


def panels_of(run: StoredRun) -> tuple[list[Panel], list[str]]:
    """Panels, and what of the data is left out, in words."""
    notes: list[str] = []
    command = run.command.removeprefix("reproduce ")
    summary = run.summary.get("experiment") or run.summary
    with refusing_damage(run.path):
        if command == "sweep":
            panels = list(sweep_panels(run, notes))
        elif not run.summary:
            panels = _so_far(run, notes)
        elif command == "complete":
            panels = [*_choice(summary), *_rank(summary), *_staircases(run, notes)]
            tensors, left_out = tensor_panels(run)
            panels = [*tensors, *panels, *_sizes(summary)]
            notes += left_out
        elif command == "rank":
            panels = _rank(summary)
        elif command == "dynamics":
            panels = _staircases(run, notes)
            factors, left_out = tensor_panels(run)
            panels += factors
            notes += left_out
        elif command == "agreement":
            panels = _agreement(summary)
        elif command == "complexity":
            panels = _complexity(summary)
        elif command in ("verify", "theory"):
            panels = _claims(stored_claims(run))
        else:
            panels = []
    return panels, notes


def curves(
    title: str,
    x: str,
    y: str,
    traces: Iterable[Mapping[str, Any]],
    caption: str = "",
    **options: Any,
) -> Panel:
    """A panel of curves; a trace has a name, x and y, and maybe error, mode, axis."""
    return {
        "kind": "curves",
        "title": title,
        "caption": caption,
        "x": x,
        "y": y,
        "traces": [dict(trace) for trace in traces],
        **options,
    }


def trace(name: str, x: Any, y: Any, **options: Any) -> dict[str, Any]:
    """One curve, of at most so many points."""
    x, y = np.ravel(np.asarray(x, float)), np.ravel(np.asarray(y, float))
    if len(x) != len(y):
        raise ValueError(f"{name} has {len(x)} places and {len(y)} values")
    if len(x) > _POINTS:
        chosen = np.linspace(0, len(x) - 1, _POINTS).round().astype(int)
        x, y = x[chosen], y[chosen]
    return {"name": name, "x": x.tolist(), "y": y.tolist(), **options}


def _choice(summary: dict[str, Any]) -> list[Panel]:
    """The least held-out error with every number of components."""
    best: dict[int, tuple[float, float]] = {}
    for point in summary.get("path", ()):
        losses = float(point["heldout_loss"]), float(point["train_loss"])
        count = int(point["components"])
        best[count] = min(best.get(count, losses), losses)
    if not best:
        return []
    counts = sorted(best)
    held, train = ([math.sqrt(max(0, best[c][k])) for c in counts] for k in (0, 1))
    return [
        curves(
            "How many components were chosen",
            "components",
            "error (standardized)",
            [
                trace("held out", counts, held, mode="lines+markers"),
                trace("training", counts, train, mode="lines+markers", dash="dash"),
            ],
            "The least error on held-out entries with every number of components, and "
            "the training error of the same model.",
            marks=[{"x": summary["components"], "label": "predictions"}],
        )
    ]


def _rank(summary: dict[str, Any]) -> list[Panel]:
    rows = summary.get("rank_table") or []
    if not rows:
        return []
    sizes = [row["components"] for row in rows]
    errors = [row["heldout_error"] for row in rows]
    spreads = [row["standard_error"] for row in rows]
    matches = [math.nan if r["match"] is None else r["match"] for r in rows]
    rank = summary["rank"]
    return [
        curves(
            f"Rank {rank}",
            "components",
            "held-out error",
            [
                trace(
                    "held-out error", sizes, errors, error=spreads, mode="lines+markers"
                ),
                trace(
                    "match of halves",
                    sizes,
                    matches,
                    mode="lines+markers",
                    dash="dot",
                    axis=2,
                ),
            ],
            "Held-out error by number of components, with its standard error; and how "
            "well fits to two halves of the entries match.",
            y2="match of halves",
            marks=[{"x": rank}],
        )
    ]


def _sizes(summary: dict[str, Any]) -> list[Panel]:
    norms = summary.get("component_norms") or []
    if not norms:
        return []
    places = list(range(1, len(norms) + 1))
    # One model alone finds nothing again.
    scores = summary.get("reproducibility") or [None] * len(norms)
    again = [math.nan if x is None else x for x in scores]
    traces = [trace("component norm", places, norms, mode="bars")]
    if any(map(math.isfinite, again)):
        traces.append(trace("found again", places, again, mode="markers", axis=2))
    return [
        curves(
            "Sizes of components",
            "component",
            "component norm",
            traces,
            "The norm of each component"
            + ", and how much of it the other models found again (1: all of it)"
            * (len(traces) > 1)
            + ".",
            y2="found again",
            log=False,
        )
    ]


def _staircases(run: StoredRun, notes: list[str]) -> list[Panel]:
    from rankrise.trajectories import Trajectory

    panels = []
    for path in sorted(run.path.glob("trajectory*.nc")):
        part = path.stem.removeprefix("trajectory").removeprefix("-")
        histories = []
        for each in Trajectory.load(path).runs():
            data = each.dataset
            scale, seed = float(data["init_scale"]), int(data["start_seed"])
            names = [str(x) for x in data.variables]
            history = {name: data[name].to_numpy() for name in names}
            histories.append((_run_name(scale, seed), history))
        panels += _watched(histories, notes, part)
    return panels


def _run_name(scale: float, seed: int) -> str:
    start = f"init scale {scale:g}" if scale > 0 else "limit of init scale 0"
    return f"{start}, seed {seed}"


def _watched(
    histories: list[tuple[str, dict[str, Any]]], notes: list[str], part: str = ""
) -> list[Panel]:
    """Components against steps, with a slider over the saves, and errors."""
    suffix = f" ({part})" if part else ""
    runs, errors = [], []
    for name, history in histories:
        saves = len(history["step"])
        every = np.linspace(0, saves - 1, min(saves, _SAVES)).round().astype(int)
        if saves > _SAVES:
            words = f"Of {saves} saves of a run, {_SAVES} are shown."
            notes.append(words) if words not in notes else None
        clock = {
            "step": history["step"][every].tolist(),
            "time": np.asarray(history["time"], float)[every].tolist(),
        }
        if "component_norms" in history:
            norms = np.asarray(history["component_norms"], float)[every]
            largest = np.argsort(-np.nan_to_num(norms).max(axis=0))[:_COMPONENTS]
            kept = norms[:, largest[np.argsort(-norms[-1, largest], kind="stable")]]
            runs.append({"name": name, **clock, "norms": kept.T.tolist()})
        for key, title in _ERRORS.items():
            if key in history:
                values = np.asarray(history[key], float)[every].tolist()
                errors.append({"run": name, "name": title, **clock, "values": values})
    panels: list[Panel] = []
    if runs:
        panels.append(
            {
                "kind": "staircase",
                "title": f"Components rise one after another{suffix}",
                "caption": "The norm of each component. The slider moves through the "
                "run; bars show the components at that time.",
                "runs": runs,
            }
        )
    if errors:
        panels.append(
            {
                "kind": "errors",
                "title": f"Errors along the run{suffix}",
                "caption": "Choose which, and whether the axis is logarithmic.",
                "series": errors,
            }
        )
    return panels


_ERRORS = {
    "reconstruction_error": "reconstruction error",
    "heldout_error": "held-out error",
    "train_error": "training error",
    "loss": "training loss",
    "effective_rank": "effective rank",
    "entropy_rank": "entropy rank",
    "unbalancedness": "unbalancedness",
}


def _so_far(run: StoredRun, notes: list[str]) -> list[Panel]:
    """What the checkpoint of an unfinished run has to show."""
    if stored_claims(run):
        return _claims(stored_claims(run))
    facts, arrays = stored_progress(run)
    histories: dict[int, dict[str, Any]] = {}
    for name, values in arrays.items():
        _, number, observable = name.split("_", 2)
        histories.setdefault(int(number), {})[observable] = values
    named = [
        (f"run {number + 1}", history)
        for number, history in sorted(histories.items())
        if len(history.get("step", ()))
    ]
    panels = _watched(named, notes)
    traces = []
    paths = [each.get("facts", each) for each in _paths(facts)]
    for place, path in enumerate(paths, start=1):
        # Penalty, components, training and held-out loss, and what else was measured.
        rows = [(int(p[1]), float(p[3])) for p in path.get("points") or []]
        if rows:
            counts, held = zip(*rows, strict=True)
            errors = [math.sqrt(max(0.0, loss)) for loss in held]
            order = list(range(1, len(errors) + 1))
            hover = [f"{count} components" for count in counts]
            traces.append(trace(f"model {place}", order, errors, text=hover))
    if traces:
        caption = "Each model so far, from fit to fit."
        title = "Held-out error so far"
        panels.append(curves(title, "fit", "error (standardized)", traces, caption))
    return panels


def _paths(facts: dict[str, Any]) -> list[dict[str, Any]]:
    return [*(facts.get("models") or []), *(facts.get("walks") or [])]


def _agreement(summary: dict[str, Any]) -> list[Panel]:
    fixed = [row for row in summary["descents"] if row["learning_rate"] is not None]
    flows = summary["flows"]
    scales = [row["init_scale"] for row in flows]
    escapes = [
        max((x for x in row["escape_gaps"] if x is not None), default=math.nan)
        for row in flows
    ]
    plateaus = [max(row["plateau_gaps"]) for row in flows]
    rates = [row["learning_rate"] for row in fixed]
    distances = [row["distance"] for row in fixed]
    guide = [distances[-1] * rate / rates[-1] for rate in rates] if rates else []
    order = f"convergence order {summary['convergence_order']:.3f}"
    return [
        curves(
            "Distance of descent to the flow",
            "learning rate",
            "distance",
            [
                trace("measured", rates, distances, mode="lines+markers"),
                trace("in proportion", rates, guide, dash="dot"),
            ],
            f"Measured {order}; 1 is in proportion to the learning rate.",
            log=True,
            logx=True,
        ),
        curves(
            "Distance of the flow to its limit",
            "init scale",
            "distance",
            [
                trace("plateau errors", scales, plateaus, mode="lines+markers"),
                trace(
                    "escape times (relative)",
                    scales,
                    escapes,
                    mode="lines+markers",
                    dash="dash",
                ),
            ],
            "Both fall with the init scale.",
            log=True,
            logx=True,
        ),
    ]


def _complexity(summary: dict[str, Any]) -> list[Panel]:
    from rankrise.complexity import CONTROL_NAMES

    rows = summary["rows"]
    panels = []
    for split, words in (("train", "Training"), ("test", "Test")):
        traces = []
        for control in dict.fromkeys(row["control"] for row in rows):
            own = [row for row in rows if row["control"] == control]
            ranks = sorted({row["rank"] for row in own})
            errors = [
                [r[f"{split}_error"] for r in own if r["rank"] == rank]
                for rank in ranks
            ]
            means = [float(np.mean(np.array(each, float))) for each in errors]
            spreads = [float(np.std(np.array(each, float))) for each in errors]
            name = CONTROL_NAMES.get(control, control)
            options = {"error": spreads, "mode": "lines+markers"}
            traces.append(trace(name, ranks, means, **options))
        constant = float(np.mean(list(summary["constant_errors"][split].values())))
        panels.append(
            curves(
                f"{words} error by rank",
                "CP rank (components)",
                f"{words.lower()} error",
                traces,
                f"{summary['dataset']}, beside random controls. Bars are standard "
                "deviations over classes, values and seeds.",
                marks=[{"y": constant, "label": "always the mean"}],
            )
        )
    return panels


def _claims(claims: dict[str, Any]) -> list[Panel]:
    panels = []
    for name, claim in claims.items():
        record, data = claim["record"], claim["curves"]
        title = f"{record['title']}: {record['verdict']}"
        drawn = _CLAIMS[name](data, record) if name in _CLAIMS else []
        for number, panel in enumerate(drawn):
            words = (str(record["explanation"]) if not number else "", panel["caption"])
            panel["caption"] = " ".join(filter(None, words))
            panels.append({**panel, "title": f"{title} — {panel['title']}"})
    return panels


def _beside(
    data: dict[str, Any], record: dict[str, Any], title: str, suffix: str = ""
) -> list[Panel]:
    """Measured against predicted, and residuals with the tolerance."""
    predicted = np.ravel(np.asarray(data[f"predicted{suffix}"], float))
    measured = np.ravel(np.asarray(data[f"measured{suffix}"], float))
    ends = [float(predicted.min(initial=0)), float(predicted.max(initial=0))]
    panels = [
        curves(
            f"{title}, measured against predicted",
            "predicted",
            "measured",
            [
                trace("measured", predicted, measured, mode="markers"),
                trace("equal", ends, ends),
            ],
            log=False,
        )
    ]
    return panels + _residuals(data, record, f"{title}, residuals", suffix)


def _residuals(
    data: dict[str, Any], record: dict[str, Any], title: str, suffix: str = ""
) -> list[Panel]:
    """Residuals that the claim is judged by, from the largest to the least."""
    sizes = np.ravel(np.asarray(data.get(f"residuals{suffix}", ()), float))
    if not len(sizes):
        return []
    shares = 100 * np.arange(1, len(sizes) + 1) / len(sizes)
    return [
        curves(
            title,
            "share of comparisons (%)",
            "|measured − predicted|, relative",
            [trace("residual", shares, np.maximum(sizes, _LEAST))],
            "Residuals that exceed what measuring adds, largest first; the claim "
            "holds where none is above the tolerance.",
            log=True,
            marks=[{"y": record["tolerance"], "label": "tolerance"}],
        )
    ]


def _conservation(data: dict[str, Any], record: dict[str, Any]) -> list[Panel]:
    drift = np.maximum(np.asarray(data["drift"], float), _LEAST)
    marks = [{"y": record["tolerance"], "label": "tolerance"}]
    lines = [trace("drift", data["time"], drift)]
    flow = curves("drift under the flow", "time", "drift", lines, log=True, marks=marks)
    return [flow, *_beside(data, record, "change in a step")]


def _growth(data: dict[str, Any], record: dict[str, Any]) -> list[Panel]:
    norms = np.asarray(data["norms"], float)
    lines = [
        trace(f"component {n}", data["time"], each)
        for n, each in enumerate(norms.T[:_COMPONENTS], start=1)
    ]
    rise = curves("component norms", "time", "component norm", lines)
    return [rise, *_beside(data, record, "rates")]


def _growth_bounds(data: dict[str, Any], record: dict[str, Any]) -> list[Panel]:
    rates = data["measured"]
    ends = [float(np.min(rates)), float(np.max(rates))]
    lines = [
        trace(f"{name} bound", rates, data[name], mode="markers")
        for name in ("lower", "upper")
    ]
    lines.append(trace("measured", ends, ends))
    axis = "rate over that of full pull"
    bounds = curves("bounds on rates", axis, "bound", lines)
    return [bounds, *_residuals(data, record, "residuals")]


def _escape(data: dict[str, Any], record: dict[str, Any]) -> list[Panel]:
    panels = []
    for name in sorted(each for each in data if each.startswith("time_order_")):
        order = name.removeprefix("time_order_")
        lines = [
            trace(word, data[name], data[f"{word}_order_{order}"], mode=mode)
            for word, mode in (("predicted", "lines"), ("measured", "markers"))
        ]
        at = record["numbers"].get(f"escape_time_order_{order}")
        marks = [{"x": at, "label": "escape"}] if at is not None else []
        panels.append(
            curves(f"order {order}", "time", "norm", lines, log=True, marks=marks)
        )
    return panels + _residuals(data, record, "residuals")


def _rank_one(data: dict[str, Any], record: dict[str, Any]) -> list[Panel]:
    alpha = data["alpha"]
    lines = [
        trace("earliest", alpha, data["earliest"], dash="dot"),
        trace("latest", alpha, data["latest"], dash="dot"),
        trace("measured", alpha, data["escape_time"], mode="lines+markers"),
    ]
    escapes = curves("escape time", "alpha", "time", lines, log=True, logx=True)
    return [_against_alpha(data, "distance"), escapes]


def _corollary(data: dict[str, Any], record: dict[str, Any]) -> list[Panel]:
    distances = np.maximum(np.asarray(data["rank_one_distances"], float), 1e-16)
    lines = [
        trace(f"start {n}", data["time"], each)
        for n, each in enumerate(distances[:_COMPONENTS], start=1)
    ]
    title = "rank-one trajectories to W*"
    premise = curves(title, "time", "distance", lines, log=True)
    nearest = [_against_alpha(data, "nearest to W*")] if "alpha" in data else []
    return [*nearest, premise]


def _against_alpha(data: dict[str, Any], title: str) -> Panel:
    alpha, distance = data["alpha"], data["distance"]
    lines = [trace("measured", alpha, distance, mode="lines+markers")]
    return curves(title, "alpha", "distance", lines, log=True, logx=True)


def _matrix_growth(data: dict[str, Any], record: dict[str, Any]) -> list[Panel]:
    panels = []
    for name in sorted(each for each in data if each.startswith("predicted_depth_")):
        depth = name.removeprefix("predicted_depth_")
        panels += _beside(data, record, f"rates, depth {depth}", f"_depth_{depth}")
    return panels


_CLAIMS: dict[str, Callable[[dict[str, Any], dict[str, Any]], list[Panel]]] = {
    "conservation": _conservation,
    "growth": _growth,
    "growth-bounds": _growth_bounds,
    "escape": _escape,
    "rank-one": _rank_one,
    "corollary": _corollary,
    "matrix-growth": _matrix_growth,
}
