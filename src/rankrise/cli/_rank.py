"""`rankrise rank FILE`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from rankrise._settings import Settings
from rankrise._strict import strict
from rankrise.cli._complete import read_source, tensor_source
from rankrise.cli._folder import RunFolder
from rankrise.cli._options import OutputOptions
from rankrise.cli._reading_options import ReadingFlags
from rankrise.cli._session import running_whole
from rankrise.cli._status import DONE
from rankrise.cli._terminal import say
from rankrise.completion import CompletionSettings, SingleLossName

if TYPE_CHECKING:
    from rankrise.completion import RankEstimate


class RankOptions(BaseModel):
    """How a rank is estimated."""

    model_config = Settings.model_config

    heldout: Literal["auto", "random", "fiber"] = "random"
    """Entries to hold out: in the shape of the gaps (auto: single entries, whole
    fibers, runs, blocks, or some of each), single entries (random), or whole fibers
    (fiber)."""
    loss: SingleLossName = "squared"
    """Loss of one entry: huber for outliers, logistic for labels 0 and 1. For counts:
    poisson (the rank of the logarithms of rates) or poisson-identity (of the rates)."""
    loss_threshold: float = 1.0
    """Threshold delta of Huber and smooth-L1 loss, in deviations of the centered
    values, by their median."""
    max_components: int = 64
    """Largest number of components to try."""
    seed: int = 0
    """Seed of the held-out entries, the halves and the starts of the fits."""

    def model_post_init(self, context: Any, /) -> None:
        self.settings()

    def settings(self) -> CompletionSettings:
        """Those that a completion has in common."""
        return CompletionSettings(**self.model_dump())


def rank(
    file: Path | None = None,
    /,
    *,
    settings: Annotated[RankOptions | None, Parameter(name="*")] = None,
    reading: Annotated[ReadingFlags | None, Parameter(name="*")] = None,
    output: OutputOptions | None = None,
) -> int:
    """Estimate the CP rank of a tensor, whole or with gaps.

    Fits one component more at a time, with other entries held out, and compares fits
    to two halves of the entries. Prints a table by number of components; writes it as
    rank.csv, with summary.json, and rank.png, .pdf and .svg with a caption in rank.txt.

    Parameters
    ----------
    file
        A tensor, in any form that `rankrise complete` reads. Omit when resuming.
    """
    output = output or OutputOptions()
    folder = RunFolder(output, "rank")
    settings = folder.settings(settings or RankOptions())
    source = tensor_source("rank", folder, output, file, reading)
    if folder.is_finished():
        return DONE
    tensor = read_source(source)
    source["sha256"] = tensor.content_sha256
    from rankrise._environment import environment
    from rankrise.completion import estimate_tensor_rank
    from rankrise.reports import save_figure
    from rankrise.runs import Ending
    from rankrise.tensors import incomplete_tensor

    with running_whole(lambda: folder.begin(settings, source), output) as progress:
        found = estimate_tensor_rank(
            incomplete_tensor(tensor), settings.settings(), progress=progress
        )
    found.table.to_csv(folder.path / "rank.csv")
    picture, *_ = save_figure(found.figure(), folder.path / "rank")
    summary = {
        "settings": settings.model_dump(mode="json"),
        **environment(),
        "result": Ending.CONVERGED,
        "source": source,
        "mode_dims": list(tensor.observations.mode_dims),
        "observed_entries": len(tensor.observations),
        "entries": tensor.observations.entry_count,
        **found.facts(),
    }
    folder.finish(strict(summary))
    if not output.quiet:
        _print(found, summary, picture)
    return DONE


def _print(found: "RankEstimate", summary: dict[str, Any], picture: Path) -> None:
    dims = "x".join(map(str, summary["mode_dims"]))
    share = summary["observed_entries"] / summary["entries"]
    say(f"tensor: {dims}, {share:.1%} observed")
    table = Table("components", "held-out error", "match", "core", "explained")
    for row in found.rows:
        error = f"{row.heldout_error:.4g} ± {row.standard_error:.2g}"
        match = f"{row.match:.2f}" if row.match == row.match else ""
        core = row.core_consistency
        shown = "" if core != core else f"{core:.0f}%" if core > 0 else "below 0"
        style = "bold" if row.components == found.rank else None
        cells = str(row.components), error, match, shown, f"{row.explained:.1%}"
        table.add_row(*cells, style=style)
    Console().print(table)
    if found.observed < summary["observed_entries"]:
        say(f"told from a sample of {found.observed} observed entries")
    say(found.words)
    say(f"picture: {picture}")
