"""`rankrise complete FILE`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from rankrise._errors import InputError
from rankrise.cli._folder import RunFolder
from rankrise.cli._options import OutputOptions
from rankrise.cli._session import (
    make_checkpoint,
    running,
    status_of,
    use_compile_cache,
)
from rankrise.cli._status import DONE
from rankrise.experiments import CompletionConfig
from rankrise.experiments._options import require_mode_dims

if TYPE_CHECKING:
    from rankrise.data import TensorFile
    from rankrise.experiments import CompletionResult

# All entries of a larger tensor would not fit beside the run; its factors do.
_LARGEST_COMPLETED = 50_000_000


def complete(
    file: Path | None = None,
    /,
    *,
    settings: Annotated[CompletionConfig | None, Parameter(name="*")] = None,
    variable: str | None = None,
    mode_dims: tuple[int, ...] | None = None,
    output: OutputOptions | None = None,
) -> int:
    """Complete a partly observed tensor; there is no rank to choose.

    Takes .npy, .npz, .mat (v5, v7.3) and .nc arrays in which NaN means unobserved, and
    .csv, .parquet and .tns coordinates in which absent means unobserved. Some observed
    entries are held out to choose where on the trajectory to stop. Writes the completed
    tensor in the input's form, summary.json, factors.npz, trajectory.nc and
    completion.png.

    Parameters
    ----------
    file
        The tensor. Left out when a run is resumed.
    variable
        Which array, where the file holds several.
    mode_dims
        Mode dimensions of a tensor given by coordinates; by default the largest index
        of each mode decides.
    """
    output = output or OutputOptions()
    folder = RunFolder(output, "complete")
    settings = folder.settings(settings or CompletionConfig())
    source = _source(folder, output, file, variable, mode_dims)
    if folder.is_finished():
        return DONE
    tensor = _read(source)
    use_compile_cache()
    from rankrise.experiments import run_completion, summarize_completion

    checkpoint = make_checkpoint(folder, output)
    source["sha256"] = tensor.content_sha256
    with running(lambda: folder.begin(settings, source), output.quiet) as progress:
        outcome = run_completion(
            tensor.observations,
            settings,
            source=source,
            checkpoint=checkpoint,
            progress=progress,
        )
    summary = summarize_completion(outcome, source)
    written = _write(folder, outcome, tensor)
    folder.finish(summary)
    if not output.quiet:
        _print(summary, written)
    return status_of(summary, folder)


def _source(
    folder: RunFolder,
    output: OutputOptions,
    file: Path | None,
    variable: str | None,
    mode_dims: tuple[int, ...] | None,
) -> dict[str, Any]:
    given = {
        "path": None if file is None else str(file.absolute()),
        "variable": variable,
        "mode_dims": None if mode_dims is None else list(mode_dims),
    }
    if output.resume:
        return _stored_source(folder, given)
    if file is None:
        raise InputError(
            "complete needs a file: rankrise complete FILE, a .npy, .npz, .csv, "
            ".parquet, .tns, .mat or .nc tensor."
        )
    require_mode_dims(mode_dims)
    folder.check_not_replaced(file)
    return given


def _stored_source(folder: RunFolder, given: dict[str, Any]) -> dict[str, Any]:
    stored = folder.source()
    if given["path"] not in (None, stored["path"]):
        raise InputError(
            f"The run in {folder.path} is of {stored['path']}, not {given['path']}; "
            "resume it without naming a file."
        )
    for name in ("variable", "mode_dims"):
        if given[name] is not None:
            folder.check_unchanged(name, given[name], stored[name])
    return stored


def _read(source: dict[str, Any]) -> "TensorFile":
    from rankrise.data import read_tensor

    dims = source["mode_dims"]
    tensor = read_tensor(
        source["path"],
        variable=source["variable"],
        mode_dims=None if dims is None else tuple(dims),
    )
    if source.get("sha256", tensor.content_sha256) != tensor.content_sha256:
        raise InputError(
            f"{source['path']} has changed since the run began; start again."
        )
    return tensor


def _write(
    folder: RunFolder, outcome: "CompletionResult", tensor: "TensorFile"
) -> dict[str, Path]:
    from rankrise.data import write_completed
    from rankrise.reports import completion_figure, save_figure
    from rankrise.trajectories import save_factors

    outcome.trajectory.save(folder.path / "trajectory.nc")
    save_factors(
        folder.path / "factors.npz",
        [outcome.model],
        {"offset": [outcome.offset]},
    )
    written: dict[str, Path] = {"factors": folder.path / "factors.npz"}
    completed = None
    if tensor.observations.entry_count <= _LARGEST_COMPLETED:
        completed = outcome.completed(tensor.observations)
        written["completed"] = write_completed(tensor, completed, folder.path)
    figure = completion_figure(outcome.run, tensor.observations, completed)
    written["picture"], _ = save_figure(
        figure, folder.path / "completion", ("png", "pdf")
    )
    return written


def _print(summary: dict[str, Any], written: dict[str, Path]) -> None:
    dims = "x".join(map(str, summary["mode_dims"]))
    share = summary["observed_entries"] / summary["entries"]
    print(f"tensor: {dims}, {share:.1%} observed")
    scale = summary["runs"][summary["chosen_run"]]["init_scale"]
    step = summary["chosen_step"]
    print(f"rank: {summary['rank']} (init scale {scale:g}, step {step})")
    for name, words in (("train", "train"), ("heldout", "held-out")):
        raw = summary[f"{name}_relative_error"]
        centered = summary[f"{name}_centered_error"]
        if raw is not None and centered is not None:
            print(f"{words} relative error: {raw:.4f} ({centered:.4f} about the mean)")
    for words, path in written.items():
        print(f"{words}: {path}")
