"""Train an ensemble: chunks of epochs, models that end, checkpoints, interrupts."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from rankrise._compiling import prepare
from rankrise._devices import Devices, across, agreed, on_all
from rankrise._errors import InputError
from rankrise.drawing import Drawing, Plotted
from rankrise.ensembles._columns_apart import check_columns_apart
from rankrise.ensembles._ensemble import (
    Course,
    Member,
    Models,
    side_by_side,
)
from rankrise.ensembles._fingerprint import fingerprint
from rankrise.ensembles._levenberg_marquardt import LevenbergMarquardt
from rankrise.ensembles._programs import Programs
from rankrise.ensembles._starts import Batches, start_tables
from rankrise.ensembles._training import Start, Training
from rankrise.runs import Arrays, Checkpoint, Ending, ShowProgress, Watch, showing
from rankrise.tables import CategoricalData
from rankrise.tensors.files import loaded_result

FloatArray = npt.NDArray[np.floating]

_MOST_EPOCHS = 64
_CHUNK_SECONDS = 1.0


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples with one column of targets a task."""

    data: CategoricalData
    targets: FloatArray

    def __post_init__(self) -> None:
        if self.targets.ndim != 2 or len(self.targets) != self.data.samples:
            raise InputError(
                f"The targets have shape {self.targets.shape} for {self.data.samples} "
                "samples; give one row a sample and one column a task."
            )
        if not np.isfinite(self.targets).all():
            raise InputError("A target is not finite; leave its sample out.")


