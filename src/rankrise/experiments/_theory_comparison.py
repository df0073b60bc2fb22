"""What the paper's theorems predict beside what was measured."""

import math

from rankrise.experiments._comparison import Comparison, Row, Statement
from rankrise.experiments._verification import VerificationResult
from rankrise.theory import Claim

_NOTES = (
    "The paper has no numbers here: beside ours is what the theorem predicts, and a "
    "claim holds where its error is within the tolerance, not where numbers are equal.",
)
_HOLDS = {"holds": True, "violated": False, "not tested": None}


def compare_theory(result: VerificationResult) -> Comparison:
    """Claim by claim, predicted and measured."""
    return Comparison(
        reference="theorem",
        rows=tuple(map(_row, result.claims)),
        statements=tuple(
            Statement(
                group=claim.theorem.name,
                words=claim.theorem.statement,
                ours=_HOLDS[claim.verdict],
                paper=True,
                evidence=claim.verdict,
            )
            for claim in result.claims
        ),
        notes=_NOTES,
    )


def _row(claim: Claim) -> Row:
    error = "no error" if claim.error is None else f"error {claim.error:.1e}"
    if claim.measuring_error is not None:
        error += f" measured to {claim.measuring_error:.1e}"
    return Row(
        group=claim.theorem.name,
        quantity=claim.theorem.title,
        ours=_number(claim.measured),
        paper=_number(claim.predicted),
        note=f"{error}, tolerance {claim.tolerance:.1g}: {claim.verdict}",
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
