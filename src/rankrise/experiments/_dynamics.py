"""The paper's first experiment: components rise one after another."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rankrise._devices import Devices, checked_devices
from rankrise._errors import InputError
from rankrise._typing import Values
from rankrise.drawing import Drawing, Plotted
from rankrise.experiments._dynamics_config import DynamicsConfig
from rankrise.experiments._precision import precision
from rankrise.factorizations import (
    AbstractFactorization,
    CPFactorization,
    balanced,
    near_zero,
    near_zero_matrix,
)
from rankrise.limit import Limit, solve_limit
from rankrise.losses import loss_named
from rankrise.problems import AbstractProblem, CompletionProblem, SensingProblem
from rankrise.runs import Checkpoint, Progress, ShowProgress
from rankrise.solvers import AbstractSolver, Stop, make_solver, solve
from rankrise.synthetic import (
    gaussian_measurements,
    measure,
    missing_fibers,
    observe,
    random_target,
    rank_k_measurements,
    sample_indices,
)
from rankrise.tensors import Observations
from rankrise.trajectories import (
    Recording,
    SaveAt,
    Trajectory,
    standard_observables,
)

_TOLERANCE_SHARE = 1e-4
# Of descent. The flow's loss only falls, and it takes fewer steps, each longer.
_PATIENCE = 100
_STEPS_BETWEEN_SAVES = 25
# Step limits of descent and of the flow.
_STEPS = (40_000, 10_000)


@dataclass(frozen=True, eq=False)
class DynamicsResult(Plotted):
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

    def drawing(self) -> Drawing:
        """Component norms for each init scale, and errors, on the clock asked for."""
        return self.trajectory.drawing(self.config.clock)

    def __repr__(self) -> str:
        dims = " x ".join(map(str, self.config.dims))
        return f"<DynamicsResult of {dims}\n {self.trajectory}>"


def run_dynamics(
    config: DynamicsConfig,
    *,
    checkpoint: Checkpoint | None = None,
    progress: ShowProgress | Callable[[Progress], None] = None,
    devices: Devices = None,
) -> DynamicsResult:
    """Build the problem, run every init scale and seed as one batch.

    Parameters
    ----------
    devices
        How many devices every step goes over, or "all"; see `solve`.
    """
    if checked_devices(devices) > 1 and config.solver == "limit":
        raise InputError(
            f"devices is {devices}, but the limit of a vanishing init scale runs on "
            "one; leave it out or choose another solver."
        )
    runs = [(scale, seed) for scale in _scales(config) for seed in config.run_seeds]
    return _run(config, runs, checkpoint=checkpoint, progress=progress, devices=devices)


def run_dynamics_together(
    configs: Sequence[DynamicsConfig],
    *,
    checkpoint: Checkpoint | None = None,
    progress: ShowProgress | Callable[[Progress], None] = None,
) -> list[DynamicsResult]:
    """Runs of one init scale and one seed each, as one batch on one problem.

    Nothing else may differ between the configs. Each result is as if it had run alone,
    to rounding: a product of another width adds up in another order.
    """
    runs = [(_scales(config)[0], config.run_seeds[0]) for config in configs]
    whole = _run(
        configs[0],
        runs,
        together=len(runs),
        checkpoint=checkpoint,
        progress=progress,
    )
    shared = whole.trajectory
    results = []
    for config, run in zip(configs, shared.runs(), strict=True):
        settings = json.dumps(config.model_dump(mode="json"))
        trajectory = replace(
            run,
            dataset=run.dataset.assign_attrs(settings=settings),
            seconds_compile=shared.seconds_compile / len(runs),
            seconds_run=shared.seconds_run / len(runs),
        )
        results.append(DynamicsResult(config, trajectory, whole.target))
    return results


def _run(
    config: DynamicsConfig,
    runs: Sequence[tuple[float, int]],
    *,
    together: int | None = None,
    checkpoint: Checkpoint | None,
    progress: ShowProgress | Callable[[Progress], None],
    devices: Devices = None,
) -> DynamicsResult:
    """Runs of these init scales and seeds, whatever the config says of both."""
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
        recording = Recording(
            observables=standard_observables(problem, target=target),
            kept_components=config.kept_components,
            run_labels={
                "init_scale": [scale for scale, _ in runs],
                "start_seed": [seed for _, seed in runs],
            },
            settings=config.model_dump(mode="json"),
        )
        starts = [_start(config, scale or 1.0, seed) for scale, seed in runs]
        tolerance = _loss_tolerance(config, problem)
        if config.solver == "limit":
            limit = Limit(
                max_components=config.steps,
                loss_tolerance=tolerance,
                max_seconds=config.max_seconds,
            )
            trajectory = solve_limit(
                problem, starts, limit, recording=recording, progress=progress
            )
        else:
            trajectory = solve(
                problem,
                starts,
                _solver(config),
                max_steps=config.steps or _STEPS[config.solver == "flow"],
                end_time=config.end_time,
                max_seconds=config.max_seconds,
                stop=Stop(loss_tolerance=tolerance, patience=_patience(config)),
                recording=replace(recording, save_at=_save_at(config)),
                together=together,
                checkpoint=checkpoint,
                progress=progress,
                devices=devices,
            )
    return DynamicsResult(config, trajectory, target)


def _problem(config: DynamicsConfig, target: tuple[Values, ...]) -> AbstractProblem:
    if config.task == "completion":
        observations = _observed_entries(config, target)
        loss = _loss(config, observations.values)
        return CompletionProblem.from_observations(observations, loss)
    count, seed = config.observation_count, config.seed
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
        indices = sample_indices(
            config.dims, config.observation_count, seed=config.seed
        )
    else:
        entries = float(np.prod(config.dims))
        share = 1 - config.observation_count / entries
        indices = missing_fibers(config.dims, 0, share, seed=config.seed)
    return observe(target, indices, noise_level=config.noise_level, seed=config.seed)


def _loss(config: DynamicsConfig, values: Values) -> Any:
    threshold = config.loss_threshold
    if threshold is None:
        threshold = 0.5 * float(np.sqrt(np.mean(values**2)))
    return loss_named(config.loss, threshold)


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


def _scales(config: DynamicsConfig) -> tuple[float, ...]:
    """Init scales of the runs; zero stands for the limit."""
    return (0.0,) if config.solver == "limit" else config.init_scales


def _solver(config: DynamicsConfig) -> AbstractSolver[Any]:
    return make_solver(
        config.solver,
        config.learning_rate,
        config.batch_size,
        config.seed,
        rtol=config.rtol,
        weight_decay=config.weight_decay,
    )


def _patience(config: DynamicsConfig) -> int:
    return config.patience or (1 if config.solver == "flow" else _PATIENCE)


def _save_at(config: DynamicsConfig) -> SaveAt:
    if config.saves is None:
        steps = 1 if config.solver == "flow" else _STEPS_BETWEEN_SAVES
        return SaveAt.every(config.save_every or steps)
    if config.save_spacing == "linear":
        return SaveAt.linear(config.saves)
    return SaveAt.logarithmic(config.saves)
