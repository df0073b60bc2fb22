"""At which steps or times a run is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rankrise._checks import check_whole
from rankrise._errors import InputError
from rankrise._typing import Values

# More than any run can record, and few enough to be listed.
_MOST_SAVES = 10_000_000
# Logarithmic saves in time begin at this share of the end time.
_FIRST_SHARE = 1e-6


@dataclass(frozen=True)
class Schedule:
    """Saves of a run, each reached at its step or at its time, whichever is first."""

    steps: npt.NDArray[np.int64]
    times: Values


@dataclass(frozen=True)
class SaveAt:
    """Where a run is measured; the first and the last state always are.

    Build one with `every`, `linear`, `logarithmic`, `at` or `times`. On a run with an
    end time, `linear` and `logarithmic` are spaced in time, else in steps.

    Examples
    --------
    >>> import rankrise as rr
    >>> rr.trajectories.SaveAt.every(100).number
    100
    """

    kind: Literal["every", "linear", "logarithmic", "at", "times"]
    number: int = 0
    listed: tuple[int | float, ...] = ()

    @classmethod
    def every(cls, steps: int) -> SaveAt:
        """One save every `steps` steps."""
        check_whole("The number of steps between saves", steps, 1)
        return cls("every", steps)

    @classmethod
    def linear(cls, saves: int) -> SaveAt:
        """A number of saves, evenly spaced up to the limit of the run."""
        check_whole("The number of saves", saves, 1)
        return cls("linear", saves)

    @classmethod
    def logarithmic(cls, saves: int) -> SaveAt:
        """A number of saves, evenly spaced in the logarithm of the step or the time.

        In time, they begin at a millionth of the end time.
        """
        check_whole("The number of saves", saves, 1)
        return cls("logarithmic", saves)

    @classmethod
    def at(cls, steps: npt.ArrayLike) -> SaveAt:
        """Exactly these steps."""
        return cls("at", listed=_listed("steps", steps, "whole numbers", "iu"))

    @classmethod
    def times(cls, times: npt.ArrayLike) -> SaveAt:
        """Exactly these times on the clock of gradient flow.

        `GradientFlow` ends a step there; a rule with step sizes of its own is measured
        after the first step that reaches the time.
        """
        listed = _listed("times", times, "finite numbers", "iuf")
        return cls("times", listed=tuple(map(float, listed)))

    @property
    def end_time(self) -> float | None:
        """The last of the times that were listed, if times were."""
        return max(self.listed) if self.kind == "times" else None

    def steps(self, max_steps: int) -> npt.NDArray[np.int64]:
        """The steps up to `max_steps`, sorted, each once."""
        saves = max_steps // self.number if self.kind == "every" else self.number
        if saves > _MOST_SAVES:
            raise InputError(
                f"That makes {saves} saves and at most {_MOST_SAVES} fit; save at "
                "fewer steps, or give max_steps."
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

    def schedule(self, max_steps: int, end_time: float | None) -> Schedule:
        """The saves of a run with these limits, in order."""
        end_time = self.end_time if end_time is None else end_time
        if end_time is None or self.kind in ("every", "at"):
            steps = self.steps(max_steps)
            limit = math.inf if end_time is None else end_time
            return Schedule(steps, np.full(len(steps), limit))
        if self.kind == "linear":
            chosen = np.linspace(0, end_time, self.number)
        elif self.kind == "logarithmic":
            chosen = np.geomspace(_FIRST_SHARE * end_time, end_time, self.number)
        else:
            chosen = np.asarray(self.listed)
        within = chosen[chosen <= end_time]
        times = np.unique(np.concatenate([[0.0], within, [end_time]]))
        return Schedule(np.full(len(times), max_steps), times)


def _listed(
    what: str, given: npt.ArrayLike, numbers: str, kinds: str
) -> tuple[Any, ...]:
    listed = np.asarray(given)
    fits = listed.ndim == 1 and listed.size > 0 and listed.dtype.kind in kinds
    if not fits or not np.isfinite(listed).all() or (listed < 0).any():
        raise InputError(
            f"The {what} to save at are {given!r}; give a list of {numbers} from 0 "
            "upwards."
        )
    return tuple(listed.tolist())
