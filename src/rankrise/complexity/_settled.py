"""Whether more ranks would say more, and what to say where none does."""

from __future__ import annotations

import logging
import math

from rankrise.complexity._complexity import Complexity
from rankrise.complexity._controls import Control
from rankrise.complexity._curve import RankCurve
from rankrise.tables import CategoricalData

_logger = logging.getLogger(__name__)


def parameters_of_rank_one(data: CategoricalData) -> int:
    """How many numbers a component has that change what it predicts."""
    return 1 + sum(count - 1 for count in data.cardinalities)


def is_settled(curve: RankCurve) -> bool:
    """Whether ranks above those fitted would leave the complexity as it is."""
    if not _with_controls(curve):
        return False
    found = curve.complexity()
    # Where the control is fitted, higher ranks fit it all the more.
    can_go_on = math.isfinite(found.explained[curve.ranks[-1]])
    return not can_go_on or (found.rank is not None and not found.at_least)


def tell_what_cannot_be_told(curve: RankCurve, train: CategoricalData) -> None:
    """Warn of controls that are fitted as well as the data."""
    for control in _with_controls(curve):
        found = curve.complexity(control=control)
        if not found.can_be_told:
            _logger.warning("%s", _saturated(found, train))
        elif found.rank is None:
            _logger.warning("%s.", found)


def _with_controls(curve: RankCurve) -> tuple[Control, ...]:
    if "data" not in curve.controls or curve.cut_off is not None:
        return ()
    return tuple(control for control in curve.controls if control != "data")


def _saturated(found: Complexity, train: CategoricalData) -> str:
    return (
        f"{found}: a component has {parameters_of_rank_one(train)} parameters, and "
        f"there are {train.samples} samples for training. Fewer levels or columns, or "
        "more samples, would tell more."
    )
