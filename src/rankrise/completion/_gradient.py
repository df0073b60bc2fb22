"""Completion by gradient descent, gradient flow or its limit, from near zero."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from rankrise._defaults import RISEN_SHARE
from rankrise._typing import Values
from rankrise.completion._arrangement import Rows
from rankrise.completion._holdout import make_folds
from rankrise.completion._model import Baseline, Model, by_falling_norm
from rankrise.completion._path import Path, PathPoint
from rankrise.completion._result import Completion
from rankrise.completion._settings import CompletionSettings, GradientMethod
from rankrise.factorizations import default_components, near_zero
from rankrise.limit import Limit, solve_limit
from rankrise.problems import CompletionProblem
from rankrise.runs import Checkpoint, ShowProgress
from rankrise.solvers import Stop, make_solver, solve
from rankrise.tensors import IncompleteTensor, Observations, Standardization
from rankrise.trajectories import (
    Recording,
    SaveAt,
    Trajectory,
    standard_observables,
)

# Plateaus of the limit without a new least held-out error that end it.
_FLAT_PLATEAUS = 3


def complete_by_gradients(
    incomplete: IncompleteTensor,
    settings: CompletionSettings,
    method: GradientMethod,
    *,
    source: Mapping[str, Any] | None,
    checkpoint: Checkpoint | None,
    progress: ShowProgress | Callable[[Any], None],
) -> Completion:
    """The run that was nearest on held-out entries, as a completion of one model."""
    # Which entries are held out must not depend on how they came in.
    observations = incomplete.observations.in_order()
    folds = make_folds(
        observations,
        1,
        share=settings.heldout_share,
        heldout=settings.heldout,
        seed=settings.seed,
    )
    train, heldout = (
        observations.take(np.flatnonzero(rows))
        for rows in (folds.part != 0, folds.part == 0)
    )
    standard = Standardization.fit(train.values, center=settings.center is not False)
    loss = settings.loss_function
    with jax.enable_x64(method.precision == "float64"):
        trajectory = _solved(
            CompletionProblem.from_observations(standard.apply(train), loss),
            CompletionProblem.from_observations(standard.apply(heldout), loss),
            settings,
            method,
            checkpoint=checkpoint,
            progress=progress,
            stored={**settings.model_dump(mode="json"), **(source or {})},
        )
    chosen = int(np.argmin([np.min(_errors(run)) for run in trajectory.runs()]))
    model = _model(trajectory, chosen, standard, observations)
    came = incomplete, observations, settings, folds
    return Completion.of_models(
        *came,
        [model],
        trajectory.result,
        seconds=trajectory.seconds_compile + trajectory.seconds_run,
        trajectory=trajectory,
        chosen=chosen,
    )


def _solved(
    problem: CompletionProblem,
    check: CompletionProblem,
    settings: CompletionSettings,
    method: GradientMethod,
    *,
    checkpoint: Checkpoint | None,
    progress: ShowProgress | Callable[[Any], None],
    stored: Mapping[str, Any],
) -> Trajectory:
    seeds = range(settings.seed, settings.seed + method.starts)
    # The limit has no init scale: its starts are directions.
    scales = (0.0,) if method.kind == "limit" else method.init_scales
    runs = [(scale, seed) for scale in scales for seed in seeds]
    components = method.components or default_components(problem.mode_dims)
    size = problem.mode_dims, components
    starts = [
        near_zero(*size, init_scale=scale or 1.0, key=jax.random.key(seed))
        for scale, seed in runs
    ]
    recording = Recording(
        observables=standard_observables(problem, heldout=check),
        select="heldout_error",
        kept_components=method.kept_components,
        run_labels={
            "init_scale": [scale for scale, _ in runs],
            "start_seed": [seed for _, seed in runs],
        },
        settings=stored,
    )
    if method.kind == "limit":
        limit = Limit(
            max_components=settings.max_components,
            max_seconds=settings.max_seconds,
            flat_plateaus=_FLAT_PLATEAUS,
        )
        return solve_limit(
            problem, starts, limit, recording=recording, progress=progress
        )
    solver = "flow" if method.kind == "flow" else method.solver
    return solve(
        problem,
        starts,
        make_solver(solver, method.learning_rate, method.batch_size, settings.seed),
        max_steps=method.steps,
        max_seconds=settings.max_seconds,
        stop=Stop(flat_steps=method.flat_steps),
        recording=replace(recording, save_at=SaveAt.every(method.save_every)),
        checkpoint=checkpoint,
        progress=progress,
    )


def _errors(run: Trajectory) -> Values:
    """On held-out entries; infinite where a diverged run measured NaN."""
    errors = np.asarray(run.heldout_error)
    return np.where(np.isfinite(errors), errors, np.inf)


def _model(
    trajectory: Trajectory,
    chosen: int,
    standard: Standardization,
    observations: Observations,
) -> Model:
    run, factorization = trajectory.run(chosen), trajectory.models[chosen]
    rows = Rows.of(observations.indices, observations.mode_dims)
    order = observations.order
    matrices = [
        np.asarray(matrix, np.float64)
        for matrix in factorization.factor_matrices  # type: ignore[attr-defined]
    ]
    falling = by_falling_norm(matrices)
    seen = [w[names] for w, names in zip(matrices, rows.names, strict=True)]
    norms = run.component_norms
    risen = norms > RISEN_SHARE * norms.max(axis=1, keepdims=True)
    points = [
        # Errors are relative to values of unit root mean square.
        PathPoint(0.0, int(rank), float(a) ** 2, float(b) ** 2, (0.0,) * order)
        for rank, a, b in zip(
            risen.sum(axis=1), run.train_error, run.heldout_error, strict=True
        )
    ]
    path = Path(points, int(np.argmin(_errors(run))), np.concatenate(seen)[:, falling])
    baseline = Baseline(standard.offset, standard.scale)
    return Model.at_best(rows, path, baseline, number=0, smooth=False)
