"""How a run can end."""

from collections.abc import Iterable
from enum import StrEnum


class Ending(StrEnum):
    """How a run ended; equal to the word for it.

    `converged` where nothing is left to do, `stopped` where a limit of its settings
    ended it, `time limit` where its seconds were over, `interrupted` by Ctrl-C,
    `diverged` where it is no longer finite, `failed` by an error of its own.

    Examples
    --------
    >>> import rankrise as rr
    >>> rr.Ending.CONVERGED == "converged"
    True
    >>> [str(ending) for ending in rr.Ending]
    ['converged', 'stopped', 'time limit', 'interrupted', 'diverged', 'failed']
    """

    CONVERGED = "converged"
    STOPPED = "stopped"
    TIME_LIMIT = "time limit"
    INTERRUPTED = "interrupted"
    DIVERGED = "diverged"
    FAILED = "failed"

    @property
    def remedy(self) -> str:
        """What a person can do about it, in a sentence; empty if there is no need."""
        return _REMEDIES[self]

    @property
    def warning(self) -> str:
        """What must be said wherever a result of it is shown; empty if nothing."""
        return _WARNINGS.get(self, "")

    @classmethod
    def worst(cls, endings: Iterable["Ending"]) -> "Ending":
        """The ending of several runs: that of the one which needs most attention."""
        return max(endings, key=_FROM_BEST.index)


_REMEDIES = {
    Ending.CONVERGED: "",
    Ending.STOPPED: "Raise the limit that ended it to go further.",
    Ending.TIME_LIMIT: "Allow more seconds, and go on from its checkpoint.",
    Ending.INTERRUPTED: "Go on from its checkpoint, or start it again.",
    Ending.DIVERGED: "Lower the learning rate or the size of the start.",
    Ending.FAILED: "Change what its reason names, or report it.",
}
_WARNINGS = {
    Ending.TIME_LIMIT: "Cut short by the time limit: this is a part of the result.",
    Ending.INTERRUPTED: "Cut short by an interrupt: this is a part of the result.",
    Ending.DIVERGED: "It diverged: what came before is shown.",
    Ending.FAILED: "It failed: what came before is shown.",
}
_FROM_BEST = (
    Ending.CONVERGED,
    Ending.STOPPED,
    Ending.TIME_LIMIT,
    Ending.DIVERGED,
    Ending.FAILED,
    # A part is no result at all.
    Ending.INTERRUPTED,
)
