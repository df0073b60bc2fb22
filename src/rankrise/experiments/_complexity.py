"""The paper's second experiment: how low a CP rank suffices for a data set."""

import functools as ft
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rankrise._defaults import (
    EPOCHS,
    LEARNING_RATE,
    QUICK_EPOCHS,
    SECOND_ORDER_STEPS,
)
from rankrise._devices import Devices
from rankrise.complexity import (
    SPLITS,
    Control,
    RankCurve,
    SmallestRank,
    rank_curve_of,
)
from rankrise.drawing import Drawing, Plotted
from rankrise.ensembles import (
    FitProgress,
    LevenbergMarquardt,
    Training,
    quick_training,
    suits_quick_training,
)
from rankrise.experiments._complexity_config import (
    QUICK,
    SECOND_ORDER,
    ComplexityConfig,
)
from rankrise.experiments._precision import precision
from rankrise.runs import Checkpoint, Ending, Pool, ShowProgress
from rankrise.solvers import optax_optimizer
from rankrise.tables import (
    CategoricalData,
    LabelledSet,
    TableColumns,
    load_labelled_folds,
)


@dataclass(frozen=True, eq=False)
class ComplexityResult(Plotted):
    """Errors by rank of one data set.

    Attributes
    ----------
    dataset
        Its name, or that of its file.
    data
        Its samples as they are split first.
    """

    config: ComplexityConfig
    dataset: str
    data: LabelledSet
    curve: RankCurve

    def drawing(self) -> Drawing:
        """Errors by rank, of the data and of random controls: `train` and `test`."""
        return self.curve.drawing()._replace(title=self.dataset)

    def __repr__(self) -> str:
        return f"<ComplexityResult of {self.dataset}\n {self.curve}>"

    @property
    def ending(self) -> Ending:
        """How the worst of all models ended."""
        return self.curve.ending

    @property
    def optimizer(self) -> str:
        """The optimizer by which models were trained, also where none was named."""
        return _optimizer_name(self.config, self.data.train)

    @property
    def smallest_ranks(self) -> list[SmallestRank]:
        """For every error that is asked for, split and control."""
        return [
            self.curve.smallest_rank(error, control, split)
            for error in self.config.error
            for split in SPLITS
            for control in self.curve.controls
        ]


def load_samples(
    dataset: str | Path, config: ComplexityConfig
) -> tuple[LabelledSet, ...]:
    """The samples that `run_complexity` would fit to, fold by fold."""
    return load_labelled_folds(
        dataset,
        columns=TableColumns(
            target=config.target,
            features=config.features,
            drop=config.drop,
            categories=config.categories,
        ),
        target_kind=config.target_kind,
        levels=config.levels,
        folds=config.folds,
        test_share=config.test_share,
        seed=config.seed,
    )


def run_complexity(
    dataset: str | Path,
    config: ComplexityConfig | None = None,
    *,
    data: LabelledSet | tuple[LabelledSet, ...] | None = None,
    checkpoint: Checkpoint | None = None,
    progress: ShowProgress | Callable[[Control, FitProgress], None] = None,
    pool: Pool | None = None,
    devices: Devices = None,
) -> ComplexityResult:
    """Fit predictors of every rank to a data set and to random controls.

    Parameters
    ----------
    dataset
        digits, mnist or fashion-mnist, or a `.csv`, `.npz` or `.parquet` table.
    data
        Its samples, if they have been loaded: one split or several, its folds.
    pool
        Processes that fit the data and each of their controls, fold by fold.
    devices
        How many devices share the components, or "all"; see `fit_ensemble`.
    """
    config = config or ComplexityConfig()
    data = data or load_samples(dataset, config)
    splits = (data,) if isinstance(data, LabelledSet) else data
    training = _training(config, splits[0].train)
    settings = {
        "dataset": str(dataset),
        "sha256": splits[0].content_sha256,
        **config.model_dump(mode="json"),
    }
    with precision(config.precision):
        curve = rank_curve_of(
            splits,
            None if config.ranks is None else config.rank_list,
            controls=config.control_list,
            classes=config.classes,
            seeds=config.seeds,
            training=training,
            progress=progress,
            checkpoint=checkpoint,
            settings=settings,
            max_seconds=config.max_seconds,
            pool=pool,
            devices=devices,
        )
    first = splits[0]
    name = str(dataset) if first.content_sha256 is None else Path(dataset).name
    return ComplexityResult(config, name, first, curve)


def _training(config: ComplexityConfig, data: CategoricalData) -> Training:
    """How models of these samples are trained."""
    base = _by_optimizer(config, data)
    return replace(
        base,
        batch_size=config.batch_size or base.batch_size,
        init_mean=base.init_mean if config.init_mean is None else config.init_mean,
        init_std=config.init_std,
        flat_epochs=config.flat_epochs,
        seed=config.seed,
    )


def _by_optimizer(config: ComplexityConfig, data: CategoricalData) -> Training:
    name = _optimizer_name(config, data)
    if name == QUICK:
        epochs = config.epochs or QUICK_EPOCHS
        return quick_training(data, epochs=epochs, batch_size=config.batch_size)
    if name == SECOND_ORDER:
        method: Any = LevenbergMarquardt()
        return Training(optimizer=method, epochs=config.epochs or SECOND_ORDER_STEPS)
    method = _of_optax(name, config.learning_rate or LEARNING_RATE)
    return Training(optimizer=method, epochs=config.epochs or EPOCHS)


def _optimizer_name(config: ComplexityConfig, data: CategoricalData) -> str:
    if config.optimizer is not None:
        return config.optimizer
    return QUICK if suits_quick_training(data) else SECOND_ORDER


@ft.cache
def _of_optax(name: str, learning_rate: float) -> Any:
    # One object, for each new one would be compiled for anew.
    return optax_optimizer(name)(learning_rate)
