"""A table, long or wide, as observed entries and a form that gives it back."""

from __future__ import annotations

import itertools as it
import logging
import math
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rankrise._errors import InputError
from rankrise._typing import Indices, Values
from rankrise.tensors._input_checks import (
    has_repeats,
    mean_of_repeats,
    ravel_indices,
    sorted_repeats,
)
from rankrise.tensors._label_order import are_dates
from rankrise.tensors._observations import Observations
from rankrise.tensors._reading import Reading
from rankrise.tensors.files._declared import FEWER_ROWS, check_memory, shown
from rankrise.tensors.files._long_or_wide import ColumnRoles, axis_labels, column_roles
from rankrise.tensors.files._table import Table
from rankrise.tensors.files._table_columns import (
    Codes,
    check_labels,
    in_order,
    label_codes,
    mode_codes,
    real_values,
)
from rankrise.tensors.files._table_form import TableForm, TableMode

# With fewer rows, labels that go together say nothing.
_FEW_ROWS = 8
# A column whose labels repeat less often, on average, may describe single rows.
_FEW_REPEATS = 4
_SAMPLE = 2**14
# Probability below which labels that go together do so not by chance.
_CHANCE = 1e-4
_logger = logging.getLogger(__name__)


def read_table(table: Table, reading: Reading) -> tuple[Observations, TableForm]:
    """Take an entry for each row with a value, or in a wide table for each cell.

    The labels of a mode are those that occur, also in rows without a value, or all
    categories. Where `mode_dims` are given, whole numbers are indices, not labels.

    Raises
    ------
    InputError
        With the row, or the line of a file, where a cell cannot be used.
    """
    table, roles = column_roles(table, reading)
    dims = reading.mode_dims or table.mode_dims
    if dims is not None and not roles.is_wide and len(dims) != len(roles.rows):
        raise InputError(
            f"It has {len(roles.rows)} columns besides the values but `mode_dims` "
            f"names {len(dims)} modes; they must agree."
        )
    if roles.is_wide and reading.mode_dims is not None:
        raise InputError("`mode_dims` is for long tables; leave it out.")
    is_doubted = dims is None and not roles.are_named
    if is_doubted and not roles.is_wide:
        roles = replace(roles, rows=_without_times(table, roles.rows))
    codes, modes = _codes(table, roles.rows, dims)
    if not roles.rows:
        rows = np.arange(len(table.frame))
        codes, modes = [rows], [TableMode(None, None, len(rows))]
    kept, within = list(range(len(modes))), dict[int, int]()
    if is_doubted:
        kept, within = _told_apart(table, roles, codes, modes)
    for n in kept:
        check_labels(table, codes[n], modes[n])
        codes[n], modes[n] = in_order(table, codes[n], modes[n], reading.order)
    coordinates = [
        (
            modes[n].key,
            kept.index(of),
            _cells(table.frame[modes[n].key], codes[of], modes[of].dim),
        )
        for n, of in within.items()
    ]
    places, column_modes = _column_modes(table, roles, reading)
    row_modes = tuple(modes[n] for n in kept)
    row_codes = np.stack([codes[n] for n in kept], axis=1)
    values, kinds = zip(
        *(real_values(table, name, reading) for name in roles.values), strict=True
    )
    if is_doubted and not roles.is_wide and reading.variable is None:
        _tell_of_description(table, roles.values[0], values[0], row_codes, row_modes)
    # Of each cell its value and its indices, twice while they are checked.
    byte_count = 16 * len(row_codes) * len(values) * (len(kept) + places.shape[1] + 2)
    check_memory(byte_count, "Its table", advice=FEWER_ROWS)
    names = {*roles.values, *(modes[n].key for n in kept)}
    names |= {name for name, *_ in coordinates}
    form = TableForm(
        names=tuple(name for name in table.names if name in names),
        row_modes=row_modes,
        column_modes=column_modes,
        values=roles.values,
        value_places=ravel_indices(places, tuple(mode.dim for mode in column_modes)),
        value_dtypes=kinds,
        row_order=None,
        coordinates=tuple(coordinates),
        join=table.join,
    )
    if roles.is_wide:
        form = _filled_up(form, row_codes)
    cells = np.stack(values, axis=1)
    codes_of_cells = row_codes, places
    return _observations(table, form, codes_of_cells, cells, reading.repeats), form


def _codes(
    table: Table, names: Sequence[Hashable], dims: Sequence[int] | None = None
) -> tuple[list[Codes], list[TableMode]]:
    pairs = zip(names, dims or it.repeat(None), strict=False)
    found = [mode_codes(table, name, dim) for name, dim in pairs]
    return [codes for codes, _ in found], [mode for _, mode in found]


