"""What a worker does with one part: rows of the divided mode, and all that is observed
there.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise._typing import Indices, Values
from rankrise.completion._alternating import Alternation
from rankrise.completion._arrangement import Arrangement, Lists, Rows, chains
from rankrise.completion._compiled import kernels
from rankrise.completion._drawn import HELD_OUT, Drawn, drawn_numbers, drawn_signs
from rankrise.completion._spectral import core_of, times_others, unfolding_of
from rankrise.completion._spectral import times_unfolding as times_whole
from rankrise.completion.parts._on_disk import OnDisk
from rankrise.completion.parts._plan import Division, Plan, Survey
from rankrise.completion.parts._sources import Block
from rankrise.losses import SquaredLoss

# Bits of a drawn number that entries are counted by first.
_COUNTED = 16

Piece = tuple[Indices, Values]


class Place(NamedTuple):
    """Where a part stands in the whole.

    Attributes
    ----------
    first
        Its first row of the divided mode.
    names
        Indices of the rows of all modes in the tensor.
    """

    rows: Rows
    split: int
    first: int
    names: tuple[npt.NDArray[Any], ...]

    @classmethod
    def of(cls, plan: Plan, number: int) -> "Place":
        """That of a part of a plan."""
        first, end = map(int, plan.bounds[number : number + 2])
        names = list(plan.rows.names)
        names[plan.split] = names[plan.split][first:end]
        return cls(plan.part_rows(number), plan.split, first, tuple(names))

    def stacked(self, others: Values, own: Values) -> Values:
        """Factors of all modes, from those of the others and its own."""
        begin = self.rows.starts[self.split]
        return np.concatenate([others[:begin], own, others[begin:]])


# Reading.


def surveyed(block: Block, content: Any, options: Mapping[str, Any]) -> Survey | None:
    """What a block has; None where it is empty."""
    entries = block.entries(content, options)
    return None if entries is None else Survey.of(block.name, entries)


def surveyed_together(one: Survey | None, other: Survey | None) -> Survey | None:
    """What two have."""
    if one is None or other is None:
        return one if other is None else other
    return one.beside(other)


def names_of_modes(block: Block, content: Any, options: Mapping[str, Any]) -> Any:
    """The columns that a block says are modes; None where it cannot tell."""
    entries = block.entries(content, options)
    return None if entries is None else entries.names


def divided(
    block: Block, content: Any, options: Mapping[str, Any], division: Division
) -> dict[int, Piece]:
    """A block's entries by the parts that they lie in."""
    entries = block.entries(content, options)
    return {} if entries is None else division.divided(entries)


def parts_in(pieces: dict[int, Piece]) -> list[int]:
    """The parts that a block has entries of."""
    return list(pieces)


def piece(pieces: dict[int, Piece], number: int) -> Piece:
    """Those of one part."""
    return pieces[number]


@dataclass(frozen=True, eq=False)
class Gathered:
    """Observations of a part in order, the last mode's index running fastest.

    Attributes
    ----------
    indices
        Rows of the part.
    """

    place: Place
    indices: Indices
    values: Values

    def __sizeof__(self) -> int:
        """Dask asks, to put on disk what there is no memory for."""
        return super().__sizeof__() + self.indices.nbytes + self.values.nbytes

    def drawn(self, seed: int) -> Drawn:
        """A number for each observation, by its indices in the tensor."""
        columns = zip(self.place.names, self.indices.T, strict=True)
        found = np.column_stack([names[rows] for names, rows in columns])
        return drawn_numbers(found, seed, purpose=HELD_OUT)


def gathered(place: Place, *pieces: Piece) -> Gathered:
    """All observations of a part.

    Raises
    ------
    InputError
        If one is given twice.
    """
    indices = np.concatenate([rows for rows, _ in pieces])
    indices[:, place.split] -= place.first
    values = np.concatenate([own for _, own in pieces])
    order = np.lexsort(indices.T[::-1])
    indices, values = np.ascontiguousarray(indices[order]), values[order]
    twice = (indices[1:] == indices[:-1]).all(axis=1)
    if twice.any():
        row = indices[int(np.argmax(twice))]
        columns = zip(place.names, row, strict=True)
        raise RepeatedEntryError(tuple(int(names[at]) for names, at in columns))
    return Gathered(place, indices, values)


class RepeatedEntryError(InputError):
    """An entry that several parts give.

    Attributes
    ----------
    args
        Its indices.
    """

    def __init__(self, indices: tuple[int, ...]) -> None:
        super().__init__(indices)

    @property
    def indices(self) -> tuple[int, ...]:
        """Of the entry, in the tensor."""
        return tuple(self.args[0])


# What is held out, and what is taken off.


def counted(part: Gathered, seed: int) -> npt.NDArray[np.int64]:
    """How many drawn numbers begin with each of some bits."""
    first = (part.drawn(seed) >> np.uint64(64 - _COUNTED)).astype(np.int64)
    return np.bincount(first, minlength=2**_COUNTED)


