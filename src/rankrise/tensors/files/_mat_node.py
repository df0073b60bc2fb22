"""Variables of a MATLAB file, and what lies within them, as its headers declare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from rankrise._errors import InputError

# Files beyond these are damaged or of no use; a struct of an EEG has thousands.
_MAX_DEPTH, _MAX_NODES = 12, 100_000
MAX_NAME_BYTES = 4096


@dataclass(frozen=True, eq=False)
class MatNode:
    """An array, struct, object or cell array, known from its header alone.

    Attributes
    ----------
    kind
        MATLAB's class, or "logical", or "complex" or "empty" before the class, or words
        for anything else.
    parts
        What lies within, by MATLAB's endings of a name: ".field", "{1}", "(2).x"; of a
        sparse matrix rows, starts of columns and values: ".ir", ".jc", ".data".
    read
        The numbers, or codes of text, in the type they are stored in.
    """

    shape: tuple[int, ...]
    kind: str
    parts: dict[str, MatNode] = field(default_factory=dict)
    read: Callable[[], npt.NDArray[Any]] | None = None

    def fields(self) -> dict[str, MatNode]:
        """Its parts as a struct of one element, by their names."""
        return {name[1:]: part for name, part in self.parts.items() if name[0] == "."}

    def numbers(self) -> npt.NDArray[Any]:
        """What `read` gives, where there are numbers."""
        if self.read is None:
            raise InputError(f"It has {self.kind} in place of numbers; it is damaged.")
        return self.read()


class Budget:
    """How many more nodes of a file are looked into."""

    def __init__(self) -> None:
        self.left = _MAX_NODES

    def covers(self, count: int, depth: int) -> bool:
        """Whether these nodes are looked into; if so, they are counted."""
        if count > self.left or depth > _MAX_DEPTH:
            return False
        self.left -= count
        return True


def part_names(kind: str, count: int, names: list[str]) -> Iterator[str]:
    """What MATLAB calls the parts of a cell array or struct, in the order stored."""
    for place in range(1, count + 1):
        if kind == "cell":
            yield f"{{{place}}}"
        else:
            element = f"({place})" if count > 1 else ""
            yield from (f"{element}.{name}" for name in names)


def check_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Refuse negative dimensions."""
    if any(dim < 0 for dim in shape):
        raise InputError(f"It has an array of shape {shape}; the file is damaged.")
    return shape
