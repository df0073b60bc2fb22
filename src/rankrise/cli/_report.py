"""`rankrise report FOLDER ...`."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from rankrise._errors import InputError
from rankrise.cli._status import DONE
from rankrise.cli._terminal import say


def report(
    *folders: Path,
    out: Path = Path("report.html"),
    live: Annotated[bool, Parameter(negative=())] = False,
    every: int = 5,
    quiet: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Show runs in one HTML file, side by side, without a network.

    Reads what any command wrote: settings, endings, warnings, interactive figures and
    tables, each with a download as CSV. Large tensors are thinned out, and the page
    says so. The folders are only read.

    Parameters
    ----------
    folders
        Folders of runs, as --out named them, or folders that hold such folders.
    out
        The file, which is replaced.
    live
        Write the file anew as the runs go on, until they have ended; the page in the
        browser loads itself anew.
    every
        Seconds between two writes of a live file.
    quiet
        Print nothing but warnings and errors.
    """
    if not folders:
        raise InputError(
            "report needs the folder of a run: rankrise report FOLDER, such as "
            "runs/complete."
        )
    if every < 1:
        raise InputError(f"--every is {every}; give seconds from 1.")
    if out.is_dir() or not out.absolute().parent.is_dir():
        what = "a folder" if out.is_dir() else "in a folder that is not there"
        raise InputError(f"--out is {out}, {what}; name a file such as report.html.")
    from rankrise.reports import write_report

    refresh = every if live else None
    finished = write_report(folders, out, refresh=refresh)
    if not quiet:
        say(f"report: {out}")
    try:
        while live and not finished:
            time.sleep(every)
            finished = _write_again(folders, out, every)
    except KeyboardInterrupt:
        # What stays behind is not loaded anew for ever.
        write_report(folders, out)
        raise
    return DONE


def _write_again(folders: Sequence[Path], out: Path, every: int) -> bool:
    """Write the page of runs that may change a file while it is read."""
    from rankrise.reports import write_report

    try:
        return write_report(folders, out, refresh=every)
    except InputError:
        time.sleep(every)
        return write_report(folders, out, refresh=every)
