"""The program `rankrise`."""

import sys
from typing import NoReturn

from rankrise.cli._interrupts import leave_when_interrupted
from rankrise.cli._terminal import outlive_readers


def main(tokens: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with its status."""
    outlive_readers()
    leave_when_interrupted()
    # Half a second of imports, in which an interrupt would otherwise be a traceback.
    from rankrise.cli._main import run

    sys.exit(run(sys.argv[1:] if tokens is None else tokens))
