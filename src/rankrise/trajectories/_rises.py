"""When components rose."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._defaults import RISEN_SHARE
from rankrise._typing import Values

# A component has arrived when it grows at less than this share of its fastest.
_ARRIVED_SHARE = 0.02


def rises(norms: Any) -> list[int | None]:
    """The save at which each component first passed half its final norm.

    `norms` has one row per save and one column per component. None for a component
    that ends below a hundredth of the largest, and where there is but one save: it did
    not rise.
    """
    if len(norms) < 2:
        return [None] * norms.shape[1]
    final = norms[-1]
    passed = np.argmax(norms >= final / 2, axis=0)
    return [
        int(first) if norm > RISEN_SHARE * final.max() else None
        for first, norm in zip(passed, final, strict=True)
    ]


def crossing(places: npt.NDArray[Any], norms: Values, level: float) -> float:
    """Where a norm first reaches a level, between two saves; infinite if it does not.

    `places` are the steps or times of the saves.
    """
    above = norms >= level
    if not above.any():
        return math.inf
    save = int(np.argmax(above))
    if save == 0:
        return float(places[0])
    share = (level - norms[save - 1]) / (norms[save] - norms[save - 1])
    return float(places[save - 1] + share * (places[save] - places[save - 1]))


def arrival(places: npt.NDArray[Any], norms: Values) -> int | None:
    """The save at which a norm that rose to its final one has come to rest.

    The first after half that height at which it grows at less than a fiftieth of its
    fastest till then. None if it never does.
    """
    half = int(np.argmax(norms >= norms[-1] / 2))
    growth = np.diff(norms) / np.diff(places)
    # Two saves on, for the fastest growth can lie just after half the height.
    fastest = float(growth[: half + 2].max(initial=0.0))
    resting = np.flatnonzero(growth[half:] < _ARRIVED_SHARE * fastest)
    return None if len(resting) == 0 else half + int(resting[0])
