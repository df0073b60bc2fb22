"""How a table holds a tensor, from which a table of all its entries is made."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise._memory import MAX_DENSE_BYTES
from rankrise._typing import Indices, Values
from rankrise.tensors._layout import ModeAxis, as_stored

_BLOCK_ROWS = 2**20

Block = dict[Hashable, Any]
"""Some rows of a table, column by column."""


@dataclass(frozen=True, eq=False)
class TableMode:
    """A mode of a tensor as a table has it.

    Attributes
    ----------
    key
        The column of labels, or the level of column names.
    name
        Name of the mode, None if it has none of its own.
    labels
        In the order of the indices, None if these are plain numbers.
    index_dtype, first_index
        The type of plain indices, and the first of them.
    """

    key: Hashable | None
    name: Hashable | None
    dim: int
    labels: Any | None = None
    index_dtype: np.dtype[Any] = np.dtype(np.int64)  # noqa: RUF009
    first_index: int = 0

    def column(self, indices: Indices) -> Any:
        """The cells of a table for these indices."""
        if self.labels is None:
            return (indices + self.first_index).astype(self.index_dtype)
        return self.labels.take(indices)

    @property
    def axis(self) -> ModeAxis:
        """Its name and labels."""
        labels: Any = self.labels
        if hasattr(labels, "__arrow_array__"):  # Dates, say, but not as Python's.
            labels = labels.__arrow_array__().to_numpy(zero_copy_only=False)
        return ModeAxis(
            None if self.name is None else str(self.name),
            None if labels is None else np.asarray(labels),
        )

    @property
    def cell_bytes(self) -> int:
        """Rough memory of one cell."""
        if self.labels is None:
            return self.index_dtype.itemsize
        return int(self.labels.nbytes) // max(self.dim, 1) + 1


@dataclass(frozen=True, eq=False)
class TableForm:
    """All that a table of every entry needs besides the entries.

    Attributes
    ----------
    names
        The columns of the table in their order.
    row_modes
        Modes that a column of labels gives.
    column_modes
        Modes that the names of value columns give: a long table has none.
    values
        The columns of values, in the order of the table, and the place of each among
        the flattened column modes.
    row_order
        Place of each row among the flattened row modes; None for row-major order.
    coordinates
        Columns that describe the labels of a row mode: name, place of the mode, and a
        cell for each index.
    """

    names: tuple[Hashable, ...]
    row_modes: tuple[TableMode, ...]
    column_modes: tuple[TableMode, ...]
    values: tuple[Hashable, ...]
    value_places: npt.NDArray[np.intp]
    value_dtypes: tuple[np.dtype[Any], ...]
    row_order: npt.NDArray[np.int64] | None
    coordinates: tuple[tuple[Hashable, int, Any], ...]
    join: Callable[[Iterator[Block]], Any]

    @property
    def modes(self) -> tuple[TableMode, ...]:
        """All modes, in the order of the tensor."""
        return self.row_modes + self.column_modes

    def axes(self) -> tuple[ModeAxis, ...]:
        """Names of the modes and labels of their indices."""
        return tuple(mode.axis for mode in self.modes)

    def table(self, completed: Values) -> Any:
        """A table of the same kind with a place for every entry.

        A long one has its rows in row-major order, a wide one in their own.
        """
        cells = 8 * len(self.values) + sum(mode.cell_bytes for mode in self.row_modes)
        byte_count = completed.size // len(self.values) * cells
        if byte_count > MAX_DENSE_BYTES:
            raise InputError(
                f"A table of all {completed.size} entries would take about "
                f"{byte_count / 2**30:.1f} GiB of memory, more than the "
                f"{MAX_DENSE_BYTES / 2**30:.3g} GiB that are allowed; use the "
                "completed array with the labels of its modes."
            )
        return self.join(self.blocks(completed))

    def blocks(self, completed: Values) -> Iterator[Block]:
        """The rows of that table, some at a time; a long one leaves out NaN."""
        row_dims = completed.shape[: len(self.row_modes)]
        rows = completed.reshape(-1, len(self.values))
        stored = [
            as_stored(rows[:, place], dtype)
            for place, dtype in zip(self.value_places, self.value_dtypes, strict=True)
        ]
        step = max(1, _BLOCK_ROWS // len(self.values))
        for start in range(0, len(rows), step):
            flat = np.arange(start, min(start + step, len(rows)))
            if self.row_order is not None:
                flat = self.row_order[flat]
            if not self.column_modes:
                flat = flat[~np.isnan(rows[flat, 0])]
            indices = np.unravel_index(flat, row_dims)
            block: Block = {
                mode.key: mode.column(index)
                for mode, index in zip(self.row_modes, indices, strict=True)
            }
            for name, mode, cells in self.coordinates:
                block[name] = cells.take(indices[mode])
            for name, column in zip(self.values, stored, strict=True):
                block[name] = column[flat]
            yield {name: block[name] for name in self.names}
