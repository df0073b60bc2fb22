"""`rankrise dynamics`."""

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from rankrise.cli._folder import RunFolder
from rankrise.cli._options import Devices, OutputOptions
from rankrise.cli._session import (
    make_checkpoint,
    running,
    status_of,
)
from rankrise.cli._status import DONE
from rankrise.cli._terminal import say
from rankrise.experiments import DynamicsConfig

if TYPE_CHECKING:
    from rankrise.experiments import DynamicsResult


def dynamics(
    *,
    settings: Annotated[DynamicsConfig | None, Parameter(name="*")] = None,
    devices: Devices = 1,
    output: OutputOptions | None = None,
) -> int:
    """Watch components rise one after another on a synthetic target.

    The defaults are the settings of Razin, Maman and Cohen (2021): order 4, mode
    dimension 10, a target of CP rank 5, 2000 observed entries, 1000 components, and
    three init scales. Writes summary.json, trajectory.nc, factors.npz, and
    dynamics.png, .pdf and .svg with a caption in dynamics.txt.

    Parameters
    ----------
    devices
        How many devices share every step, or all of them. A run may be resumed on
        another number.
    """
    output = output or OutputOptions()
    folder = RunFolder(output, "dynamics")
    settings = folder.settings(settings or DynamicsConfig())
    if folder.is_finished():
        return DONE
    from rankrise.experiments import run_dynamics, summarize_dynamics

    checkpoint = make_checkpoint(folder, output)
    with running(lambda: folder.begin(settings), output) as progress:
        outcome = run_dynamics(
            settings, checkpoint=checkpoint, progress=progress, devices=devices
        )
    summary = summarize_dynamics(outcome)
    _write(folder, outcome)
    folder.finish(summary)
    if not output.quiet:
        print_runs(summary, folder)
    return status_of(summary, folder)


def _write(folder: RunFolder, outcome: "DynamicsResult") -> None:
    from rankrise.reports import save_figure

    write_runs(folder, outcome)
    save_figure(outcome.figure(), folder.path / "dynamics")


def write_runs(folder: RunFolder, outcome: "DynamicsResult", part: str = "") -> None:
    """Write what was measured along the runs, and where they ended.

    Names of the files end in `part`.
    """
    from rankrise.trajectories import save_factors

    trajectory = outcome.trajectory
    trajectory.save(folder.path / f"trajectory{part}.nc")
    labels = {
        "init_scale": trajectory.dataset["init_scale"].to_numpy().tolist(),
        "start_seed": trajectory.dataset["start_seed"].to_numpy().tolist(),
    }
    save_factors(folder.path / f"factors{part}.npz", trajectory.models, labels)


def print_runs(summary: dict[str, Any], folder: RunFolder) -> None:
    """Print one line a run, and where the picture is."""
    table = Table(box=None, pad_edge=False)
    names = ["variant"] if "variants" in summary else []
    columns = ("init scale", "seed", "result", "steps", "reconstruction error")
    for column in (*names, *columns, "components rose at"):
        left = column in ("variant", "result")
        table.add_column(column, justify="left" if left else "right")
    for run in summary["runs"]:
        risen = sorted(step for step in run["rises"] if step is not None)
        error = run["reconstruction_error"]
        table.add_row(
            *(run[name] for name in names),
            f"{run['init_scale']:g}",
            str(run["seed"]),
            run["result"],
            str(run["steps"]),
            "-" if error is None else f"{error:.4f}",
            " ".join(map(str, risen)),
        )
    Console().print(table)
    parts = summary["variants"].values() if names else [summary]
    seconds = f"{sum(part['seconds_run'] for part in parts):.1f} s"
    compiling = f"{sum(part['seconds_compile'] for part in parts):.1f} s"
    say(f"{seconds} running, {compiling} compiling")
    say(f"picture: {folder.path / 'dynamics.png'}")
