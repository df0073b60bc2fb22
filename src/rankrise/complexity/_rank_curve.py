r"""How low a CP rank suffices for a data set, beside the same data made random.

Razin et al. (2021), Section 5: predictors of CP rank 1, 2, 3, ... are fitted to a data
set, to the same with random inputs and to the same with random labels. Where a low rank
suffices for the data and not for its random twins, the data are simple in this sense.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.complexity._controls import (
    CONTROLS,
    Control,
    random_inputs,
    random_labels,
)
from rankrise.data import CategoricalData
from rankrise.ensembles import (
    EnsembleFit,
    FitProgress,
    Member,
    Samples,
    Training,
    fit_ensemble,
)
from rankrise.solvers import Checkpoint

Labels = npt.NDArray[Any]

# Of the positive class in the paper; the others have 0, and errors are divided by the
# square, so that they count labels 1 and 0.
_POSITIVE = 2.0


@dataclass(frozen=True)
class RankFit:
    """One model: errors are mean squares over those of labels 1 and 0.

    Attributes
    ----------
    target
        The class told from all others, or the regression target's name.
    train_error
        Mean over the batches of the last epoch, each before its update.
    test_error
        Each sample's counted as 1 at most.
    """

    control: Control
    rank: int
    target: str
    seed: int
    train_error: float
    test_error: float
    epochs: int
    result: str


@dataclass(frozen=True, eq=False)
class RankCurve:
    """Errors by rank.

    Attributes
    ----------
    fits
        One for every control, rank, target and seed.
    train_losses
        Control by control, one row an epoch and one column a fit of it.
    """

    fits: tuple[RankFit, ...]
    train_losses: dict[Control, npt.NDArray[np.floating]]
    seconds_compile: float
    seconds_run: float

    @property
    def ranks(self) -> tuple[int, ...]:
        """Ranks that were fitted, in order."""
        return tuple(sorted({fit.rank for fit in self.fits}))

    @property
    def controls(self) -> tuple[Control, ...]:
        """Real data and controls that were fitted."""
        there = {fit.control for fit in self.fits}
        return tuple(control for control in CONTROLS if control in there)

    def errors(self, control: Control, rank: int, split: str) -> npt.NDArray[Any]:
        """Errors of all targets (rows) and seeds (columns); split is train or test."""
        found = {
            (fit.target, fit.seed): getattr(fit, f"{split}_error")
            for fit in self.fits
            if (fit.control, fit.rank) == (control, rank)
        }
        targets = list(dict.fromkeys(target for target, _ in found))
        seeds = sorted({seed for _, seed in found})
        return np.array([[found[target, seed] for seed in seeds] for target in targets])

    def smallest_rank(
        self, error: float, control: Control = "real", split: str = "train"
    ) -> tuple[float, float]:
        """The smallest rank with a mean error over targets of at most `error`.

        Returns its mean and standard deviation over seeds; infinite and NaN where a
        seed reaches it at no rank.
        """
        means = np.array(
            [self.errors(control, rank, split).mean(axis=0) for rank in self.ranks]
        )
        reached = means <= error
        first = np.where(
            reached.any(axis=0), np.array(self.ranks)[reached.argmax(axis=0)], np.inf
        )
        if np.isinf(first).any():
            return float("inf"), float("nan")
        return float(first.mean()), float(first.std())


def rank_curve(
    data: CategoricalData,
    labels: Labels,
    ranks: Sequence[int],
    *,
    test: tuple[CategoricalData, Labels],
    controls: Sequence[Control] = CONTROLS,
    classes: Sequence[Any] | None = None,
    seeds: Sequence[int] = (0,),
    training: Training | None = None,
    progress: Callable[[Control, FitProgress], None] | None = None,
    checkpoint: Checkpoint | None = None,
    settings: dict[str, Any] | None = None,
    max_seconds: float | None = None,
) -> RankCurve:
    """Fit predictors of every rank, one class against all others, to a data set.

    Parameters
    ----------
    data, labels
        Samples for training; one label each.
    test
        Other samples and labels; controls are made of them in the same way.
    classes
        Labels that are told from all others; all by default.
    seeds
        Of the starts and of what is random in the controls.
    checkpoint
        Each control has a file of its own, with the control's name before the suffix.
    """
    _check(ranks, seeds, controls)
    training = replace(training or Training(), largest_loss=_POSITIVE**2)
    chosen = np.unique(labels) if classes is None else np.array(list(classes))
    study = _Study(data, labels, test, chosen, tuple(ranks), tuple(seeds))
    fits: list[RankFit] = []
    losses: dict[Control, Any] = {}
    seconds = [0.0, 0.0]
    for control in dict.fromkeys(controls):
        parts = []
        for number, (train, other, members) in enumerate(study.ensembles(control)):
            fit = fit_ensemble(
                train,
                members,
                training,
                test=other,
                progress=None if progress is None else _bound(progress, control),
                checkpoint=_own(checkpoint, f"{control}-{number}"),
                settings=settings,
                max_seconds=max_seconds,
            )
            fits += study.rank_fits(control, fit)
            parts.append(fit.train_losses)
            seconds[0] += fit.seconds_compile
            seconds[1] += fit.seconds_run
            if "interrupted" in fit.results:
                losses[control] = parts
                return RankCurve(tuple(fits), _joined(losses), *seconds)
        losses[control] = parts
    return RankCurve(tuple(fits), _joined(losses), *seconds)


class _Study:
    """The samples, and which models are fitted to them."""

    def __init__(
        self,
        data: CategoricalData,
        labels: Labels,
        test: tuple[CategoricalData, Labels],
        classes: Labels,
        ranks: tuple[int, ...],
        seeds: tuple[int, ...],
    ) -> None:
        self._data, self._labels, self._test = data, labels, test
        self._classes, self._ranks, self._seeds = classes, ranks, seeds

    def ensembles(
        self, control: Control
    ) -> Iterator[tuple[Samples, Samples, tuple[Member, ...]]]:
        """Models that share samples, with these."""
        data, test = self._data, self._test[0]
        if control == "inputs":
            for seed in self._seeds:
                yield (
                    Samples(random_inputs(data, seed=2 * seed), self._targets(0)),
                    Samples(random_inputs(test, seed=2 * seed + 1), self._targets(1)),
                    self._members((seed,), tasks_a_seed=0),
                )
        elif control == "labels":
            yield (
                Samples(data, self._permuted_targets(0)),
                Samples(test, self._permuted_targets(1)),
                self._members(self._seeds, tasks_a_seed=len(self._classes)),
            )
        else:
            yield (
                Samples(data, self._targets(0)),
                Samples(test, self._targets(1)),
                self._members(self._seeds, tasks_a_seed=0),
            )

    def rank_fits(self, control: Control, fit: EnsembleFit) -> list[RankFit]:
        """What was found, in the paper's units."""
        unit = _POSITIVE**2
        last = [max(epochs, 1) - 1 for epochs in fit.epochs]
        return [
            RankFit(
                control,
                member.components,
                str(self._classes[member.task % len(self._classes)]),
                member.seed,
                float(fit.train_losses[last[k], k]) / unit,
                _last_finite(fit.test_losses[:, k]) / unit,
                fit.epochs[k],
                fit.results[k],
            )
            for k, member in enumerate(fit.members)
        ]

    def _members(
        self, seeds: tuple[int, ...], *, tasks_a_seed: int
    ) -> tuple[Member, ...]:
        return tuple(
            Member(rank, task + tasks_a_seed * place, seed)
            for place, seed in enumerate(seeds)
            for rank in self._ranks
            for task in range(len(self._classes))
        )

    def _targets(self, split: int) -> npt.NDArray[np.floating]:
        return self._one_against_all(self._test[1] if split else self._labels)

    def _permuted_targets(self, split: int) -> npt.NDArray[np.floating]:
        labels = self._test[1] if split else self._labels
        return np.hstack(
            [
                self._one_against_all(random_labels(labels, seed=2 * seed + split))
                for seed in self._seeds
            ]
        )

    def _one_against_all(self, labels: Labels) -> npt.NDArray[np.floating]:
        return _POSITIVE * (labels[:, None] == self._classes)


