"""How a file stores a tensor, so that another can be stored in the same way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._typing import Values
from rankrise.tensors._mode_axes import ModeAxis


@dataclass(frozen=True, eq=False)
class Layout:
    """What is kept of a file besides the entries.

    Attributes
    ----------
    write
        Writes all entries in the form of the file, to exactly this path; the caller
        makes that atomic.
    mode_axes
        What the file calls the modes and their indices, empty where it says nothing.
    units
        Of the values, empty where the file says nothing.
    suffix
        Extension of the written file, if its form is not that of the input.
    """

    write: Callable[[Values, Path], None]
    mode_axes: tuple[ModeAxis, ...] = ()
    units: str = ""
    suffix: str | None = None

    def axes(self, order: int) -> tuple[ModeAxis, ...]:
        """What the file calls the modes and their indices."""
        return self.mode_axes or (ModeAxis(),) * order


def as_stored(completed: Values, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """The entries in the floating point type of the input, float64 for other types.

    A type too narrow for them (an entry near 1e5 in float16) is not used: an
    estimate stored as infinity would be lost.
    """
    if dtype.kind != "f":
        return completed.astype(np.float64, copy=False)
    with np.errstate(over="ignore"):
        stored = completed.astype(dtype, copy=False)
    if stored.dtype != completed.dtype and np.isinf(stored).any():
        return completed.astype(np.float64, copy=False)
    return stored
