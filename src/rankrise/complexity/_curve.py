"""Errors by rank, and the smallest rank that reaches one."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise._html import html_of
from rankrise.complexity._complexity import (
    SHARE,
    Complexity,
    Errors,
    measured_complexity,
)
from rankrise.complexity._controls import CONTROL_NAMES, CONTROLS, Control
from rankrise.drawing import Drawing, Plotted
from rankrise.runs import Ending
from rankrise.tables import TargetKind
from rankrise.tensors.files import loaded_result

if TYPE_CHECKING:
    import pandas as pd

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")

# A rise counts beyond this share of the lower error and this of a constant's.
_RISE, _RISE_OF_CONSTANT = 0.05, 1e-3


@dataclass(frozen=True)
class RankFit:
    """One model and its errors.

    Errors of classes are mean squares, with the label 1 for the class and 0 for all
    others; errors of values are mean squares as a share of the variance in training.

    Attributes
    ----------
    target
        The class told from all others, or the name of the values predicted.
    train_error
        Mean over the batches of the last epoch, each before its update; with
        `LevenbergMarquardt` after the last step.
    test_error
        As last measured. A sample counts at most the square of the range of what is
        predicted: 1 for a class.
    ending
        `converged` where the error had become flat, `stopped` at the last epoch.
    fold
        Which split into training and testing, counted from 0.
    """

    control: Control
    rank: int
    target: str
    seed: int
    train_error: float
    test_error: float
    epochs: int
    ending: Ending
    fold: int = 0

    @property
    def converged(self) -> bool:
        """Whether training ended as the error had become flat."""
        return self.ending == Ending.CONVERGED


@dataclass(frozen=True)
class SmallestRank:
    """The smallest rank that reaches an error, seed by seed, and fold by fold.

    Attributes
    ----------
    error
        The mean over targets has to be at or below it.
    by_seed
        Infinite where no rank that was fitted reaches it.
    """

    error: float
    control: Control
    split: Split
    by_seed: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over seeds; infinite if one does not reach the error."""
        return float(np.mean(self.by_seed))

    @property
    def spread(self) -> float:
        """Unbiased standard deviation over seeds; NaN for one, or if one does not."""
        if len(self.by_seed) < 2 or not np.isfinite(self.mean):
            return float("nan")
        return float(np.std(self.by_seed, ddof=1))


