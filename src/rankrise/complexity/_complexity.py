r"""One number for how complex a data set is.

A random control of the same shape tells how much of an error a rank removes whatever
the labels, for want of samples. With the mean training errors $E_R$ of the data and
$C_R$ of the control at rank $R$, the share

$$G_R = 1 - E_R / C_R$$

of what the control leaves is explained by structure. Were a rank to use up so many
parameters that it fits a share of any labels, both errors would shrink by it, so noise
beside a structure of rank $k$ leaves $G_R$ level from $k$ on: it is an adjusted
coefficient of determination with degrees of freedom that are measured, not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.complexity._controls import CONTROL_NAMES, Control

Errors = npt.NDArray[np.float64]

SHARE = 0.9
# Of a constant's error: where a control is left less, samples are too few for the rank.
LEAST_LEFT = 0.5
# Chance that data without structure are said to have one, and the least that counts.
_CHANCE, _LEAST_STRUCTURE = 0.01, 0.02


@dataclass(frozen=True)
class Complexity:
    """The smallest rank that explains a share of a data set's structure.

    Attributes
    ----------
    rank
        None where there is no structure, or none can be told.
    interval
        The lowest and the highest such rank among folds and seeds, each judged alone;
        None where there is but one of both, or no rank.
    at_least
        Whether a higher rank may be needed than was fitted, or than samples can tell.
    structure
        Largest share of what the control leaves that the data do not: 0 for data like
        the control's, 1 where the data are fitted without error. NaN where it cannot
        be told.
    structure_interval
        The same rank's lowest and highest among folds and seeds.
    explained
        That share at every rank; NaN where it does not count, for the control is left
        less than half of a constant's error.
    """

    rank: int | None
    interval: tuple[int, int] | None
    at_least: bool
    structure: float
    structure_interval: tuple[float, float] | None
    share: float
    control: Control
    explained: dict[int, float]

    @property
    def can_be_told(self) -> bool:
        """Whether there is a rank at which the control is left half of its error."""
        return bool(np.isfinite(self.structure))

    def __str__(self) -> str:
        control = CONTROL_NAMES[self.control]
        if not self.can_be_told:
            return (
                f"complexity cannot be told: {control} are fitted by more than "
                f"half at rank {min(self.explained)} already"
            )
        found = f"{self.structure:.2f}{_range(self.structure_interval, '.2f')}"
        if self.rank is None:
            return f"no structure: the data are fitted no better than {control}"
        least = "at least " if self.at_least else ""
        return (
            f"complexity {least}{self.rank}{_range(self.interval, 'd')}, "
            f"structure {found}"
        )


def measured_complexity(
    ranks: tuple[int, ...],
    data: Errors,
    random: Errors,
    constant: float,
    *,
    share: float,
    control: Control,
) -> Complexity:
    """The complexity by mean training errors: one row a rank, one column a repetition.

    Repetitions are folds and seeds. A rank counts if the control's mean error there is
    at least half a constant's: below, models fit most of what has no structure, and
    what differs from that is as much how they come to fit everything.
    """
    if not 0 < share <= 1:
        raise InputError(f"The share is {share}; give one above 0 and up to 1.")
    if data.shape != random.shape:  # cut off within one of them
        count = min(data.shape[1], random.shape[1])
        data, random = data[:, :count], random[:, :count]
    left = random.mean(axis=1)
    usable = np.isfinite(left) & np.isfinite(data).all(axis=1)
    usable &= left >= LEAST_LEFT * constant
    explained = np.full(len(ranks), np.nan)
    explained[usable] = 1 - data[usable].mean(axis=1) / left[usable]
    by_rank = dict(zip(ranks, explained.tolist(), strict=True))
    if not usable.any():
        nan = float("nan")
        return Complexity(None, None, False, nan, None, share, control, by_rank)
    best = int(np.nanargmax(explained))
    structure = float(explained[best])
    alone = 1 - data[usable] / random[usable]
    several = data.shape[1] > 1
    among = 1 - data[best] / random[best]
    structure_interval = (float(among.min()), float(among.max())) if several else None
    if not _is_apart(data[usable], random[usable], structure):
        return Complexity(
            None, None, False, structure, structure_interval, share, control, by_rank
        )
    some = np.array(ranks)[usable]
    first = _first(explained[usable], share)
    rank = int(some[first])
    found = [int(some[_first(column, share)]) for column in alone.T]
    interval = (min(*found, rank), max(*found, rank)) if several else None
    # It has not levelled off if more than half of the ranks that count were needed,
    # unless it would be enough even if higher ones explained everything.
    rising = ranks[best] == some[-1] and 2 * rank > some[-1]
    at_least = bool(rising and explained[usable][first] < share)
    return Complexity(
        rank, interval, at_least, structure, structure_interval, share, control, by_rank
    )


def _first(explained: Errors, share: float) -> int:
    """The place of the first that reaches the share of the largest."""
    return int(np.argmax(explained >= share * explained.max()))


def _is_apart(data: Errors, random: Errors, structure: float) -> bool:
    """Whether the data are fitted better than a control of theirs may be by chance.

    With errors in units of the control's mean and averaged over ranks, the data are one
    number and every repetition's control another, by whose spread it is judged (a
    t-test with one chance in a hundred). Without repetitions the least structure that
    counts is all there is.
    """
    if not structure >= _LEAST_STRUCTURE:
        return False
    count = random.shape[1]
    if count < 2:
        return True
    from scipy.stats import t

    units = random.mean(axis=1, keepdims=True)
    spread = np.std((random / units).mean(axis=0), ddof=1)
    gap = 1 - (data / units).mean()
    limit = t.ppf(1 - _CHANCE, count - 1) * np.sqrt(1 + 1 / count)
    return bool(gap > limit * spread)


def _range(interval: tuple[float | int, float | int] | None, form: str) -> str:
    if interval is None:
        return ""
    low, high = interval
    return f" ({low:{form}} to {high:{form}})"
