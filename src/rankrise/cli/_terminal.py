"""Output to a terminal, or to a pipe that nobody may read any more."""

import io
import sys
from typing import Any, cast

from rankrise._errors import printable


def say(text: str = "", *, file: Any = None) -> None:
    """Print one line, with control characters spelled out."""
    print(printable(text), file=file)


def outlive_readers() -> None:
    """Go on where the reader of the output has left, as `| head` does."""
    sys.stdout, sys.stderr = _patient(sys.stdout), _patient(sys.stderr)


class _PatientFile(io.FileIO):
    """An open file that drops output nobody reads any more."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except BrokenPipeError:
            return memoryview(content).nbytes


def _patient(stream: Any) -> Any:
    # A process may have no stream, and tests have their own.
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.flush()
    file = _PatientFile(stream.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(cast(io.RawIOBase, file)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
