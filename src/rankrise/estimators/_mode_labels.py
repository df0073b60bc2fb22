"""Labels of the modes, learned from columns, and rows of labels as observations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rankrise._errors import InputError
from rankrise._typing import Indices, ModeDims, Values
from rankrise.tables import is_data_frame
from rankrise.tensors import (
    Observations,
    label_codes,
    label_places,
    mean_of_repeats,
)


@dataclass(frozen=True, eq=False)
class ModeLabels:
    """What the indices of every mode are called.

    Attributes
    ----------
    names
        Names of the modes, as an error calls them.
    labels
        Labels of every mode, in the order of its indices: a pandas Index.
    """

    names: tuple[str, ...]
    labels: tuple[Any, ...]

    @classmethod
    def fit(cls, X: Any) -> tuple[ModeLabels, Indices]:
        """Learn the labels of every column, and give its rows as indices.

        They are all distinct ones in natural order, or the categories of a column.

        Raises
        ------
        InputError
            Where a label is missing, or labels cannot be sorted.
        """
        import pandas as pd

        names, labels, codes = [], [], []
        for name, column in _columns(X):
            _refuse_missing(name, column)
            places, found = label_codes(column, None, name=f"the {name}")
            codes.append(places)
            names.append(name)
            is_category = isinstance(found, pd.Categorical)
            labels.append(pd.Index(np.asarray(found) if is_category else found))
        return cls(tuple(names), tuple(labels)), np.stack(codes, axis=1)

    @property
    def mode_dims(self) -> ModeDims:
        """How many labels every mode has."""
        return tuple(map(len, self.labels))

    def indices(self, X: Any) -> Indices:
        """Rows of labels as indices, -1 for a label that is none of these."""
        codes = []
        for (name, column), labels in zip(_columns(X), self.labels, strict=True):
            _refuse_missing(name, column)
            codes.append(label_places(column, labels))
        return np.stack(codes, axis=1)

    def shown(self, X: Any, row: int, mode: int) -> str:
        """A label as an error calls it."""
        label = _columns(X)[mode][1].iloc[row]
        text = repr(label) if isinstance(label, str) else str(label)
        return f"{text} in {self.names[mode]}"


def _columns(X: Any) -> list[tuple[str, Any]]:
    """Every column as a pandas Series, and what errors call it."""
    import pandas as pd

    if is_data_frame(X):
        return [(f"column {name!r}", X.iloc[:, n]) for n, name in enumerate(X.columns)]
    # Objects may be numbers beside text in another column.
    return [
        (f"feature {n}", pd.Series(column).infer_objects())
        for n, column in enumerate(X.T)
    ]


def _refuse_missing(name: str, column: Any) -> None:
    missing = column.isna().to_numpy()
    if missing.any():
        raise InputError(
            f"Sample {int(np.argmax(missing))} has no label (NaN) in {name}; give it "
            "one, or leave the sample out."
        )


def observations_of(
    indices: Indices,
    values: Values,
    mode_dims: ModeDims,
    weights: Values | None = None,
) -> Observations:
    """Observed entries, in the order of their indices.

    An entry that is given several times has the weighted mean of its values, and all
    their weight: with squared loss that makes no difference to a model.
    """
    entries = mean_of_repeats(indices, values, mode_dims, weights)
    if weights is None and len(entries[1]) == len(values):
        return Observations.from_coordinates(*entries[:2], mode_dims)
    return Observations.from_coordinates(*entries[:2], mode_dims, weights=entries[2])
