"""The main job: a partly observed tensor completes itself."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rankrise._errors import InputError
from rankrise._typing import Indices, Values
from rankrise.completion import (
    Completing,
    CompletingProgress,
    Completion,
    check_enough,
    complete_observations,
)
from rankrise.data import ModeAxis, Observations
from rankrise.experiments._choices import make_loss
from rankrise.experiments._completion_config import CompletionConfig
from rankrise.experiments._gradient_completion import complete_by_gradients
from rankrise.factorizations import CPFactorization
from rankrise.runs import Checkpoint, Progress
from rankrise.trajectories import Trajectory, save_factors

# About the mean: a guess of the mean has an error of 1.
_POOR_ERROR = 0.5
# Times the median deviation from the median.
_OUTLYING = 1000
# A value that stands for missing occurs so often, beside so many others at least.
_REPEATED, _FEWEST_DIFFERENT = 3, 10

logger = logging.getLogger("rankrise")


@dataclass(frozen=True, eq=False)
class CompletionResult:
    """A completed tensor, and how it was found.

    Attributes
    ----------
    completion
        Entries, their standard deviations, components.
    trajectory
        All runs of a gradient method, in standardized units; None for `alternating`.
    chosen
        Which of them had the smallest held-out error.
    axes
        What the modes and their indices are called; empty where they have no names.
    """

    config: CompletionConfig
    completion: Completion
    trajectory: Trajectory | None = None
    chosen: int = 0
    axes: tuple[ModeAxis, ...] = ()

    def axis(self, mode: int) -> ModeAxis:
        """What a mode, counted from 0, and its indices are called."""
        return self.axes[mode] if self.axes else ModeAxis()

    @property
    def run(self) -> Trajectory:
        """The chosen run, in standardized units."""
        if self.trajectory is None:
            raise InputError(
                f"The method {self.config.method} has no trajectory; its path is "
                "`completion.reference.path`."
            )
        return self.trajectory.runs()[self.chosen]

    @property
    def result(self) -> str:
        """How it ended: `finished`, `interrupted`, ..."""
        if self.trajectory is None:
            return self.completion.result
        return self.trajectory.result

    @property
    def factor_matrices(self) -> tuple[Values, ...]:
        """Of the reference model, in the units of the data: a column a component."""
        return self.completion.reference.factor_matrices

    @property
    def offset(self) -> float:
        """Added to the sum of components: the mean of the observed values, or zero."""
        return self.completion.reference.baseline.offset

    @property
    def model(self) -> CPFactorization:
        """The reference model in the units of the data, without the offset."""
        with jax.enable_x64(True):
            return CPFactorization(tuple(map(jnp.asarray, self.factor_matrices)))

    def entries(self, indices: Indices) -> Values:
        """What the models say the entries at these indices are."""
        return self.completion.entries(indices)

    def completed(self) -> Values:
        """The whole tensor: observed entries as they came, the others completed."""
        return self.completion.completed()

    def save_factors(self, folder: FilePath) -> FilePath:
        """Write `factors.npz`: all models, the reference first, with their offsets.

        Main effects of mode n, if there are any, are in `effects_n`, a row a model.
        """
        reference = self.completion.reference
        others = [each for each in self.completion.members if each is not reference]
        members = [reference, *others]
        labels: dict[str, Any] = {
            "offset": [member.baseline.offset for member in members]
        }
        for number, effects in enumerate(
            zip(*(member.baseline.effects for member in members), strict=True), start=1
        ):
            labels[f"effects_{number}"] = np.stack(effects)
        with jax.enable_x64(True):
            models = [
                CPFactorization(tuple(map(jnp.asarray, member.factor_matrices)))
                for member in members
            ]
        return save_factors(folder / "factors.npz", models, labels)

    @property
    def component_norms(self) -> Values:
        """Norm of every component in the units of the data, largest first."""
        return self.completion.component_norms

    @property
    def rank(self) -> int:
        """Components whose norm is above a hundredth of the largest."""
        return self.completion.rank

    def errors(self) -> dict[str, float]:
        """Errors of single models on entries they were shown, and were not shown."""
        return self.completion.errors()


def run_completion(
    observations: Observations,
    config: CompletionConfig | None = None,
    *,
    source: Mapping[str, Any] | None = None,
    axes: tuple[ModeAxis, ...] = (),
    checkpoint: Checkpoint | None = None,
    progress: Callable[[Progress | CompletingProgress], None] | None = None,
) -> CompletionResult:
    """Complete a tensor from its observed entries; no rank is asked for.

    Parameters
    ----------
    source
        Where the observations come from (a path, a hash), stored with the settings.
    axes
        What the modes and their indices are called, for warnings and pictures.
    """
    config = config or CompletionConfig()
    _check_amount(observations)
    if config.method == "alternating":
        completion = complete_observations(
            observations,
            completing_of(config),
            checkpoint=checkpoint,
            progress=progress,
        )
        result = CompletionResult(config, completion, axes=axes)
    else:
        found = complete_by_gradients(
            observations,
            config,
            completing_of(config),
            source=source,
            checkpoint=checkpoint,
            progress=progress,
        )
        result = CompletionResult(config, *found, axes=axes)
    _warn(result)
    return result


def completing_of(config: CompletionConfig) -> Completing:
    """The same settings for practical completion."""
    return Completing(
        models=config.seeds,
        heldout=config.heldout,
        heldout_share=config.heldout_share,
        loss=make_loss(config.loss, config.loss_threshold),
        smooth=config.smooth,
        non_negative=config.non_negative,
        center=config.center,
        main_effects=config.main_effects,
        max_components=config.max_components,
        max_seconds=config.max_seconds,
        seed=config.seed,
    )


def _warn(result: CompletionResult) -> None:
    """Say what the errors cannot: where nothing was seen, and a poor fit."""
    slices = result.completion.unobserved_slices
    if slices:
        mode, index = slices[0]
        rest = len(slices) - 1
        others = f" (and in {rest} other slice{'s'[: rest > 1]})" if rest else ""
        logger.warning(
            "no entry is observed at %s%s; entries there stay empty.",
            result.axis(mode).place(index, mode),
            others,
        )
    if _warn_of_marker(result.completion.observations):
        return
    _warn_of_outlier(result)
    error = result.completion.typical_error()
    if error > _POOR_ERROR:
        advice = (
            "the gaps may not be guessed from the rest"
            if result.config.method == "alternating"
            else "try more --seeds, other --init-scales, another --seed or --method "
            "alternating"
        )
        logger.warning(
            "the held-out error about the mean is %.2f, so little was learned; %s.",
            error,
            advice,
        )


def _warn_of_outlier(result: CompletionResult) -> None:
    """Say where one value outweighs all others, which a squared loss then follows."""
    if result.config.loss != "squared":
        return
    observations = result.completion.observations
    values = observations.values
    deviations = np.abs(values - np.median(values))
    largest = int(np.argmax(deviations))
    typical = float(np.median(deviations))
    if typical > 0 and deviations[largest] > _OUTLYING * typical:
        indices = observations.indices[largest].tolist()
        labels = [result.axis(m).label(index) for m, index in enumerate(indices)]
        logger.warning(
            "the value %g at (%s) is %.0f times as far from the median as is usual; "
            "if it is an error, remove it (--loss huber keeps it from moving others).",
            values[largest],
            ", ".join(labels),
            deviations[largest] / typical,
        )


def _warn_of_marker(observations: Observations) -> bool:
    """Say whether a value far from all others repeats, as one for missing does."""
    values, counts = np.unique(observations.values, return_counts=True)
    if len(values) < _FEWEST_DIFFERENT:
        return False
    for marker, count, rest in (
        (values[0], counts[0], values[1:]),
        (values[-1], counts[-1], values[:-1]),
    ):
        gap = np.min(np.abs(rest - marker))
        if count >= _REPEATED and gap > rest[-1] - rest[0]:
            logger.warning(
                "the value %g occurs %d times, far from all others; if it stands for "
                "missing, replace it by NaN or leave it out.",
                marker,
                count,
            )
            return True
    return False


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
