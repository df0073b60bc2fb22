"""At which steps a run is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError

# More than any run can record, and few enough to be listed.
_MOST_SAVES = 10_000_000


@dataclass(frozen=True)
class SaveAt:
    """The steps whose state is measured; the first and the last always are.

    Build one with `every`, `linear`, `logarithmic` or `at`.
    """

    kind: Literal["every", "linear", "logarithmic", "at"]
    number: int = 0
    listed: tuple[int, ...] = ()

    @classmethod
    def every(cls, steps: int) -> SaveAt:
        """Every so many steps."""
        return cls("every", _positive(steps, "number of steps between saves"))

    @classmethod
    def linear(cls, saves: int) -> SaveAt:
        """So many saves, evenly spaced up to the step limit."""
        return cls("linear", _positive(saves, "number of saves"))

    @classmethod
    def logarithmic(cls, saves: int) -> SaveAt:
        """So many saves, evenly spaced in the logarithm of the step."""
        return cls("logarithmic", _positive(saves, "number of saves"))

    @classmethod
    def at(cls, steps: npt.ArrayLike) -> SaveAt:
        """Exactly these steps."""
        listed = np.asarray(steps)
        if listed.ndim != 1 or listed.dtype.kind not in "iu" or (listed < 0).any():
            raise InputError("The steps to save at must be a list of whole numbers.")
        return cls("at", listed=tuple(int(step) for step in listed))

    def steps(self, max_steps: int) -> npt.NDArray[np.int64]:
        """The steps up to `max_steps`, sorted, each once."""
        saves = max_steps // self.number if self.kind == "every" else self.number
        if saves > _MOST_SAVES:
            raise InputError(
                f"That makes {saves} saves and at most {_MOST_SAVES} fit; save at "
                "fewer steps."
            )
        if self.kind == "every":
            chosen = np.arange(0, max_steps + 1, self.number)
        elif self.kind == "linear":
            chosen = np.rint(np.linspace(0, max_steps, self.number)).astype(np.int64)
        elif self.kind == "logarithmic":
            chosen = np.rint(np.geomspace(1, max(max_steps, 1), self.number))
        else:
            chosen = np.asarray(self.listed, dtype=np.int64)
        within = chosen[chosen <= max_steps]
        return np.unique(np.concatenate([[0], within, [max_steps]]).astype(np.int64))


def _positive(number: int, what: str) -> int:
    if number < 1:
        raise InputError(f"The {what} is {number}; it must be at least 1.")
    return number
