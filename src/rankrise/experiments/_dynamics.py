"""The paper's first experiment: components rise one after another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rankrise._typing import Values
from rankrise.data import (
    Observations,
    gaussian_measurements,
    measure,
    missing_fibers,
    observe,
    random_target,
    rank_k_measurements,
    sample_indices,
)
from rankrise.experiments._choices import make_loss, make_solver
from rankrise.experiments._dynamics_config import DynamicsConfig
from rankrise.experiments._precision import precision
from rankrise.factorizations import (
    AbstractFactorization,
    CPFactorization,
    balanced,
    near_zero,
    near_zero_matrix,
)
from rankrise.problems import AbstractProblem, CompletionProblem, SensingProblem
from rankrise.solvers import Checkpoint, Progress, Stop, solve
from rankrise.trajectories import SaveAt, Trajectory, standard_observables

_TOLERANCE_SHARE = 1e-4


@dataclass(frozen=True, eq=False)
class DynamicsResult:
    """The runs of one `DynamicsConfig`.

    Attributes
    ----------
    trajectory
        Runs in the order of init scales, each over all seeds of the start.
    target
        The tensor the observations were taken from.
    """

    config: DynamicsConfig
    trajectory: Trajectory
    target: CPFactorization


def run_dynamics(
    config: DynamicsConfig,
    *,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> DynamicsResult:
    """Build the problem, run every init scale and seed as one batch."""
    with precision(config.precision):
        factors = random_target(
            config.dims,
            config.target_rank,
            frobenius_norm=config.target_norm,
            symmetric=config.symmetric,
            seed=config.seed,
        )
        problem = _problem(config, factors)
        target = CPFactorization(
            tuple(jnp.asarray(matrix, dtype=float) for matrix in factors)
        )
        runs = [(scale, s) for scale in config.init_scales for s in config.run_seeds]
        trajectory = solve(
            problem,
            [_start(config, scale, seed) for scale, seed in runs],
            make_solver(
                config.solver, config.learning_rate, config.batch_size, config.seed
            ),
            max_steps=config.steps,
            save_at=_save_at(config),
            observables=standard_observables(problem, target=target),
            stop=Stop(
                loss_tolerance=_loss_tolerance(config, problem),
                patience=config.patience,
            ),
            max_seconds=config.max_seconds,
            kept_components=config.kept_components,
            checkpoint=checkpoint,
            progress=progress,
            run_labels={
                "init_scale": [scale for scale, _ in runs],
                "start_seed": [seed for _, seed in runs],
            },
            settings=config.model_dump(mode="json"),
        )
    return DynamicsResult(config, trajectory, target)


def _problem(config: DynamicsConfig, target: tuple[Values, ...]) -> AbstractProblem:
    if config.task == "completion":
        observations = _observed_entries(config, target)
        loss = _loss(config, observations.values)
        return CompletionProblem.from_observations(observations, loss)
    count, seed = config.observations, config.seed
    measurements: Any
    if config.task == "sensing":
        measurements = gaussian_measurements(config.dims, count, seed=seed)
    else:
        measurements = rank_k_measurements(
            config.dims, count, cp_rank=config.measurement_rank, seed=seed
        )
    values = measure(target, measurements, noise_level=config.noise_level, seed=seed)
    build = (
        SensingProblem.from_dense
        if config.task == "sensing"
        else SensingProblem.from_factored
    )
    return build(measurements, values, _loss(config, values))


def _observed_entries(
    config: DynamicsConfig, target: tuple[Values, ...]
) -> Observations:
    if config.gaps == "entries":
        indices = sample_indices(config.dims, config.observations, seed=config.seed)
    else:
        entries = float(np.prod(config.dims))
        share = 1 - config.observations / entries
        indices = missing_fibers(config.dims, 0, share, seed=config.seed)
    return observe(target, indices, noise_level=config.noise_level, seed=config.seed)


def _loss(config: DynamicsConfig, values: Values) -> Any:
    threshold = config.loss_threshold
    if threshold is None:
        threshold = 0.5 * float(np.sqrt(np.mean(values**2)))
    return make_loss(config.loss, threshold)


def _loss_tolerance(config: DynamicsConfig, problem: AbstractProblem) -> float:
    if config.loss_tolerance is not None:
        return config.loss_tolerance
    zero = jnp.zeros_like(problem.values)
    return _TOLERANCE_SHARE * float(
        jnp.mean(problem.loss_function(zero, problem.values))
    )


def _start(
    config: DynamicsConfig, init_scale: float, seed: int
) -> AbstractFactorization:
    key = jax.random.key(seed)
    if config.factorization == "matrix":
        return near_zero_matrix(
            config.dims, config.depth, init_scale=init_scale, key=key
        )
    if config.start == "balanced":
        return balanced(config.dims, config.components, init_scale=init_scale, key=key)
    return near_zero(
        config.dims,
        config.components,
        init_scale=init_scale,
        init_mean=config.init_mean,
        key=key,
    )


def _save_at(config: DynamicsConfig) -> SaveAt:
    if config.saves is None:
        return SaveAt.every(config.save_every)
    if config.save_spacing == "linear":
        return SaveAt.linear(config.saves)
    return SaveAt.logarithmic(config.saves)