@dataclass(frozen=True, eq=False)
class EnsembleFit(Plotted):
    """Trained models, in the order of the members.

    Attributes
    ----------
    tables
        For each model the factors: value, mode, component; values as they are coded.
    train_losses
        One row an epoch: mean over its batches before each update, or with
        `LevenbergMarquardt` the loss after the step; NaN after a model's end.
    test_epochs, test_losses
        When test losses were measured, and one row for each time; NaN after a model's
        end.
    epochs, endings
        How many each model was trained for, and how that ended: `stopped` at the last
        epoch, `converged` where the loss became flat.
    """

    members: tuple[Member, ...]
    tables: tuple[FloatArray, ...]
    train_losses: FloatArray
    test_epochs: npt.NDArray[np.integer]
    test_losses: FloatArray
    epochs: tuple[int, ...]
    endings: tuple[Ending, ...]
    seconds_compile: float
    seconds_run: float

    def drawing(self) -> Drawing:
        """Losses by epoch, a line a model: `train` and, where measured, `test`."""
        from rankrise.ensembles._fit_plot import draw_fit

        return draw_fit(self)

    def to_dataset(self) -> Any:
        """An xarray.Dataset of `train_loss` and `test_loss` by epoch and model.

        Beside them `epochs` and `ending` of every model, and which `components`, `task`
        and `seed` it has. Factors differ in size and are in `tables` alone.
        """
        from rankrise.ensembles._saved_fit import fit_dataset

        return fit_dataset(self)

    def save(self, path: Path | str) -> Path:
        """Write one `.npz` file, atomically, that `rankrise.load` reads."""
        from rankrise.ensembles._saved_fit import save_fit

        return save_fit(self, path)

    @classmethod
    def load(cls, path: Path | str) -> "EnsembleFit":
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If the file is something else, or damaged.
        """
        from rankrise.ensembles._saved_fit import KIND, fit_fields

        with loaded_result(path, KIND) as (_, facts, arrays):
            return cls(**fit_fields(facts, arrays))

    def __repr__(self) -> str:
        last = [self.train_losses[e - 1, k] for k, e in enumerate(self.epochs) if e]
        losses = f", training losses {min(last):.3g} to {max(last):.3g}" if last else ""
        return (
            f"EnsembleFit({len(self.members)} models, {max(self.epochs)} epochs"
            f"{losses}, {Ending.worst(self.endings)})"
        )


@dataclass(frozen=True)
class FitProgress:
    """How far an ensemble is; given to `progress` between chunks of epochs.

    Attributes
    ----------
    test_losses
        Test loss of every model, when they were last measured.
    tables
        Copies of the models as they are.
    """

    epoch: int
    epochs: int
    running: int
    losses: tuple[float, ...]
    test_losses: tuple[float, ...]
    tables: Callable[[], tuple[FloatArray, ...]]

    @property
    def share(self) -> float:
        """What is done of the epochs."""
        return self.epoch / self.epochs

    @property
    def words(self) -> str:
        """Where the models are, for a person to read."""
        at = f"epoch {self.epoch} of {self.epochs}"
        models = f"{self.running} model{'s' if self.running != 1 else ''} in training"
        if not self.losses:
            return f"{at}, {models}"
        return f"{at}, {models}, mean loss {np.mean(self.losses):.3g}"


def fit_ensemble(
    train: Samples,
    members: Sequence[Member],
    training: Training | None = None,
    *,
    test: Samples | None = None,
    start: Start | None = None,
    batches: Iterable[npt.ArrayLike] | None = None,
    progress: ShowProgress | Callable[[FitProgress], None] = None,
    checkpoint: Checkpoint | None = None,
    settings: Mapping[str, Any] | None = None,
    max_seconds: float | None = None,
    devices: Devices = None,
) -> EnsembleFit:
    """Train all members on the same samples as columns of one table.

    Parameters
    ----------
    start, batches
        Instead of those of `training`, which says what they are.
    progress
        As for `solve`; a function is called between chunks of epochs, and whenever test
        losses were measured.
    settings
        Kept with a checkpoint, which is resumed only under the same, and with the same
        members, samples and training. What an optimizer of optax was made with cannot
        be read from it: name it here.
    max_seconds
        Time limit, anew each time the fit is resumed and compiling included, that
        ends it after the epochs in which it is passed.
    devices
        As for `solve`: every device has a share of the components of all models.

    Raises
    ------
    InputError
        Where the checkpoint is of another fit, a member's task is not there, an
        optimizer's updates of one model depend on the others, samples for testing
        are coded otherwise than those for training, a start has another shape than
        its model, or batches name rows that are not there or end too early.

    Notes
    -----
    A model does not depend on which others are trained beside it, but for rounding.
    Columns of models that ended are dropped when a quarter of all did.
    """
    if not members:
        raise InputError("There is no model to train; give at least one member.")
    prepare()
    training = training or Training()
    if start is not None:
        training = replace(training, start=start)
    if batches is not None:
        training = replace(training, batches=batches)
    with across(devices):
        fit = _Fit(train, tuple(members), training, test)
        with showing(progress) as report:
            return fit.run(report, checkpoint, dict(settings or {}), max_seconds)


class _Fit:
    """The host's side of training."""

    def __init__(
        self,
        train: Samples,
        members: tuple[Member, ...],
        training: Training,
        test: Samples | None,
    ) -> None:
        _check_tasks(train, members)
        if test is not None:
            _check_alike(train, test)
        self._members, self._training = members, training
        self._optimizer = training.method
        self._samples = train, test
        self._programs = Programs(train, test, training)
        self._batches = None
        if training.batches is not None:
            self._batches = Batches(
                training.batches,
                train.data.samples,
                self._programs.batch,
                _MOST_EPOCHS,
            )
        dtype = np.dtype(jnp.zeros(0).dtype)
        self._tables = start_tables(train, members, training, dtype)
        self._start = self._tables
        self._endings: list[Ending | None] = [None] * len(members)
        self._ended = np.zeros(len(members), np.int64)
        self._train_losses = np.full((training.epochs, len(members)), np.nan, dtype)
        self._test_losses: list[FloatArray] = []
        self._test_epochs: list[int] = []
        self._epoch = 0
        self._seconds = 0.0
        self._seconds_compile = 0.0
        self._compiled: set[tuple[int, ...]] = set()
        self._active = np.arange(len(members))
        self._models, self._table = self._side_by_side()
        self._state = self._optimizer.init(self._table)
        if not isinstance(self._optimizer, LevenbergMarquardt):
            check_columns_apart(self._optimizer, self._table, self._state)

    def _side_by_side(self) -> tuple[Models, jax.Array]:
        return side_by_side(
            [self._tables[k] for k in self._active],
            [self._members[k].task for k in self._active],
        )

    def run(
        self,
        progress: Callable[[FitProgress], None] | None,
        checkpoint: Checkpoint | None,
        settings: dict[str, Any],
        max_seconds: float | None,
    ) -> EnsembleFit:
        """Train until every model ended."""

        def wanted() -> dict[str, Any]:
            facts = fingerprint(
                self._members, self._training, self._state, self._start, *self._samples
            )
            return {"settings": settings, **facts}

        with Watch(
            checkpoint=checkpoint, fingerprint=wanted, max_seconds=max_seconds
        ) as watch:
            if (saved := watch.load()) is not None:
                self._restore(*saved)
            # At least one epoch, however short the time is.
            ending, budget = None, 1
            while self._running and ending is None:
                budget = self._advance(budget)
                if self._is_stop:
                    self._end_models()
                if progress is not None:
                    progress(self._progress())
                if self._is_stop:
                    self._drop_ended()
                ending = watch.ending()
                if ending is None and watch.is_due:
                    watch.save(*self._packed())
            # A study of several ensembles, resumed, does not train this one again.
            watch.save(*self._packed())
        return self._result(ending)

    @property
    def _running(self) -> bool:
        return any(ending is None for ending in self._endings)

    @property
    def _is_stop(self) -> bool:
        """Whether every run comes to this epoch between two chunks.

        Models end only here, for where other chunks end is up to the clock, and which
        columns stand side by side decides on rounding.
        """
        return self._is_measured or self._epoch % _MOST_EPOCHS == 0

    @property
    def _is_measured(self) -> bool:
        """Whether test losses are measured after this epoch."""
        training = self._training
        at_the_end = self._epoch == training.epochs
        return at_the_end or self._epoch % training.measure_every == 0

    def _advance(self, budget: int) -> int:
        """Some epochs; how many to take next."""
        training = self._training
        every = training.measure_every
        epochs = min(
            budget,
            _MOST_EPOCHS - self._epoch % _MOST_EPOCHS,
            training.epochs - self._epoch,
            every - self._epoch % every,
        )
        course = Course(
            *self._programs.train,
            self._models,
            jax.random.key(training.seed),
            jnp.asarray(self._epoch, jnp.int32),
            jnp.asarray(epochs, jnp.int32),
            self._optimizer,
            training.loss_function,
            self._programs.batch,
            _MOST_EPOCHS,
            jnp.asarray(self._samples[0].data.samples, jnp.int32),
            self._given_batches(epochs),
        )
        began = time.monotonic()
        compiling = self._compile(course)
        self._seconds_compile += compiling
        self._table, self._state, losses = self._programs.train_epochs(
            *on_all((course, self._table, self._state))
        )
        places = self._running_places()
        rows = slice(self._epoch, self._epoch + epochs)
        self._train_losses[rows, self._active[places]] = np.asarray(losses)[
            :epochs, places
        ]
        self._epoch += epochs
        if self._is_measured:
            self._measure()
        seconds = time.monotonic() - began - compiling
        self._seconds += seconds
        # A coarse clock may see no time pass.
        fitting = round(epochs * _CHUNK_SECONDS / max(seconds, 1e-4))
        return agreed(max(1, min(_MOST_EPOCHS, fitting)))

    def _given_batches(self, epochs: int) -> jax.Array | None:
        if self._batches is None:
            return None
        return jnp.asarray(self._batches.take(self._epoch, epochs))

    def _running_places(self) -> npt.NDArray[np.integer]:
        """Where in the table models are that have not ended."""
        return np.flatnonzero([self._endings[k] is None for k in self._active])

    def _compile(self, course: Course) -> float:
        """Compile for this number of columns, if it is new; the seconds it took."""
        shape = (*self._table.shape, *self._models.membership.shape)
        if shape in self._compiled:
            return 0.0
        began = time.monotonic()
        still = eqx.tree_at(lambda c: c.epochs, course, jnp.zeros((), jnp.int32))
        copies = jax.tree.map(jnp.copy, (self._table, self._state))
        jax.block_until_ready(self._programs.train_epochs(*on_all((still, *copies))))
        if self._programs.is_measured:
            jax.block_until_ready(self._measured())
        self._compiled.add(shape)
        return time.monotonic() - began

    def _measured(self) -> jax.Array:
        return self._programs.test_losses(self._models, self._table)

    def _measure(self) -> None:
        if not self._programs.is_measured:
            return
        losses = np.full(len(self._members), np.nan, self._table.dtype)
        places = self._running_places()
        found = np.asarray(self._measured())
        losses[self._active[places]] = found[places]
        self._test_losses.append(losses)
        self._test_epochs.append(self._epoch)

    def _end_models(self) -> None:
        """Take note of models that are done, with their tables."""
        for member, columns in self._columns():
            if self._endings[member] is not None:
                continue
            ending, ended = self._verdict(self._train_losses[: self._epoch, member])
            if ending is None:
                continue
            self._tables[member] = np.asarray(self._table)[..., columns].copy()
            self._train_losses[ended : self._epoch, member] = np.nan
            self._forget_test_losses(member, ended)
            self._endings[member], self._ended[member] = ending, ended

    def _forget_test_losses(self, member: int, ended: int) -> None:
        """One that diverged had ended before they were measured."""
        for epoch, losses in zip(self._test_epochs, self._test_losses, strict=True):
            if epoch > ended:
                losses[member] = np.nan

    def _verdict(self, losses: FloatArray) -> tuple[Ending | None, int]:
        """What ended a model with these losses, and after how many epochs."""
        finite = np.isfinite(losses)
        if not finite.all():
            return Ending.DIVERGED, int(np.argmin(finite)) + 1
        if len(losses) == self._training.epochs:
            return Ending.STOPPED, len(losses)
        if self._is_measured and self._training.is_flat(losses):
            return Ending.CONVERGED, len(losses)
        return None, len(losses)

    def _drop_ended(self) -> None:
        """Leave out the columns of models that ended, if they are many."""
        running = np.array([self._endings[k] is None for k in self._active])
        widths = np.array([self._members[k].components for k in self._active])
        if not running.any() or widths[~running].sum() * 4 < widths.sum():
            return
        columns = np.flatnonzero(np.repeat(running, widths))
        self._active = self._active[running]
        self._tables_from(np.asarray(self._table)[..., columns])
        self._models, self._table = self._side_by_side()
        room = self._table.shape[-1] - len(columns)

        def kept(leaf: jax.Array) -> jax.Array:
            if leaf.ndim == 0:
                return leaf
            return jnp.pad(leaf[..., columns], [(0, 0)] * (leaf.ndim - 1) + [(0, room)])

        self._state = jax.tree.map(kept, self._state)

    def _tables_from(self, table: FloatArray) -> None:
        for member, columns in self._columns():
            self._tables[member] = table[..., columns].copy()

    def _columns(self) -> Iterator[tuple[int, slice]]:
        """The models in the table, and which columns are theirs."""
        end = 0
        for member in self._active:
            begin, end = end, end + self._members[member].components
            yield int(member), slice(begin, end)

    def _progress(self) -> FitProgress:
        losses = self._train_losses[self._epoch - 1]
        return FitProgress(
            self._epoch,
            self._training.epochs,
            sum(ending is None for ending in self._endings),
            tuple(float(loss) for loss in losses[np.isfinite(losses)]),
            tuple(map(float, self._test_losses[-1])) if self._test_losses else (),
            self._current_tables,
        )

    def _current_tables(self) -> tuple[FloatArray, ...]:
        tables, whole = list(self._tables), np.asarray(self._table)
        for member, columns in self._columns():
            if self._endings[member] is None:
                tables[member] = whole[..., columns].copy()
        return tuple(tables)

    def _result(self, cut_off: Ending | None) -> EnsembleFit:
        # After the state was written, which goes on as if it had not been cut off.
        self._end_models()
        self._tables = list(self._current_tables())
        for member, ending in enumerate(self._endings):
            if ending is None:
                self._ended[member] = self._epoch
        return EnsembleFit(
            members=self._members,
            tables=tuple(self._tables),
            train_losses=self._train_losses[: self._epoch],
            test_epochs=np.array(self._test_epochs, np.int64),
            test_losses=np.array(self._test_losses).reshape(-1, len(self._members)),
            epochs=tuple(map(int, self._ended)),
            endings=tuple(
                (cut_off or Ending.INTERRUPTED) if ending is None else ending
                for ending in self._endings
            ),
            seconds_compile=self._seconds_compile,
            seconds_run=self._seconds,
        )

    def _packed(self) -> tuple[Arrays, dict[str, Any]]:
        leaves = jax.tree.leaves(self._state)
        arrays = {
            "table": np.asarray(self._table),
            **{f"state_{k}": np.asarray(leaf) for k, leaf in enumerate(leaves)},
            **{f"model_{k}": table for k, table in enumerate(self._tables)},
            "active": self._active,
            "ended": self._ended,
            "train_losses": self._train_losses[: self._epoch],
            "test_losses": np.array(self._test_losses),
            "test_epochs": np.array(self._test_epochs, np.int64),
        }
        return arrays, {
            "epoch": self._epoch,
            "endings": self._endings,
            "seconds_run": self._seconds,
            "seconds_compile": self._seconds_compile,
        }

    def _restore(self, arrays: dict[str, Any], facts: dict[str, Any]) -> None:
        self._epoch = int(facts["epoch"])
        self._endings = [each and Ending(each) for each in facts["endings"]]
        self._seconds = float(facts["seconds_run"])
        self._seconds_compile = float(facts["seconds_compile"])
        self._active, self._ended = arrays["active"], arrays["ended"]
        self._tables = [arrays[f"model_{k}"] for k in range(len(self._members))]
        self._train_losses[: self._epoch] = arrays["train_losses"]
        self._test_losses = list(arrays["test_losses"])
        self._test_epochs = arrays["test_epochs"].tolist()
        self._models, _ = self._side_by_side()
        self._table = jnp.asarray(arrays["table"])
        form = jax.tree.structure(self._state)
        count = len(jax.tree.leaves(self._state))
        leaves = [jnp.asarray(arrays[f"state_{k}"]) for k in range(count)]
        self._state = jax.tree.unflatten(form, leaves)


def _check_tasks(train: Samples, members: tuple[Member, ...]) -> None:
    tasks = train.targets.shape[1]
    last = max(member.task for member in members)
    if last >= tasks:
        raise InputError(
            f"A member's task is {last}, but the targets have {tasks} columns; count "
            "tasks from 0."
        )


def _check_alike(train: Samples, test: Samples) -> None:
    """Whether codes and columns mean the same in training and in testing."""
    ours, theirs = train.data, test.data
    if ours.features != theirs.features:
        raise InputError(
            f"The samples for testing have {theirs.features} features and those for "
            f"training {ours.features}; give the same ones."
        )
    if ours.cardinalities != theirs.cardinalities or not np.array_equal(
        ours.order, theirs.order
    ):
        raise InputError(
            "The samples for testing are coded otherwise than those for training; code "
            "them by `encode` of the latter."
        )
    if train.targets.shape[1] != test.targets.shape[1]:
        raise InputError(
            f"The targets have {test.targets.shape[1]} columns for testing and "
            f"{train.targets.shape[1]} for training; give the same ones."
        )
