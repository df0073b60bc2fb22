"""Rows of a table of labels, as indices."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rankrise._errors import InputError
from rankrise._typing import Indices
from rankrise.tensors import ModeAxis, label_places


def indices_in(axes: Sequence[ModeAxis], table: Any) -> Indices:
    """The indices of a DataFrame's rows; -1 for a label that a mode does not have.

    Raises
    ------
    InputError
        If a mode has no name, or the table no column of that name.
    """
    import pandas as pd

    indices = np.empty((len(table), len(axes)), np.int64)
    for mode, axis in enumerate(axes):
        if axis.name not in table:
            raise InputError(f"The table has no column {axis.title(mode)!r}.")
        column = table[axis.name]
        if axis.labels is None:
            indices[:, mode] = column
        else:
            indices[:, mode] = label_places(column, pd.Index(axis.labels))
    return indices
