"""Samples as bits, and a table of factors as blocks of columns."""

import functools as ft
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
Words = npt.NDArray[np.uint64]

# Features of more values would name more rows than a table has.
MOST_VALUES = 16
_WORD = 64
_ROW_BYTES = 128
# Samples that are packed at a time.
_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class PackedSamples:
    """Samples of features with few values.

    Attributes
    ----------
    words
        A row a sample: `bits` for the value of each feature.
    planes
        A row a sample: of two values the same words; of more, a bit for each value of
        each feature that says whether it has that value.
    """

    words: Words
    planes: Words
    bits: int
    values: int
    features: int

    @classmethod
    def of(cls, codes: npt.NDArray[np.uint8]) -> "PackedSamples":
        """Samples with codes below `MOST_VALUES`, one row each."""
        values = max(2, int(codes.max(initial=0)) + 1)
        bits = 1 if values == 2 else 2 if values <= 4 else 4
        words = _packed(codes, bits)
        planes = words if values == 2 else _packed_planes(codes, values)
        return cls(words, planes, bits, values, codes.shape[1])

    def __len__(self) -> int:
        return len(self.words)

    @property
    def planes_a_feature(self) -> int:
        """Bits of `planes` that a feature has."""
        return 1 if self.values == 2 else self.values


def _packed(codes: npt.NDArray[np.uint8], bits: int) -> Words:
    """Numbers of so many bits, from the lowest of a word on."""
    samples, count = codes.shape
    size = -(-bits * count // _WORD) * _WORD // 8
    found = np.zeros((samples, size), np.uint8)
    if bits == 1:
        some = np.packbits(codes, axis=1, bitorder="little")
        found[:, : some.shape[1]] = some
    else:
        for place in range(8 // bits):
            some = codes[:, place :: 8 // bits]
            found[:, : some.shape[1]] |= some << np.uint8(bits * place)
    return found.view("<u8").astype(np.uint64)


def _packed_planes(codes: npt.NDArray[np.uint8], values: int) -> Words:
    which = np.arange(values, dtype=np.uint8)
    parts = []
    for begin in range(0, len(codes), _AT_ONCE):
        some = codes[begin : begin + _AT_ONCE]
        is_value = (some[:, :, None] == which).astype(np.uint8)
        parts.append(_packed(is_value.reshape(len(some), -1), 1))
    return np.concatenate(parts)


@dataclass(frozen=True, eq=False)
class Blocks:
    """Which columns of a table stand together.

    Attributes
    ----------
    width
        Columns of a block, as many as a row of `ROW_BYTES` has numbers.
    parts
        Block, first and last column in it, and model, for columns of one model in one
        block.
    """

    columns: int
    width: int
    parts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, components: list[int], dtype: Any) -> "Blocks":
        """Columns of models with so many components, one after another."""
        width = _ROW_BYTES // np.dtype(dtype).itemsize
        ends = np.cumsum(components)
        columns = int(ends[-1])
        parts = []
        for model, end in enumerate(ends):
            column = int(end) - components[model]
            while column < end:
                block, first = divmod(column, width)
                last = min(width, first + int(end) - column)
                parts.append((block, first, last, model))
                column += last - first
        # By block: what is read together lies together.
        return cls(columns, width, np.array(sorted(parts), np.int64))

    def __len__(self) -> int:
        return -(-self.columns // self.width)

    @ft.cached_property
    def models(self) -> npt.NDArray[np.int64]:
        """The model of each column, by block; what is beyond the last has any."""
        found = np.zeros((len(self), self.width), np.int64)
        for block, first, last, model in self.parts:
            found[block, first:last] = model
        return found


def aligned(shape: tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:
    """Zeros whose rows of `ROW_BYTES` begin where the cache's lines do."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.zeros(size + _ROW_BYTES, np.uint8)
    start = -room.ctypes.data % _ROW_BYTES
    return room[start : start + size].view(dtype).reshape(shape)
