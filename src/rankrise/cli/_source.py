"""What a run is made from, in the form each command keeps it beside its settings."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from rankrise.experiments import CLAIM_NAMES

# A name with a null byte opens no file, in words of Python's.
Word = Annotated[str, Field(pattern=r"^[^\x00]+$")]


def _in_their_order(claims: list[str]) -> list[str]:
    if claims != [name for name in CLAIM_NAMES if name in claims] or not claims:
        raise ValueError(f"give some of {', '.join(CLAIM_NAMES)}, in this order")
    return claims


class Source(BaseModel):
    """The source of a run, read back from a file that anybody may have changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sha256: Word | None = None


class SamplesSource(Source):
    """Samples by their name or the file of a table."""

    dataset: Word


class ClaimsSource(Source):
    """Claims, and the file of a tensor where they are of no synthetic problem."""

    path: Word | None
    variable: str | None
    claims: Annotated[list[str], AfterValidator(_in_their_order)]
