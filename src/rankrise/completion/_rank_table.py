"""The rank of a tensor as it is told: in a line, and as a table."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from rankrise._html import html_of
from rankrise._typing import Values
from rankrise.drawing import Drawing, Plotted


class RankRow(NamedTuple):
    """What fits of so many components are like.

    Attributes
    ----------
    heldout_error, standard_error
        On entries that were held out: root mean square in units of the data, or the
        mean loss where it is not the squared one; and the standard error of that.
    match
        Smallest factor match score of a component between fits to two halves of the
        data, from 0 to 1; of a matrix between the spaces that components span.
    core_consistency
        Core consistency of the fit to all data, in percent (Bro and Kiers 2003), and
        -1000 where it is less, for components cancel one another; NaN for large
        tensors.
    explained
        Share of the loss about the mean (of the variance) that the fit to all takes.
    """

    components: int
    heldout_error: float
    standard_error: float
    match: float
    core_consistency: float
    explained: float


class RankProgress(NamedTuple):
    """How far an estimate is; given to `progress` once a number was tried.

    Attributes
    ----------
    share
        What is done, as far as it can be told: one more component may always help.
    """

    components: int
    heldout_error: float
    share: float | None = None

    @property
    def words(self) -> str:
        """Where the estimate is, for a person to read."""
        plural = "s" if self.components != 1 else ""
        tried = f"rank: {self.components} component{plural} tried"
        return f"{tried}, held-out error {self.heldout_error:.3g}"


@dataclass(frozen=True, eq=False)
class RankEstimate(Plotted):
    """The rank of a tensor, and what it was told by.

    Attributes
    ----------
    rank
        Components that are needed, by more than a standard error of the held-out
        error, and found again in both halves of the observations.
    needed
        Those that are needed.
    offset
        What is added to the components, in units of the data: zero unless held-out
        entries ask for an offset.
    factors
        Factors of `rank` components fitted to all observations: for every mode index by
        component, in units of the data, by falling norm; a matrix's are its singular
        vectors. Rows that were never observed are left out.
    rows
        One for each number of components that was tried.
    observed
        How many observations it is told from; of very many a sample.
    is_limited
        Whether more components than are needed were not allowed.
    is_open
        Whether the search stopped while further components lowered the held-out error
        a little.
    """

    rank: int
    needed: int
    offset: float
    factors: tuple[Values, ...]
    rows: tuple[RankRow, ...]
    observed: int
    is_limited: bool = False
    is_open: bool = False

    @cached_property
    def table(self) -> Any:
        """The rows as a pandas DataFrame, indexed by the number of components."""
        import pandas as pd

        columns = list(RankRow._fields)
        table = pd.DataFrame(list(self.rows), columns=columns)
        return table.set_index("components")

    @property
    def words(self) -> str:
        """The rank in a line."""
        offset = f", about an offset of {self.offset:.4g}" if self.offset else ""
        doubt, more = "", " or more" if self.is_open else ""
        if self.rank < self.needed:
            doubt = (
                f" ({self.needed}{more} lower the held-out error, "
                f"{self.needed - self.rank}{more} of them not found again in halves of "
                "the data)"
            )
        elif self.is_open:
            doubt = " (further components lower the held-out error a little)"
        limit = ", as many components as are allowed" if self.is_limited else ""
        return f"rank {self.rank}{offset}{doubt}{limit}"

    def facts(self) -> dict[str, Any]:
        """What JSON can say, but for the factors."""
        return {
            "rank": self.rank,
            "needed_components": self.needed,
            "more_components_help": self.is_open,
            "rank_offset": self.offset,
            "rank_observed_entries": self.observed,
            "rank_table": [row._asdict() for row in self.rows],
        }

    def drawing(self) -> Drawing:
        """The table as curves: `rank` (held-out errors by components) and `match`."""
        from rankrise.completion._plot import draw_rank

        return draw_rank(self)

    @property
    def shown_rows(self) -> list[dict[str, str]]:
        """The table in words, by column."""
        return [
            {
                "components": f"{row.components}{' (rank)' * (row[0] == self.rank)}",
                "held-out error": f"{row.heldout_error:.4g} ± {row.standard_error:.2g}",
                "match": f"{row.match:.2f}",
                "core consistency": f"{row.core_consistency:.0f}",
                "explained": f"{row.explained:.1%}",
            }
            for row in self.rows
        ]

    def _repr_html_(self) -> str:
        facts = {"told": self.words, "observed entries": str(self.observed)}
        return html_of("RankEstimate", facts, self.shown_rows)

    def __repr__(self) -> str:
        return f"RankEstimate({self.words})"
