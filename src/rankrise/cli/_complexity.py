"""`rankrise complexity DATASET`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from rankrise.cli._folder import RunFolder
from rankrise.cli._options import OutputOptions
from rankrise.cli._session import (
    make_checkpoint,
    running_epochs,
    status_of,
    use_compile_cache,
)
from rankrise.cli._status import DONE
from rankrise.experiments import ComplexityConfig

if TYPE_CHECKING:
    from rankrise.experiments import ComplexityResult


def complexity(
    dataset: str,
    /,
    *,
    settings: Annotated[ComplexityConfig | None, Parameter(name="*")] = None,
    output: OutputOptions | None = None,
) -> int:
    """Measure how low a CP rank suffices for a data set, beside random twins of it.

    Fits predictors of CP rank 1, 2, 3, ... by minibatch gradient descent, each class
    against all others (Razin, Maman and Cohen 2021, Section 5). Writes summary.json,
    complexity.png and complexity.pdf.

    Parameters
    ----------
    dataset
        digits (built in), mnist or fashion-mnist (from $RANKRISE_DATA, the cache or a
        download).
    """
    output = output or OutputOptions()
    folder = RunFolder(output, "complexity")
    settings = folder.settings(settings or ComplexityConfig())
    if output.resume:
        folder.check_unchanged("dataset", dataset, folder.source()["dataset"])
    if folder.is_finished():
        return DONE
    checkpoint = make_checkpoint(folder, output)
    use_compile_cache()
    from rankrise.experiments import run_complexity, summarize_complexity
    from rankrise.reports import complexity_figure, save_figure

    def begin() -> None:
        folder.begin(settings, {"dataset": dataset})

    with running_epochs(begin, output.quiet) as progress:
        outcome = run_complexity(
            dataset, settings, checkpoint=checkpoint, progress=progress
        )
    summary = summarize_complexity(outcome)
    figure = complexity_figure(outcome.curve, dataset)
    save_figure(figure, folder.path / "complexity", ("png", "pdf"))
    folder.finish(summary)
    if not output.quiet:
        _print(summary, outcome, folder.path)
    return status_of(summary, folder)


def _print(summary: dict[str, Any], outcome: "ComplexityResult", folder: Path) -> None:
    curve = outcome.curve
    table = Table(box=None, pad_edge=False)
    table.add_column("rank", justify="right")
    for control in curve.controls:
        table.add_column(f"{control}: train", justify="right")
        table.add_column("test", justify="right")
    for rank in curve.ranks:
        cells = []
        for control in curve.controls:
            for split in ("train", "test"):
                errors = curve.errors(control, rank, split).mean(axis=1)
                cells.append(f"{errors.mean():.4f} ± {errors.std():.4f}")
        table.add_row(str(rank), *cells)
    Console().print(table)
    print(
        f"{summary['seconds_run']:.1f} s running, {summary['seconds_compile']:.1f} s "
        "compiling"
    )
    print(f"picture: {folder / 'complexity.png'}")
