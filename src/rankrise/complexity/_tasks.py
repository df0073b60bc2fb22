"""What models learn: each class against all others, or columns of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.tables import LabelledSet

FloatArray = npt.NDArray[np.floating]

# Of the class in the paper; all others have 0, and errors are divided by the square,
# so that they count labels 1 and 0.
_POSITIVE = 2.0


@dataclass(frozen=True, eq=False)
class Tasks:
    """Targets, one row a sample and one column a task.

    Attributes
    ----------
    places
        Places of the names among all that the data have.
    unit
        What losses are divided by to be errors.
    largest_loss
        Largest loss of a test sample: the square of the range of training targets. A
        prediction farther off is as wrong, and one of a huge product would hide all
        others.
    """

    names: tuple[str, ...]
    places: tuple[int, ...]
    train: FloatArray
    test: FloatArray
    unit: float
    largest_loss: float

    @property
    def constant_errors(self) -> tuple[FloatArray, FloatArray]:
        """Errors of predicting the training mean, in training and in testing."""
        mean = self.train.mean(axis=0)
        train, test = (
            np.mean((part - mean) ** 2, axis=0) / self.unit
            for part in (self.train, self.test)
        )
        return train, test


def make_tasks(data: LabelledSet, classes: Sequence[Any] | None) -> Tasks:
    """The tasks of a data set; of some classes, if they are named.

    Raises
    ------
    InputError
        Where a class is named that is not there, or classes for values.
    """
    if data.kind == "classes":
        return _one_against_all(data, classes)
    if classes is not None:
        raise InputError(
            f"There are no classes to choose among: {', '.join(data.target_names)} "
            "holds values; leave them out, or take it for classes."
        )
    return _standardized(data)


def _one_against_all(data: LabelledSet, wanted: Sequence[Any] | None) -> Tasks:
    there = np.unique(data.train_labels)
    if len(there) < 2:
        raise InputError(
            f"All samples for training have {there[0]} as target, so there is nothing "
            "to learn; give a target that varies."
        )
    by_name = {str(label): place for place, label in enumerate(there)}
    names = tuple(by_name) if wanted is None else tuple(map(str, wanted))
    if not names or len(set(names)) != len(names):
        raise InputError(
            f"The classes are {', '.join(names) or 'none'}; give some, each once."
        )
    for name in names:
        if name not in by_name:
            raise InputError(
                f"There is no class {name}; the data have {', '.join(by_name)}."
            )
    places = tuple(by_name[name] for name in names)
    chosen = there[list(places)]
    train, test = (
        _POSITIVE * (labels[:, None] == chosen)
        for labels in (data.train_labels, data.test_labels)
    )
    return Tasks(names, places, train, test, _POSITIVE**2, _POSITIVE**2)


def _standardized(data: LabelledSet) -> Tasks:
    """Values at zero mean and unit variance, which makes losses shares of it."""
    # In units in which squares neither overflow nor vanish; a power of two, so that
    # nothing is rounded.
    _, exponent = np.frexp(np.abs(data.train_labels).max(axis=0))
    values, others = (
        np.ldexp(labels, -exponent) for labels in (data.train_labels, data.test_labels)
    )
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    # Rounding of the mean leaves this much of a constant.
    if not (deviation > 1e-12).all():
        name = data.target_names[int(np.argmin(deviation))]
        raise InputError(
            f"All samples for training have the same {name}, so there is nothing to "
            "learn; give a target that varies."
        )
    train, test = ((part - mean) / deviation for part in (values, others))
    return Tasks(
        data.target_names,
        tuple(range(len(data.target_names))),
        train,
        test,
        1.0,
        float(np.ptp(train, axis=0).max() ** 2),
    )
