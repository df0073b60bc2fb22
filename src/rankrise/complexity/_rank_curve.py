r"""How low a CP rank suffices for a data set, beside the same data made random.

Razin et al. (2021), Section 5: predictors of CP rank 1, 2, 3, ... are fitted to a data
set, to the same with random inputs and to the same with random labels. Where a low rank
suffices for the data and not for random controls, the data are simple in this sense.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._checks import check_whole
from rankrise._defaults import SECOND_ORDER_STEPS
from rankrise._errors import InputError
from rankrise.complexity._controls import (
    CONTROLS,
    Control,
    random_inputs,
    random_labels,
)
from rankrise.complexity._curve import RankCurve, RankFit, Split
from rankrise.complexity._tasks import Tasks, make_tasks
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
from rankrise.runs import Checkpoint, Ending, ShowProgress, Watch, as_part, showing
from rankrise.tables import DEFAULT_LEVELS, LabelledSet, TargetKind, labelled_table

# In the words of who watches.
_NAMES: dict[Control, str] = {
    "real": "the data",
    "inputs": "random inputs",
    "labels": "random labels",
}


def rank_curve(
    X: Any,
    y: Any,
    ranks: Sequence[int],
    *,
    test: tuple[Any, Any] | None = None,
    test_share: float = 0.2,
    levels: int = DEFAULT_LEVELS,
    targets: TargetKind | None = None,
    controls: Sequence[Control] = CONTROLS,
    classes: Sequence[Any] | None = None,
    seeds: Sequence[int] = (0,),
    training: Training | None = None,
    progress: ShowProgress | Callable[[Control, FitProgress], None] = None,
    checkpoint: Checkpoint | None = None,
    settings: dict[str, Any] | None = None,
    max_seconds: float | None = None,
) -> RankCurve:
    """Fit predictors of every rank to a data set and to random controls.

    Parameters
    ----------
    X
        One row a sample and one column a feature: an array, a pandas DataFrame, a
        mapping of names to columns, or `CategoricalData`. Numbers of a column with at
        most `levels` different ones, text and categories are values of their own, and
        so is what is missing; other numbers are put into `levels` intervals of about
        equally many samples. Columns that never vary are left out with a warning.
    y
        Classes, one label a sample, each told from all others by models of its own; or
        values to predict, one column or more.
    test
        Other samples and labels; by default a share `test_share` of these, chosen at
        random by `training.seed`. Controls are made of them in the same way.
    targets
        Whether `y` is classes or values; by default floating point is values, and
        whole numbers, text, booleans and categories are classes.
    controls
        Some of real (the data as they are), inputs (uniform over each feature's
        values) and labels (in random order).
    classes
        Labels that are told from all others; all by default.
    seeds
        Seeds of the starts and of the random controls.
    training
        By default 40 steps of `LevenbergMarquardt`; `Training()` has the settings of
        the paper, 10,000 epochs of Adam. Its cap of a test sample's loss is set to the
        square of the range of what is to be predicted.
    checkpoint
        Each control has a file of its own, with the control's name before the suffix.
    max_seconds
        Time limit of each control, over all the times it is resumed.

    Raises
    ------
    InputError
        Where the data, ranks, seeds or controls cannot be used, or the models do not
        fit in memory.
    """
    training = training or _default_training()
    data = labelled_table(
        X,
        y,
        test=test,
        test_share=test_share,
        seed=training.seed,
        levels=levels,
        target_kind=targets,
    )
    return rank_curve_of(
        data,
        ranks,
        controls=controls,
        classes=classes,
        seeds=seeds,
        training=training,
        progress=progress,
        checkpoint=checkpoint,
        settings=settings,
        max_seconds=max_seconds,
    )


def rank_curve_of(
    data: LabelledSet,
    ranks: Sequence[int],
    *,
    controls: Sequence[Control] = CONTROLS,
    classes: Sequence[Any] | None = None,
    seeds: Sequence[int] = (0,),
    training: Training | None = None,
    progress: ShowProgress | Callable[[Control, FitProgress], None] = None,
    checkpoint: Checkpoint | None = None,
    settings: dict[str, Any] | None = None,
    max_seconds: float | None = None,
) -> RankCurve:
    """The same of samples that have been read and split; see `rank_curve`."""
    _check(ranks, seeds, controls)
    tasks = make_tasks(data, classes)
    training = replace(training or _default_training(), largest_loss=tasks.largest_loss)
    study = _Study(data, tasks, tuple(ranks), tuple(seeds))
    check_memory(data.train, data.test, study.most_members, training)
    record = _Record(study)
    whole = sum(map(study.count, dict.fromkeys(controls)))
    with showing(progress) as report, Watch() as watch:
        for control in dict.fromkeys(controls):
            spent = 0.0
            for ensemble in study.ensembles(control):
                fit = fit_ensemble(
                    ensemble.train,
                    ensemble.members,
                    training,
                    test=ensemble.test,
                    progress=report and _bound(report, control, record.count, whole),
                    checkpoint=None
                    if checkpoint is None
                    else checkpoint.part(f"{control}-{ensemble.number}"),
                    settings=settings,
                    max_seconds=None if max_seconds is None else max_seconds - spent,
                )
                spent += fit.seconds_run + fit.seconds_compile
                record.add(control, fit)
                # Also one that came as the last models ended by themselves.
                if (ending := watch.ending()) is not None:
                    return record.curve(ending)
    return record.curve()


def _default_training() -> Training:
    return Training(optimizer=LevenbergMarquardt(), epochs=SECOND_ORDER_STEPS)


@dataclass(frozen=True, eq=False)
class _Ensemble:
    """Models that share samples, with these."""

    number: int
    train: Samples
    test: Samples
    members: tuple[Member, ...]


@dataclass(frozen=True, eq=False)
class _Study:
    """The samples, and which models are fitted to them."""

    data: LabelledSet
    tasks: Tasks
    ranks: tuple[int, ...]
    seeds: tuple[int, ...]

    @property
    def most_members(self) -> tuple[Member, ...]:
        """The models that are trained at once, where they are most."""
        return self._members(self.seeds, tasks_a_seed=len(self.tasks.names))

    def count(self, control: Control) -> int:
        """How many ensembles are fitted to the data or to one of their controls."""
        return len(self.seeds) if control == "inputs" else 1

    def ensembles(self, control: Control) -> Iterator[_Ensemble]:
        """What is fitted to the data or to one of their controls."""
        train, test = self.data.train, self.data.test
        if control == "inputs":
            for number, seed in enumerate(self.seeds):
                yield _Ensemble(
                    number,
                    Samples(random_inputs(train, seed=2 * seed), self.tasks.train),
                    Samples(random_inputs(test, seed=2 * seed + 1), self.tasks.test),
                    self._members((seed,), tasks_a_seed=0),
                )
        elif control == "labels":
            yield _Ensemble(
                0,
                Samples(train, self._permuted(self.tasks.train, 0)),
                Samples(test, self._permuted(self.tasks.test, 1)),
                self.most_members,
            )
        else:
            yield _Ensemble(
                0,
                Samples(train, self.tasks.train),
                Samples(test, self.tasks.test),
                self._members(self.seeds, tasks_a_seed=0),
            )

    def _members(
        self, seeds: tuple[int, ...], *, tasks_a_seed: int
    ) -> tuple[Member, ...]:
        return tuple(
            Member(rank, task + tasks_a_seed * number, seed, stream=place)
            for number, seed in enumerate(seeds)
            for rank in self.ranks
            for task, place in enumerate(self.tasks.places)
        )

    def _permuted(
        self, targets: npt.NDArray[np.floating], split: int
    ) -> npt.NDArray[np.floating]:
        """All targets in an order of its own for every seed, side by side."""
        return np.hstack(
            [random_labels(targets, seed=2 * seed + split) for seed in self.seeds]
        )


class _Record:
    """What has been fitted so far."""

    def __init__(self, study: _Study) -> None:
        self._tasks = study.tasks
        self._kind = study.data.kind
        self._fits: list[RankFit] = []
        self._losses: dict[Control, list[npt.NDArray[np.floating]]] = {}
        self._seconds_compile = self._seconds_run = 0.0

    @property
    def count(self) -> int:
        """How many ensembles."""
        return sum(map(len, self._losses.values()))

    def add(self, control: Control, fit: EnsembleFit) -> None:
        """Take note of an ensemble, in the units of errors."""
        tasks = self._tasks
        self._fits += [
            RankFit(
                control,
                member.components,
                tasks.names[member.task % len(tasks.names)],
                member.seed,
                float(fit.train_losses[max(fit.epochs[k], 1) - 1, k]) / tasks.unit,
                _last_measured(fit, k) / tasks.unit,
                fit.epochs[k],
                fit.endings[k],
            )
            for k, member in enumerate(fit.members)
        ]
        self._losses.setdefault(control, []).append(fit.train_losses)
        self._seconds_compile += fit.seconds_compile
        self._seconds_run += fit.seconds_run

    def curve(self, cut_off: Ending | None = None) -> RankCurve:
        """All of it, and what cut it off."""
        train, test = self._tasks.constant_errors
        constant_errors: dict[Split, Any] = {"train": train, "test": test}
        return RankCurve(
            tuple(self._fits),
            self._kind,
            constant_errors,
            {control: _beside(parts) for control, parts in self._losses.items()},
            self._seconds_compile,
            self._seconds_run,
            cut_off,
        )


def _last_measured(fit: EnsembleFit, k: int) -> float:
    """A model's test loss when it was last measured, up to its end."""
    if fit.endings[k] == Ending.DIVERGED:
        return float("nan")
    losses = fit.test_losses[fit.test_epochs <= fit.epochs[k], k]
    return float(losses[-1]) if len(losses) else float("nan")


