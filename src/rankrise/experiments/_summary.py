"""`summary.json`: settings, versions, seed, device, outcome, figures of merit."""

import math
from typing import Any

import numpy as np

from rankrise._environment import environment
from rankrise.complexity import RankFit, SmallestRank
from rankrise.data import cp_component_norms
from rankrise.experiments._agreement import AgreementResult
from rankrise.experiments._completion import CompletionResult
from rankrise.experiments._complexity import ComplexityResult
from rankrise.experiments._dynamics import DynamicsResult
from rankrise.trajectories import Trajectory, rises

_LISTED = 10


def summarize_dynamics(result: DynamicsResult) -> dict[str, Any]:
    """The summary of `rankrise dynamics`."""
    summary = _common(result.config, result.trajectory)
    target = tuple(map(np.asarray, result.target.factor_matrices))
    summary["target_component_norms"] = cp_component_norms(target).tolist()
    return strict(summary)


def summarize_completion(result: CompletionResult, source: Any) -> dict[str, Any]:
    """The summary of `rankrise complete`; `source` says where the entries come from."""
    completion = result.completion
    observations = completion.observations
    slices = completion.unobserved_slices
    summary = {
        **_outcome_of(result),
        "source": source,
        "mode_dims": list(observations.mode_dims),
        "observed_entries": len(observations),
        "entries": observations.entry_count,
        "heldout_modes": [mode + 1 for mode in completion.folds.modes],
        "rank": result.rank,
        "unobserved_slices": [_slice(result, *each) for each in slices[:_LISTED]],
        "unobserved_slice_count": len(slices),
        **result.errors(),
        "component_norms": result.component_norms[:_LISTED].tolist(),
        "reproducibility": completion.reproducibility[:_LISTED].tolist(),
    }
    level = result.config.interval
    if level is not None:
        multiple = completion.noise.multiple(level)
        summary["interval"] = {"level": level, "standard_deviations": multiple}
    return strict(summary)


def _slice(result: CompletionResult, mode: int, index: int) -> dict[str, Any]:
    """The mode counts from 1 as everywhere in a summary, the index from 0."""
    axis = result.axis(mode)
    named = {} if axis.name is None else {"name": axis.name}
    labelled = {} if axis.labels is None else {"label": axis.label(index)}
    return {"mode": mode + 1, **named, "index": index, **labelled}


def _outcome_of(result: CompletionResult) -> dict[str, Any]:
    if result.trajectory is not None:
        return {
            **_common(result.config, result.trajectory),
            "chosen_run": result.chosen,
            "chosen_step": result.run.outcomes[0].best_step,
        }
    completion = result.completion
    return {
        "settings": result.config.model_dump(mode="json"),
        **environment(),
        "seed": result.config.seed,
        "result": completion.result,
        "seconds": round(completion.seconds, 3),
        "models": [
            {
                "heldout_part": member.number,
                "rank": member.rank,
                "smooth": member.smooth,
                "penalty": member.path.best_point.penalty,
                "heldout_loss": member.path.best_point.heldout_loss,
            }
            for member in completion.members
        ],
        "path": [
            {
                "penalty": point.penalty,
                "components": point.rank,
                "train_loss": point.train_loss,
                "heldout_loss": point.heldout_loss,
            }
            for point in completion.reference.path.points
        ],
    }


def summarize_agreement(result: AgreementResult) -> dict[str, Any]:
    """The summary of `rankrise agreement`."""
    descents = [
        {
            "name": descent.name,
            "learning_rate": descent.learning_rate,
            "distance": descent.distance,
            "steps": descent.trajectory.outcomes[0].steps,
        }
        for descent in result.descents
    ]
    flows = [
        {
            "init_scale": flow.init_scale,
            "gradient_evaluations": flow.trajectory.outcomes[0].gradient_evaluations,
            "plateau_gaps": flow.plateau_gaps.tolist(),
            "escape_gaps": flow.escape_gaps.tolist(),
        }
        for flow in result.flows
    ]
    plateaus = result.limit
    return strict(
        {
            "settings": result.config.model_dump(mode="json"),
            **environment(),
            "seed": result.config.seed,
            "result": plateaus.result,
            "convergence_order": result.convergence_order,
            "descents": descents,
            "flows": flows,
            "plateaus": _plateaus(plateaus),
        }
    )


