"""`summary.json`: settings, versions, seed, device, outcome, figures of merit."""

import dataclasses
import math
from typing import Any

import numpy as np

from rankrise._environment import environment
from rankrise._strict import strict
from rankrise.complexity import RankCurve, RankFit, SmallestRank
from rankrise.experiments._agreement import AgreementResult
from rankrise.experiments._complexity import ComplexityResult
from rankrise.experiments._dynamics import DynamicsResult
from rankrise.synthetic import cp_component_norms
from rankrise.trajectories import plateau_records, summarize_trajectory


def summarize_dynamics(result: DynamicsResult) -> dict[str, Any]:
    """The summary of `rankrise dynamics`."""
    summary = summarize_trajectory(result.config, result.trajectory)
    target = tuple(map(np.asarray, result.target.factor_matrices))
    summary["target_component_norms"] = cp_component_norms(target).tolist()
    return strict(summary)


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
            "plateaus": plateau_records(plateaus),
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
            "optimizer": result.optimizer,
            "result": result.ending,
            "seconds_compile": round(curve.seconds_compile, 3),
            "seconds_run": round(curve.seconds_run, 3),
            "constant_errors": {
                split: dict(zip(curve.targets, errors.tolist(), strict=True))
                for split, errors in curve.constant_errors.items()
            },
            "smallest_ranks": list(map(_smallest_rank, result.smallest_ranks)),
            "complexity": _complexity(curve),
            "rows": [{"dataset": result.dataset, **_fit(fit)} for fit in curve.fits],
        }
    )


def _complexity(curve: RankCurve) -> dict[str, Any] | None:
    if not {*curve.controls} > {"data"}:
        return None
    found = curve.complexity()
    return {**dataclasses.asdict(found), "words": str(found)}


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
        "fold": fit.fold,
        "seed": fit.seed,
        "train_error": fit.train_error,
        "test_error": fit.test_error,
        "epochs": fit.epochs,
        "converged": fit.converged,
        "result": fit.ending,
    }
