"""Where models start from, and in which order they see the samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.ensembles._ensemble import Member, start_table
from rankrise.ensembles._training import Training

if TYPE_CHECKING:
    from rankrise.ensembles._fit import Samples

FloatArray = npt.NDArray[np.floating]


def start_tables(
    train: Samples,
    members: Sequence[Member],
    training: Training,
    dtype: npt.DTypeLike,
) -> list[FloatArray]:
    """The factors of every model at the start, given or drawn."""
    shape = (train.data.values, train.data.features)
    given = training.start
    if given is None:
        tables = [
            start_table(
                shape,
                member,
                init_mean=training.start_mean(
                    train.targets[:, member.task],
                    member.components,
                    train.data.features,
                ),
                init_std=training.init_std,
                dtype=dtype,
            )
            for member in members
        ]
        for table in tables if training.mixed_signs else ():
            components = table.shape[-1]
            # The product changes its sign with the factors of one mode.
            table[:, 0, components - components // 4 :] *= -1
        return tables
    arrays = [given(member) for member in members] if callable(given) else list(given)
    if len(arrays) != len(members):
        raise InputError(
            f"There are {len(arrays)} starts for {len(members)} models; give one for "
            "each."
        )
    return [
        _checked(np.asarray(array), (*shape, member.components), number).astype(dtype)
        for number, (array, member) in enumerate(zip(arrays, members, strict=True))
    ]


def _checked(array: Any, shape: tuple[int, ...], number: int) -> Any:
    if array.shape != shape or array.dtype.kind not in "fiu":
        raise InputError(
            f"The start of model {number} is an array of {array.dtype} of shape "
            f"{array.shape}; give numbers of shape {shape} (value, mode, component)."
        )
    if not np.isfinite(array).all():
        raise InputError(
            f"The start of model {number} has a factor that is not finite; give "
            "finite numbers."
        )
    return array


class Batches:
    """Given batches, taken in order as epochs ask for them."""

    def __init__(
        self,
        given: Iterable[npt.ArrayLike],
        samples: int,
        batch_size: int,
        most_epochs: int,
    ) -> None:
        if not isinstance(given, Iterable):
            raise InputError(
                f"batches is {given!r}; give an iterable of index arrays, one a step."
            )
        self._given = iter(given)
        self._taken = 0
        self._samples, self._size = samples, batch_size
        self._shape = most_epochs, -(-samples // batch_size), batch_size

    def take(self, epoch: int, epochs: int) -> npt.NDArray[np.int32]:
        """Rows of the batches of some epochs, with -1 where one has no more."""
        found = np.full(self._shape, -1, np.int32)
        # A run that is resumed has used the first ones.
        while self._taken < epoch * self._shape[1]:
            self._next()
        for place in np.ndindex(epochs, self._shape[1]):
            rows = self._next()
            found[place][: len(rows)] = rows
        return found

    def _next(self) -> npt.NDArray[np.integer]:
        rows = next(self._given, None)
        if rows is None:
            raise InputError(
                f"The batches end after {self._taken} steps, and an epoch takes "
                f"{self._shape[1]}; give as many for every epoch (`itertools.cycle` "
                "repeats them)."
            )
        rows = np.asarray(rows)
        if rows.ndim != 1 or not rows.size or rows.dtype.kind not in "iu":
            raise InputError(
                f"Batch {self._taken} is an array of {rows.dtype} of shape "
                f"{rows.shape}; give row numbers, at least one."
            )
        if len(rows) > self._size:
            raise InputError(
                f"Batch {self._taken} has {len(rows)} rows and batch_size is "
                f"{self._size}; give a larger batch_size or smaller batches."
            )
        if rows.min() < 0 or rows.max() >= self._samples:
            wrong = rows.min() if rows.min() < 0 else rows.max()
            raise InputError(
                f"Batch {self._taken} names row {wrong}; there are {self._samples}, "
                "counted from 0."
            )
        self._taken += 1
        return rows
