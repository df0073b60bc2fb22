"""What a text file says before its rows: names of columns, mode dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rankrise._errors import InputError
from rankrise._typing import ModeDims
from rankrise.tensors.files._table_columns import MISSING, TRUTHS, is_number

_YEARS = (1500, 2200)


@dataclass(frozen=True)
class Header:
    """Lines before the rows.

    Attributes
    ----------
    names
        Names of the columns, None if there are none.
    has_row_names
        Whether the first of them is left out, as by R, for its column has row names.
    mark
        Start of the line of names, such as #.
    preamble
        Lines of a .tns with its order and mode dimensions; an empty one stands for the
        number of entries.
    """

    names: tuple[str, ...] | None
    mark: str = ""
    preamble: tuple[str, ...] = ()
    has_row_names: bool = False


def declared_dims(lines: Sequence[str]) -> tuple[ModeDims | None, tuple[str, ...]]:
    """Mode dimensions at the head of a .tns, and the lines that hold them.

    ParTI and TACO write the order and the dimensions; the Tensor Toolbox also writes a
    word before them and the number of entries after.
    """
    word = int([line.lower() for line in lines[:1]] == ["sptensor"])
    fields = [line.split() for line in lines[word : word + 4]]
    if len(fields) < 3 or len(fields[0]) != 1 or not fields[0][0].isdecimal():
        return None, ()
    order, numbers = int(fields[0][0]), fields[1]
    if len(numbers) != order or not all(number.isdecimal() for number in numbers):
        return None, ()
    counted = int(len(fields[2]) == 1)
    if any(len(each) != order + 1 for each in fields[2 + counted : 3 + counted]):
        return None, ()
    return tuple(map(int, numbers)), (*lines[: word + 2], *[""] * counted)


def named_columns(
    rows: Sequence[Sequence[str]],
    comment: str,
    delimiter: str | None,
    layout: str | None,
) -> Header:
    """The column names in the first of some rows, or in the comment before them."""
    first, *others = ([field.strip() for field in row] for row in rows)
    text = comment.lstrip("#")
    names = [each.strip(' "') for each in text.split(delimiter)]
    # Words of a comment are separated by blanks, as columns may be.
    is_prose = delimiter in (None, " ") and text[:1].isspace()
    fits = comment and len(names) == len(first) and all(names) and not is_prose
    if fits and any(map(is_number, first)):
        return Header(tuple(names), comment[: len(comment) - len(text.lstrip())])
    return Header(tuple(first) if _names_columns(first, others, layout) else None)


def _names_columns(
    first: Sequence[str], rows: Sequence[Sequence[str]], layout: str | None
) -> bool:
    """Whether the first row holds column names: text, or numbers of a wide table."""
    if first[-1] in MISSING or first[-1].lower() in TRUTHS:
        return False
    are_numbers = [is_number(field) for field in first]
    if not any(are_numbers):
        return True
    before = are_numbers.index(True)
    names = [float(x) for x, is_one in zip(first, are_numbers, strict=True) if is_one]
    could_be = before > 0 and 1 < len(names) == len(set(names)) and len(rows) > 0
    repeats = before > 0 and len(set(names)) < len(names)
    cells = (x for row in rows for x in row[before:] if x not in MISSING)
    are_whole = all(map(float.is_integer, names))
    if layout == "wide" and repeats and are_whole and not all(map(_is_whole, cells)):
        raise InputError(
            "Its first line holds a number twice, so it may name the columns or be a "
            "row; give each column a name of its own."
        )
    if layout == "long" or not could_be:
        return False
    columns = [set(column) - MISSING for column in zip(*rows, strict=False)]
    over_numbers = any(
        not is_one and column and all(map(is_number, column))
        for is_one, column in zip(are_numbers, columns, strict=False)
    )
    if layout == "wide" or first[0] == "" or over_numbers:
        return True
    steps = np.diff(names)
    occurs_again = any(
        name in column for name, column in zip(first[:before], columns, strict=False)
    )
    if occurs_again or not ((steps > 0).all() or (steps < 0).all()):
        return False
    if all(_YEARS[0] <= name < _YEARS[1] and name.is_integer() for name in names):
        return True
    labels = [tuple(row[:before]) for row in rows]
    is_even = len(names) > 2 and np.allclose(steps, steps[0], rtol=1e-6)
    if len(set(labels)) < len(labels) and not is_even:
        return False
    # If column names and values are of different kinds, the first row holds names.
    inner = {cell for row in rows for cell in row[before:-1]} - MISSING
    are_whole = all(name.is_integer() for name in names[:-1])
    other_kind = are_whole != all(map(_is_whole, inner))
    if len(set(labels)) == len(labels) and (is_even or other_kind):
        return True
    raise InputError(
        "Its first line may name the columns of a wide table, or be the first entry of "
        "a long one; set `layout` to long or wide."
    )


def _is_whole(cell: str) -> bool:
    return is_number(cell) and float(cell).is_integer()