def _without_times(table: Table, names: tuple[Hashable, ...]) -> tuple[Hashable, ...]:
    """The columns of a long table without those that describe single rows.

    The time of a rating is one: numbers or dates that hardly repeat, while the other
    columns tell the rows apart. So is the identifier of a sample, which never repeats.
    """
    count = len(table.frame)
    rows = table.frame.iloc[:: max(1, count // _SAMPLE)]
    distinct = {name: _distinct(rows[name]) for name in names}
    for name in sorted(names, key=lambda name: -distinct[name]):
        others = tuple(other for other in names if other != name)
        if len(rows) < 2 * _FEW_ROWS or len(others) < 2:
            break
        column, largest = table.frame[name], max(distinct[each] for each in others)
        if len(rows) < count:
            hardly_repeats = distinct[name] > 0.95 * len(rows)
        else:
            hardly_repeats = distinct[name] > max(count / _FEW_REPEATS, 2 * largest)
        # From slices of one entry nothing is learned, even if other columns repeat.
        never_repeats = distinct[name] == len(rows) >= 2 * largest and column.is_unique
        if never_repeats or (
            hardly_repeats
            and (column.dtype.kind in "iufM" or are_dates(rows[name]))
            and _tell_rows_apart(*_codes(table, others))
        ):
            names = others
            _tell(table, name, "differs from row to row", "is left out")
    return names


def _distinct(column: Any) -> int:
    try:
        return int(column.nunique())
    except (TypeError, NotImplementedError):  # Lists, say, which are refused later.
        return 0


def _column_modes(
    table: Table, roles: ColumnRoles, reading: Reading
) -> tuple[Indices, tuple[TableMode, ...]]:
    """Place of each column of values along the modes that column names give."""
    import pandas as pd

    if not roles.is_wide:
        return np.zeros((1, 0), np.int64), ()
    if not table.is_named:
        places = np.arange(len(roles.values))[:, np.newaxis]
        return places, (TableMode(None, None, len(places)),)
    several = len(table.column_names) > 1
    levels = zip(*roles.values, strict=True) if several else [roles.values]
    columns, modes = [], []
    for name, names in zip(table.column_names, levels, strict=True):
        labels = pd.Series(axis_labels(names))
        called = "the names of the columns" if name is None else shown(str(name))
        codes, ordered = label_codes(labels, reading.order, name=called)
        if (codes < 0).any():
            column = shown(str(roles.values[int(np.argmin(codes))]))
            raise InputError(
                f"The column {column} has no label in {called}; give it one."
            )
        columns.append(codes)
        modes.append(TableMode(name, name, len(ordered), ordered))
    return np.stack(columns, axis=1), tuple(modes)


def _filled_up(form: TableForm, row_codes: Indices) -> TableForm:
    """The form of a wide table with the rows and columns that it lacks at its end."""
    dims = tuple(mode.dim for mode in form.row_modes)
    own = ravel_indices(row_codes, dims)
    check_memory(8 * math.prod(dims) * len(form.values), "A table of all entries")
    rows = np.concatenate([own, np.setdiff1d(np.arange(math.prod(dims)), own)])
    dims = tuple(mode.dim for mode in form.column_modes)
    lacking = np.setdiff1d(np.arange(math.prod(dims)), form.value_places)
    indices = np.unravel_index(lacking, dims)
    labels = (
        mode.column(index).tolist()
        for mode, index in zip(form.column_modes, indices, strict=True)
    )
    further = tuple(zip(*labels, strict=True))
    return replace(
        form,
        names=form.names + further,
        values=form.values + further,
        value_places=np.concatenate([form.value_places, lacking]),
        value_dtypes=form.value_dtypes + (np.dtype(np.float64),) * len(further),
        row_order=rows,
    )


def _told_apart(
    table: Table, roles: ColumnRoles, codes: list[Codes], modes: list[TableMode]
) -> tuple[list[int], dict[int, int]]:
    """The columns that are modes, and those that are constant within one of these.

    A long table keeps at least two modes, a wide one those that tell its rows apart.
    """
    kept, within = list(range(len(modes))), {}
    count, least = len(table.frame), 1 if roles.is_wide else 2
    unique = [n for n in kept if roles.is_wide and modes[n].dim == count]
    if unique:
        within = {n: unique[0] for n in kept if n != unique[0]}
        kept = unique[:1]
    elif count >= _FEW_ROWS:
        for fine, coarse in it.permutations(tuple(kept), 2):
            if len(kept) <= least or not {fine, coarse} <= {*kept}:
                continue
            if _is_constant_within(codes, modes, fine, coarse):
                others = [n for n in kept if n != fine]
                parts = [codes[n] for n in others], [modes[n] for n in others]
                # What is constant in all rows says nothing of any column.
                is_finer = modes[fine].dim > modes[coarse].dim > 1
                if is_finer and _tell_rows_apart(*parts):
                    kept = others
                    _tell(
                        table, modes[fine].key, "repeats another column", "is left out"
                    )
                else:
                    kept.remove(coarse)
                    within[coarse] = fine
    for coarse, fine in within.items():
        while fine in within:
            fine = within[fine]
        within[coarse] = fine
        why = f"is constant within {shown(str(modes[fine].key))}"
        _tell(table, modes[coarse].key, why, "goes with it")
    return kept, {n: of for n, of in within.items() if of in kept}


def _tell(table: Table, name: Hashable, why: str, what: str) -> None:
    _logger.warning(
        "%s %s, so it is not a mode and %s; if it is one, name all modes in `modes`.",
        table.column(name),
        why,
        what,
    )


def _tell_of_description(
    table: Table,
    name: Hashable,
    values: Values,
    codes: Indices,
    modes: tuple[TableMode, ...],
) -> None:
    """Warn of values that describe the labels of a mode, as the diet of an animal."""
    import pandas as pd

    places, found = pd.factorize(values, use_na_sentinel=False)
    columns = [*codes.T, places]
    every = [*modes, TableMode(name, None, len(found))]
    for n, mode in enumerate(modes):
        if len(found) > 1 and _is_constant_within(columns, every, n, len(modes)):
            _logger.warning(
                "the values, in %s, are the same in all rows of a label of %s, as what "
                "describes it is; if others are meant, name their column (`variable`).",
                table.column(name),
                shown(str(mode.key)),
            )
            return


def _tell_rows_apart(codes: list[Codes], modes: list[TableMode]) -> bool:
    return not has_repeats(np.stack(codes, axis=1), tuple(mode.dim for mode in modes))


def _is_constant_within(
    codes: list[Codes], modes: list[TableMode], fine: int, coarse: int
) -> bool:
    """Whether each label of one mode has one of the other, and not by chance."""
    dim, count = modes[fine].dim, len(codes[fine])
    if modes[coarse].dim > dim or count < 2 * dim:
        return False
    if modes[coarse].dim == dim and coarse < fine:
        return False
    stands = np.zeros(dim, np.int64)
    for end in (_FEW_ROWS, count):
        inner, outer = codes[fine][:end], codes[coarse][:end]
        stands[inner] = outer
        if (stands[inner] != outer).any():
            return False
    shares = np.bincount(codes[coarse]) / count
    agreeing = float((shares**2).sum())  # Probability that two rows agree.
    return agreeing == 1 or (count - dim) * math.log(agreeing) < math.log(_CHANCE)


def _cells(column: Any, codes: Codes, dim: int) -> Any:
    """What stands in a column for each label of a mode, missing where none occurs."""
    import pandas as pd

    first = np.full(dim, -1)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    return pd.Index(column.array).take(first, allow_fill=bool((first < 0).any()))


def _observations(
    table: Table,
    form: TableForm,
    codes: tuple[Indices, Indices],
    cells: Values,
    repeats: str,
) -> Observations:
    """The cells that have a value, each once; `codes` say where in the tensor each is.

    They are those of the rows, and those of the columns.
    """
    observed = ~np.isnan(cells)
    rows, columns = np.divmod(np.flatnonzero(observed), observed.shape[1])
    values, indices = cells[observed], codes[0]
    if len(rows) < len(indices) or codes[1].shape[1]:
        indices = np.concatenate([codes[0][rows], codes[1][columns]], axis=1)
    dims = tuple(mode.dim for mode in form.modes)

    def entry(place: int | np.integer[Any]) -> str:
        cells = (
            mode.column(np.array([index])).tolist()[0]
            for mode, index in zip(form.modes, indices[place], strict=True)
        )
        words = (shown(cell) if isinstance(cell, str) else str(cell) for cell in cells)
        return f"({', '.join(words)})"

    infinite = np.isinf(values)
    if infinite.any():
        place = int(np.argmax(infinite))
        raise InputError(
            f"{table.rows(rows[place])} gives the entry {entry(place)} the value "
            f"{values[place]}; observed entries must be finite (leave the value empty "
            "where there is none)."
        )
    if repeats == "mean" and len(values):
        indices, values, _ = mean_of_repeats(indices, values, dims)
    elif has_repeats(indices, dims):
        ranking, repeated = sorted_repeats(indices, dims)
        if repeats == "error":
            first, second = ranking[int(np.argmax(repeated)) :][:2]
            raise InputError(
                f"{table.rows(rows[first], rows[second])} both give the entry "
                f"{entry(first)}; keep one of them, or set `repeats` to mean or last."
            )
        last = np.sort(ranking[np.append(~repeated, True)])
        indices, values = indices[last], values[last]
    # All that `from_coordinates` refuses was looked for.
    return Observations.of_checked(indices, values, dims, None)
