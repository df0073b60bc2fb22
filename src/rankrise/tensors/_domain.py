"""The domain of a tensor: entries outside it do not exist and are never filled."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError, shown
from rankrise._memory import MAX_DENSE_BYTES
from rankrise._typing import ModeDims
from rankrise.tensors._input_checks import ravel_indices, true_or_false
from rankrise.tensors._layout import ModeAxis, place_of
from rankrise.tensors._missing import without_sentinels
from rankrise.tensors._observations import Observations
from rankrise.tensors._reading import Reading

Axes = Sequence[ModeAxis]
Bools = npt.NDArray[np.bool_]
Named = tuple[npt.NDArray[Any], Axes]
"""An array, with the names and labels of its modes."""

# Along a mode with more fibers than this, most have no observation.
_MOST_FIBERS = 10**8
# Standard deviations beyond which a count is not by chance.
_CLEARLY = 5.0

_logger = logging.getLogger(__name__)


def as_reading_says(
    observations: Observations,
    axes: Axes,
    reading: Reading,
    read: Callable[[Any], Named | None],
) -> Observations:
    """The observations without sentinel values, and with a mask of what exists.

    The mask is that of `domain`, an array, a DataArray, or what `read` makes one of. It
    may have fewer modes, and is aligned by their names and labels if it has them. Nor
    does a fiber without any observation exist along the modes of `leave_empty`.
    """
    observations = without_sentinels(observations, reading.missing)
    domain, leave_empty = reading.domain, reading.leave_empty
    if domain is None and not leave_empty:
        return observations
    dims = observations.mode_dims
    if math.prod(dims) > MAX_DENSE_BYTES:
        raise InputError(
            f"A mask of the mode dimensions {dims} does not fit in memory; leave "
            "`domain` and `leave_empty` out."
        )
    exists = np.ones(dims, bool)
    if domain is not None:
        given, own = _as_named(domain, read)
        if given.dtype.kind == "f":  # What is absent does not exist.
            given = np.where(np.isnan(given), 0, given)
        flags = true_or_false(given, "The `domain`", "an entry exists")
        exists = _aligned(flags, own, axes, dims).copy()
        observations = _observed_within(observations, axes, exists)
    if leave_empty:
        seen = np.zeros(dims, bool)
        seen[tuple(observations.indices.T)] = True
        for name in leave_empty:
            exists &= seen.any(axis=_mode_number(name, axes), keepdims=True)
    return replace(observations, exists=exists)


def _as_named(domain: Any, read: Callable[[Any], Named | None]) -> Named:
    named = read(domain)
    if named is not None:
        return named
    xarray = sys.modules.get("xarray")
    if xarray is not None and isinstance(domain, xarray.DataArray):
        return domain.values, [
            ModeAxis(str(d), domain[d].values if d in domain.coords else None)
            for d in domain.dims
        ]
    try:
        array = np.asarray(domain)
    except ValueError as error:
        raise InputError(
            f"The `domain` cannot be made an array ({error}); give a flag for every "
            "entry."
        ) from error
    return array, (ModeAxis(),) * array.ndim


def _aligned(flags: Bools, own: Axes, axes: Axes, dims: ModeDims) -> Bools:
    names, shape = [axis.name for axis in axes], flags.shape
    called = [axis.name for axis in own if axis.name in names and axis.name]
    if len(set(called)) == len(own):
        modes = [names.index(name) for name in called]
    else:
        modes = list(range(len(dims)))[-flags.ndim :]
    fits = 0 < flags.ndim == len(modes)
    if fits:
        for place, (given, mode) in enumerate(zip(own, modes, strict=True)):
            if given.labels is not None and axes[mode].labels is not None:
                flags = flags.take(_places(given, axes[mode], mode), axis=place)
        # One flag is for one index: only modes that the domain lacks share their flags.
        fits = flags.shape == tuple(dims[mode] for mode in modes)
    if not fits:
        raise InputError(
            f"The `domain` has shape {shape} but the mode dimensions are {dims}; "
            "give a flag for every entry, or for those of the last modes."
        )
    lacking = tuple({*range(len(dims))} - {*modes})
    flags = np.expand_dims(flags.transpose(np.argsort(modes)), lacking)
    return np.broadcast_to(flags, dims)


def _places(given: ModeAxis, axis: ModeAxis, mode: int) -> list[int]:
    """Where the domain has the labels of a mode."""
    assert given.labels is not None
    assert axis.labels is not None
    found = {given.label(place): place for place in range(len(given.labels))}
    labels = [axis.label(index) for index in range(len(axis.labels))]
    absent = next((label for label in labels if label not in found), None)
    if absent is not None:
        raise InputError(
            f"The `domain` has no flag for {shown(absent)} of {axis.title(mode)}; give "
            "one for every label."
        )
    return [found[label] for label in labels]


def _observed_within(
    observations: Observations, axes: Axes, exists: Bools
) -> Observations:
    within = exists[tuple(observations.indices.T)]
    if within.all():
        return observations
    if not within.any():
        raise InputError(
            "All observed entries lie outside the `domain`; it is True where an entry "
            "exists."
        )
    row = int(np.argmin(within))
    _logger.warning(
        "%d of %d observed entries lie outside the `domain`, which is True where an "
        "entry exists; they are left out, such as %g at %s.",
        within.size - int(within.sum()),
        within.size,
        observations.values[row],
        place_of(axes, observations.indices[row]),
    )
    return observations.take(within)


def _mode_number(name: Hashable, axes: Axes) -> int:
    """The number from 0 of a mode given by its name, or its number from 1."""
    names = [axis.name for axis in axes]
    if str(name) in names:
        return names.index(str(name))
    text = str(name)
    if text.isdecimal() and 1 <= int(text) <= len(axes):
        return int(text) - 1
    listed = ", ".join(axis.title(mode) for mode, axis in enumerate(axes))
    raise InputError(
        f"`leave_empty` names {shown(text)}, which is not a mode; the modes are "
        f"{listed} (numbers count from 1)."
    )


def warn_of_unobserved_fibers(observations: Observations, axes: Axes) -> None:
    """Warn of a mode along which more fibers than by chance have no observation.

    Slices without any observation do not count, nor do modes along which most fibers
    have none, as in any sparse tensor.
    """
    found = [
        (empty * dim, mode, *fibers)
        for mode, dim in enumerate(observations.mode_dims)
        if dim > 1 and (fibers := _unobserved_fibers(observations, mode))
        for empty in fibers[:1]
    ]
    if observations.order < 3 or not found:
        return
    _, mode, empty, count, first = max(found)
    others = [axis for m, axis in enumerate(axes) if m != mode]
    _logger.warning(
        "%d of %d fibers along %s have no observation, the first at %s; they are "
        "filled from other fibers alone (`leave_empty` leaves them empty).",
        empty,
        count,
        axes[mode].title(mode),
        place_of(others, first),
    )


def _unobserved_fibers(
    observations: Observations, mode: int
) -> tuple[int, int, tuple[int, ...]] | None:
    """The number of fibers without an observation, that of all, and the first one."""
    dims = observations.mode_dims
    others = [other for other in range(observations.order) if other != mode]
    shape = tuple(dims[other] for other in others)
    if math.prod(shape) > min(_MOST_FIBERS, 2 * len(observations)):
        return None
    rows = observations.indices[:, others]
    seen = np.zeros(math.prod(shape), bool)
    seen[ravel_indices(rows, shape)] = True
    exist = np.zeros(shape, bool)
    exist[np.ix_(*map(np.unique, rows.T))] = True
    if observations.exists is not None:
        exist &= observations.exists.any(axis=mode)
    empty = exist & ~seen.reshape(shape)
    count, empties = int(exist.sum()), int(empty.sum())
    share = len(observations) / (count * dims[mode])
    by_chance = count * max(0.0, 1 - share) ** dims[mode]
    if not by_chance + _CLEARLY * math.sqrt(by_chance) < empties <= count / 2:
        return None
    return empties, count, tuple(int(place) for place in np.argwhere(empty)[0])
