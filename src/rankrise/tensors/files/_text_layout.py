"""How a text file stores coordinates: delimiter, header, labels and first index."""

from __future__ import annotations

import csv
import itertools as it
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rankrise._typing import Indices, Values
from rankrise.tensors._mode_axes import ModeAxis
from rankrise.tensors.files._layout import Layout

# Text, or whole numbers such as years.
Labels = tuple[str, ...] | tuple[int, ...]

_BLOCK_ROWS = 2**16


@dataclass(frozen=True)
class TextLayout(Layout):
    """Coordinates in a text file.

    Attributes
    ----------
    delimiter
        What separates fields, None for any run of blanks.
    labels
        The labels of each mode in the order of its indices, None for plain indices.
    """

    first_index: int
    delimiter: str | None
    header: tuple[str, ...] | None
    labels: tuple[Labels | None, ...]

    def write(self, completed: Values, path: Path) -> None:
        """Write a row for every entry that has a value, in row-major order."""
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n", **self._dialect())
            if self.header is not None:
                writer.writerow(self.header)
            for start in range(0, completed.size, _BLOCK_ROWS):
                block = completed.reshape(-1)[start : start + _BLOCK_ROWS]
                flat = start + np.flatnonzero(~np.isnan(block))
                indices = np.unravel_index(flat, completed.shape)
                values = completed[indices].tolist()
                columns = it.starmap(self.fields, enumerate(indices))
                writer.writerows(zip(*columns, values, strict=True))

    def axes(self, order: int) -> tuple[ModeAxis, ...]:
        """What the file calls the modes and their indices."""
        names = (None,) * order if self.header is None else self.header[:-1]
        labels = (None if each is None else np.array(each) for each in self.labels)
        return tuple(map(ModeAxis, names, labels))

    def fields(self, mode: int, indices: Indices) -> Sequence[str | int]:
        """What the file calls these indices of one mode."""
        labels = self.labels[mode]
        if labels is None:
            numbers: list[int] = (indices + self.first_index).tolist()
            return numbers
        return [labels[index] for index in indices.tolist()]

    def _dialect(self) -> dict[str, Any]:
        if self.delimiter is None:
            # Blanks never occur within fields, and quotation marks mean nothing.
            return {"delimiter": " ", "quoting": csv.QUOTE_NONE, "quotechar": None}
        # Outside quotation marks, # at the start of a line would make it a comment.
        comment_like = any(
            isinstance(label, str) and label.startswith("#")
            for label in self.labels[0] or ()
        )
        quoting = csv.QUOTE_NONNUMERIC if comment_like else csv.QUOTE_MINIMAL
        return {"delimiter": self.delimiter, "quoting": quoting}
