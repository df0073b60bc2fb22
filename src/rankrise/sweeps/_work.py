"""What a worker does: a batch of runs, each written as soon as it is done."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rankrise._errors import InputError, reason
from rankrise.runs import Checkpoint, Ending
from rankrise.sweeps._command import Produced
from rankrise.sweeps._commands import COMMANDS
from rankrise.sweeps._plan import Batch, Run
from rankrise.sweeps._run_folder import (
    clear_state,
    is_done,
    packed_run,
    state_of,
    write_run,
)

# Its content names the sweep, so that a worker knows the folder when it sees it.
MARK = ".rankrise-sweep"
# Between two writes of the state of a run; one that is done by then has none.
STATE_SECONDS = 30.0


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
    try:
        # All of it, because a batch of another size rounds differently.
        produced = _produced(batch, out if in_reach else None)
    except Exception as error:
        if len(batch) > 1:
            # One of them is to blame.
            return [done for run in batch for done in _do_batch((run,), place)]
        return [Done(batch[0].key, _why(error))]
    kept = [
        _kept(run, found, place, in_reach)
        for run, found in zip(batch, produced, strict=True)
        if run in wanted
    ]
    if in_reach and not any(done.failure for done in kept):
        clear_state(out, batch)
    return kept


def _produced(batch: Batch, out: Path | None) -> list[Produced]:
    """What the runs come to; those that take long go on from where they were."""
    command, given = COMMANDS[batch[0].command], [run.given for run in batch]
    if out is None:
        return command.run(given, None)
    state = Checkpoint(state_of(out, batch), STATE_SECONDS, resume=True, at_once=False)
    try:
        state.path.parent.mkdir(exist_ok=True)
        return command.run(given, state)
    except (InputError, OSError):
        # The state is damaged, or of another version, or cannot be written.
        clear_state(out, batch)
        return command.run(given, None)


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
