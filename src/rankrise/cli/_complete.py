"""`rankrise complete FILE ...`."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from rankrise._errors import InputError
from rankrise.cli._complete_options import CompleteOptions
from rankrise.cli._folder import COMPLETED, LOWER, SETTINGS, STD, UPPER, RunFolder
from rankrise.cli._options import ClusterOptions, OutputOptions
from rankrise.cli._parts import Divided, complete_folder
from rankrise.cli._reading_options import ReadingFlags, TensorSource
from rankrise.cli._refusal import sentence
from rankrise.cli._session import (
    make_checkpoint,
    running,
    status_of,
)
from rankrise.cli._status import BAD_INPUT, DONE, INTERRUPTED
from rankrise.cli._terminal import say
from rankrise.experiments import require_mode_dims
from rankrise.runs import Ending, counting_seconds

if TYPE_CHECKING:
    from rankrise.completion import Completion
    from rankrise.tensors import TensorFile

# All entries of a larger tensor would not fit beside the run; its factors do.
_LARGEST_COMPLETED = 50_000_000
_OUT = Path("runs/complete")


def complete(
    *files: Path,
    settings: Annotated[CompleteOptions | None, Parameter(name="*")] = None,
    reading: Annotated[ReadingFlags | None, Parameter(name="*")] = None,
    cluster: ClusterOptions | None = None,
    parts: int | None = None,
    output: OutputOptions | None = None,
) -> int:
    """Complete partly observed tensors; there is no rank to choose.

    Reads .npy, .npz, .mat (v4 to v7.3), .nc, .h5 and .zarr arrays, in which NaN means
    unobserved; tables, long or wide, as text (.csv, .tsv, .txt), .parquet, .feather and
    .xlsx; and .tns coordinates. Observed entries are held out to choose what is learned
    and to say how far it may be off. Writes the completed tensor and its standard
    deviations in the input's form, summary.json, factors.npz and completion.png,
    .pdf and .svg; for a gradient method trajectory.nc.

    A folder of .parquet files is one long table in parts, which workers complete
    together: by one model, and no machine holds all observations. It writes
    summary.json and factors.npz.

    Parameters
    ----------
    files
        One file, several (the results of each go to a subfolder), or a folder of
        Parquet files. Omit when resuming a single run.
    parts
        How many parts the observations of a folder are divided into, at least; by
        default as many as it has files, and more where one would have over two million
        observations.
    """
    output = output or OutputOptions()
    options = settings or CompleteOptions()
    if len(files) <= 1:
        file = files[0] if files else None
        divided = Divided(cluster or ClusterOptions(), parts)
        return _complete(file, options, reading, output, divided)
    if cluster is not None or parts is not None:
        raise InputError(
            "Observations in parts are one folder; complete several one by one."
        )
    return _complete_all(files, options, reading, output)


def _complete_all(
    files: Sequence[Path],
    options: CompleteOptions,
    reading: ReadingFlags | None,
    output: OutputOptions,
) -> int:
    """One after another; one that cannot be used does not stop the others."""
    stems = [file.stem for file in files]
    twice = next((stem for stem in stems if stems.count(stem) > 1), None)
    if twice is not None:
        raise InputError(
            f"Two of the files are named {twice}, and their results would lie in one "
            "folder; complete them by two commands with an --out for each."
        )
    status = DONE
    for file in files:
        out = (output.out or _OUT) / file.stem
        # When several are resumed, the interrupted one has begun and the next has not.
        resume = output.resume and (out / SETTINGS).exists()
        if not output.quiet:
            say(f"{file} -> {out}")
        try:
            own = replace(output, out=out, resume=resume)
            ended = _complete(file, options, reading, own)
        except (InputError, MemoryError, OSError) as error:
            named = "" if file.name in str(error) else f"{file}: "
            say(f"rankrise: {named}{sentence(error)}", file=sys.stderr)
            ended = BAD_INPUT
        if ended == INTERRUPTED:
            return ended
        status = max(status, ended)
    return status


@counting_seconds()
def _complete(
    file: Path | None,
    options: CompleteOptions,
    reading: ReadingFlags | None,
    output: OutputOptions,
    divided: Divided | None = None,
) -> int:
    folder = RunFolder(output, "complete")
    options = folder.settings(options)
    settings = options.settings()
    source = tensor_source("complete", folder, output, file, reading)
    if folder.is_finished():
        return DONE
    if divided is not None and divided.takes(source):
        return complete_folder(folder, options, source, output, divided)
    tensor = read_source(source)
    from rankrise.completion import complete_tensor, summarize_completion
    from rankrise.tensors import incomplete_tensor

    checkpoint = make_checkpoint(folder, output)
    source["sha256"] = tensor.content_sha256
    with running(lambda: folder.begin(options, source), output) as progress:
        found = complete_tensor(
            incomplete_tensor(tensor),
            settings,
            source=source,
            checkpoint=checkpoint,
            progress=progress,
        )
        # Here the rank is estimated, which may take as long.
        summary = summarize_completion(found, source, options.interval)
    is_cut = summary["result"] == Ending.INTERRUPTED
    written = _write(folder, found, tensor, options.interval, is_cut)
    folder.finish(summary)
    status = status_of(summary, folder)
    # What a part of the models says is in the folder, and no result to read off.
    if not output.quiet and status != INTERRUPTED:
        _print(summary, written)
    return status


def tensor_source(
    command: str,
    folder: RunFolder,
    output: OutputOptions,
    file: Path | None,
    reading: ReadingFlags | None,
) -> dict[str, Any]:
    """Which file a command is given, or was given when its run began."""
    reading = reading or ReadingFlags()
    if reading.domain is not None:
        # A run may be resumed from elsewhere.
        reading = reading.model_copy(update={"domain": reading.domain.absolute()})
    given = {
        "path": None if file is None else str(file.absolute()),
        "reading": reading.model_dump(mode="json", exclude_unset=True),
    }
    if output.resume:
        return _stored_source(folder, given)
    if file is None:
        raise InputError(
            f"{command} needs a file: rankrise {command} FILE, a .npy, .npz, .csv, "
            ".parquet, .tns, .mat, .nc, .h5 or .zarr tensor."
        )
    require_mode_dims(reading.mode_dims)
    folder.check_not_replaced(file)
    return given


def _stored_source(folder: RunFolder, given: dict[str, Any]) -> dict[str, Any]:
    stored = folder.source(TensorSource)
    if given["path"] not in (None, stored["path"]):
        raise InputError(
            f"The run in {folder.path} is of {stored['path']}, not {given['path']}; "
            "resume it without naming a file."
        )
    for name, value in given["reading"].items():
        folder.check_unchanged(name, value, stored["reading"].get(name))
    return stored


def read_source(source: dict[str, Any]) -> "TensorFile":
    """The tensor, refused where it is not what a run began with."""
    tensor = ReadingFlags(**source["reading"]).read(Path(source["path"]))
    if source.get("sha256", tensor.content_sha256) != tensor.content_sha256:
        raise InputError(
            f"{source['path']} has changed since the run began; start again."
        )
    return tensor


def _write(
    folder: RunFolder,
    found: "Completion",
    tensor: "TensorFile",
    level: float | None,
    is_cut: bool,
) -> dict[str, Path]:
    from rankrise.reports import save_figure
    from rankrise.tensors import write_completed

    written: dict[str, Path] = {"factors": found.save_factors(folder.path)}
    if found.trajectory is not None:
        found.trajectory.save(folder.path / "trajectory.nc")
    if tensor.observations.entry_count <= _LARGEST_COMPLETED:
        completed, std = found.completed_arrays()
        tensors = {COMPLETED: completed, STD: std}
        if level is not None:
            tensors[LOWER], tensors[UPPER] = found.interval_arrays(level)
        for name, values in tensors.items():
            path = write_completed(tensor, values, folder.path, name=name)
            written[name] = path
    if is_cut:
        # No figure: it takes seconds, and the resumed run draws it.
        return written
    written["picture"], *_ = save_figure(found.figure(), folder.path / "completion")
    return written


def _print(summary: dict[str, Any], written: dict[str, Path]) -> None:
    dims = "x".join(map(str, summary["mode_dims"]))
    share = summary["observed_entries"] / summary["entries"]
    say(f"tensor: {dims}, {share:.1%} observed")
    if summary["gaps"]:
        say(f"gaps: {summary['gaps']}")
    if summary["link_losses"]:
        say(_link(summary))
    say(f"{_rank(summary)} ({_how(summary)})")
    if summary["centering"]:
        say(f"centering: {summary['centering']}")
    for name, words in (("train", "train"), ("heldout", "held-out")):
        raw = summary[f"{name}_relative_error"]
        centered = summary[f"{name}_centered_error"]
        if raw is not None and centered is not None:
            about = f"{centered:.4g} about the mean"
            noise = summary["noise_centered_error"]
            if name == "heldout" and noise is not None:
                about += f"; noise alone gives {noise:.4g}"
            say(f"{words} relative error: {raw:.4g} ({about})")
    for words, path in written.items():
        say(f"{words}: {path}")


def _link(summary: dict[str, Any]) -> str:
    chosen, losses = summary["loss"], dict(summary["link_losses"])
    own = losses.pop(chosen)
    others = " and ".join(f"{loss:.4g} of {name}" for name, loss in losses.items())
    return f"loss: {chosen}, held-out negative log-likelihood {own:.4g} ({others})"


def _rank(summary: dict[str, Any]) -> str:
    rank, used = summary["rank"], summary["components"]
    if "runs" in summary:
        return f"rank: {rank}"
    components = f"predictions use {used} component{'' if used == 1 else 's'}"
    if rank is None:
        return f"rank: not told, for the time was over; {components}"
    words = f"rank: {rank}"
    if summary["rank_offset"]:
        words += f" about an offset of {summary['rank_offset']:.4g}"
    return words if used == rank else f"{words}; {components}"


def _how(summary: dict[str, Any]) -> str:
    modes = summary["heldout_modes"]
    along = f"fibers along mode {' and '.join(map(str, modes))}" if modes else "entries"
    if summary["heldout_blocks"]:
        along = "gaps of these kinds"
    if "models" in summary:
        count, asked = len(summary["models"]), summary["asked_models"]
        models = f"{count} of {asked}" if count < asked else str(count)
        models += f" model{'s' if asked > 1 else ''}{_cut(summary)}"
        return f"{models}, chosen on held-out {along}"
    scale = summary["runs"][summary["chosen_run"]]["init_scale"]
    began = f"init scale {scale:g}, " if scale else ""
    step = f"step {summary['chosen_step']}{_cut(summary)}"
    return f"{began}{step}, chosen on held-out {along}"


def _cut(summary: dict[str, Any]) -> str:
    is_cut = summary["result"] == Ending.TIME_LIMIT
    return ", stopped at the time limit" if is_cut else ""
