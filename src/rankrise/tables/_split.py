"""Samples for training beside others for testing."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rankrise._checks import check_whole
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


def fold_rows(
    labels: npt.NDArray[Any], folds: int, seed: int
) -> tuple[tuple[Rows, Rows], ...]:
    """For every fold, which samples are for training and which for testing.

    Every sample is tested once, in a fold chosen at random so that each has its share
    of every class; the only sample of a class is for training in all of them.

    Raises
    ------
    InputError
        Where there are fewer samples than folds, or fewer than two folds.
    """
    check_whole("folds", folds, 2)
    if folds > len(labels):
        raise InputError(
            f"There are {len(labels)} samples for {folds} folds; ask for fewer folds."
        )
    order = np.random.default_rng(seed).permutation(len(labels))
    alone = np.zeros(len(labels), bool)
    if labels.ndim == 1:  # classes
        _, place, count = np.unique(labels, return_inverse=True, return_counts=True)
        order = order[np.argsort(place[order], kind="stable")]
        alone = count[place] == 1
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(labels)) % folds
    fold[alone] = -1
    rows = np.arange(len(labels))
    return tuple((rows[fold != k], rows[fold == k]) for k in range(folds))


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
