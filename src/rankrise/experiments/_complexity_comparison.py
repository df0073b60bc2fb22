"""Errors by rank of ours beside those of the paper's plot."""

import math
from collections.abc import Callable, Sequence

from rankrise.complexity import SPLITS, Control, Split
from rankrise.experiments._comparison import Comparison, Row, Statement
from rankrise.experiments._complexity import ComplexityResult
from rankrise.experiments._readings import ComplexityReadings, complexity_readings

_NAMES: dict[Control, str] = {
    "real": "data",
    "inputs": "random inputs",
    "labels": "random labels",
}
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
                        group=f"{_NAMES[control]}, {split} error",
                        quantity=f"rank {rank}",
                        ours=mean(control, rank, split),
                        ours_spread=spread(control, rank, split),
                        paper=math.nan if reading is None else reading.mean,
                        paper_spread=math.nan if reading is None else reading.spread,
                    )
                )
    twins = [control for control in curve.controls if control != "real"]
    constant = float(curve.constant_errors["test"].mean())
    return Comparison(
        reference="paper",
        rows=tuple(rows),
        statements=tuple(_statements(mean, readings, curve.ranks, twins, constant)),
        notes=() if readings else (_UNREAD.format(dataset=result.dataset),),
    )


def _statements(
    ours: Mean,
    readings: ComplexityReadings,
    ranks: Sequence[int],
    twins: Sequence[Control],
    constant: float,
) -> list[Statement]:
    known = all(
        (control, rank, split) in readings
        for control in ("real", *twins)
        for rank in ranks
        for split in SPLITS
    )

    def paper(control: Control, rank: int, split: Split) -> float:
        return readings[control, rank, split].mean

    def stated(
        group: str, words: str, check: Callable[[Mean, float], bool]
    ) -> Statement:
        return Statement(
            group=group,
            words=words,
            ours=check(ours, constant),
            paper=check(paper, _CONSTANT) if known else None,
        )

    def below_twins(mean: Mean, constant: float) -> bool:
        return all(
            mean("real", rank, "train") < mean(twin, rank, "train")
            for rank in ranks
            for twin in twins
        )

    def generalizes(mean: Mean, constant: float) -> bool:
        return all(mean("real", rank, "test") < constant for rank in ranks)

    def does_not(twin: Control) -> Callable[[Mean, float], bool]:
        # A constant's error is of the training mean; a model can come a little below.
        return lambda mean, constant: all(
            mean(twin, rank, "test") > 0.99 * constant for rank in ranks
        )

    def falls(control: Control) -> Callable[[Mean, float], bool]:
        def check(mean: Mean, constant: float) -> bool:
            errors = [mean(control, rank, "train") for rank in ranks]
            return errors == sorted(errors, reverse=True)

        return check

    return [
        stated("data", "training error below both twins' at every rank", below_twins),
        stated("data", "test error below a constant's at every rank", generalizes),
        *(
            stated(
                _NAMES[twin],
                "test error no lower than a constant's at any rank",
                does_not(twin),
            )
            for twin in twins
        ),
        *(
            stated(_NAMES[each], "training error falls with rank", falls(each))
            for each in ("real", *twins)
        ),
    ]
