"""Names of the modes of a tensor, and labels of their indices."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


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
        return str(label)

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
