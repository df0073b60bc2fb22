"""Objects made of arrays on a worker's own disk, mapped while they are used.

The file has no name, so it goes away with whoever holds it, also where that is killed.
What is mapped lies in the system's cache of files, as far as there is room: it takes no
memory of the process once a task is done with it.
"""

import mmap
import pickle
import tempfile
import weakref
from collections.abc import Callable
from typing import Any

# Where arrays begin: a multiple of the largest that an instruction loads.
_ALIGNED = 64


class OnDisk:
    """Any object that can be pickled, whose arrays are in a file."""

    def __init__(self, value: Any) -> None:
        buffers: list[pickle.PickleBuffer] = []
        self._head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
        self._file = tempfile.TemporaryFile(dir=_scratch_folder())  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._places: list[tuple[int, int]] = []
        for buffer in buffers:
            begin = -(-self._file.tell() // _ALIGNED) * _ALIGNED
            self._file.seek(begin)
            self._file.write(buffer.raw())
            self._places.append((begin, self._file.tell()))
        # Also of no arrays something can be mapped.
        self._file.write(bytes(1))
        self._file.flush()

    def opened(self) -> Any:
        """The object; its arrays are the file, for as long as one of them is held."""
        # Private, so that arrays can be written to, as if they were in memory.
        pages = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_COPY)
        whole = memoryview(pages)
        return pickle.loads(self._head, buffers=[whole[a:b] for a, b in self._places])

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any]]:
        """On another worker it is written anew."""
        return OnDisk, (self.opened(),)


def _scratch_folder() -> str | None:
    """The folder that a worker was given for such files."""
    from distributed import get_worker

    try:
        folder: str = get_worker().local_directory
    except ValueError:
        return None
    return folder