def _bound(
    progress: Callable[[Control, FitProgress], None],
    control: Control,
    place: int,
    count: int,
) -> Callable[[FitProgress], None]:
    def tell(at: FitProgress) -> None:
        with as_part(_NAMES[control], place, count):
            progress(control, at)

    return tell


def _beside(parts: list[npt.NDArray[np.floating]]) -> npt.NDArray[np.floating]:
    """Ensembles of a control side by side; shorter ones end in NaN."""
    most = max(len(part) for part in parts)
    return np.hstack(
        [
            np.pad(part, ((0, most - len(part)), (0, 0)), constant_values=np.nan)
            for part in parts
        ]
    )


def _check(
    ranks: Sequence[int], seeds: Sequence[int], controls: Sequence[Control]
) -> None:
    for name, numbers in (("ranks", ranks), ("seeds", seeds)):
        if not len(numbers) or len(set(numbers)) != len(numbers):
            raise InputError(f"The {name} are {list(numbers)}; give some, each once.")
    for rank in ranks:
        check_whole("A rank", rank, 1)
    for seed in seeds:
        check_whole("A seed", seed, 0)
    if not controls or not set(controls) <= set(CONTROLS):
        raise InputError(
            f"The controls are {list(controls)}; choose some of {', '.join(CONTROLS)}."
        )
