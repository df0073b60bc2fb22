"""How a tensor is read, where its source leaves that open."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Literal, TypedDict

import numpy as np
from pydantic import field_validator

from rankrise._settings import Settings
from rankrise._typing import ModeDims


class Reading(Settings):
    """How a tensor is read, where its source leaves that open."""

    variable: Hashable | None = None
    """Array to read from a file that holds several, or the column of a table that holds
    the values; by default the last column."""
    modes: tuple[Hashable, ...] | None = None
    """Columns of a table that are its modes; by default all but that of the values."""
    mode_dims: ModeDims | None = None
    """Mode dimensions of a tensor given by coordinates; by default the largest index of
    each mode decides."""
    layout: Literal["long", "wide"] | None = None
    """Whether a table has a row for each entry (long), or a column for each index of
    its last mode (wide); by default what it looks like."""
    order: Literal["natural", "text", "given", "day-first", "month-first"] | None = None
    """Order of the labels of a mode: by the numbers, dates or months they say
    (natural), as text, or as they first occur (given); day-first and month-first are
    natural and read 3/4/2020 so. By default natural where it is certain."""
    missing: tuple[float | str, ...] = ()
    """Sentinel values, such as -999, and in tables words: entries that hold one are
    missing."""
    repeats: Literal["error", "mean", "last"] = "error"
    """What becomes of an entry that a table gives more than once: it is refused
    (error), or the mean or the last of its values is taken."""
    censored: Literal["half", "limit"] | None = None
    """What a value below a limit of detection, such as <0.05, counts as: half of the
    limit, or the limit; by default it is refused."""
    domain: Any = None
    """Mask of the entries that exist, True where one does: an array (or of the last
    modes), a DataArray, a table, or a file of one. The others, such as land in a field
    of the ocean, stay empty."""
    leave_empty: tuple[Hashable, ...] = ()
    """Modes (names, or numbers counted from 1) along which a fiber without any
    observation stays empty."""

    @classmethod
    def of(
        cls,
        variable: Hashable | None,
        mode_dims: ModeDims | None,
        options: ReadingOptions,
    ) -> Reading:
        """From the keywords of what reads a tensor."""
        given: dict[str, Any] = {**options}
        return cls(variable=variable, mode_dims=mode_dims, **given)

    @field_validator("missing", "leave_empty", mode="before")
    @classmethod
    def _several(cls, given: Any) -> Any:
        """One alone may be given as it is."""
        alone = isinstance(given, str) or np.ndim(given) == 0
        return (given,) if alone else tuple(given)


class ReadingOptions(TypedDict, total=False):
    """Keywords of what reads a tensor; `Reading` has their meaning."""

    modes: tuple[Hashable, ...] | list[Hashable] | None
    layout: Literal["long", "wide"] | None
    order: Literal["natural", "text", "given", "day-first", "month-first"] | None
    missing: Any
    repeats: Literal["error", "mean", "last"]
    censored: Literal["half", "limit"] | None
    domain: Any
    leave_empty: Any
