"""Where observations come from that do not fit: blocks, each read by a worker."""

import itertools
import logging
import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError, reason, shown
from rankrise._optional import imported
from rankrise._typing import Indices, ModeDims, Values
from rankrise.tensors import LEAST_OBSERVED, allowing, incomplete_tensor

# Rows of a file that are read at once, as whole row groups.
_ROWS = 2**20


@dataclass(frozen=True, eq=False)
class Entries:
    """Observed entries of one block.

    Attributes
    ----------
    indices
        Places in the labels of the block, or in the tensor where a mode has none.
    """

    indices: Indices
    values: Values
    names: tuple[Hashable, ...] | None
    labels: tuple[npt.NDArray[Any] | None, ...]
    mode_dims: ModeDims

    @classmethod
    def of_table(cls, table: Any, options: Mapping[str, Any]) -> "Entries | None":
        """A long table; None where it has no rows."""
        if len(table) == 0:
            return None
        with allowing(LEAST_OBSERVED, 0):
            found = incomplete_tensor(table, layout="long", **options)
        given = found.observations
        names = given.indices, given.values, found.mode_names
        return cls(*names, found.labels, given.mode_dims)

    @classmethod
    def of_chunk(
        cls, chunk: npt.NDArray[Any], first: tuple[int, ...], mode_dims: ModeDims
    ) -> "Entries | None":
        """A chunk of an array at some place, in which NaN is unobserved."""
        chunk = np.asarray(chunk, np.float64)
        indices = np.argwhere(~np.isnan(chunk))
        values = chunk[tuple(indices.T)]
        if not np.isfinite(values).all():
            row = int(np.argmax(~np.isfinite(values)))
            place = tuple((indices[row] + first).tolist())
            raise InputError(f"Entry {place} is infinite; give a number, or NaN.")
        if not len(values):
            return None
        plain = (None,) * len(mode_dims)
        return cls(indices + np.array(first), values, None, plain, mode_dims)


@dataclass(frozen=True, eq=False)
class Block:
    """A piece of the source.

    Attributes
    ----------
    name
        What messages call it.
    content
        What a worker reads `Entries` of: a value of Dask that is not computed yet, or
        the rows of a file.
    """

    name: str
    content: Any
    read: Any

    def entries(self, content: Any, options: Mapping[str, Any]) -> Entries | None:
        """What the block holds, read here."""
        with _quietly(), _named(self.name):
            return self.read(content, options)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Errors of reading say what was read."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except (OSError, ValueError, ArithmeticError) as error:
        raise InputError(
            f"{name} cannot be read ({reason(error)}); write it again, or take it out."
        ) from None


# Threads of one process read parts at the same time, so each is silent for itself.
_silent = threading.local()


