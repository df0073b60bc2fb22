"""Products of a table's columns for packed samples, and their derivatives."""

import importlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._environment import usable_cores
from rankrise.ensembles._packed_samples import Blocks, PackedSamples, aligned

FloatArray = npt.NDArray[np.floating]
Rows = npt.NDArray[np.int32]
# A block, and first and last row or mode.
Items = npt.NDArray[np.int64]

_WORD, _GROUPS, _ENTRIES = 64, 16, 16
# Of numbers that are multiplied: fewer take less time than it takes to share them.
_FEW = 2**22
# Sums that one thread adds up before another would be awake.
_FEW_SUMS = 2**17
# Samples whose products and exponents stay in a core's cache.
_AT_ONCE = 2560


class PackedProducts:
    """What every model says of some samples, and how that depends on its factors.

    No number depends on how many threads there are.
    """

    def __init__(
        self, samples: PackedSamples, blocks: Blocks, models: int, rows: int, dtype: Any
    ) -> None:
        # Loading Numba takes a second.
        kernels = importlib.import_module("rankrise.ensembles._lookup_kernels")
        self._samples, self._blocks, dtype = samples, blocks, np.dtype(dtype)
        self._kernels: Any = kernels
        self._forward, self._sum, self._backward = (
            kernel(dtype)
            for kernel in (kernels.forward, kernels.model_sums, kernels.backward)
        )
        self._size = rows * blocks.columns
        is_little = self._size * samples.features < _FEW
        self._cores = 1 if is_little else usable_cores()
        self._pool = ThreadPoolExecutor(max(1, self._cores - 1))
        self._rooms = [
            _Room.of(samples, blocks.width, min(rows, _AT_ONCE), dtype)
            for _ in range(self._cores)
        ]
        whole = -(-rows // _WORD) * _WORD
        self._words = aligned((samples.words.shape[1], rows), np.uint64)
        self._planes = aligned(
            (whole // _WORD, samples.planes.shape[1] * _WORD), np.uint64
        )
        shape = len(blocks), whole, blocks.width
        # Of the second no memory is taken before a factor is next to zero.
        self._products, self._others = (aligned(shape, dtype) for _ in "ab")
        self._has_tiny = np.zeros(len(blocks), bool)
        self._sums = np.zeros((rows, models), dtype)
        self._table: FloatArray

    def forward(self, table: FloatArray, rows: Rows) -> FloatArray:
        """Sums over each model's columns, for the samples of these rows.

        Written over by the next call.
        """
        self._table = table
        self._kernels.gather_words(self._samples.words, rows, self._words)
        self._kernels.gather_planes(self._samples.planes, rows, self._planes)

        def multiply(items: Items, room: _Room) -> None:
            self._forward(
                items, table, self._words, *self._bits, self._samples.bits,
                *self._kept, room.factors, room.ranges, room.tables, room.exponents,
            )  # fmt: skip

        def add(items: Items, _: _Room) -> None:
            for _, first, last in items:
                self._sum(self._products, self._blocks.parts, first, last, self._sums)

        self._share(multiply, len(self._blocks), len(rows))
        self._share(add, 1, len(rows), cores=1 if self._size < _FEW_SUMS else None)
        return self._sums

    def backward(self, slopes: FloatArray, gradient: FloatArray) -> None:
        """Derivatives by the table, of slopes by the sums of the last `forward`.

        Parameters
        ----------
        gradient
            Where they are written to.
        """

        def derive(items: Items, room: _Room) -> None:
            self._backward(
                items, self._table, *self._bits, slopes, self._blocks.models,
                *self._kept, gradient, room.factors, room.tables, room.slopes,
                room.sums,
            )  # fmt: skip

        self._share(derive, len(self._blocks), self._samples.features)
        # Its memory is that of the next one, if nothing else holds it.
        del self._table

    @property
    def _bits(self) -> tuple[npt.NDArray[np.uint64], int]:
        return self._planes, self._samples.planes_a_feature

    @property
    def _kept(self) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
        """What `forward` leaves for `backward`."""
        return self._products, self._others, self._has_tiny

    def _share(
        self,
        work: Callable[[Items, "_Room"], None],
        blocks: int,
        count: int,
        cores: int | None = None,
    ) -> None:
        """Share blocks, and parts of the rest of them, between threads."""
        cores = cores or self._cores
        whole = blocks - blocks % cores
        items = [(block, 0, count) for block in range(whole)]
        for block in range(whole, blocks):
            for part in range(cores):
                begin, end = count * part // cores, count * (part + 1) // cores
                items.append((block, begin, end))
        shares = [
            np.array(items[core::cores], np.int64).reshape(-1, 3)
            for core in range(cores)
        ]
        others = zip(shares[1:], self._rooms[1:], strict=False)
        jobs = [self._pool.submit(work, *each) for each in others]
        work(shares[0], self._rooms[0])
        for job in jobs:
            job.result()


@dataclass(frozen=True, eq=False)
class _Room:
    """What a thread works in."""

    factors: FloatArray
    ranges: FloatArray
    tables: FloatArray
    exponents: npt.NDArray[np.signedinteger]
    slopes: FloatArray
    sums: FloatArray

    @classmethod
    def of(
        cls, samples: PackedSamples, width: int, rows: int, dtype: np.dtype[Any]
    ) -> "_Room":
        words = samples.words.shape[1]
        values, modes = 1 << samples.bits, words * _WORD // samples.bits
        factors = aligned((values, modes, width), dtype)
        # Beyond the features there are no others.
        factors[:] = 1
        integer = np.int32 if dtype.itemsize == 4 else np.int64
        return cls(
            factors,
            aligned((3, words, width), dtype),
            aligned((_GROUPS, _ENTRIES, width), dtype),
            aligned((rows, width), integer),
            aligned((_WORD, width), dtype),
            aligned((samples.planes.shape[1] * _WORD, width), dtype),
        )
