"""`rankrise agreement`."""

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from rankrise.cli._folder import RunFolder
from rankrise.cli._options import OutputOptions
from rankrise.cli._session import running_whole
from rankrise.cli._status import DONE
from rankrise.cli._terminal import say
from rankrise.experiments import AgreementConfig

if TYPE_CHECKING:
    from rankrise.experiments import AgreementResult


def agreement(
    *,
    settings: Annotated[AgreementConfig | None, Parameter(name="*")] = None,
    output: OutputOptions | None = None,
) -> int:
    """Compare gradient descent, gradient flow and its limit on one problem.

    Descent comes near the flow in proportion to its learning rate, and the flow comes
    near its limit as the init scale falls. Writes summary.json and agreement.png,
    .pdf and .svg with a caption in agreement.txt.
    """
    output = output or OutputOptions()
    folder = RunFolder(output, "agreement")
    settings = folder.settings(settings or AgreementConfig())
    if folder.is_finished():
        return DONE
    from rankrise.experiments import run_agreement, summarize_agreement
    from rankrise.reports import save_figure

    with running_whole(lambda: folder.begin(settings), output) as progress:
        outcome = run_agreement(settings, progress=progress)
    summary = summarize_agreement(outcome)
    picture, *_ = save_figure(outcome.figure(), folder.path / "agreement")
    folder.finish(summary)
    if not output.quiet:
        _print(summary, outcome)
        say(f"picture: {picture}")
    return DONE


def _print(summary: dict[str, Any], outcome: "AgreementResult") -> None:
    descents = Table(box=None, pad_edge=False)
    for column in ("descent", "learning rate", "steps", "distance to the flow"):
        descents.add_column(column, justify="left" if column == "descent" else "right")
    for row in summary["descents"]:
        rate = row["learning_rate"]
        descents.add_row(
            row["name"],
            "-" if rate is None else f"{rate:.4g}",
            str(row["steps"]),
            f"{row['distance']:.2e}",
        )
    console = Console()
    console.print(descents)
    say(f"convergence order in the learning rate: {outcome.convergence_order:.3f}")
    flows = Table(box=None, pad_edge=False)
    columns = (
        "init scale",
        "gradients",
        "plateau errors off by",
        "escape times off by",
    )
    for column in columns:
        flows.add_column(column, justify="right")
    for row in summary["flows"]:
        gaps = row["escape_gaps"]
        late = "not all escape" if None in gaps else f"{max(gaps):.2%}"
        flows.add_row(
            f"{row['init_scale']:g}",
            str(row["gradient_evaluations"]),
            f"{max(row['plateau_gaps']):.2e}",
            late,
        )
    console.print(flows)