def summarize_complexity(result: ComplexityResult) -> dict[str, Any]:
    """The summary of `rankrise complexity`: one row a model."""
    curve, data = result.curve, result.data
    return strict(
        {
            "settings": result.config.model_dump(mode="json"),
            **environment(),
            "seed": result.config.seed,
            "dataset": result.dataset,
            "source": data.source,
            "sha256": data.content_sha256,
            "samples": {"train": data.train.samples, "test": data.test.samples},
            "features": data.train.features,
            "values": data.train.values,
            "targets": data.kind,
            "result": result.ending,
            "seconds_compile": round(curve.seconds_compile, 3),
            "seconds_run": round(curve.seconds_run, 3),
            "constant_errors": {
                split: dict(zip(curve.targets, errors.tolist(), strict=True))
                for split, errors in curve.constant_errors.items()
            },
            "smallest_ranks": list(map(_smallest_rank, result.smallest_ranks)),
            "rows": [{"dataset": result.dataset, **_fit(fit)} for fit in curve.fits],
        }
    )


def _smallest_rank(smallest: SmallestRank) -> dict[str, Any]:
    ranks = [int(rank) if math.isfinite(rank) else None for rank in smallest.by_seed]
    return {
        "error": smallest.error,
        "control": smallest.control,
        "split": smallest.split,
        "mean": smallest.mean,
        "spread": smallest.spread,
        "by_seed": ranks,
    }


def _fit(fit: RankFit) -> dict[str, Any]:
    return {
        "control": fit.control,
        "rank": fit.rank,
        "class": fit.target,
        "seed": fit.seed,
        "train_error": fit.train_error,
        "test_error": fit.test_error,
        "epochs": fit.epochs,
        "converged": fit.converged,
        "result": fit.ending,
    }


def _common(config: Any, trajectory: Trajectory) -> dict[str, Any]:
    outcomes = trajectory.outcomes
    return {
        "settings": config.model_dump(mode="json"),
        **environment(),
        "seed": config.seed,
        "result": trajectory.result,
        "steps": max(outcome.steps for outcome in outcomes),
        "gradient_evaluations": sum(o.gradient_evaluations for o in outcomes),
        "seconds_compile": round(trajectory.seconds_compile, 3),
        "seconds_run": round(trajectory.seconds_run, 3),
        "runs": [summarize_run(run) for run in trajectory.runs()],
    }


def summarize_run(run: Trajectory) -> dict[str, Any]:
    """One run: where it started, how it ended, what rose and when."""
    outcome = run.outcomes[0]
    norms = run.component_norms[:, :_LISTED]
    risen = rises(norms)
    summary: dict[str, Any] = {
        "init_scale": float(run.init_scale),
        "seed": int(run.start_seed),
        "result": outcome.result,
        "reason": outcome.reason,
        "steps": outcome.steps,
        "gradient_evaluations": outcome.gradient_evaluations,
        "rejected_steps": outcome.rejected_steps,
        "time": float(run.time[-1]),
        "train_loss": float(run.loss[-1]),
        "train_error": float(run.train_error[-1]),
        "reconstruction_error": None,
        "component_norms": norms[-1].tolist(),
        "rises": [None if save is None else int(run.step[save]) for save in risen],
        "rise_times": [
            None if save is None else float(run.time[save]) for save in risen
        ],
    }
    for name in ("reconstruction_error", "heldout_error"):
        if name in run.dataset:
            summary[name] = float(run.dataset[name].to_numpy()[-1])
    if "note" in run.dataset:
        summary["plateaus"] = _plateaus(run)
    return summary


def _plateaus(limit: Trajectory) -> list[dict[str, Any]]:
    """What a run of the limit says of every plateau."""
    errors = limit.dataset.get("reconstruction_error")
    return [
        {
            "components": int(limit.rank[save]),
            "scaled_time": float(limit.time[save]),
            "train_loss": float(limit.loss[save]),
            "reconstruction_error": None if errors is None else float(errors[save]),
            "note": str(limit.note[save]),
        }
        for save in range(len(limit.time))
    ]


def strict(summary: dict[str, Any]) -> dict[str, Any]:
    """The same with None for numbers JSON does not have (NaN and infinities)."""
    return {name: _strict_value(value) for name, value in summary.items()}


def _strict_value(value: Any) -> Any:
    if isinstance(value, dict):
        return strict(value)
    if isinstance(value, (list, tuple)):
        return [_strict_value(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value
