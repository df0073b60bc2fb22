"""Ours beside the paper's: rows of numbers, and what must agree in words."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """A number of ours beside the paper's; NaN where there is none.

    Attributes
    ----------
    group
        What the number is of, such as an init scale.
    ours_spread, paper_spread
        Standard deviations over what the numbers are means of.
    note
        What must be known to compare them.
    """

    group: str
    quantity: str
    ours: float = math.nan
    paper: float = math.nan
    ours_spread: float = math.nan
    paper_spread: float = math.nan
    note: str = ""

    @property
    def difference(self) -> float:
        """Ours less the paper's; NaN where either is missing."""
        return self.ours - self.paper


@dataclass(frozen=True, kw_only=True)
class Statement:
    """Something that is so or not; None where that cannot be said.

    Attributes
    ----------
    evidence
        The numbers that it was decided by.
    """

    group: str
    words: str
    ours: bool | None
    paper: bool | None
    evidence: str = ""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A reproduction held against the paper.

    Attributes
    ----------
    reference
        What the numbers beside ours are: the paper's, or predicted by a theorem.
    notes
        What must be known to read the rows.
    """

    reference: str
    rows: tuple[Row, ...]
    statements: tuple[Statement, ...] = ()
    notes: tuple[str, ...] = ()