def _is_heard(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or not getattr(_silent, "now", False)


logging.getLogger("rankrise").addFilter(_is_heard)


@contextmanager
def _quietly() -> Iterator[None]:
    """What is worth a warning of a whole table says nothing of a part."""
    _silent.now = True
    try:
        yield
    finally:
        _silent.now = False


@dataclass(frozen=True)
class RowGroups:
    """Some row groups of a Parquet file."""

    path: str
    first: int
    last: int

    def table(self) -> Any:
        """Their rows."""
        from pyarrow import parquet

        with parquet.ParquetFile(self.path) as file:
            return file.read_row_groups(range(self.first, self.last))


@dataclass(frozen=True)
class Source:
    """Blocks, and the names that their tables share.

    Attributes
    ----------
    files
        How many there are; of other sources the number of blocks.
    """

    blocks: Sequence[Block]
    files: int
    words: str

    @property
    def is_array(self) -> bool:
        """Whether it is an array, which has no columns."""
        return isinstance(self.blocks[0].read, Chunk) if self.blocks else False


def source_of(given: Any) -> Source:
    """The blocks of a folder of Parquet files, a Dask DataFrame or a Dask array.

    Raises
    ------
    InputError
        If it is none of these, is empty, or its files have different columns.
    """
    if isinstance(given, str | Path):
        return _of_files(Path(given))
    kind = f"{type(given).__module__}.{type(given).__name__}"
    if kind.startswith("dask") and hasattr(given, "to_delayed"):
        if hasattr(given, "chunks"):
            return _of_array(given)
        if hasattr(given, "columns"):
            partitions = given.to_delayed()
            blocks = [
                Block(f"Partition {number}", each, _read_frame)
                for number, each in enumerate(partitions)
            ]
            return Source(blocks, len(blocks), "a Dask DataFrame")
    raise InputError(
        "Observations in parts are a folder of Parquet files, a Dask DataFrame or a "
        f"Dask array, not {type(given).__name__}."
    )


def _of_files(path: Path) -> Source:
    if not path.exists():
        raise InputError(f"There is no folder {path}.")
    files = [path]
    if path.is_dir():
        files = sorted(
            each
            for each in path.rglob("*.parquet")
            if each.is_file() and not each.name.startswith((".", "_"))
        )
    if not files or files[0].suffix != ".parquet":
        raise InputError(
            f"{path} holds no .parquet file; give a folder of Parquet files, each a "
            "part of one long table."
        )
    imported("pyarrow", "cluster", "Parquet files need")
    blocks: list[Block] = []
    names: list[str] | None = None
    for file in files:
        own, groups = _row_groups(file)
        if names is None:
            names = own
        elif own != names:
            raise InputError(
                f"{file.name} has the columns {_listed(own)} but {files[0].name} has "
                f"{_listed(names)}; all parts need the same, in the same order."
            )
        for each in groups:
            whole = len(groups) == 1
            rows = "" if whole else f", row groups {each.first} to {each.last - 1}"
            blocks.append(Block(f"{file.name}{rows}", each, _read_rows))
    return Source(blocks, len(files), str(path))


def _row_groups(file: Path) -> tuple[list[str], list[RowGroups]]:
    """Names of the columns, and row groups that are read at once."""
    from pyarrow import parquet

    with _named(file.name), parquet.ParquetFile(file) as opened:
        names, declared = opened.schema_arrow.names, opened.metadata
        rows = [declared.row_group(n).num_rows for n in range(declared.num_row_groups)]
    found, first, count = [], 0, 0
    for number, own in enumerate(rows):
        if count and count + own > _ROWS:
            found.append(RowGroups(str(file.absolute()), first, number))
            first, count = number, 0
        count += own
    if count:
        found.append(RowGroups(str(file.absolute()), first, len(rows)))
    return names, found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(shown(name) for name in names)


def _of_array(array: Any) -> Source:
    if array.ndim < 2:
        raise InputError(
            f"The Dask array has {array.ndim} dimension; a tensor has two or more."
        )
    if array.dtype.kind not in "biuf":
        raise InputError(
            f"The Dask array holds {array.dtype}; give an array of real numbers."
        )
    dims = tuple(array.shape)
    if any(dim != dim for dim in dims):
        raise InputError(
            "The Dask array does not know its shape; call `compute_chunk_sizes()`."
        )
    firsts = [np.cumsum((0, *sizes))[:-1].tolist() for sizes in array.chunks]
    content = np.ravel(array.to_delayed(optimize_graph=True))
    blocks = [
        Block(f"The chunk at {first}", each, Chunk(first, dims))
        for each, first in zip(content, itertools.product(*firsts), strict=True)
    ]
    return Source(blocks, len(blocks), "a Dask array")


@dataclass(frozen=True)
class Chunk:
    """Reads a chunk of an array."""

    first: tuple[int, ...]
    mode_dims: ModeDims

    def __call__(self, content: Any, options: Mapping[str, Any]) -> Entries | None:
        """Its observed entries."""
        return Entries.of_chunk(content, self.first, self.mode_dims)


def _read_rows(content: RowGroups, options: Mapping[str, Any]) -> Entries | None:
    return Entries.of_table(content.table(), options)


def _read_frame(content: Any, options: Mapping[str, Any]) -> Entries | None:
    return Entries.of_table(content, options)
