"""Train the models of an estimator as one ensemble."""

import functools as ft
import itertools as it
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax
from jaxtyping import Array, Float
from sklearn.exceptions import ConvergenceWarning

from rankrise._checks import check_whole
from rankrise._errors import InputError
from rankrise.ensembles import (
    EnsembleFit,
    FitProgress,
    LevenbergMarquardt,
    Member,
    Samples,
    Training,
    check_memory,
    fit_ensemble,
)
from rankrise.estimators._product_sums import ProductSums
from rankrise.losses import AbstractLoss
from rankrise.runs import Ending, showing
from rankrise.tables import CategoricalData

FloatArray = npt.NDArray[np.floating]

# Where the targets are centred, so that a start of positive factors fits.
START = 1.0
# Sample counts below this are padded up to it, and tables of few levels to these, so
# that fits of small tables share one compilation.
_SAMPLES, _VALUES = 256, 16
# The target of rows that only pad; real ones are of order one.
_PADDING = 1e30
_EPOCHS = {True: 40, False: 400}
_BATCH_SIZES = {True: 5000, False: 200}


class CountedLoss(eqx.Module, AbstractLoss):
    """A loss of predictions less an offset, which leaves out rows that only pad.

    Attributes
    ----------
    scale
        All rows divided by those that count, since a mean is taken over all.
    """

    loss: AbstractLoss = eqx.field(static=True)
    offset: Float[Array, ""]
    scale: Float[Array, ""]

    def __call__(
        self, predictions: Float[Array, "*m"], values: Float[Array, "*m"]
    ) -> Float[Array, "*m"]:
        counts = values < _PADDING / 2
        losses = self.loss(predictions - self.offset, jnp.where(counts, values, 0))
        return jnp.where(counts, self.scale * losses, 0)


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """What an estimator was asked for, checked."""

    n_components: int
    init_mean: float | None
    init_std: float
    optimizer: optax.GradientTransformation | LevenbergMarquardt
    max_iter: int
    batch_size: int
    seed: int

    @classmethod
    def of(cls, estimator: Any, seed: int) -> "FitSettings":
        """The settings of an estimator, with defaults filled in."""
        optimizer = _optimizer(estimator.optimizer)
        second_order = isinstance(optimizer, LevenbergMarquardt)
        defaults = {
            "n_components": None,
            "max_iter": _EPOCHS[second_order],
            "batch_size": _BATCH_SIZES[second_order],
        }
        mean = estimator.init_mean
        return cls(
            init_mean=None if mean is None else float(mean),
            init_std=float(estimator.init_std),
            optimizer=optimizer,
            seed=seed,
            **{name: _count(estimator, name, each) for name, each in defaults.items()},
        )

    @property
    def remedy(self) -> str:
        """What to do where training diverged."""
        if isinstance(self.optimizer, LevenbergMarquardt):
            # It chooses its steps, so only a start can be too large for it.
            return "start from a smaller init_mean or init_std"
        return "lower the learning rate, as in optimizer=optax.adam(1e-3)"


def _count(estimator: Any, name: str, default: int | None) -> int:
    number: Any = getattr(estimator, name)
    if number is None:
        number = default
    check_whole(name, number, 1)
    return int(number)


@dataclass(frozen=True, eq=False)
class Course:
    """Where training starts, and which samples each of its steps takes, if given.

    Attributes
    ----------
    start
        For every feature: model, level, component.
    batches
        Rows of the samples learned from.
    """

    start: Sequence[FloatArray] | None = None
    batches: Iterable[npt.ArrayLike] | None = None


@dataclass(frozen=True, eq=False)
class Fitted:
    """Tables as they are coded, and the training loss of every epoch."""

    tables: tuple[FloatArray, ...]
    epochs: int
    loss_curve: FloatArray


@dataclass(frozen=True, eq=False)
class Task:
    """What is learned: one column of targets a model, near one on average.

    Attributes
    ----------
    mean
        Mean of what the models say at the start, where `init_mean` does not say it.
    offset
        What the loss takes from their predictions.
    """

    targets: FloatArray
    loss: AbstractLoss
    mean: float
    offset: float = 0.0

    def rows(self, data: CategoricalData, rows: Any) -> Samples:
        """Some of the samples."""
        codes = CategoricalData(data.codes[rows], data.cardinalities, data.order)
        return Samples(codes, self.targets[rows])


def fit_models(
    data: CategoricalData,
    task: Task,
    settings: FitSettings,
    *,
    train: Any,
    validation: Any = None,
    course: Course | None = None,
    progress: bool = False,
) -> Fitted:
    """Train one model a column of the targets.

    Parameters
    ----------
    train, validation
        Rows to learn from, and others whose loss decides which epoch is taken.

    Raises
    ------
    KeyboardInterrupt
        Where training was interrupted, between two epochs.

    Warns
    -----
    ConvergenceWarning
        Where a model diverged; then the epoch of the lowest loss is taken.
    """
    fit = _Fitting(data, task, settings, train, validation, course or Course())
    best = None if validation is None else _Best()
    found = fit.run(settings.max_iter, best, progress)
    tables, epochs = found.tables, len(found.train_losses)
    diverged = Ending.DIVERGED in found.endings
    if best is not None:
        tables, epochs = best.tables, best.epoch
    elif diverged:
        # Every epoch's shuffling has its own key, so this is the same course again.
        epochs = max(1, _lowest(found.train_losses.mean(axis=1)))
        tables = fit.run(epochs).tables
    if epochs == 0 or not all(np.isfinite(table).all() for table in tables):
        raise InputError(f"Training diverged in the first epoch; {settings.remedy}.")
    if diverged:
        warnings.warn(
            f"Training diverged; the factors are those after epoch {epochs}, where the "
            f"loss was lowest. To train on, {settings.remedy}.",
            ConvergenceWarning,
            stacklevel=3,
        )
    return Fitted(tables, epochs, found.train_losses[:epochs].mean(axis=1))


