"""`rankrise verify [CLAIM...]`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from rankrise._errors import InputError
from rankrise.cli._claims import (
    draw_claims,
    keep_claim,
    kept_claims,
    running_claims,
    use_kept_programs,
)
from rankrise.cli._folder import RunFolder
from rankrise.cli._options import OutputOptions
from rankrise.cli._session import status_of
from rankrise.cli._source import ClaimsSource
from rankrise.cli._status import DONE, UNTESTED, VIOLATED
from rankrise.cli._terminal import say
from rankrise.experiments import CLAIM_NAMES, VerificationConfig

if TYPE_CHECKING:
    from rankrise.tensors import TensorFile

# Narrower, rich would cut the numbers.
_TABLE_WIDTH = 120


def verify(
    claims: tuple[str, ...] = (),
    /,
    *,
    settings: Annotated[VerificationConfig | None, Parameter(name="*")] = None,
    problem: Path | None = None,
    variable: str | None = None,
    allow_untested: bool = False,
    output: OutputOptions | None = None,
) -> int:
    """Put the paper's theorems to the test: predicted against measured.

    The exit status is 1 if a claim is violated, 3 if none could be tested, and 0
    otherwise. Beside every verdict stand how far its run moved, because a run at rest
    satisfies everything, and the error of measuring: a difference within it is no
    violation. Writes summary.json, claims.json with what the figures show, and a .png,
    .pdf and .svg for each claim with a caption.

    Parameters
    ----------
    claims
        Some of conservation, growth, growth-bounds, escape, rank-one, corollary and
        matrix-growth; all of them by default.
    problem
        A partly observed tensor, as rankrise complete takes it, instead of a synthetic
        problem; values are scaled to a root mean square of one.
    variable
        Which array, where the file holds several.
    allow_untested
        Make the exit status 0 where no claim could be tested.
    """
    output = output or OutputOptions()
    folder = RunFolder(output, "verify")
    settings = folder.settings(settings or VerificationConfig())
    source = _source(folder, output, settings, claims, problem, variable)
    if folder.is_finished():
        return _status(folder.result(), allow_untested)
    tensor = _read(folder, source)
    use_kept_programs()
    from rankrise.experiments import run_verification, summarize_verification
    from rankrise.runs import Ending

    done = kept_claims(folder.path) if output.resume else {}
    folder.begin(settings, source)
    with running_claims():
        outcome = run_verification(
            settings,
            tuple(source["claims"]),
            observations=None if tensor is None else tensor.observations,
            done=done,
            progress=output.shown,
            finished=lambda claim, seconds: keep_claim(
                folder.path, done, claim, seconds
            ),
        )
    summary = summarize_verification(outcome, source)
    draw_claims(folder.path, outcome.claims)
    folder.finish(summary)
    if not output.quiet:
        _print(summary, folder)
    if summary["result"] == Ending.INTERRUPTED:
        return status_of(summary, folder)
    return _status(summary["result"], allow_untested)


def _status(result: str, allow_untested: bool) -> int:
    """The exit status for an outcome of claims."""
    if result == "not tested" and not allow_untested:
        return UNTESTED
    return VIOLATED if result == "violated" else DONE


def _source(
    folder: RunFolder,
    output: OutputOptions,
    settings: VerificationConfig,
    claims: tuple[str, ...],
    problem: Path | None,
    variable: str | None,
) -> dict[str, Any]:
    for name in claims:
        if name not in CLAIM_NAMES:
            raise InputError(
                f"There is no claim {name}; choose {', '.join(CLAIM_NAMES[:-1])} or "
                f"{CLAIM_NAMES[-1]}."
            )
    # In the order of the list, each once.
    named = [name for name in CLAIM_NAMES if name in claims or not claims]
    given = {
        "path": None if problem is None else str(problem.absolute()),
        "variable": variable,
        "claims": named,
    }
    if not output.resume:
        settings.check_source(from_file=problem is not None)
        if variable is not None and problem is None:
            raise InputError("--variable is of a file; name it with --problem.")
        return given
    stored = folder.source(ClaimsSource)
    if problem is not None:
        folder.check_unchanged("problem", given["path"], stored["path"])
    if variable is not None:
        folder.check_unchanged("variable", variable, stored["variable"])
    if claims and named != stored["claims"]:
        raise InputError(
            f"The run in {folder.path} is of the claims {', '.join(stored['claims'])}; "
            "resume it without naming any."
        )
    return stored


def _read(folder: RunFolder, source: dict[str, Any]) -> "TensorFile | None":
    if source["path"] is None:
        return None
    from rankrise.tensors import read_tensor

    folder.check_not_replaced(Path(source["path"]))
    tensor = read_tensor(source["path"], variable=source["variable"])
    if source.get("sha256", tensor.content_sha256) != tensor.content_sha256:
        raise InputError(
            f"{source['path']} has changed since the run began; start again."
        )
    source["sha256"] = tensor.content_sha256
    return tensor


def _print(summary: dict[str, Any], folder: RunFolder) -> None:
    table = Table(box=None, pad_edge=False)
    numbers = ("predicted", "measured", "error", "measuring", "tolerance")
    words = ("moved", "time", "compared", "verdict")
    for column in ("claim", *numbers, *words):
        justify: Any = "left" if column in ("claim", "moved", "verdict") else "right"
        table.add_column(column, justify=justify, no_wrap=True)
    for claim in summary["claims"]:
        table.add_row(
            claim["name"],
            *(_short(claim[name]) for name in numbers[:3]),
            _short(claim["measuring_error"]),
            _short(claim["tolerance"]),
            _moved(claim["moved"]),
            _short(claim["moved"].get("time")),
            "-" if claim["compared"] is None else str(claim["compared"]),
            claim["verdict"],
        )
    Console(width=_TABLE_WIDTH).print(table)
    for claim in summary["claims"]:
        # The paper goes without saying.
        source = claim["source"].removeprefix("Razin et al. (2021), ").split(" ext")[0]
        say(f"{claim['name']} ({source}): {claim['explanation']}")
    say(f"{summary['seconds_run']:.1f} s; figures: {folder.path}")


def _moved(moved: dict[str, float | None]) -> str:
    """How far the run went: by its loss, or by the norm that grew most."""
    if moved.get("loss_ratio") is not None:
        return f"loss to {moved['loss_ratio']:.2g}"
    if moved.get("norm_growth") is not None:
        return f"norm x {moved['norm_growth']:.0e}"
    return "-"


def _short(number: float | None) -> str:
    return "-" if number is None else f"{number:.2g}"
