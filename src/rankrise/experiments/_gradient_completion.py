"""Completion by gradient descent, gradient flow or its limit, from near zero."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from rankrise._typing import Values
from rankrise.completion import (
    Baseline,
    Completing,
    Completion,
    Member,
    Path,
    PathPoint,
    completion_of,
    make_folds,
)
from rankrise.data import Observations, Standardization
from rankrise.experiments._choices import make_solver
from rankrise.experiments._completion_config import CompletionConfig
from rankrise.experiments._precision import precision
from rankrise.factorizations import default_components, near_zero
from rankrise.problems import CompletionProblem
from rankrise.runs import Checkpoint, Progress
from rankrise.solvers import (
    Limit,
    Stop,
    solve,
    solve_limit,
)
from rankrise.trajectories import (
    RISEN_SHARE,
    HeldOutError,
    SaveAt,
    Trajectory,
    standard_observables,
)

# Plateaus of the limit without a new least held-out error that end it.
_FLAT_PLATEAUS = 3


def complete_by_gradients(
    observations: Observations,
    config: CompletionConfig,
    completing: Completing,
    *,
    source: Mapping[str, Any] | None,
    checkpoint: Checkpoint | None,
    progress: Callable[[Progress], None] | None,
) -> tuple[Completion, Trajectory, int]:
    """The run that was nearest on held-out entries, as a completion of one model.

    Returns
    -------
    The completion, all runs, and which of them it is.
    """
    observations = observations.in_order()
    folds = make_folds(
        observations,
        1,
        share=config.heldout_share,
        heldout=config.heldout,
        seed=config.seed,
    )
    train = observations.take(np.flatnonzero(folds.part != 0))
    heldout = observations.take(np.flatnonzero(folds.part == 0))
    standard = Standardization.fit(train.values, center=config.center)
    with precision(config.precision):
        trajectory = _solved(
            CompletionProblem.from_observations(standard.apply(train), completing.loss),
            CompletionProblem.from_observations(
                standard.apply(heldout), completing.loss
            ),
            config,
            checkpoint=checkpoint,
            progress=progress,
            settings={**config.model_dump(mode="json"), **(source or {})},
        )
    chosen = int(np.argmin([np.min(_errors(run)) for run in trajectory.runs()]))
    member = _member(trajectory, chosen, standard, observations.order)
    completion = completion_of(
        observations, completing, folds, [member], trajectory.result
    )
    return completion, trajectory, chosen


def _solved(
    problem: CompletionProblem,
    check: CompletionProblem,
    config: CompletionConfig,
    *,
    checkpoint: Checkpoint | None,
    progress: Callable[[Progress], None] | None,
    settings: Mapping[str, Any],
) -> Trajectory:
    seeds = range(config.seed, config.seed + (config.seeds or 1))
    # The limit has no init scale: its starts are directions.
    scales = (0.0,) if config.method == "limit" else config.init_scales
    runs = [(scale, seed) for scale in scales for seed in seeds]
    components = config.components or default_components(problem.mode_dims)
    starts = [
        near_zero(
            problem.mode_dims,
            components,
            init_scale=scale or 1.0,
            key=jax.random.key(seed),
        )
        for scale, seed in runs
    ]
    options: dict[str, Any] = {
        "observables": standard_observables(problem, heldout=check),
        "select": HeldOutError.name,
        "kept_components": config.kept_components,
        "progress": progress,
        "run_labels": {
            "init_scale": [scale for scale, _ in runs],
            "start_seed": [seed for _, seed in runs],
        },
        "settings": settings,
    }
    if config.method == "limit":
        limit = Limit(
            max_components=config.max_components,
            max_seconds=config.max_seconds,
            flat_plateaus=_FLAT_PLATEAUS,
        )
        return solve_limit(problem, starts, limit, **options)
    solver = "flow" if config.method == "flow" else config.solver
    return solve(
        problem,
        starts,
        make_solver(solver, config.learning_rate, config.batch_size, config.seed),
        max_steps=config.steps,
        save_at=SaveAt.every(config.save_every),
        stop=Stop(flat_steps=config.flat_steps),
        max_seconds=config.max_seconds,
        checkpoint=checkpoint,
        **options,
    )


def _errors(run: Trajectory) -> Values:
    """On held-out entries; infinite where a diverged run measured NaN."""
    errors = np.asarray(run.heldout_error)
    return np.where(np.isfinite(errors), errors, np.inf)


def _member(
    trajectory: Trajectory, chosen: int, standard: Standardization, order: int
) -> Member:
    run, model = trajectory.run(chosen), trajectory.models[chosen]
    factors: tuple[Values, ...] = tuple(
        standard.scale ** (1 / order) * np.asarray(matrix, dtype=np.float64)
        for matrix in model.factor_matrices  # type: ignore[attr-defined]
    )
    points = [
        # Errors are relative to values of unit root mean square.
        PathPoint(0.0, rank, float(train) ** 2, float(heldout) ** 2, (0.0,) * order)
        for rank, train, heldout in zip(
            _ranks(run), run.train_error, run.heldout_error, strict=True
        )
    ]
    path = Path(points, int(np.argmin(_errors(run))), factors)
    baseline = Baseline(standard.offset, standard.scale)
    return Member(0, factors, baseline, path, smooth=False)


def _ranks(run: Trajectory) -> list[int]:
    """Components above a hundredth of the largest, save by save."""
    norms = run.component_norms
    risen = norms > RISEN_SHARE * norms.max(axis=1, keepdims=True)
    return [int(count) for count in risen.sum(axis=1)]
