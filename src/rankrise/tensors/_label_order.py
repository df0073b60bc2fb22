"""The order of the labels of a mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def label_order(
    labels: Any, order: str | None = None, *, name: object
) -> npt.NDArray[np.intp]:
    """Places of labels in ascending order."""
    if order == "given" or hasattr(labels, "categories"):
        return np.arange(len(labels))
    plain = np.asarray(labels)
    if plain.dtype.kind != "O":
        return np.argsort(plain, kind="stable")
    listed = plain.tolist()
    return np.array(sorted(range(len(listed)), key=listed.__getitem__), np.intp)