def drawn_in(part: Gathered, seed: int, first: int) -> Drawn:
    """Drawn numbers that begin with these bits."""
    drawn = part.drawn(seed)
    return drawn[drawn >> np.uint64(64 - _COUNTED) == np.uint64(first)]


def joined(one: Drawn, other: Drawn) -> Drawn:
    """Both."""
    return np.concatenate([one, other])


def total(part: Gathered, seed: int, most: np.uint64) -> Values:
    """How many values are shown, their sum, and the largest size of any."""
    own = part.values[part.drawn(seed) > most]
    return np.array([len(own), own.sum(), np.abs(own).max(initial=0.0)])


def totals_of(one: Values, other: Values) -> Values:
    """Of both."""
    largest = max(one[2], other[2])
    return np.array([one[0] + other[0], one[1] + other[1], largest])


def squares(part: Gathered, seed: int, most: np.uint64, offset: float) -> float:
    """The sum of squares of the values that are shown, less their mean."""
    rest = part.values[part.drawn(seed) > most] - offset
    return float(np.einsum("i,i", rest, rest))


# Least squares.


@dataclass(frozen=True, eq=False)
class Part:
    """A part that is ready to be learned from.

    Attributes
    ----------
    kept
        What it is fitted by, in memory or on disk.
    """

    place: Place
    kept: Alternation | OnDisk

    @property
    def alternation(self) -> Alternation:
        """What it is fitted by."""
        if isinstance(self.kept, OnDisk):
            found: Alternation = self.kept.opened()
            return found
        return self.kept

    def residuals(self, factors: Values) -> Values:
        """What the components leave, zero where an entry is held out."""
        return self.alternation.residuals(factors)[0]

    @property
    def indices(self) -> Indices:
        """Rows of the part, of every observation."""
        return self.alternation.arrangement.indices


def ready(
    part: Gathered,
    seed: int,
    most: np.uint64,
    offset: float,
    scale: float,
    is_on_disk: bool,
) -> Part:
    """A part in standardized units, with what is held out."""
    rows, indices = part.place.rows, part.indices
    parts = (part.drawn(seed) > most).astype(np.uint8)
    # Where little is missing that is not listed, for it is so of a part alone.
    lists = Lists.of(indices, rows)
    arrangement = Arrangement(rows, indices, lists, lists.none)
    values = (part.values - offset) / scale
    spread = arrangement.spread(parts)
    made = Alternation(arrangement, values, None, spread, 0, loss=SquaredLoss())
    return Part(part.place, OnDisk(made) if is_on_disk else made)


def bytes_of(order: int) -> int:
    """Of a part that is ready, for each observation, at most."""
    # Its row in every mode; at its place in each the others' rows, target and whether
    # it is held out; and the targets once more in order.
    return 4 * order + order * (4 * (order - 1) + 9) + 9


def is_ready(part: Part) -> bool:
    """Whether it is there."""
    return len(part.indices) > 0


def facts(part: Part) -> Values:
    """The sum of squares of what is shown, and how many entries."""
    return np.array([part.alternation.squares, part.alternation.train_weight])


def equations(
    part: Part, others: Values, own: Values, mode: int, first: int, last: int
) -> Values:
    """What a part adds to the normal equations of some rows of another mode."""
    factors = part.place.stacked(others, own)
    return part.alternation.equations(mode, factors, first, last)


def solved(equations: Values, size: int, penalty: float) -> tuple[Values, Values]:
    """Rows that solve their equations, and the changes of the squared error."""
    count, upper = len(equations), np.triu_indices(size)
    matrices = np.empty((count, size, size))
    matrices[:, *upper] = equations[:, :-size]
    matrices[:, upper[1], upper[0]] = equations[:, :-size]
    rights = np.ascontiguousarray(equations[:, -size:])
    rows = Rows((count,), (np.arange(count),), np.array([0, count]), np.zeros(count))
    factors, along = np.zeros((count, size)), np.empty(count)
    none = Lists(np.empty(0, np.int64), np.empty((0, 1), np.uint16))
    seen = np.empty(0), np.empty(0), np.empty(0, np.uint8), 0
    # A chain whose rows are not coupled.
    kernels.solve(
        np.array([(kernels.CHAIN, 0, 0, count, 1)]), rows.starts, none, none, seen,
        chains(rows, np.zeros(1), penalty), factors, np.empty((0, size)), matrices,
        rights, along, np.empty((0, size)),
    )  # fmt: skip
    return factors, along


def own_rows(
    part: Part, others: Values, own: Values, penalty: float
) -> tuple[Values, Values]:
    """Rows of the divided mode that solve their equations, and what that changes."""
    place, factors = part.place, part.place.stacked(others, own)
    along = part.alternation.solve(place.split, factors, penalty)
    begin, end = place.rows.starts[place.split : place.split + 2]
    return factors[begin:end].copy(), along


