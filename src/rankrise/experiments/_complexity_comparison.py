"""Errors by rank of ours beside those of the paper's plot."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from rankrise.complexity import CONTROL_NAMES, CONTROLS, SPLITS, Control, Split
from rankrise.experiments._comparison import Comparison, Row, Statement
from rankrise.experiments._complexity import ComplexityResult
from rankrise.experiments._readings import ComplexityReadings, complexity_readings

# One class in ten: the constant of the paper's plot.
_CONSTANT = 0.09
_UNREAD = "The paper's plot of {dataset} was not read, so its columns are empty."

Mean = Callable[[Control, int, Split], float]


def compare_complexity(result: ComplexityResult) -> Comparison:
    """Mean errors over classes by rank, and what the paper says of them."""
    curve = result.curve
    readings = complexity_readings(result.dataset)
    places = {rank: place for place, rank in enumerate(curve.ranks)}

    def mean(control: Control, rank: int, split: Split) -> float:
        return float(curve.mean(control, split)[places[rank]])

    def spread(control: Control, rank: int, split: Split) -> float:
        return float(curve.spread(control, split)[places[rank]])

    rows = []
    for split in SPLITS:
        for control in curve.controls:
            for rank in curve.ranks:
                reading = readings.get((control, rank, split))
                rows.append(
                    Row(
                        group=f"{CONTROL_NAMES[control]}, {split} error",
                        quantity=f"rank {rank}",
                        ours=mean(control, rank, split),
                        ours_spread=spread(control, rank, split),
                        paper=math.nan if reading is None else reading.mean,
                        paper_spread=math.nan if reading is None else reading.spread,
                    )
                )
    constant = float(curve.constant_errors["test"].mean())
    ours = _Errors(mean, curve.controls, curve.ranks, constant)
    return Comparison(
        reference="paper",
        rows=tuple(rows),
        statements=tuple(_statements(ours, _read(readings, ours))),
        notes=() if readings else (_UNREAD.format(dataset=result.dataset),),
    )


@dataclass(frozen=True)
class _Errors:
    """Mean errors, ours or the paper's, as statements ask for them."""

    mean: Mean
    controls: Sequence[Control]
    ranks: Sequence[int]
    constant: float

    def by_rank(self, control: Control, split: Split) -> list[float]:
        return [self.mean(control, rank, split) for rank in self.ranks]


def _read(readings: ComplexityReadings, ours: _Errors) -> _Errors | None:
    """The paper's errors; None where not all that we have were read."""
    wanted = itertools.product(ours.controls, ours.ranks, SPLITS)
    if not all(each in readings for each in wanted):
        return None
    return replace(ours, mean=lambda *each: readings[each].mean, constant=_CONSTANT)


def _below_controls(errors: _Errors, control: Control) -> bool:
    others = [each for each in errors.controls if each != control]
    return all(
        error < least
        for other in others
        for error, least in zip(
            errors.by_rank(control, "train"),
            errors.by_rank(other, "train"),
            strict=True,
        )
    )


def _generalizes(errors: _Errors, control: Control) -> bool:
    return all(error < errors.constant for error in errors.by_rank(control, "test"))


def _does_not_generalize(errors: _Errors, control: Control) -> bool:
    # A constant's error is of the training mean; a model can come a little below.
    least = 0.99 * errors.constant
    return all(error > least for error in errors.by_rank(control, "test"))


def _falls(errors: _Errors, control: Control) -> bool:
    found = errors.by_rank(control, "train")
    return found == sorted(found, reverse=True)


# Of which controls what is said, and when it is so.
_STATEMENTS: tuple[
    tuple[tuple[Control, ...], str, Callable[[_Errors, Control], bool]], ...
] = (
    (("data",), "training error below both controls' at every rank", _below_controls),
    (("data",), "test error below a constant's at every rank", _generalizes),
    (
        ("inputs", "labels"),
        "test error no lower than a constant's at any rank",
        _does_not_generalize,
    ),
    (CONTROLS, "training error falls with rank", _falls),
)


def _statements(ours: _Errors, paper: _Errors | None) -> Iterator[Statement]:
    for controls, words, holds in _STATEMENTS:
        for control in controls:
            if control in ours.controls:
                yield Statement(
                    group=CONTROL_NAMES[control],
                    words=words,
                    ours=holds(ours, control),
                    paper=None if paper is None else holds(paper, control),
                )