def _last_finite(losses: npt.NDArray[np.floating]) -> float:
    finite = losses[np.isfinite(losses)]
    return float(finite[-1]) if len(finite) else float("nan")


def _bound(
    progress: Callable[[Control, FitProgress], None], control: Control
) -> Callable[[FitProgress], None]:
    return lambda at: progress(control, at)


def _own(checkpoint: Checkpoint | None, name: str) -> Checkpoint | None:
    if checkpoint is None:
        return None
    path = checkpoint.path
    return replace(checkpoint, path=path.with_name(f"{path.stem}-{name}{path.suffix}"))


def _joined(losses: dict[Control, Any]) -> dict[Control, Any]:
    """Ensembles of a control side by side; shorter ones end in NaN."""
    joined = {}
    for control, parts in losses.items():
        most = max(len(part) for part in parts)
        joined[control] = np.hstack(
            [
                np.pad(p, ((0, most - len(p)), (0, 0)), constant_values=np.nan)
                for p in parts
            ]
        )
    return joined


def _check(
    ranks: Sequence[int], seeds: Sequence[int], controls: Sequence[Control]
) -> None:
    for name, numbers in (("ranks", ranks), ("seeds", seeds)):
        if not len(numbers) or len(set(numbers)) != len(numbers):
            raise InputError(f"The {name} are {list(numbers)}; give some, each once.")
    if min(ranks) < 1:
        raise InputError(f"A rank is {min(ranks)}; it must be at least 1.")
    if not controls or not set(controls) <= set(CONTROLS):
        raise InputError(
            f"The controls are {list(controls)}; choose some of {', '.join(CONTROLS)}."
        )
