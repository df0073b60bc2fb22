"""Samples for training beside others for testing."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.tables._categories import CategoricalData

TargetKind = Literal["classes", "values"]


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """Samples and what is to be predicted of them, for training and testing.

    Attributes
    ----------
    train_labels, test_labels
        One label a sample for classes; one row a sample and one column a target for
        values.
    source
        Where it is from, for the record.
    kind
        Whether classes are told apart or numbers predicted.
    target_names
        Names of the columns of values; empty for classes.
    content_sha256
        SHA-256 of the file it is from, in hexadecimal.
    """

    train: CategoricalData
    train_labels: npt.NDArray[Any]
    test: CategoricalData
    test_labels: npt.NDArray[Any]
    source: str
    kind: TargetKind = "classes"
    target_names: tuple[str, ...] = ()
    content_sha256: str | None = None

    def of_file(self, path: Path, content_sha256: str) -> LabelledSet:
        """The same with the file it is from."""
        return replace(self, source=str(path), content_sha256=content_sha256)


Rows = npt.NDArray[np.integer]


def split_rows(samples: int, test_share: float, seed: int) -> tuple[Rows, Rows]:
    """Which samples are for training and which for testing, at random.

    Raises
    ------
    InputError
        Where one of the two would have no sample, or the share is no number.
    """
    order = np.random.default_rng(seed).permutation(samples)
    if not math.isfinite(test_share):
        raise InputError(
            f"The share for testing is {test_share}; give one between 0 and 1."
        )
    kept = round(test_share * samples)
    if not 0 < kept < samples:
        raise InputError(
            f"Of {samples} samples a share of {test_share} for testing is {kept}; some "
            "are needed for training and some for testing."
        )
    return order[kept:], order[:kept]
