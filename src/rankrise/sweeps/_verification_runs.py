"""Runs of `verify` in a sweep."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from rankrise._atomic import write_json
from rankrise._errors import InputError, shown
from rankrise.experiments import CLAIM_NAMES, ExpectedTime, VerificationConfig
from rankrise.runs import Checkpoint
from rankrise.sweeps._command import AbstractCommand, Given, Merit, Produced

_OF_CLAIMS = {"error": "error", "tolerance": "tolerance"}


class VerificationCommand(AbstractCommand):
    """Claims put to the test on a synthetic problem, or on that of a file."""

    name = "verify"
    model = VerificationConfig
    sources = ("claims", "problem", "variable")
    files = frozenset({"problem"})
    outputs = ("claims.json",)
    merits: ClassVar[Mapping[str, Merit]] = {
        "violated_claims": Merit("claims that are violated"),
        "untested_claims": Merit("claims that were not tested"),
        "largest_error": Merit("largest error over its tolerance", True),
    } | {
        f"{name.replace('-', '_')}_{what}": Merit(f"{name}: {words}", True)
        for name in CLAIM_NAMES
        for what, words in _OF_CLAIMS.items()
    }

    def checked(self, given: Given) -> BaseModel:
        _claims(given)
        settings = super().checked(given)
        assert isinstance(settings, VerificationConfig)
        settings.check_source(from_file="problem" in given)
        return settings

    def run(
        self, batch: Sequence[Given], checkpoint: Checkpoint | None
    ) -> list[Produced]:
        from rankrise.experiments import (
            run_verification,
            summarize_verification,
            verification_record,
        )
        from rankrise.tensors import read_tensor

        produced = []
        for given in batch:
            claims = _claims(given)
            observations = None
            if "problem" in given:
                tensor = read_tensor(given["problem"], variable=given.get("variable"))
                observations = tensor.observations
            config: Any = self.checked(given)
            result = run_verification(config, claims, observations=observations)
            kept = {
                c.theorem.name: (c, result.seconds[c.theorem.name])
                for c in result.claims
            }

            def write(folder: Path, kept: Any = kept) -> None:
                write_json(folder / "claims.json", verification_record(kept))

            source = {"claims": list(claims), "path": given.get("problem")}
            summary = summarize_verification(result, source)
            produced.append(Produced(summary, write))
        return produced

    def expected(self, given: Given) -> ExpectedTime:
        from rankrise.experiments import expected_claims_time

        return expected_claims_time(_claims(given))

    def figures(self, summary: Given) -> dict[str, Any]:
        claims = summary["claims"]
        shares = [
            claim["error"] / claim["tolerance"]
            for claim in claims
            if claim["error"] is not None and claim["tolerance"]
        ]
        found = {
            f"{claim['name'].replace('-', '_')}_{what}": claim[what]
            for claim in claims
            for what in _OF_CLAIMS
        }
        return {
            "violated_claims": len(summary["violated"]),
            "untested_claims": len(summary["not_tested"]),
            "largest_error": max(shares, default=None),
            **found,
        }


def _claims(given: Given) -> tuple[str, ...]:
    """The claims that are named, in the order of all."""
    wanted = given.get("claims", CLAIM_NAMES)
    wanted = (wanted,) if isinstance(wanted, str) else wanted
    for name in wanted:
        if name not in CLAIM_NAMES:
            raise InputError(
                f"There is no claim {shown(str(name))}; choose among "
                f"{', '.join(CLAIM_NAMES)}."
            )
    return tuple(name for name in CLAIM_NAMES if name in wanted)
