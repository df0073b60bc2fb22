"""What `rankrise verify` writes: its summary, and claims to resume and plot from."""

from collections.abc import Mapping
from typing import Any

from rankrise._environment import environment
from rankrise.experiments._summary import strict
from rankrise.experiments._verification import VerificationResult
from rankrise.runs import Ending
from rankrise.theory import Claim, claim_curves, claim_from_record, claim_record


def summarize_verification(
    result: VerificationResult, source: Mapping[str, Any]
) -> dict[str, Any]:
    """The summary of `rankrise verify`; `source` names the claims and a file."""
    if result.interrupted:
        outcome = str(Ending.INTERRUPTED)
    else:
        outcome = "violated" if result.violated else "done"
    seconds = result.seconds
    return strict(
        {
            "settings": result.config.model_dump(mode="json"),
            "source": dict(source),
            **environment(),
            "seed": result.config.seed,
            "result": outcome,
            "violated": result.violated,
            "seconds_run": round(sum(seconds.values()), 3),
            "claims": [
                {
                    **claim_record(claim),
                    "seconds": round(seconds[claim.theorem.name], 3),
                }
                for claim in result.claims
            ],
        }
    )


def verification_record(done: Mapping[str, tuple[Claim, float]]) -> dict[str, Any]:
    """Claims with their curves and seconds, for strict JSON."""
    return strict(
        {
            name: {
                "record": claim_record(claim),
                "curves": claim_curves(claim),
                "seconds": seconds,
            }
            for name, (claim, seconds) in done.items()
        }
    )


def verification_from_record(
    content: Mapping[str, Any],
) -> dict[str, tuple[Claim, float]]:
    """What `verification_record` wrote."""
    return {
        name: (
            claim_from_record(kept["record"], kept["curves"]),
            float(kept["seconds"]),
        )
        for name, kept in content.items()
    }
