"""`rankrise complexity DATASET`."""

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from rankrise._errors import InputError
from rankrise.cli._folder import RunFolder
from rankrise.cli._options import ClusterOptions, Devices, OutputOptions
from rankrise.cli._session import (
    load_unchanged,
    make_checkpoint,
    running,
    status_of,
)
from rankrise.cli._source import SamplesSource
from rankrise.cli._status import DONE
from rankrise.cli._terminal import say
from rankrise.experiments import QUICK, SECOND_ORDER, ComplexityConfig

if TYPE_CHECKING:
    from rankrise.complexity import RankCurve, SmallestRank, Split
    from rankrise.experiments import ComplexityResult


# Targets that are named.
_LISTED = 12


def complexity(
    dataset: str | None = None,
    /,
    *,
    settings: Annotated[ComplexityConfig | None, Parameter(name="*")] = None,
    cluster: ClusterOptions | None = None,
    devices: Devices = 1,
    output: OutputOptions | None = None,
) -> int:
    """Measure how low a CP rank suffices for a data set, beside random controls.

    Fits predictors of CP rank 1, 2, 3, ..., each class against all others (Razin,
    Maman and Cohen 2021, Section 5). Writes summary.json and complexity.png,
    .pdf and .svg with a caption in complexity.txt.

    Parameters
    ----------
    dataset
        digits (built in), mnist or fashion-mnist (from $RANKRISE_DATA, the cache or a
        download), or a .csv, .npz, .parquet or other table. Left out when a run is
        resumed.
    devices
        How many devices share every step, or all of them. A run may be resumed on
        another number.
    """
    output = output or OutputOptions()
    folder = RunFolder(output, "complexity")
    settings = folder.settings(settings or ComplexityConfig())
    source = _source(folder, output, dataset)
    if folder.is_finished():
        return DONE
    from rankrise.experiments import run_complexity, summarize_complexity
    from rankrise.reports import save_figure

    data = load_unchanged(source, settings)
    checkpoint = make_checkpoint(folder, output)

    def begin() -> None:
        folder.begin(settings, source)

    with (
        running(begin, output) as progress,
        (cluster or ClusterOptions()).pool() as pool,
    ):
        outcome = run_complexity(
            source["dataset"],
            settings,
            data=data,
            checkpoint=checkpoint,
            progress=progress,
            pool=pool,
            devices=devices,
        )
    summary = summarize_complexity(outcome)
    picture, *_ = save_figure(outcome.figure(), folder.path / "complexity")
    folder.finish(summary)
    if not output.quiet:
        _print(outcome)
        say(f"picture: {picture}")
    return _status(outcome, summary, folder)


def _source(
    folder: RunFolder, output: OutputOptions, dataset: str | None
) -> dict[str, Any]:
    # A table is found again from wherever the run is resumed.
    if dataset is not None and Path(dataset).is_file():
        folder.check_not_replaced(Path(dataset))
        dataset = str(Path(dataset).absolute())
    if output.resume:
        stored = folder.source(SamplesSource)
        if dataset not in (None, stored["dataset"]):
            raise InputError(
                f"The run in {folder.path} is of {stored['dataset']}, not {dataset}; "
                "resume it without naming a data set."
            )
        return stored
    if dataset is None:
        raise InputError(
            "complexity needs a data set: rankrise complexity DATASET, one of digits, "
            "mnist and fashion-mnist or a .csv, .npz or .parquet table."
        )
    return {"dataset": dataset}


def _print(outcome: "ComplexityResult") -> None:
    from rankrise.complexity import SPLITS

    data, curve = outcome.data, outcome.curve
    folds = 1 + max(fit.fold for fit in curve.fits)
    say(
        f"{outcome.dataset}: {data.train.samples} samples for training, "
        f"{data.test.samples} for testing" + (f", {folds} times" * (folds > 1))
    )
    say(f"{data.train.features} features of up to {data.train.values} values")
    what = "classes told from all others" if curve.kind == "classes" else "values"
    more = ", ..." if len(curve.targets) > _LISTED else ""
    say(f"{what}: {', '.join(curve.targets[:_LISTED])}{more}")
    console = Console(highlight=False)
    told = {*curve.controls} > {"data"}
    if told:
        say()
        say(str(curve.complexity()))
        for line in _meaning(curve).splitlines():
            say(line)
    for split in SPLITS:
        constant = _short(float(curve.constant_errors[split].mean()))
        say()
        say(f"{split} error{_over(curve)}; a constant's is {constant}")
        console.print(_errors(curve, split))
    for error in outcome.config.error:
        say()
        say(f"smallest rank with an error of at most {error:g}")
        console.print(
            _smallest([s for s in outcome.smallest_ranks if s.error == error], curve)
        )
    say()
    say(f"{curve.seconds_run:.1f} s running, {curve.seconds_compile:.1f} s compiling")


