"""`rankrise complete FOLDER` of observations in parts, on workers of Dask."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rankrise.cli._complete_options import CompleteOptions
from rankrise.cli._folder import RunFolder
from rankrise.cli._options import ClusterOptions, OutputOptions
from rankrise.cli._reading_options import ReadingFlags
from rankrise.cli._session import make_checkpoint, running, status_of
from rankrise.cli._status import INTERRUPTED
from rankrise.cli._terminal import say

if TYPE_CHECKING:
    from rankrise.completion import CompletionOfParts


class Divided(NamedTuple):
    """What is said of observations in parts."""

    cluster: ClusterOptions
    parts: int | None

    def takes(self, source: dict[str, Any]) -> bool:
        """Whether a source is in parts: a folder of files, or workers are named."""
        path = Path(source["path"])
        return self != Divided(ClusterOptions(), None) or (
            path.is_dir() and next(path.rglob("*.parquet"), None) is not None
        )


def complete_folder(
    folder: RunFolder,
    options: CompleteOptions,
    source: dict[str, Any],
    output: OutputOptions,
    divided: Divided,
) -> int:
    """Complete them, and write what was found."""
    from rankrise._cluster import LOCAL
    from rankrise.completion import complete_parts_as_set

    reading = ReadingFlags(**source["reading"]).model_dump(exclude_unset=True)
    if "variable" in reading:
        reading["values"] = reading.pop("variable")
    checkpoint = make_checkpoint(folder, output)
    with running(lambda: folder.begin(options, source), output) as progress:
        found = complete_parts_as_set(
            source["path"],
            options.settings(),
            reading,
            scheduler=divided.cluster.scheduler or LOCAL,
            workers=divided.cluster.workers,
            parts=divided.parts,
            checkpoint=checkpoint,
            progress=progress,
        )
    factors = found.save_factors(folder.path)
    summary = found.summary(source)
    folder.finish(summary)
    status = status_of(summary, folder)
    if not output.quiet and status != INTERRUPTED:
        _print(found, factors)
    return status


def _print(found: "CompletionOfParts", factors: Path) -> None:
    dims, parts = "x".join(map(str, found.mode_dims)), found.parts
    say(f"tensor: {dims}, {found.observed} observed, in {parts} parts")
    say(
        f"rank: {found.rank}; predictions use {found.components} "
        f"component{'' if found.components == 1 else 's'} (1 model, chosen on "
        "held-out entries)"
    )
    say(
        f"held-out error: {found.heldout_error:.4g} "
        f"({found.heldout_centered_error:.4g} about the mean)"
    )
    say(f"factors: {factors}")
