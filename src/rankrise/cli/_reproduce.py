"""`rankrise reproduce dynamics|complexity|theory`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from rankrise.cli._claims import (
    draw_claims,
    keep_claim,
    kept_claims,
    running_claims,
    use_kept_programs,
)
from rankrise.cli._dynamics import write_runs
from rankrise.cli._folder import RunFolder
from rankrise.cli._options import OutputOptions
from rankrise.cli._session import (
    load_unchanged,
    make_checkpoint,
    running,
    running_epochs,
    status_of,
)
from rankrise.cli._source import SamplesSource
from rankrise.cli._status import DONE, VIOLATED
from rankrise.cli._terminal import say
from rankrise.experiments import (
    ComplexityReproductionConfig,
    DynamicsReproductionConfig,
    TheoryReproductionConfig,
)

if TYPE_CHECKING:
    from rankrise.experiments import ExpectedTime, ReproductionResult

_TABLE_WIDTH = 100
_MINUTE, _HOUR = 60, 3600

reproduce = App(
    name="reproduce",
    help="Produce the paper's figures anew, and a table of ours beside the paper's.",
)


@reproduce.command
def dynamics(
    *,
    settings: Annotated[DynamicsReproductionConfig | None, Parameter(name="*")] = None,
    output: OutputOptions | None = None,
) -> int:
    """Components that rise one after another, at the paper's three init scales.

    Writes comparison.md and .csv, summary.json, trajectory.nc, factors.npz,
    dynamics.png and dynamics.pdf.
    """
    output = output or OutputOptions()
    folder = RunFolder(output, "reproduce dynamics")
    settings = folder.settings(settings or DynamicsReproductionConfig())
    if folder.is_finished():
        return DONE
    from rankrise.experiments import expected_dynamics_time, reproduce_dynamics
    from rankrise.reports import dynamics_reproduction_figure, save_figure

    checkpoint = make_checkpoint(folder, output)
    _announce(settings, output, lambda: expected_dynamics_time(settings))
    with running(lambda: folder.begin(settings), output.quiet) as progress:
        result = reproduce_dynamics(settings, checkpoint=checkpoint, progress=progress)
    write_runs(folder, result.outcome)
    figure = dynamics_reproduction_figure(result.outcome.trajectory.runs())
    save_figure(figure, folder.path / "dynamics", ("png", "pdf"))
    return _finish(folder, output, result, "Dynamics, ours beside the paper's")


@reproduce.command
def complexity(
    *,
    settings: Annotated[
        ComplexityReproductionConfig | None, Parameter(name="*")
    ] = None,
    output: OutputOptions | None = None,
) -> int:
    """Errors by CP rank, of images and of their random twins.

    In full this takes a day or more on two cores. Writes comparison.md and .csv,
    summary.json, complexity.png and complexity.pdf.
    """
    output = output or OutputOptions()
    folder = RunFolder(output, "reproduce complexity")
    settings = folder.settings(settings or ComplexityReproductionConfig())
    if folder.is_finished():
        return DONE
    source: dict[str, Any] = {"dataset": settings.dataset}
    if output.resume:
        source = folder.source(SamplesSource)
    from rankrise.experiments import expected_complexity_time, reproduce_complexity
    from rankrise.reports import complexity_reproduction_figure, save_figure

    data = load_unchanged(source, settings.experiment)
    checkpoint = make_checkpoint(folder, output)
    _announce(settings, output, lambda: expected_complexity_time(settings, data))
    with running_epochs(
        lambda: folder.begin(settings, source), output.quiet
    ) as progress:
        result = reproduce_complexity(
            settings, data=data, checkpoint=checkpoint, progress=progress
        )
    figure = complexity_reproduction_figure(result.outcome.curve, settings.dataset)
    save_figure(figure, folder.path / "complexity", ("png", "pdf"))
    title = f"Complexity of {settings.dataset}, ours beside the paper's"
    return _finish(folder, output, result, title)


@reproduce.command
def theory(
    *,
    settings: Annotated[TheoryReproductionConfig | None, Parameter(name="*")] = None,
    output: OutputOptions | None = None,
) -> int:
    """The paper's theorems: predicted beside measured.

    The exit status is 1 if a claim is violated. Writes comparison.md and .csv,
    summary.json, claims.json, and a .png and .pdf for each claim.
    """
    output = output or OutputOptions()
    folder = RunFolder(output, "reproduce theory")
    settings = folder.settings(settings or TheoryReproductionConfig())
    if folder.is_finished():
        return VIOLATED if folder.result() == "violated" else DONE
    use_kept_programs()
    from rankrise.experiments import expected_theory_time, reproduce_theory

    done = kept_claims(folder.path) if output.resume else {}
    _announce(settings, output, lambda: expected_theory_time(settings, tuple(done)))
    folder.begin(settings)
    with running_claims(output.quiet) as show:
        result = reproduce_theory(
            settings,
            done=done,
            starting=show,
            finished=lambda *found: keep_claim(folder.path, done, *found),
        )
    draw_claims(folder.path, result.outcome.claims)
    status = _finish(folder, output, result, "Theory, measured beside predicted")
    return VIOLATED if status == DONE and result.outcome.violated else status


def _announce(
    settings: Any, output: OutputOptions, measure: "Callable[[], ExpectedTime]"
) -> None:
    """Say what is left out and how long it will take, before it starts."""
    if output.quiet:
        return
    for each in settings.left_out:
        say(f"left out: {each}")
    expected = measure()
    whole = " for the whole of it, of which some is done" if output.resume else ""
    say(f"expected time: {in_words(expected.seconds)}{whole} ({expected.basis})")


def in_words(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 1.5 * _MINUTE:
        return f"{max(1, round(seconds))} s"
    if seconds < 1.5 * _HOUR:
        return f"{seconds / _MINUTE:.0f} minutes"
    return f"{seconds / _HOUR:.1f} hours"


def _finish(
    folder: RunFolder,
    output: OutputOptions,
    result: "ReproductionResult[Any]",
    title: str,
) -> int:
    """Write the comparison and the summary, and print the first."""
    from rankrise.experiments import summarize_reproduction
    from rankrise.reports import save_comparison

    summary = summarize_reproduction(result)
    table = save_comparison(
        result.comparison, folder.path, title, result.config.left_out
    )
    folder.finish(summary)
    if not output.quiet:
        _print(result, table)
    return status_of(summary["experiment"], folder)


def _print(result: "ReproductionResult[Any]", table: Path) -> None:
    from rankrise.reports import format_answer, format_number

    comparison, console = result.comparison, Console(width=_TABLE_WIDTH)
    reference = comparison.reference
    numbers = Table(box=None, pad_edge=False)
    for column in ("", "number", "ours", reference, "difference"):
        numeric = column in ("ours", reference, "difference")
        numbers.add_column(column, justify="right" if numeric else "left")
    group = ""
    for row in comparison.rows:
        numbers.add_row(
            "" if row.group == group else row.group,
            row.quantity,
            format_number(row.ours, row.ours_spread),
            format_number(row.paper, row.paper_spread),
            format_number(row.difference),
        )
        group = row.group
    console.print(numbers)
    statements = Table(box=None, pad_edge=False)
    for column in ("", "statement", "ours", reference, "by"):
        statements.add_column(column)
    for each in comparison.statements:
        ours, paper = format_answer(each.ours), format_answer(each.paper)
        statements.add_row(each.group, each.words, ours, paper, each.evidence)
    console.print()
    console.print(statements)
    for note in comparison.notes:
        say(note)
    for left in result.config.left_out:
        say(f"left out: {left}")
    say(f"table: {table}")
