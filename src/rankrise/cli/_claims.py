"""What commands that put claims to the test share."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rankrise._atomic import write_json
from rankrise._errors import InputError
from rankrise.cli._folder import CLAIMS
from rankrise.cli._interrupts import raise_when_interrupted

if TYPE_CHECKING:
    from rankrise.theory import Claim

Done = dict[str, tuple["Claim", float]]


def use_kept_programs() -> None:
    """Let what diffrax compiles be kept between calls. Before equinox is imported.

    With equinox's run-time checks, which call back into Python, nothing of it could
    be. What they would find is refused before.
    """
    os.environ.setdefault("EQX_ON_ERROR", "nan")


def keep_claim(folder: Path, done: Done, claim: "Claim", seconds: float) -> None:
    """Write a claim with those before it, so that a resumed run need not repeat it."""
    from rankrise.experiments import verification_record

    done[claim.theorem.name] = (claim, seconds)
    write_json(folder / CLAIMS, verification_record(done))


def kept_claims(folder: Path) -> Done:
    """Claims of the run to resume that were done."""
    from rankrise.experiments import verification_from_record

    path = folder / CLAIMS
    if not path.exists():
        return {}
    try:
        return verification_from_record(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path} does not hold the claims of a run; start it anew with --force."
        ) from error


def draw_claims(folder: Path, claims: "tuple[Claim, ...]") -> None:
    """A figure for every claim that has one."""
    from rankrise.reports import save_figure

    for claim in claims:
        if claim.curves:
            save_figure(claim.figure(), folder / claim.theorem.name)


@contextmanager
def running_claims() -> Iterator[None]:
    """Within, claims that were checked are kept at an interrupt."""
    from rankrise.runs import keeping_interrupted

    with keeping_interrupted():
        yield
    raise_when_interrupted()
