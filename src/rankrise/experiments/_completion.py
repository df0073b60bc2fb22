"""The main job: a partly observed tensor completes itself."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rankrise._errors import InputError
from rankrise._typing import Indices, Values
from rankrise.completion import check_enough
from rankrise.data import Observations, Standardization, cp_component_norms, cp_entries
from rankrise.experiments._choices import make_loss, make_solver
from rankrise.experiments._completion_config import CompletionConfig
from rankrise.experiments._precision import precision
from rankrise.factorizations import (
    CPFactorization,
    default_components,
    near_zero,
)
from rankrise.problems import CompletionProblem
from rankrise.solvers import Checkpoint, Progress, Stop, solve
from rankrise.trajectories import (
    RISEN_SHARE,
    HeldOutError,
    SaveAt,
    Trajectory,
    standard_observables,
)

# About the mean: a guess of the mean has an error of 1.
_POOR_ERROR = 0.5

logger = logging.getLogger("rankrise")


@dataclass(frozen=True, eq=False)
class CompletionResult:
    """A completed tensor.

    Attributes
    ----------
    factor_matrices
        Of the factorization that was chosen, in the units of the data: column r of
        every matrix makes component r.
    offset
        Added to the sum of components: the mean of the observed values, or zero.
    trajectory
        All runs, in standardized units.
    chosen
        Which of them had the smallest held-out error.
    train, heldout
        The observed entries trained on, and those held out.
    unobserved_slices
        Mode and index, both from 0, of every slice without an observed entry: what
        is completed there rests on nothing.
    """

    config: CompletionConfig
    factor_matrices: tuple[Values, ...]
    offset: float
    trajectory: Trajectory
    chosen: int
    train: Observations
    heldout: Observations
    unobserved_slices: list[tuple[int, int]]

    @property
    def run(self) -> Trajectory:
        """The chosen run, in standardized units."""
        return self.trajectory.run(self.chosen)

    def entries(self, indices: Indices) -> Values:
        """What the factorization says the entries at these indices are."""
        return self.offset + cp_entries(self.factor_matrices, indices)

    @property
    def model(self) -> CPFactorization:
        """The chosen factorization in the units of the data, without the offset."""
        with jax.enable_x64(True):
            return CPFactorization(tuple(map(jnp.asarray, self.factor_matrices)))

    def completed(self, observations: Observations) -> Values:
        """The whole tensor: observed entries as they came, the others completed."""
        with jax.enable_x64(True):
            tensor = self.offset + np.array(self.model.end_tensor())
        tensor[tuple(observations.indices.T)] = observations.values
        return tensor

    @property
    def component_norms(self) -> Values:
        """Norm of every component in the units of the data, largest first."""
        return cp_component_norms(self.factor_matrices)

    @property
    def rank(self) -> int:
        """Components whose norm is above a hundredth of the largest."""
        norms = self.component_norms
        return int(np.sum(norms > RISEN_SHARE * norms[0]))

    def errors(self) -> dict[str, float]:
        """Relative errors of train and held-out entries, raw and centered.

        Raw: norm of the residuals over norm of the values. Centered: over the norm of
        the values minus the mean of those trained on, the square root of one minus
        the explained variance; a guess of the mean has 1.
        """
        mean = float(np.mean(self.train.values))
        errors = {}
        for name, part in (("train", self.train), ("heldout", self.heldout)):
            residual = np.linalg.norm(self.entries(part.indices) - part.values)
            spread = np.linalg.norm(part.values - mean)
            # All held-out values can be zero; then there is no error relative to them.
            with np.errstate(divide="ignore", invalid="ignore"):
                relative = residual / np.linalg.norm(part.values)
                centered = residual / spread
            errors[f"{name}_relative_error"] = float(relative)
            errors[f"{name}_centered_error"] = float(centered)
        return errors


def run_completion(
    observations: Observations,
    config: CompletionConfig | None = None,
    *,
    source: Mapping[str, Any] | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> CompletionResult:
    """Complete a tensor from its observed entries; no rank is asked for.

    Parameters
    ----------
    source
        Where the observations come from (a path, a hash), stored with the settings.
    """
    config = config or CompletionConfig()
    _check_amount(observations)
    train, heldout = observations.split(config.heldout, seed=config.seed)
    standard = Standardization.fit(train.values, center=config.center)
    with precision(config.precision):
        loss = make_loss(config.loss, config.loss_threshold)
        problem = CompletionProblem.from_observations(standard.apply(train), loss)
        check = CompletionProblem.from_observations(standard.apply(heldout), loss)
        seeds = range(config.seed, config.seed + config.starts)
        runs = [(scale, seed) for scale in config.init_scales for seed in seeds]
        components = config.components or default_components(observations.mode_dims)
        trajectory = solve(
            problem,
            [
                near_zero(
                    observations.mode_dims,
                    components,
                    init_scale=scale,
                    key=jax.random.key(seed),
                )
                for scale, seed in runs
            ],
            make_solver(
                config.solver, config.learning_rate, config.batch_size, config.seed
            ),
            max_steps=config.steps,
            save_at=SaveAt.every(config.save_every),
            observables=standard_observables(problem, heldout=check),
            stop=Stop(flat_steps=config.flat_steps),
            select=HeldOutError.name,
            max_seconds=config.max_seconds,
            kept_components=config.kept_components,
            checkpoint=checkpoint,
            progress=progress,
            run_labels={
                "init_scale": [scale for scale, _ in runs],
                "start_seed": [seed for _, seed in runs],
            },
            settings={**config.model_dump(mode="json"), **(source or {})},
        )
    chosen = int(np.argmin([_smallest_error(run) for run in trajectory.runs()]))
    share = standard.scale ** (1 / observations.order)
    model: Any = trajectory.models[chosen]
    result = CompletionResult(
        config=config,
        factor_matrices=tuple(
            share * np.asarray(matrix, dtype=np.float64)
            for matrix in model.factor_matrices
        ),
        offset=standard.offset,
        trajectory=trajectory,
        chosen=chosen,
        train=train,
        heldout=heldout,
        unobserved_slices=observations.unobserved_slices(),
    )
    _warn(result)
    return result


def _smallest_error(run: Trajectory) -> float:
    errors = run.heldout_error
    # A diverged run may have measured NaN, which must not be chosen.
    return float(np.min(np.where(np.isfinite(errors), errors, np.inf)))


def _warn(result: CompletionResult) -> None:
    """Say what the errors cannot: where nothing was seen, and a poor fit."""
    slices = result.unobserved_slices
    if slices:
        mode, index = slices[0]
        others = f" and {len(slices) - 1} more" if len(slices) > 1 else ""
        logger.warning(
            "no entry is observed at index %d of mode %d%s (indices count from 0); "
            "entries there are guesses, near the offset.",
            index,
            mode + 1,
            others,
        )
    error = result.errors()["heldout_centered_error"]
    if error > _POOR_ERROR:
        logger.warning(
            "the held-out error about the mean is %.2f, so little was learned; try "
            "more --starts, other --init-scales or another --seed.",
            error,
        )


def _suspected_marker(observations: Observations) -> str:
    """Words on a value that looks as if it stood for missing, such as -999."""
    values, counts = np.unique(observations.values, return_counts=True)
    repeated = counts > max(1, len(observations) // 20)
    for place in (0, -1):
        if len(values) > 1 and repeated[place] and np.sum(repeated) == 1:
            return f" ({values[place]:g} occurs {counts[place]} times)"
    return ""


def _check_amount(observations: Observations) -> None:
    observed, entries = len(observations), observations.entry_count
    if observed == entries:
        raise InputError(
            f"All {entries} entries are observed, so there is nothing to complete"
            f"{_suspected_marker(observations)}; unobserved entries are NaN in an "
            "array, or absent from a list."
        )
    check_enough(observations)
