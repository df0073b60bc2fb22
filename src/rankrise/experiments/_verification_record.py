"""What `rankrise verify` writes: its summary, and claims to resume and plot from."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from rankrise._environment import environment
from rankrise._strict import strict
from rankrise.experiments._verification import VerificationResult
from rankrise.runs import Ending
from rankrise.theory import Claim, claim_curves, claim_from_record, claim_record


class _Record(BaseModel):
    """What `claim_record` wrote, read back from a file anybody may have changed."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    title: str
    source: str
    statement: str
    verdict: Literal["holds", "violated", "not tested"]
    explanation: str
    predicted: float | None
    measured: float | None
    error: float | None
    tolerance: float
    measuring_error: float | None = None
    compared: int | None = None
    moved: dict[str, float | None]
    numbers: dict[str, float | None]


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    record: _Record
    curves: dict[str, Any]
    seconds: float


_KEPT = TypeAdapter(dict[str, _Kept])


def summarize_verification(
    result: VerificationResult, source: Mapping[str, Any]
) -> dict[str, Any]:
    """The summary of `rankrise verify`; `source` names the claims and a file."""
    if result.interrupted:
        outcome = str(Ending.INTERRUPTED)
    elif result.violated:
        outcome = "violated"
    else:
        everything = len(result.untested) == len(result.claims)
        outcome = "not tested" if everything else "done"
    seconds = result.seconds
    return strict(
        {
            "settings": result.config.model_dump(mode="json"),
            "source": dict(source),
            **environment(),
            "seed": result.config.seed,
            "result": outcome,
            "violated": result.violated,
            "not_tested": result.untested,
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


def verification_from_record(content: object) -> dict[str, tuple[Claim, float]]:
    """What `verification_record` wrote; a ValueError or TypeError if it did not."""
    done = _KEPT.validate_python(content)
    for name, kept in done.items():
        if kept.record.name != name:
            raise ValueError(f"What is kept as {name} is {kept.record.name}.")
    return {
        name: (claim_from_record(kept.record.model_dump(), kept.curves), kept.seconds)
        for name, kept in done.items()
    }