def train_total(part: Part, others: Values, own: Values) -> float:
    """Training losses, summed."""
    return part.alternation.train_total(part.place.stacked(others, own))


def heldout_total(part: Part, others: Values, own: Values) -> Values:
    """How many entries are held out, and the sum of their losses."""
    losses = part.alternation.heldout_losses(part.place.stacked(others, own))
    return np.array([len(losses), losses.sum()])


def gains(
    part: Part, others: Values, own: Values, other_best: Values, own_best: Values
) -> Values:
    """Number, mean, and squares about it of the falls of held-out losses."""
    place, alternation = part.place, part.alternation
    falls = alternation.heldout_losses(place.stacked(other_best, own_best))
    falls -= alternation.heldout_losses(place.stacked(others, own))
    mean = falls.mean() if len(falls) else 0.0
    return np.array([len(falls), mean, np.sum((falls - mean) ** 2)])


def gains_of(one: Values, other: Values) -> Values:
    """The same of both (Chan, Golub and LeVeque 1983)."""
    count, step = one[0] + other[0], other[1] - one[1]
    if not count:
        return one
    mean = one[1] + step * other[0] / count
    spread = one[2] + other[2] + step**2 * one[0] * other[0] / count
    return np.array([count, mean, spread])


# Components that enter.


def residuals(part: Part, others: Values, own: Values) -> Values:
    """What the components leave."""
    return part.residuals(part.place.stacked(others, own))


def pull(
    part: Part, others: Values, own: Values, residuals: Values, mode: int
) -> Values:
    """The pull on a mode's vectors: on its own rows where the mode is divided."""
    units = part.place.stacked(others, own)
    return part.alternation.pull(residuals, map, units, mode)


def curvature(part: Part, others: Values, own: Values) -> float:
    """Sum of squares of a direction's entries at what is shown."""
    unit = np.ascontiguousarray(part.place.stacked(others, own))
    return part.alternation.curvature(unit, None)


# Spectra.


def unfolded(part: Part, residuals: Values, mode: int, seed: int) -> Any:
    """An unfolding of a mode that is not divided, and the signs of its entries."""
    return unfolding_of(
        part.indices, residuals, _signs(part, seed), part.place.rows.dims, mode
    )


def _signs(part: Part, seed: int) -> npt.NDArray[np.int8]:
    indices = part.indices.copy()
    indices[:, part.place.split] += part.place.first
    return drawn_signs(indices, seed)


def times_unfolding(unfolding: Any, vectors: Values, is_noise: bool) -> Values:
    """It times its transpose, without the diagonal, times vectors."""
    (rows, values, begins), signs = unfolding
    return times_whole((rows, values * signs if is_noise else values, begins), vectors)


def unfolded_own(part: Part, residuals: Values, seed: int) -> Any:
    """The unfolding of the divided mode, and the same with signs drawn; its columns
    are shared by all parts.
    """
    from scipy.sparse import csr_matrix

    dims, split = part.place.rows.dims, part.place.split
    column = np.zeros(len(residuals), np.int64)
    for mode, dim in enumerate(dims):
        if mode != split:
            column = column * dim + part.indices[:, mode]
    shape = dims[split], math.prod(dims) // dims[split]
    numbers = residuals.astype(np.float32).astype(np.float64)
    where = part.indices[:, split], column
    plain, signed = (
        csr_matrix((own, where), shape)
        for own in (numbers, numbers * _signs(part, seed))
    )
    return plain, signed


def column_sums(unfolding: Any, own: Values, is_noise: bool) -> Values:
    """The transpose of the divided mode's unfolding times vectors."""
    return np.asarray(unfolding[is_noise].T @ own)


def times_columns(unfolding: Any, sums: Values, own: Values, is_noise: bool) -> Values:
    """That unfolding times sums of all parts, without the diagonal's share."""
    matrix = unfolding[is_noise]
    diagonal = np.asarray(matrix.multiply(matrix).sum(axis=1))
    return np.asarray(matrix @ sums - diagonal * own)


def projected(part: Part, residuals: Values, bases: Sequence[Values]) -> Values:
    """What is left times the bases of all modes but the divided one."""
    place = part.place
    return times_others(part.indices, residuals, place.rows.dims, bases, place.split)


def gram(matrix: Values) -> Values:
    """Its transpose times it."""
    return matrix.T @ matrix


def times(matrix: Values, other: Values) -> Values:
    """Their product."""
    return matrix @ other


def core(part: Part, residuals: Values, bases: Sequence[Values], own: Values) -> Values:
    """What is left times all bases."""
    all_bases = list(bases)
    all_bases[part.place.split] = own
    return core_of(part.indices, residuals, all_bases)


def shown_count(residuals: Values) -> int:
    """Entries that are not zero."""
    return int(np.count_nonzero(residuals))
