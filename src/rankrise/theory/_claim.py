"""What checking a claim gives: predicted beside measured, and a verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from rankrise._errors import InputError
from rankrise._typing import Values
from rankrise.drawing import Drawing, Plotted

Verdict = Literal["holds", "violated", "not tested"]


class Theorem(NamedTuple):
    """What is claimed, and where."""

    name: str
    title: str
    source: str
    statement: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Claim(Plotted):
    """A theorem put to the test.

    Attributes
    ----------
    predicted, measured
        The numbers that say most, one each; None where nothing was measured.
    error, tolerance
        The claim holds where the error, as the explanation defines it, is at most
        the tolerance.
    measuring_error
        By how much the integrator and rounding may have changed the error; an excess
        within it is no violation.
    compared
        How many values were compared: component-times, times or init scales.
    moved
        How far the run moved: a run at rest would satisfy everything.
    numbers
        What else was measured.
    curves
        Arrays for the figure.
    """

    theorem: Theorem
    verdict: Verdict
    explanation: str
    tolerance: float
    predicted: float | None = None
    measured: float | None = None
    error: float | None = None
    measuring_error: float | None = None
    compared: int | None = None
    moved: Mapping[str, float] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Values] = field(default_factory=dict)

    def drawing(self) -> Drawing:
        """Predicted beside measured, and `residuals` against the tolerance.

        Raises
        ------
        InputError
            If nothing was measured.
        """
        from rankrise.theory._plot import draw_claim

        if not self.curves:
            raise InputError(
                f"The claim {self.theorem.name} was not measured, so it has no "
                f"picture: {self.explanation}"
            )
        return draw_claim(self)

    def __repr__(self) -> str:
        return f"<Claim {self.theorem.name}: {self.verdict}. {self.explanation}>"


def claim_record(claim: Claim) -> dict[str, Any]:
    """The claim in numbers, words and lists, without its curves."""
    return {
        **claim.theorem._asdict(),
        "verdict": claim.verdict,
        "explanation": claim.explanation,
        "predicted": claim.predicted,
        "measured": claim.measured,
        "error": claim.error,
        "tolerance": claim.tolerance,
        "measuring_error": claim.measuring_error,
        "compared": claim.compared,
        "moved": dict(claim.moved),
        "numbers": dict(claim.numbers),
    }


def claim_curves(claim: Claim) -> dict[str, Any]:
    """The claim's curves as lists."""
    return {name: np.asarray(curve).tolist() for name, curve in claim.curves.items()}


def claim_from_record(record: Mapping[str, Any], curves: Mapping[str, Any]) -> Claim:
    """The claim that `claim_record` and `claim_curves` wrote."""
    fields = dict(record)
    theorem = Theorem(*(fields.pop(name) for name in Theorem._fields))
    arrays = {name: np.array(curve, dtype=np.float64) for name, curve in curves.items()}
    return Claim(theorem=theorem, curves=arrays, **fields)


def check_tolerance(tolerance: float) -> None:
    """Refuse a tolerance that every error, or none, would be within."""
    if not 0 < tolerance < float("inf"):
        raise InputError(
            f"The tolerance is {tolerance}; give a positive, finite number."
        )
