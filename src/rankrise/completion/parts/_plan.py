"""Which rows lie in which part: told by a first look at all blocks."""

import itertools
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise._typing import Indices, ModeDims, Values
from rankrise.completion._arrangement import Rows
from rankrise.completion.parts._sources import Entries
from rankrise.tensors import ModeAxis, label_order
from rankrise.tensors.files import check_memory

# Observations that a part has at most, unless they are all of one row or that makes
# more parts than a scheduler follows in a second.
_MOST_OBSERVED, _MOST_PARTS = 2**21, 1024
_Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Survey:
    """What some blocks have: the labels of every mode, and how often each occurs.

    Attributes
    ----------
    block
        The name of the first.
    are_same
        For every mode, whether all blocks have the same labels in the same order.
    """

    block: str
    observed: int
    names: tuple[Hashable, ...] | None
    labels: tuple[npt.NDArray[Any] | None, ...]
    counts: tuple[_Integers, ...]
    are_same: tuple[bool, ...]

    @classmethod
    def of(cls, block: str, entries: Entries) -> "Survey":
        """Count a block's entries."""
        check_memory(
            8 * sum(entries.mode_dims),
            f"A count for each index of the mode dimensions {entries.mode_dims}",
            advice="leave `mode_dims` out, so that only indices that occur are counted",
        )
        counts = tuple(
            np.bincount(column, minlength=dim)
            for column, dim in zip(entries.indices.T, entries.mode_dims, strict=True)
        )
        same = (True,) * len(counts)
        facts = len(entries.values), entries.names, entries.labels
        return cls(block, *facts, counts, same)

    def beside(self, other: "Survey") -> "Survey":
        """That of both."""
        if self.names != other.names or len(self.counts) != len(other.counts):
            raise InputError(
                f"{other.block} has the modes {other.names} but {self.block} has "
                f"{self.names}; name the columns that are modes (`modes`)."
            )
        labels, counts, are_same = [], [], []
        for mode, (own, others) in enumerate(
            zip(self.labels, other.labels, strict=True)
        ):
            united, same = _united(own, others, mode, self.names)
            labels.append(united)
            are_same.append(same and self.are_same[mode] and other.are_same[mode])
            counts.append(
                _places(united, own, self.counts[mode])
                + _places(united, others, other.counts[mode])
            )
        return Survey(
            self.block,
            self.observed + other.observed,
            self.names,
            tuple(labels),
            tuple(counts),
            tuple(are_same),
        )


def _label_kind(labels: Any) -> str:
    """What may stand with what: other numbers would be rounded to be compared."""
    kind = labels.dtype.kind
    if kind in "OUT":
        return "text"
    if kind == "M":
        return f"dates {'without' if labels.tz is None else 'with'} a time zone"
    return {"i": "integers", "u": "unsigned integers"}.get(kind, str(labels.dtype))


def _united(
    one: npt.NDArray[Any] | None,
    other: npt.NDArray[Any] | None,
    mode: int,
    names: tuple[Hashable, ...] | None,
) -> tuple[npt.NDArray[Any] | None, bool]:
    """Labels of both, and whether they are the same in the same order."""
    import pandas as pd

    if one is None or other is None:
        return None, True
    left, right = pd.Index(one), pd.Index(other)
    if left.equals(right):
        return one, True
    kinds = sorted(map(_label_kind, (left, right)))
    if kinds[0] != kinds[1]:
        title = f"mode {mode + 1}" if names is None else f"the column {names[mode]!r}"
        raise InputError(
            f"The labels in {title} are {kinds[0]} in one part and {kinds[1]} in "
            "another; give them one kind in all parts."
        )
    return np.asarray(left.append(right).unique()), False


def _places(
    united: npt.NDArray[Any] | None, own: npt.NDArray[Any] | None, counts: _Integers
) -> _Integers:
    """Counts of some labels as those of others."""
    import pandas as pd

    if united is None or own is None:
        return counts
    found = np.zeros(len(united), np.int64)
    found[pd.Index(united).get_indexer(pd.Index(own))] = counts
    return found


