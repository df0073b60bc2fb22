"""The paper's second experiment: how low a CP rank suffices for a data set."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rankrise._errors import InputError
from rankrise.complexity import Control, RankCurve, rank_curve
from rankrise.data import LabelledSet, load_labelled_set
from rankrise.ensembles import FitProgress, LevenbergMarquardt, Training
from rankrise.experiments._choices import optax_optimizer
from rankrise.experiments._complexity_config import (
    LEARNING_RATE,
    SECOND_ORDER,
    ComplexityConfig,
)
from rankrise.experiments._precision import precision
from rankrise.solvers import Checkpoint


@dataclass(frozen=True, eq=False)
class ComplexityResult:
    """Errors by rank of one data set."""

    config: ComplexityConfig
    dataset: str
    source: str
    curve: RankCurve


def run_complexity(
    dataset: str,
    config: ComplexityConfig | None = None,
    *,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[Control, FitProgress], None] | None = None,
) -> ComplexityResult:
    """Fit predictors of every rank to a data set and its random twins.

    Parameters
    ----------
    dataset
        digits, mnist or fashion-mnist.
    """
    config = config or ComplexityConfig()
    samples = load_labelled_set(
        dataset,
        levels=config.levels,
        test_share=config.test_share,
        seed=config.seed,
    )
    classes = _classes(samples, config.classes)
    training = Training(
        optimizer=_optimizer(config),
        epochs=config.epochs,
        batch_size=config.batch_size,
        init_mean=config.init_mean,
        init_std=config.init_std,
        flat_epochs=config.flat_epochs,
        seed=config.seed,
    )
    with precision(config.precision):
        curve = rank_curve(
            samples.train,
            samples.train_labels,
            config.rank_list,
            test=(samples.test, samples.test_labels),
            controls=("real", *config.controls),
            classes=classes,
            seeds=config.seeds,
            training=training,
            progress=progress,
            checkpoint=checkpoint,
            settings={"dataset": dataset, **config.model_dump(mode="json")},
            max_seconds=config.max_seconds,
        )
    return ComplexityResult(config, dataset, samples.source, curve)


def _optimizer(config: ComplexityConfig) -> Any:
    if config.optimizer == SECOND_ORDER:
        return LevenbergMarquardt()
    return optax_optimizer(config.optimizer)(config.learning_rate or LEARNING_RATE)


def _classes(samples: LabelledSet, wanted: tuple[str, ...] | None) -> list[object]:
    there = {str(label): label for label in np.unique(samples.train_labels)}
    if wanted is None:
        return list(there.values())
    for name in wanted:
        if name not in there:
            raise InputError(
                f"There is no class {name}; the data have {', '.join(there)}."
            )
    return [there[name] for name in dict.fromkeys(wanted)]
