"""What a file stores besides entries: names and labels, and how to write another."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rankrise._typing import Values


class ModeAxis(NamedTuple):
    """A mode, by its name and labels.

    Attributes
    ----------
    name
        None if it has none.
    labels
        In the order of the indices, None if there are none.
    units
        Of the labels, empty if they have none.
    """

    name: str | None = None
    labels: npt.NDArray[Any] | None = None
    units: str = ""

    def label(self, index: int) -> str:
        """The label of an index, or its number."""
        if self.labels is None:
            return str(index)
        label = self.labels[index]
        if isinstance(label, np.datetime64):
            # In whatever unit it is stored.
            return re.sub(r"\.0+$", "", str(label)).removesuffix("T00:00:00")
        words = str(label)
        return words.removesuffix(".0") if isinstance(label, np.floating) else words

    def place(self, index: int, mode: int) -> str:
        """Words for one slice; `mode` counts from 0."""
        if self.labels is None:
            return f"index {index} (counted from 0) of {self.title(mode)}"
        return f"{self.label(index)} of {self.title(mode)}"

    def title(self, mode: int) -> str:
        """Its name, or its number counted from 1."""
        return f"mode {mode + 1}" if self.name is None else self.name


def place_of(axes: Sequence[ModeAxis], indices: Iterable[int | np.integer]) -> str:
    """Words for one entry: the labels of its indices."""
    pairs = zip(axes, indices, strict=True)
    return f"({', '.join(axis.label(int(index)) for axis, index in pairs)})"


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
