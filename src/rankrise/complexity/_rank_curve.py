r"""How low a CP rank suffices for a data set, beside the same data made random.

Razin et al. (2021), Section 5: predictors of CP rank 1, 2, 3, ... are fitted to a data
set, to the same with random inputs and to the same with random labels. Where a low rank
suffices for the data and not for random controls, the data are simple in this sense.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from rankrise._checks import check_whole
from rankrise._devices import Devices, checked_devices
from rankrise._errors import InputError
from rankrise.complexity._controls import (
    CONTROL_NAMES,
    CONTROLS,
    Control,
    random_inputs,
    random_labels,
)
from rankrise.complexity._curve import RankCurve, RankFit, Split, beside
from rankrise.complexity._settled import (
    is_settled,
    parameters_of_rank_one,
    tell_what_cannot_be_told,
)
from rankrise.complexity._tasks import Tasks, make_tasks
from rankrise.ensembles import (
    EnsembleFit,
    FitProgress,
    Member,
    Samples,
    Training,
    check_memory,
    fit_ensemble,
    usual_training,
)
from rankrise.runs import (
    Checkpoint,
    Ending,
    Pool,
    ShowProgress,
    Watch,
    as_part,
    check_checkpoint,
    showing,
)
from rankrise.tables import (
    CategoricalData,
    LabelledSet,
    TargetKind,
    labelled_folds,
    labelled_table,
)


def rank_curve(
    X: Any,
    y: Any,
    ranks: Sequence[int] | None = None,
    *,
    test: tuple[Any, Any] | None = None,
    test_share: float | None = None,
    folds: int | None = None,
    levels: int | None = None,
    targets: TargetKind | None = None,
    controls: Sequence[Control] = CONTROLS,
    classes: Sequence[Any] | None = None,
    seeds: Sequence[int] = (0,),
    training: Training | None = None,
    progress: ShowProgress | Callable[[Control, FitProgress], None] = None,
    checkpoint: Checkpoint | None = None,
    settings: dict[str, Any] | None = None,
    max_seconds: float | None = None,
    devices: Devices = None,
) -> RankCurve:
    """Fit predictors of every rank to a data set and to random controls.

    Parameters
    ----------
    X
        One row a sample and one column a feature: an array, a pandas DataFrame, a
        mapping of names to columns, or `CategoricalData`. Numbers of a column with at
        most `levels` different ones, text and categories are values of their own, and
        so is what is missing; other numbers and dates are put into `levels` intervals
        of about equally many samples. Columns that never vary are left out with a
        warning.
    y
        Classes, one label a sample, each told from all others by models of its own; or
        values to predict, one column or more.
    ranks
        By default 1 to 4, and then on to 8 and 15 while the complexity is not settled,
        but none with more parameters than there are samples.
    test
        Other samples and labels. Controls are made of them in the same way.
    folds
        Without `test`, how many times all is done, so that every sample is held out
        once; 1 sets aside a share `test_share` (0.2). By default 5 for up to 10,000
        samples, and 1 for more or where a share is given. Chosen at random by
        `training.seed`.
    levels
        By default as many as leave ten samples for every parameter of a predictor of
        rank one, from 2 to 16.
    targets
        Whether `y` is classes or values; by default floating point is values, and
        whole numbers, text, booleans and categories are classes.
    controls
        Some of data (as they are), inputs (uniform over each feature's
        values) and labels (in random order).
    classes
        Labels that are told from all others; all by default.
    seeds
        Seeds of the starts and of the random controls.
    training
        By default 40 steps of `LevenbergMarquardt`, or for data as large as MNIST 700
        epochs of `quick_training`; `Training()` has the settings of the paper, 10,000
        epochs of Adam. Its cap of a test sample's loss is set to the square of the
        range of what is to be predicted.
    checkpoint
        Each control has a file of its own, with the control's name before the suffix.
    max_seconds
        Time limit of each control, anew each time it is resumed.
    devices
        How many devices share the components, or "all"; see `fit_ensemble`.

    Raises
    ------
    InputError
        Where the data, ranks, seeds or controls cannot be used, or the models do not
        fit in memory.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> import rankrise as rr
    >>> digits = load_digits()
    >>> X, y = digits.data > 7, digits.target
    >>> controls = ["data", "labels"]
    >>> curve = rr.rank_curve(X, y, ranks=[1], classes=[2], controls=controls)
    >>> bool(curve.mean("data")[0] < 0.5 * curve.mean("labels")[0])
    True
    """
    data: Sequence[LabelledSet]
    _check_training(training)
    if test is not None:
        if not isinstance(test, tuple | list) or len(test) != 2:
            raise InputError("`test` is samples and their labels; give (X, y).")
        if folds not in (None, 1):
            raise InputError(
                "The samples for testing are given, so there are no folds; leave one "
                "of the two out."
            )
        data = (labelled_table(X, y, test=test, levels=levels, target_kind=targets),)
    else:
        data = labelled_folds(
            X,
            y,
            folds=folds,
            test_share=test_share,
            seed=0 if training is None else training.seed,
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
        devices=devices,
    )


def rank_curve_of(
    data: LabelledSet | Sequence[LabelledSet],
    ranks: Sequence[int] | None = None,
    *,
    controls: Sequence[Control] = CONTROLS,
    classes: Sequence[Any] | None = None,
    seeds: Sequence[int] = (0,),
    training: Training | None = None,
    progress: ShowProgress | Callable[[Control, FitProgress], None] = None,
    checkpoint: Checkpoint | None = None,
    settings: dict[str, Any] | None = None,
    max_seconds: float | None = None,
    pool: Pool | None = None,
    devices: Devices = None,
) -> RankCurve:
    """The same of samples that have been read and split; see `rank_curve`.

    Parameters
    ----------
    data
        One split into training and testing, or several, its folds.
    pool
        Processes that fit each fold of each control, with the same result; each has the
        time limit for itself.
    devices
        How many devices share the components, or "all"; see `fit_ensemble`.
    """
    check_checkpoint(checkpoint)
    if pool is not None and checked_devices(devices) > 1:
        raise InputError(
            f"devices is {devices}, and processes of a pool run on one device each; "
            "leave one of the two out."
        )
    splits = (data,) if isinstance(data, LabelledSet) else tuple(data)
    if not splits:
        raise InputError("There is no data set; give at least one.")
    _check_lists(ranks=() if ranks is None else ranks, seeds=seeds, controls=controls)
    blocks = _blocks(splits[0].train) if ranks is None else (tuple(ranks),)
    for block in blocks:
        _check(block, seeds, controls)
    if max_seconds is not None and not max_seconds > 0:
        raise InputError(f"`max_seconds` is {max_seconds}; it must be positive.")
    tasks = tuple(make_tasks(each, classes) for each in splits)
    whole = _Whole(
        splits,
        tasks,
        tuple(dict.fromkeys(controls)),
        tuple(seeds),
        training or usual_training(splits[0].train),
        checkpoint,
        settings,
        max_seconds,
        pool,
        devices,
    )
    with showing(progress) as report, Watch() as watch:
        curve = whole.fit(blocks[0], watch, report)
        for block in blocks[1:]:
            if curve.cut_off is not None or is_settled(curve):
                break
            curve = curve.merged(whole.fit(block, watch, report))
    tell_what_cannot_be_told(curve, splits[0].train)
    return curve


def _blocks(train: CategoricalData) -> tuple[tuple[int, ...], ...]:
    """Ranks by default, those to begin with and those to go on with."""
    most = max(1, train.samples // parameters_of_rank_one(train))
    blocks = (range(1, 5), range(5, 9), range(9, 16))
    kept = (tuple(rank for rank in block if rank <= most) for block in blocks)
    return tuple(block for block in kept if block)


@dataclass(eq=False)
class _Whole:
    """All that is fitted, fold by fold, and how."""

    splits: tuple[LabelledSet, ...]
    tasks: tuple[Tasks, ...]
    controls: tuple[Control, ...]
    seeds: tuple[int, ...]
    training: Training
    checkpoint: Checkpoint | None
    settings: dict[str, Any] | None
    max_seconds: float | None
    pool: Pool | None
    devices: Devices

    def __post_init__(self) -> None:
        self._spent = dict.fromkeys(self.controls, 0.0)
        self._parts = dict.fromkeys(self.controls, 0)

    def fit(self, ranks: tuple[int, ...], watch: Watch, report: Any) -> RankCurve:
        """The data and their controls at these ranks, up to what ends them."""
        studies = [
            _Study(data, tasks, ranks, self.seeds, fold)
            for fold, (data, tasks) in enumerate(
                zip(self.splits, self.tasks, strict=True)
            )
        ]
        for study in studies:
            members, data = study.most_members, study.data
            check_memory(data.train, data.test, members, self.training)
        if self.pool is not None:
            return self._fit_apart(studies, self.pool, watch, report)
        record = _Record(studies)
        count = sum(study.count(each) for study in studies for each in self.controls)
        for control in self.controls:
            for fold, study in enumerate(studies):
                for ensemble in study.ensembles(control):
                    tell = report and _bound(report, control, record.count, count)
                    fit = self._fitted(control, study, ensemble, tell)
                    record.add(control, fold, fit)
                    # Also one that came as the last models ended by themselves.
                    if (ending := watch.ending()) is not None:
                        return record.curve(ending)
        return record.curve()

    def _fit_apart(
        self, studies: list[_Study], pool: Pool, watch: Watch, report: Any
    ) -> RankCurve:
        """The same by several processes, in the same order."""
        parts = [
            (control, fold, place)
            for control in self.controls
            for fold, study in enumerate(studies)
            for place in range(study.count(control))
        ]
        tasks = []
        for control, fold, place in parts:
            own = None
            if self.checkpoint is not None:
                own = self.checkpoint.part(f"{control}-{self._parts[control]}")
            self._parts[control] += 1
            tasks.append(
                (studies[fold], control, place, self.training, own, self.settings)
            )
        has_x64, limit = (
            jax.dtypes.canonicalize_dtype(np.float64) == np.float64,
            self.max_seconds,
        )
        fits = pool.call_all(
            _fit_part,
            [(*task, limit, has_x64) for task in tasks],
            stopped=lambda: watch.ending() is not None,
            progress=report and (lambda at: report(self.controls[0], at)),
        )
        record = _Record(studies)
        for (control, fold, _), fit in zip(parts, fits, strict=False):
            record.add(control, fold, fit)
        return record.curve(None if len(fits) == len(parts) else watch.ending())

    def _fitted(
        self, control: Control, study: _Study, ensemble: _Ensemble, progress: Any
    ) -> EnsembleFit:
        part, spent = self._parts[control], self._spent[control]
        limit, began = self.max_seconds, time.monotonic()
        fit = fit_ensemble(
            ensemble.train,
            ensemble.members,
            replace(self.training, largest_loss=study.tasks.largest_loss),
            test=ensemble.test,
            progress=progress,
            checkpoint=self.checkpoint and self.checkpoint.part(f"{control}-{part}"),
            settings=self.settings,
            max_seconds=None if limit is None else limit - spent,
            devices=self.devices,
        )
        self._parts[control] += 1
        self._spent[control] += time.monotonic() - began
        return fit


def _fit_part(
    study: _Study,
    control: Control,
    place: int,
    training: Training,
    checkpoint: Checkpoint | None,
    settings: dict[str, Any] | None,
    max_seconds: float | None,
    has_x64: bool,
) -> EnsembleFit:
    """One of the ensembles of a control, in another process."""
    if checkpoint is not None and not Path(checkpoint.path).parent.is_dir():
        checkpoint = None
    ensemble = next(itertools.islice(study.ensembles(control), place, None))
    with jax.enable_x64(has_x64):
        return fit_ensemble(
            ensemble.train,
            ensemble.members,
            replace(training, largest_loss=study.tasks.largest_loss),
            test=ensemble.test,
            checkpoint=checkpoint,
            settings=settings,
            max_seconds=max_seconds,
        )


@dataclass(frozen=True, eq=False)
class _Ensemble:
    """Models that share samples, with these."""

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
    fold: int = 0

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
            for seed in self.seeds:
                yield _Ensemble(
                    Samples(
                        random_inputs(train, seed=self._seed(seed, 0)), self.tasks.train
                    ),
                    Samples(
                        random_inputs(test, seed=self._seed(seed, 1)), self.tasks.test
                    ),
                    self._members((seed,), tasks_a_seed=0),
                )
        elif control == "labels":
            yield _Ensemble(
                Samples(train, self._permuted(self.tasks.train, 0)),
                Samples(test, self._permuted(self.tasks.test, 1)),
                self.most_members,
            )
        else:
            yield _Ensemble(
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
            [
                random_labels(targets, seed=self._seed(seed, split))
                for seed in self.seeds
            ]
        )

    def _seed(self, seed: int, split: int) -> int:
        """Seed of a control: folds differ in it, since they share most samples."""
        if self.fold == 0:
            return 2 * seed + split
        state = np.random.SeedSequence([2 * seed + split, self.fold]).generate_state(1)
        return int(state[0])


class _Record:
    """What has been fitted so far."""

    def __init__(self, studies: Sequence[_Study]) -> None:
        self._studies = studies
        self._fits: list[RankFit] = []
        self._losses: dict[Control, list[npt.NDArray[np.floating]]] = {}
        self._seconds_compile = self._seconds_run = 0.0

    @property
    def count(self) -> int:
        """How many ensembles."""
        return sum(map(len, self._losses.values()))

    def add(self, control: Control, fold: int, fit: EnsembleFit) -> None:
        """Take note of an ensemble, in the units of errors."""
        tasks = self._studies[fold].tasks
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
                fold,
            )
            for k, member in enumerate(fit.members)
        ]
        self._losses.setdefault(control, []).append(fit.train_losses)
        self._seconds_compile += fit.seconds_compile
        self._seconds_run += fit.seconds_run

    def curve(self, cut_off: Ending | None = None) -> RankCurve:
        """All of it, and what cut it off."""
        errors = np.mean([each.tasks.constant_errors for each in self._studies], axis=0)
        constant_errors: dict[Split, Any] = {"train": errors[0], "test": errors[1]}
        return RankCurve(
            tuple(self._fits),
            self._studies[0].data.kind,
            constant_errors,
            {control: beside(parts) for control, parts in self._losses.items()},
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
    name = "the data" if control == "data" else CONTROL_NAMES[control]

    def tell(at: FitProgress) -> None:
        with as_part(name, place, count):
            progress(control, at)

    return tell


def _check_training(training: Any) -> None:
    if training is not None and not isinstance(training, Training):
        raise InputError(
            f"`training` is {training!r}; give a Training, such as "
            "rankrise.ensembles.Training(), or leave it out."
        )


def _check_lists(**given: Any) -> None:
    for name, values in given.items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise InputError(f"The {name} are {values!r}; give a list of them.")


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