@dataclass(frozen=True, eq=False, repr=False)
class RankCurve(Plotted):
    """Errors by rank.

    Attributes
    ----------
    fits
        One for every control, rank, target and seed.
    kind
        Whether classes are told apart or values predicted.
    constant_errors
        For training and for testing, the error of predicting the mean of the training
        targets whatever the sample, target by target (mean over folds): with one class
        in ten about 0.09.
    train_losses
        Control by control, one row an epoch and one column a fit of it.
    cut_off
        What ended the whole before its last control, if it was; then some are missing.
    """

    fits: tuple[RankFit, ...]
    kind: TargetKind
    constant_errors: dict[Split, Errors]
    train_losses: dict[Control, npt.NDArray[np.floating]]
    seconds_compile: float
    seconds_run: float
    cut_off: Ending | None = None

    @property
    def ending(self) -> Ending:
        """How the whole ended: what cut it off, or how its worst model ended."""
        return self.cut_off or Ending.worst(fit.ending for fit in self.fits)

    @property
    def ranks(self) -> tuple[int, ...]:
        """Ranks that were fitted, in order."""
        return tuple(sorted({fit.rank for fit in self.fits}))

    @property
    def controls(self) -> tuple[Control, ...]:
        """The data and the controls that were fitted."""
        there = {fit.control for fit in self.fits}
        return tuple(control for control in CONTROLS if control in there)

    @property
    def targets(self) -> tuple[str, ...]:
        """Classes or values, in the order of errors."""
        return tuple(dict.fromkeys(fit.target for fit in self.fits))

    def errors(
        self, control: Control, rank: int, split: Split = "train"
    ) -> npt.NDArray[np.float64]:
        """Errors of all targets (rows), for every fold and seed (columns)."""
        found = {
            (fit.target, (fit.fold, fit.seed)): getattr(fit, f"{split}_error")
            for fit in self.fits
            if (fit.control, fit.rank) == (control, rank)
        }
        if not found:
            raise InputError(
                f"There are no errors of {control} at rank {rank}; there are those of "
                f"{', '.join(self.controls)} at {', '.join(map(str, self.ranks))}."
            )
        places = sorted({place for _, place in found})
        return np.array(
            [[found[target, place] for place in places] for target in self.targets]
        )

    def mean(self, control: Control, split: Split = "train") -> Errors:
        """For every rank the mean over targets, folds and seeds."""
        return np.array([self.errors(control, r, split).mean() for r in self.ranks])

    def spread(self, control: Control, split: Split = "train") -> Errors:
        """For every rank a standard deviation, of what `spread_over` says.

        Over folds or seeds, a sample, it is the unbiased one of the mean over targets;
        over targets, which are all there are, that of the mean square, as the bars of
        the paper. NaN where there is one alone, or one that is not finite.
        """
        over = self.spread_over
        spreads = []
        for rank in self.ranks:
            errors = self.errors(control, rank, split)
            means = errors.mean(axis=1 if over == "targets" else 0)
            few = len(means) < 2 or not np.isfinite(errors).all()
            ddof = 0 if over == "targets" else 1
            spreads.append(np.nan if few else float(np.std(means, ddof=ddof)))
        return np.array(spreads)

    @property
    def spread_over(self) -> Literal["folds", "targets", "seeds"]:
        """What `spread` is over: folds, if there are some, or targets, or seeds."""
        if len({fit.fold for fit in self.fits}) > 1:
            return "folds"
        return "targets" if len(self.targets) > 1 else "seeds"

    def complexity(
        self, share: float = SHARE, *, control: Control | None = None
    ) -> Complexity:
        """The smallest rank that explains a share of the data's structure.

        Parameters
        ----------
        share
            Of the structure, above 0 and at most 1.
        control
            The random control that the data are held against; by default random
            labels, which have the same inputs, or else random inputs.

        Raises
        ------
        InputError
            Where the data or the control were not fitted, or the share is none.
        """
        if control is None:
            control = "labels" if "labels" in self.controls else "inputs"
        if not {"data", control} <= {*self.controls}:
            raise InputError(
                "The complexity compares the data with a random control, and there are "
                f"{' and '.join(self.controls)} alone; fit data and labels."
            )
        data, random = (
            np.array([self.errors(each, r).mean(axis=0) for r in self.ranks])
            for each in ("data", control)
        )
        constant = float(self.constant_errors["train"].mean())
        return measured_complexity(
            self.ranks, data, random, constant, share=share, control=control
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row a model: control, rank, target, fold, seed, errors, how it ended."""
        import pandas as pd

        return pd.DataFrame([asdict(fit) for fit in self.fits])

    def __repr__(self) -> str:
        if not self.fits:
            return f"<RankCurve of no models: {self.ending}>"
        errors = (
            f"{CONTROL_NAMES[each]} {_few(means[0])} to {_few(means[-1])}"
            for each in self.controls
            for means in [self.mean(each)]
        )
        told = f"\n {self.complexity()}" if {*self.controls} > {"data"} else ""
        return (
            f"<RankCurve of {len(self.fits)} models, ranks {self.ranks[0]} to "
            f"{self.ranks[-1]}: {self.ending}\n train error: {', '.join(errors)}{told}>"
        )

    def merged(self, other: RankCurve) -> RankCurve:
        """Both curves' models, of the same data."""
        losses = {**self.train_losses}
        for control, found in other.train_losses.items():
            before = [losses[control]] if control in losses else []
            losses[control] = beside([*before, found])
        return replace(
            self,
            fits=self.fits + other.fits,
            train_losses=losses,
            seconds_compile=self.seconds_compile + other.seconds_compile,
            seconds_run=self.seconds_run + other.seconds_run,
            cut_off=other.cut_off,
        )

    def drawing(self) -> Drawing:
        """Errors by rank, of the data and of random controls: `train` and `test`."""
        from rankrise.complexity._plot import draw_curve

        return draw_curve(self)

    def to_dataset(self) -> Any:
        """Errors as an xarray.Dataset by control, rank, target and seed.

        `train_error`, `test_error`, `epochs` and `ending` of every model (NaN and empty
        where none was fitted), `constant_train_error` and `constant_test_error` of
        every target.
        """
        from rankrise.complexity._saved_curve import curve_dataset

        return curve_dataset(self)

    def save(self, path: Path | str) -> Path:
        """Write one `.npz` file, atomically, that `rankrise.load` reads."""
        from rankrise.complexity._saved_curve import save_curve

        return save_curve(self, path)

    @classmethod
    def load(cls, path: Path | str) -> RankCurve:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If the file is something else, or damaged.
        """
        from rankrise.complexity._saved_curve import KIND, curve_fields

        with loaded_result(path, KIND) as (_, facts, arrays):
            fits, fields = curve_fields(facts, arrays)
            return cls(tuple(RankFit(*each) for each in fits), **fields)

    def _repr_html_(self) -> str:
        means = {
            f"{CONTROL_NAMES[control]}, {split}": self.mean(control, split)
            for control in self.controls
            for split in SPLITS
        }
        table = [
            {
                "rank": str(rank),
                **{name: f"{errors[place]:.3g}" for name, errors in means.items()},
            }
            for place, rank in enumerate(self.ranks)
        ]
        facts = {
            "ended": str(self.ending),
            "models": str(len(self.fits)),
            "errors": f"mean squared, of {self.kind}",
        }
        return html_of("RankCurve", facts, table, self.ending.warning)

    def first_rise(self, control: Control) -> tuple[int, int] | None:
        """The first ranks, one after the other, whose mean training error rises.

        A higher rank can do all that a lower one can, so it was not trained to its end
        or rests in a poorer place. None where no error rises, or but a little.
        """
        means = self.mean(control)
        least = _RISE_OF_CONSTANT * self.constant_errors["train"].mean()
        rises = np.flatnonzero(means[1:] > (1 + _RISE) * means[:-1] + least)
        if not rises.size:
            return None
        return self.ranks[rises[0]], self.ranks[rises[0] + 1]

    def smallest_rank(
        self, error: float, control: Control = "data", split: Split = "train"
    ) -> SmallestRank:
        """The smallest rank with a mean error over targets of at most `error`."""
        ranks = np.array(self.ranks, np.float64)
        means = [self.errors(control, r, split).mean(axis=0) for r in self.ranks]
        reached = np.array(means) <= error
        first = np.where(reached.any(axis=0), ranks[reached.argmax(axis=0)], np.inf)
        return SmallestRank(error, control, split, tuple(first.tolist()))


def beside(parts: list[npt.NDArray[np.floating]]) -> npt.NDArray[np.floating]:
    """Losses of several ensembles side by side; shorter ones end in NaN."""
    most = max(len(part) for part in parts)
    return np.hstack(
        [
            np.pad(part, ((0, most - len(part)), (0, 0)), constant_values=np.nan)
            for part in parts
        ]
    )


def _few(error: float) -> str:
    return f"{error:.3g}"
