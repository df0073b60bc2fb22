"""What a worker does: a batch of runs, each written as soon as it is done."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rankrise._errors import InputError, reason
from rankrise.runs import Ending
from rankrise.sweeps._command import Produced
from rankrise.sweeps._commands import COMMANDS
from rankrise.sweeps._plan import Batch, Run
from rankrise.sweeps._run_folder import is_done, packed_run, write_run

# Its content names the sweep, so that a worker knows the folder when it sees it.
MARK = ".rankrise-sweep"


@dataclass(frozen=True)
class Place:
    """Where runs are written, if a worker sees it.

    Attributes
    ----------
    mark
        What the file `MARK` in it holds.
    """

    out: str
    mark: str

    def is_in_reach(self) -> bool:
        """Whether this process sees the folder, and not another of that name."""
        try:
            return (Path(self.out) / MARK).read_text(encoding="utf-8") == self.mark
        except (OSError, UnicodeDecodeError):
            return False


@dataclass(frozen=True)
class Done:
    """A run that was tried.

    Attributes
    ----------
    failure
        Why it failed, if it did.
    files
        Its files, where the worker could not write them.
    """

    key: str
    failure: str = ""
    files: dict[str, bytes] | None = None


def do_batches(batches: Sequence[Batch], place: Place) -> list[Done]:
    """Do batches one after another; a run that fails does not stop the others."""
    return [done for batch in batches for done in _do_batch(batch, place)]


def _do_batch(batch: Batch, place: Place) -> list[Done]:
    in_reach, out = place.is_in_reach(), Path(place.out)
    wanted = [run for run in batch if not (in_reach and is_done(out, run))]
    if not wanted:
        return [Done(run.key) for run in batch]
    command = COMMANDS[batch[0].command]
    try:
        # All of it, because a batch of another size rounds differently.
        produced = command.run([run.given for run in batch], None)
    except Exception as error:
        if len(batch) > 1:
            # One of them is to blame.
            return [done for run in batch for done in _do_batch((run,), place)]
        return [Done(batch[0].key, _why(error))]
    return [
        _kept(run, found, place, in_reach)
        for run, found in zip(batch, produced, strict=True)
        if run in wanted
    ]


def _kept(run: Run, found: Produced, place: Place, in_reach: bool) -> Done:
    if found.summary["result"] == Ending.INTERRUPTED:
        return Done(run.key, "interrupted")
    if in_reach:
        try:
            write_run(Path(place.out), run, found.summary, found.write)
            return Done(run.key)
        except OSError:
            # A full disk here is not one there.
            pass
    try:
        return Done(run.key, files=packed_run(run, found.summary, found.write))
    except Exception as error:
        return Done(run.key, _why(error))


def _why(error: Exception) -> str:
    named = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
    return f"{named}{reason(error)}"