@dataclass(frozen=True, eq=False)
class Division:
    """What a worker divides a block's entries by.

    Attributes
    ----------
    labels
        Of every mode, in their order.
    rows
        For every index of a mode its row; those never observed have none.
    split, bounds
        As a `Plan` has them.
    """

    labels: tuple[npt.NDArray[Any] | None, ...]
    rows: tuple[_Integers, ...]
    split: int
    bounds: _Integers

    def divided(self, entries: Entries) -> dict[int, tuple[Indices, Values]]:
        """Rows and values of entries, by the parts that they lie in."""
        import pandas as pd

        rows = np.empty(entries.indices.shape, np.int32)
        for mode, own in enumerate(self.rows):
            labels, here = self.labels[mode], entries.labels[mode]
            if labels is not None:
                own = own[pd.Index(labels).get_indexer(pd.Index(here))]
            rows[:, mode] = own[entries.indices[:, mode]]
        part = np.searchsorted(self.bounds, rows[:, self.split], side="right") - 1
        order = np.argsort(part, kind="stable")
        begins = np.searchsorted(part[order], np.arange(len(self.bounds)))
        found: dict[int, tuple[Indices, Values]] = {}
        for number, (a, b) in enumerate(itertools.pairwise(begins.tolist())):
            if b > a:
                found[number] = rows[order[a:b]], entries.values[order[a:b]]
        return found


@dataclass(frozen=True, eq=False)
class Plan:
    """How the rows of one mode are divided into parts.

    Attributes
    ----------
    split
        The mode whose rows are divided: the largest.
    bounds
        Where every part's rows begin, as rows of that mode, and how many there are.
    """

    axes: tuple[ModeAxis, ...]
    rows: Rows
    observed: int
    split: int
    bounds: _Integers

    @property
    def parts(self) -> int:
        """How many."""
        return len(self.bounds) - 1

    def part_rows(self, number: int) -> Rows:
        """The rows that a part knows of: its own, and all of the other modes."""
        dims = list(self.rows.dims)
        dims[self.split] = int(self.bounds[number + 1] - self.bounds[number])
        starts = np.concatenate([[0], np.cumsum(dims)]).astype(np.int64)
        names = tuple(map(np.arange, dims))
        return Rows(tuple(dims), names, starts, np.zeros(sum(dims)))

    def division(self) -> Division:
        """What a worker needs to know of it."""
        rows = []
        for own, dim in zip(self.rows.names, self.rows.mode_dims, strict=True):
            places = np.full(dim, -1)
            places[own] = np.arange(len(own))
            rows.append(places)
        labels = tuple(axis.labels for axis in self.axes)
        return Division(labels, tuple(rows), self.split, self.bounds)

    def of_parts(self, factors: Values) -> tuple[Values, list[Values]]:
        """Stacked factors without the mode that is divided, and its rows by parts."""
        first, end = self.rows.starts[self.split : self.split + 2]
        own = factors[first:end]
        others = np.concatenate([factors[:first], factors[end:]])
        return others, np.split(own, self.bounds[1:-1])


def make_plan(survey: Survey, order: Any, parts: int) -> Plan:
    """Divide the rows of the largest mode into parts of about as many observations.

    It does not depend on how many workers there are, and so no sum does.

    Parameters
    ----------
    order
        Of the labels, as `Reading` has it.
    parts
        How many at least, where there are as many rows.
    """
    titles = survey.names or (None,) * len(survey.counts)
    axes, found = [], []
    for mode, title in enumerate(titles):
        labels, counts = survey.labels[mode], survey.counts[mode]
        # Labels of every block are in order already; categories have one of their own.
        if labels is not None and not survey.are_same[mode]:
            ranking = _ranking(labels, order, f"the column {title!r}")
            labels, counts = labels[ranking], counts[ranking]
        axes.append(ModeAxis(None if title is None else str(title), labels))
        found.append(counts)
    names = tuple(map(np.flatnonzero, found))
    dims = [len(own) for own in names]
    starts = np.concatenate([[0], np.cumsum(dims)]).astype(np.int64)
    mode_dims: ModeDims = tuple(map(len, found))
    rows = Rows(mode_dims, names, starts, np.zeros(sum(dims)))
    split = int(np.argmax(dims))
    least = max(parts, min(-(-survey.observed // _MOST_OBSERVED), _MOST_PARTS))
    bounds = _bounds(found[split][names[split]], least)
    return Plan(tuple(axes), rows, survey.observed, split, bounds)


def _ranking(labels: npt.NDArray[Any], order: Any, name: str) -> Any:
    import pandas as pd

    try:
        return label_order(pd.Index(labels), order, name=name)
    except TypeError as error:
        raise InputError(
            f"The labels in {name} cannot be sorted ({error}); give them one kind in "
            "all parts."
        ) from error


def _bounds(counts: _Integers, parts: int) -> _Integers:
    """Where parts with about as many observations begin."""
    before = np.concatenate([[0], np.cumsum(counts)])
    wanted = np.linspace(0, before[-1], min(parts, len(counts)) + 1)
    return np.unique(np.searchsorted(before, wanted)).astype(np.int64)