def _over(curve: "RankCurve") -> str:
    """What a mean and its spread are over."""
    what = "classes" if curve.kind == "classes" else "values"
    if curve.spread_over == "folds":
        mean = f"mean over {what}" if len(curve.targets) > 1 else "mean"
        return f" ({mean} ± standard deviation over folds)"
    if curve.spread_over == "targets":
        return f" (mean over {what} ± standard deviation)"
    several = len({fit.seed for fit in curve.fits}) > 1
    return " (mean over seeds ± standard deviation)" if several else ""


def _meaning(curve: "RankCurve") -> str:
    """What the complexity says, in a sentence."""
    found = curve.complexity()
    if found.rank is None:
        return ""
    over = " or ".join(
        f"{len(number)} {name}"
        for name, number in (
            ("folds", {fit.fold for fit in curve.fits}),
            ("seeds", {fit.seed for fit in curve.fits}),
        )
        if len(number) > 1
    )
    ranges = f"\nranges are over {over}" if over else ""
    return (
        f"the error of rank {found.rank} is {found.explained[found.rank]:.0%} below "
        f"that of random {found.control}, at best {found.structure:.0%}{ranges}"
    )


def _errors(curve: "RankCurve", split: "Split") -> Table:
    """One row a rank, one column a control."""
    table = Table(box=None, pad_edge=False)
    table.add_column("rank")
    columns = []
    for control in curve.controls:
        table.add_column(control, justify="right", no_wrap=True)
        means, spreads = curve.mean(control, split), curve.spread(control, split)
        columns.append(
            [
                _short(mean) + ("" if math.isnan(spread) else f" ± {_short(spread)}")
                for mean, spread in zip(means, spreads, strict=True)
            ]
        )
    for rank, *cells in zip(curve.ranks, *columns, strict=True):
        table.add_row(str(rank), *cells)
    return table


def _smallest(smallest: "list[SmallestRank]", curve: "RankCurve") -> Table:
    """One row a split, one column a control."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for control in curve.controls:
        table.add_column(control, justify="right", no_wrap=True)
    for split in dict.fromkeys(each.split for each in smallest):
        cells = [_rank(s, curve.ranks[-1]) for s in smallest if s.split == split]
        table.add_row(split, *cells)
    return table


def _rank(smallest: "SmallestRank", last: int) -> str:
    ranks = smallest.by_seed
    reached = sum(rank <= last for rank in ranks)
    if reached < len(ranks):
        return f"over {last}" + (f" ({reached} of {len(ranks)})" if reached else "")
    if len(ranks) == 1:
        return f"{ranks[0]:.0f}"
    return f"{smallest.mean:.1f} ± {smallest.spread:.1f}"


def _short(number: float) -> str:
    return f"{number:.4f}" if number < 100 else f"{number:.3g}"


def _status(
    outcome: "ComplexityResult", summary: dict[str, Any], folder: RunFolder
) -> int:
    from rankrise.runs import Ending

    for words in _warnings(outcome):
        say(f"rankrise: {words}", file=sys.stderr)
    is_cut_off = outcome.ending in (Ending.INTERRUPTED, Ending.TIME_LIMIT)
    return status_of(summary, folder) if is_cut_off else DONE


def _warnings(outcome: "ComplexityResult") -> Iterator[str]:
    from rankrise.runs import Ending

    curve = outcome.curve
    has_rate = outcome.optimizer not in (SECOND_ORDER, QUICK)
    diverged = sum(fit.ending == Ending.DIVERGED for fit in curve.fits)
    if diverged:
        lower = "--init-mean or --init-std"
        lower = f"--learning-rate, {lower}" if has_rate else lower
        yield f"{diverged} of {len(curve.fits)} models diverged; lower {lower}."
    rises = [(control, curve.first_rise(control)) for control in curve.controls]
    rising = [f"{name} from {rise[0]} to {rise[1]}" for name, rise in rises if rise]
    if rising and outcome.ending in (Ending.STOPPED, Ending.CONVERGED):
        other = "another --learning-rate" if has_rate else "other --seeds"
        yield (
            f"the training error rises with rank ({', '.join(rising)}), so training "
            f"was too short or unstable; give more --epochs, {other} or another "
            "--optimizer."
        )
