"""Settings for reading a tensor, where its source leaves something open."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Literal, TypedDict

import numpy as np
from pydantic import field_validator

from rankrise._errors import InputError
from rankrise._settings import Settings
from rankrise._typing import ModeDims

_OF_TABLES = ("modes", "layout", "order", "repeats", "censored")


class Reading(Settings):
    """Settings for reading a tensor, where its source leaves something open."""

    variable: Hashable | None = None
    """Array to read from a file that holds several, or column of a table that holds the
    values (by default the last)."""
    modes: tuple[Hashable, ...] | None = None
    """Columns of a table that are modes. By default all but the column of values and
    those that only describe another column, or single rows."""
    mode_dims: ModeDims | None = None
    """Mode dimensions of a long table or of coordinates, such as 100 50 20. Whole
    numbers in a table are then indices counted from 0, not labels. By default the
    entries decide."""
    layout: Literal["long", "wide"] | None = None
    """Form of a table: a row for each entry (long), or a column for each index of the
    last mode (wide). By default its columns decide; a table that could be either is
    refused."""
    order: Literal["natural", "text", "given", "day-first", "month-first"] | None = None
    """Order of the labels of a mode: by the numbers, dates and months in them
    (natural), as text, or as they first occur (given). day-first and month-first are
    natural, and say how dates such as 3/4/2020 are read. By default natural, with a
    warning where another order is possible."""
    missing: tuple[float | str, ...] = ()
    """Sentinel values, which stand for missing entries, such as -999; in tables also
    words, such as unknown."""
    repeats: Literal["error", "mean", "last"] = "error"
    """What to do with an entry that a table gives more than once: refuse the table
    (error), or take the mean or the last of its values."""
    censored: Literal["half", "limit"] | None = None
    """What to take for a value below a limit of detection, such as <0.05: half of the
    limit, or the limit. By default such values are refused."""
    domain: Any = None
    """Mask of the entries that exist, such as a file with 1 (or True) where one does
    and 0 elsewhere. It may lack modes. All other entries, such as land in a field of
    the ocean, stay empty."""
    leave_empty: tuple[Hashable, ...] = ()
    """Modes, by name or by number from 1, along which fibers without any observation
    stay empty. A fiber is all entries along a mode, such as one pixel at all times."""

    @classmethod
    def of(
        cls,
        variable: Hashable | None,
        mode_dims: ModeDims | None,
        options: ReadingOptions,
    ) -> Reading:
        """From the keywords of a function that reads a tensor."""
        given: dict[str, Any] = {**options}
        for name in given.keys() - cls.model_fields.keys():
            # As Python says it of a function that names its keywords.
            raise TypeError(f"got an unexpected keyword argument {name!r}")
        return cls(variable=variable, mode_dims=mode_dims, **given)

    def check_for_arrays(self) -> None:
        """Refuse what only tables leave open."""
        for name in _OF_TABLES:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise InputError(f"`{name}` is for tables; leave it out for an array.")

    @field_validator("modes", "mode_dims")
    @classmethod
    def _not_empty(cls, given: Any, info: Any) -> Any:
        if given == ():
            raise InputError(
                f"`{info.field_name}` is empty; give at least one or leave it out."
            )
        return given

    @field_validator("missing", "leave_empty", mode="before")
    @classmethod
    def _several(cls, given: Any) -> Any:
        """Accept one value that is not in a list."""
        alone = isinstance(given, str) or np.ndim(given) == 0
        return (given,) if alone else tuple(given)


class ReadingOptions(TypedDict, total=False):
    """Keywords of functions that read a tensor; `Reading` explains them."""

    modes: tuple[Hashable, ...] | list[Hashable] | None
    layout: Literal["long", "wide"] | None
    order: Literal["natural", "text", "given", "day-first", "month-first"] | None
    missing: Any
    repeats: Literal["error", "mean", "last"]
    censored: Literal["half", "limit"] | None
    domain: Any
    leave_empty: Any
