"""What all commands do around a run: progress, outcome in words."""

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rankrise._errors import InputError
from rankrise.cli._folder import RunFolder
from rankrise.cli._interrupts import raise_when_interrupted
from rankrise.cli._options import OutputOptions
from rankrise.cli._status import DONE, INTERRUPTED
from rankrise.cli._terminal import say

if TYPE_CHECKING:
    from rankrise.experiments import ComplexityConfig
    from rankrise.runs import Checkpoint
    from rankrise.tables import LabelledSet


def make_checkpoint(folder: RunFolder, options: OutputOptions) -> "Checkpoint":
    """The checkpoint of a run's folder."""
    from rankrise.runs import Checkpoint

    seconds = options.checkpoint_seconds
    if not 0 <= seconds < math.inf:
        raise InputError(
            f"--checkpoint-seconds is {seconds}; give a finite number from 0."
        )
    return Checkpoint(folder.checkpoint, seconds, options.resume)


def load_unchanged(
    source: dict[str, Any], settings: "ComplexityConfig"
) -> "tuple[LabelledSet, ...]":
    """The samples of `source`, refused where they are not those a run began with.

    Their hash is kept there for the next time.
    """
    from rankrise.experiments import load_samples

    data = load_samples(source["dataset"], settings)
    found = data[0].content_sha256
    if source.get("sha256", found) != found:
        raise InputError(
            f"{source['dataset']} has changed since the run began; start again."
        )
    source["sha256"] = found
    return data


@contextmanager
def running(
    begin: Callable[[], None], output: OutputOptions
) -> Iterator[Callable[..., None]]:
    """What a run reports its progress to, while what it has is kept at an interrupt.

    Every report calls `begin`, and so does the end. By the first it is known that all
    input fits and the run is under way, so nothing in an earlier run's folder is
    replaced for one that cannot start.
    """
    from rankrise.runs import keeping_interrupted

    with keeping_interrupted(), running_whole(begin, output) as report:
        yield report


@contextmanager
def running_whole(
    begin: Callable[[], None], output: OutputOptions
) -> Iterator[Callable[..., None]]:
    """The same for a run of which a part is of no use."""
    from rankrise.runs import showing

    begun = False
    with showing(output.shown) as show:

        def report(*progress: Any) -> None:
            nonlocal begun
            begin()
            begun = True
            if show is not None:
                show(*progress)

        yield report
        if begun:
            begin()
    raise_when_interrupted()


def status_of(summary: dict[str, Any], folder: RunFolder) -> int:
    """Say on stderr what a person must know of the outcome; the exit status."""
    from rankrise.runs import Ending

    part = ""
    if "asked_models" in summary:
        part = f" with {len(summary['models'])} of {summary['asked_models']} models"
    if summary["result"] == Ending.INTERRUPTED:
        # The limit keeps no state but what it has written: it is begun anew.
        kept = "the state is kept" if folder.has_state() else "results are kept"
        say(
            f"rankrise: interrupted{part}; {kept}, go on with --out {folder.path} "
            "--resume.",
            file=sys.stderr,
        )
        return INTERRUPTED
    if summary["result"] == Ending.TIME_LIMIT:
        # Longer than the limit by what could not be cut short.
        after = f", after {summary['seconds']:.1f} s" if "seconds" in summary else ""
        further = "raise --max-seconds to go further"
        if folder.has_state():
            further = f"go on with --out {folder.path} --resume"
        say(
            f"rankrise: stopped at the time limit{part}{after}; {further}.",
            file=sys.stderr,
        )
    if summary["result"] == Ending.DIVERGED:
        runs = summary.get("runs", ())
        reasons = [run["reason"] for run in runs if run["result"] == Ending.DIVERGED]
        # The models of a complexity study are no runs, and give no reasons.
        said = f"a run diverged: {reasons[0]}" if reasons else "some models diverged"
        say(f"rankrise: {said}.", file=sys.stderr)
    return DONE
