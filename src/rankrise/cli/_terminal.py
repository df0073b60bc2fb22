"""What is written to the terminal, or to a pipe whose reader may have left."""

import io
import sys
from typing import Any, cast

from rankrise._errors import printable


def say(text: str = "", *, file: Any = None) -> None:
    """Print one line; a terminal obeys nothing that names in it may hold."""
    print(printable(text), file=file)


def outlive_readers() -> None:
    """Let a reader of the output that has left, as `| head` does, be no failure."""
    sys.stdout, sys.stderr = _patient(sys.stdout), _patient(sys.stderr)


class _PatientFile(io.FileIO):
    """An open file; what nobody reads any more is dropped."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except BrokenPipeError:
            return memoryview(content).nbytes


def _patient(stream: Any) -> Any:
    # There is none where a process was started without, and tests bring their own.
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
