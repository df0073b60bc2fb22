"""What a summary says of a trajectory."""

from typing import Any

from rankrise._environment import environment
from rankrise.trajectories._rises import rises
from rankrise.trajectories._trajectory import Trajectory

_LISTED = 10


def summarize_trajectory(config: Any, trajectory: Trajectory) -> dict[str, Any]:
    """What is said of any trajectory; `config` has its settings and seed."""
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
        summary["plateaus"] = plateau_records(run)
    return summary


def plateau_records(limit: Trajectory) -> list[dict[str, Any]]:
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
