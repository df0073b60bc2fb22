"""How long a sweep may take, before it starts."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from rankrise.experiments import ExpectedTime
from rankrise.sweeps._commands import COMMANDS
from rankrise.sweeps._plan import Run
from rankrise.sweeps._run_folder import is_done, read_summary

# Runs that are looked at: some done ones, or a few tried, from all over the sweep.
_DONE, _TRIED = 20, 2


def expected_sweep_time(runs: Sequence[Run], out: Path, workers: int) -> ExpectedTime:
    """Seconds for the runs that are left, by those that are done or by trying a few."""
    command = COMMANDS[runs[0].command]
    done = [run for run in runs if is_done(out, run)]
    left = [run for run in runs if not is_done(out, run)]
    if done:
        spread = done[:: max(1, len(done) // _DONE)]
        taken = [command.seconds(read_summary(out, run)) for run in spread]
        seconds = statistics.mean(taken)
        basis = f"by {len(taken)} of {len(done)} runs that are done"
    else:
        tried = [runs[0], runs[-1]] if len(runs) >= _TRIED else [*runs]
        expected = [command.expected(run.given) for run in tried]
        seconds = statistics.mean(each.seconds for each in expected)
        basis = expected[0].basis
    return ExpectedTime(seconds * len(left) / workers, basis)
