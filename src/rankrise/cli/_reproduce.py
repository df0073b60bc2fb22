"""`rankrise reproduce dynamics|complexity|theory`."""

from collections.abc import Callable, Sequence
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
from rankrise.cli._dynamics import print_runs, write_runs
from rankrise.cli._folder import RunFolder
from rankrise.cli._options import ClusterOptions, OutputOptions
from rankrise.cli._session import (
    load_unchanged,
    make_checkpoint,
    running,
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
    from rankrise.experiments import (
        Comparison,
        ExpectedTime,
        ReproductionResult,
        Statement,
        Variant,
    )

_TABLE_WIDTH = 100

reproduce = App(
    name="reproduce",
    help="Produce the paper's figures anew, and a table of ours beside the paper's.",
)


@reproduce.command
def dynamics(
    *,
    settings: Annotated[DynamicsReproductionConfig | None, Parameter(name="*")] = None,
    cluster: ClusterOptions | None = None,
    output: OutputOptions | None = None,
) -> int:
    """Components that rise one after another, at the paper's three init scales.

    Variants have order 3, tensor sensing, Huber or absolute loss, a deep matrix
    factorization or unequal mode dimensions. Their numbers stand beside what theory
    expects, those of the paper's figure beside the paper's.

    Writes comparison.md and .csv, summary.json, trajectory.nc, factors.npz (with all
    variants, a trajectory and factors for each), dynamics.png, .pdf and .svg.
    """
    output = output or OutputOptions()
    folder = RunFolder(output, "reproduce dynamics")
    settings = folder.settings(settings or DynamicsReproductionConfig())
    if folder.is_finished():
        return DONE
    from rankrise.experiments import expected_dynamics_time, reproduce_dynamics
    from rankrise.reports import save_figure

    checkpoint = make_checkpoint(folder, output)
    several = len(settings.variants) > 1

    def announce(variant: "Variant", place: int, count: int) -> None:
        if several and not output.quiet:
            say(f"{variant}, {place} of {count}")
        _announce_time(output, lambda: expected_dynamics_time(settings, variant))

    _announce_lacks(settings, output)
    with (
        running(lambda: folder.begin(settings), output) as progress,
        (cluster or ClusterOptions()).pool() as pool,
    ):
        result = reproduce_dynamics(
            settings,
            checkpoint=checkpoint,
            progress=progress,
            starting=announce,
            pool=pool,
        )
    for variant, outcome in result.outcome.items():
        write_runs(folder, outcome, f"-{variant}" if several else "")
    save_figure(result.figure(), folder.path / "dynamics")
    return _finish(folder, output, result, "Dynamics, ours beside the paper's")


@reproduce.command
def complexity(
    *,
    settings: Annotated[
        ComplexityReproductionConfig | None, Parameter(name="*")
    ] = None,
    cluster: ClusterOptions | None = None,
    output: OutputOptions | None = None,
) -> int:
    """Errors by CP rank, of images and of random controls.

    In full this takes eight hours or more on two cores. Writes comparison.md and .csv,
    summary.json, complexity.png, .pdf and .svg.
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
    from rankrise.reports import save_figure

    (data,) = load_unchanged(source, settings.experiment)
    checkpoint = make_checkpoint(folder, output)
    _announce(settings, output, lambda: expected_complexity_time(settings, data))
    with (
        running(lambda: folder.begin(settings, source), output) as progress,
        (cluster or ClusterOptions()).pool() as pool,
    ):
        result = reproduce_complexity(
            settings, data=data, checkpoint=checkpoint, progress=progress, pool=pool
        )
    save_figure(result.figure(), folder.path / "complexity")
    title = f"Complexity of {settings.dataset}, ours beside the paper's"
    return _finish(folder, output, result, title)


@reproduce.command
def theory(
    *,
    settings: Annotated[TheoryReproductionConfig | None, Parameter(name="*")] = None,
    cluster: ClusterOptions | None = None,
    output: OutputOptions | None = None,
) -> int:
    """The paper's theorems: predicted beside measured.

    The exit status is 1 if a claim is violated. Writes comparison.md and .csv,
    summary.json, claims.json, and a .png, .pdf and .svg for each claim.
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
    with running_claims(), (cluster or ClusterOptions()).pool() as pool:
        result = reproduce_theory(
            settings,
            done=done,
            progress=output.shown,
            finished=lambda *found: keep_claim(folder.path, done, *found),
            pool=pool,
        )
    draw_claims(folder.path, result.outcome.claims)
    status = _finish(folder, output, result, "Theory, measured beside predicted")
    return VIOLATED if status == DONE and result.outcome.violated else status


def _announce(
    settings: Any, output: OutputOptions, measure: "Callable[[], ExpectedTime]"
) -> None:
    """Say what is left out and how long it will take, before it starts."""
    _announce_lacks(settings, output)
    _announce_time(output, measure)


def _announce_lacks(settings: Any, output: OutputOptions) -> None:
    if not output.quiet:
        for each in settings.left_out:
            say(f"left out: {each}")


def _announce_time(
    output: OutputOptions, measure: "Callable[[], ExpectedTime]"
) -> None:
    if output.quiet:
        return
    from rankrise.runs import time_in_words

    expected = measure()
    whole = " for the whole of it, of which some is done" if output.resume else ""
    say(f"expected time: {time_in_words(expected.seconds)}{whole} ({expected.basis})")


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
        statements = result.comparison.statements
        if "variants" in summary["experiment"]:
            # All that is said of several variants fills pages.
            print_runs(summary["experiment"], folder)
            statements = tuple(each for each in statements if each.paper is not None)
        else:
            _print_numbers(result.comparison)
        _print_statements(statements, result.comparison.reference)
        for note in result.comparison.notes:
            say(note)
        for left in result.config.left_out:
            say(f"left out: {left}")
        say(f"table: {table}")
    return status_of(summary["experiment"], folder)


def _print_numbers(comparison: "Comparison") -> None:
    from rankrise.reports import format_number

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
    Console(width=_TABLE_WIDTH).print(numbers)


def _print_statements(statements: "Sequence[Statement]", reference: str) -> None:
    from rankrise.reports import format_answer

    table = Table(box=None, pad_edge=False)
    for column in ("", "statement", "ours", reference, "by"):
        table.add_column(column)
    for each in statements:
        ours, paper = format_answer(each.ours), format_answer(each.paper)
        table.add_row(each.group, each.words, ours, paper, each.evidence)
    say()
    Console(width=_TABLE_WIDTH).print(table)