class _Best:
    """Keeps the models of the epoch with the lowest validation loss.

    It does not stop training: models rest on plateaus before they fall on.
    """

    def __init__(self) -> None:
        self._loss = np.inf
        self.epoch = 0
        self.tables: tuple[FloatArray, ...] = ()

    def __call__(self, progress: FitProgress) -> None:
        loss = float(np.mean(progress.test_losses))
        if loss < self._loss:
            self._loss, self.epoch = loss, progress.epoch
            self.tables = progress.tables()


class _Fitting:
    """The samples as an ensemble takes them."""

    def __init__(
        self,
        data: CategoricalData,
        task: Task,
        settings: FitSettings,
        train: Any,
        validation: Any,
        course: Course,
    ) -> None:
        data = _with_values(data)
        samples = task.rows(data, train)
        count = samples.data.samples
        # Given batches may name no row that only pads.
        if count < _SAMPLES <= settings.batch_size and course.batches is None:
            samples = _padded(samples, _SAMPLES)
        self._train = samples
        self._test = None if validation is None else task.rows(data, validation)
        self._members = [
            Member(settings.n_components, task=column, seed=settings.seed)
            for column in range(task.targets.shape[1])
        ]
        mean = settings.init_mean
        if mean is None:
            mean = (task.mean / settings.n_components) ** (1 / data.features)
        self._batches = course.batches
        self._training = Training(
            optimizer=settings.optimizer,
            loss_function=CountedLoss(
                task.loss,
                jnp.asarray(task.offset, float),
                jnp.asarray(samples.data.samples / count, float),
            ),
            epochs=settings.max_iter,
            batch_size=settings.batch_size,
            init_mean=float(mean),
            init_std=settings.init_std,
            seed=settings.seed,
            start=course.start and ProductSums(tuple(course.start)).tables(data),
            batches=course.batches,
        )
        check_memory(
            samples.data,
            None if self._test is None else self._test.data,
            self._members,
            self._training,
            remedy="lower n_components, n_levels or batch_size",
        )

    def run(
        self, epochs: int, best: _Best | None = None, progress: bool = False
    ) -> EnsembleFit:
        """The models after so many epochs; `best` is told of each of them."""
        measured = 1 if self._test is not None else epochs
        batches: Iterable[npt.ArrayLike] | None = None
        if self._batches is not None:
            # A second run after one that diverged takes the same.
            self._batches, batches = it.tee(self._batches)
        training = replace(
            self._training, epochs=epochs, measure_every=measured, batches=batches
        )
        with showing(progress) as show:

            def tell(at: FitProgress) -> None:
                for each in (best, show):
                    if each is not None:
                        each(at)

            return fit_ensemble(
                self._train, self._members, training, test=self._test, progress=tell
            )


def _with_values(data: CategoricalData) -> CategoricalData:
    if data.samples * data.features > _SAMPLES * _VALUES:
        values = max(data.values, 2)
    else:
        values = max(_VALUES, 1 << (data.values - 1).bit_length())
    cardinalities = (min(values, 256),) * data.features
    return CategoricalData(data.codes, cardinalities, data.order)


def _padded(samples: Samples, count: int) -> Samples:
    """Copies of the first sample, which are no samples beyond what models know."""
    more = count - samples.data.samples
    codes = np.concatenate(
        [samples.data.codes, np.repeat(samples.data.codes[:1], more, 0)]
    )
    targets = np.pad(samples.targets, ((0, more), (0, 0)), constant_values=_PADDING)
    data = CategoricalData(codes, samples.data.cardinalities, samples.data.order)
    return Samples(data, targets)


def _lowest(losses: FloatArray) -> int:
    return int(np.argmin(np.where(np.isfinite(losses), losses, np.inf)))


def _optimizer(
    optimizer: Any,
) -> optax.GradientTransformation | LevenbergMarquardt:
    if isinstance(optimizer, optax.GradientTransformation | LevenbergMarquardt):
        return optimizer
    if optimizer == "levenberg-marquardt":
        return LevenbergMarquardt()
    if optimizer == "adam":
        return _adam()
    raise InputError(
        f"optimizer is {optimizer!r}; give 'levenberg-marquardt', 'adam' or a gradient "
        "transformation of optax."
    )


@ft.cache
def _adam() -> optax.GradientTransformation:
    # Made once: another one would compile anew.
    return optax.adam(1e-2)
