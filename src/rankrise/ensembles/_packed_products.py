"""Products of a table's columns for packed samples, and their derivatives."""

import functools as ft
import importlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._environment import usable_cores
from rankrise.ensembles._packed_samples import Blocks, PackedSamples, aligned

FloatArray = npt.NDArray[np.floating]
Rows = npt.NDArray[np.int32]
# A block, and first and last row or mode.
_Item = tuple[int, int, int]

_WORD, _GROUPS, _ENTRIES = 64, 16, 16
# Of numbers that are multiplied: fewer take less time than it takes to share them.
_FEW = 2**22


class PackedProducts:
    """What every model says of some samples, and how that depends on its factors.

    No number depends on how many threads there are.
    """

    def __init__(
        self, samples: PackedSamples, blocks: Blocks, models: int, rows: int, dtype: Any
    ) -> None:
        # Loading Numba takes a second.
        kernels = importlib.import_module("rankrise.ensembles._lookup_kernels")
        self._samples, self._blocks = samples, blocks
        self._all_kernels: Any = kernels
        self._dtype = np.dtype(dtype)
        is_little = rows * samples.features * blocks.columns < _FEW
        self._cores = 1 if is_little else usable_cores()
        self._pool = ThreadPoolExecutor(self._cores)
        integer = np.int32 if self._dtype.itemsize == 4 else np.int64
        count, width = len(blocks), blocks.width
        factors = count, samples.values, samples.features, width
        whole = -(-rows // _WORD) * _WORD
        bits = samples.planes.shape[1] * _WORD
        self._rows: Rows = np.zeros(rows, np.int32)
        self._words = aligned((samples.words.shape[1], rows), np.uint64)
        self._planes = aligned((whole // _WORD, bits), np.uint64)
        self._factors, self._gradient = (aligned(factors, dtype) for _ in "ab")
        self._products = aligned((count, whole, width), dtype)
        self._exponents = aligned((count, whole, width), integer)
        # Of blocks with factors next to zero: which, and products without one of them.
        self._tiny: dict[int, npt.NDArray[np.int64]] = {}
        self._others: dict[int, FloatArray] = {}
        self._bit_sums = aligned((2, count, bits, width), dtype)
        self._sums = np.zeros((rows, models), dtype)

    def forward(self, table: FloatArray, rows: Rows) -> FloatArray:
        """Sums over each model's columns, for the samples of these rows.

        Written over by the next call.
        """
        self._rows = rows
        self._all_kernels.gather_words(self._samples.words, rows, self._words)
        self._tiny.clear()
        self._others.clear()
        self._each(ft.partial(self._place, table), self._items(len(self._blocks), 1))
        if self._tiny:
            self._gather_planes()
        self._each(self._multiply, self._items(len(self._blocks), len(rows)))
        self._each(self._sum, self._items(1, len(rows)))
        return self._sums

    def backward(self, slopes: FloatArray, gradient: FloatArray) -> None:
        """Derivatives by the table, of slopes by the sums of the last `forward`.

        Parameters
        ----------
        gradient
            Where they are written to.
        """
        if not self._tiny:
            self._gather_planes()
        blocks, rows = len(self._blocks), len(self._rows)
        self._each(ft.partial(self._times, slopes), self._items(blocks, rows))
        self._each(self._derive, self._items(blocks, self._samples.features))
        for block, columns in self._blocks.slices():
            some = self._gradient[block, ..., : columns.stop - columns.start]
            gradient[: len(some), :, columns] = some

    def _gather_planes(self) -> None:
        self._all_kernels.gather_planes(self._samples.planes, self._rows, self._planes)

    def _kernel(self, name: str) -> Callable[..., Any]:
        kernel: Callable[..., Any] = getattr(self._all_kernels, name)(self._dtype)
        return kernel

    def _room(self) -> FloatArray:
        return aligned((_GROUPS, _ENTRIES, self._blocks.width), self._dtype)

    def _place(self, table: FloatArray, block: int, _: int, __: int) -> None:
        begin = block * self._blocks.width
        end = min(begin + self._blocks.width, self._blocks.columns)
        factors = self._factors[block]
        factors[..., : end - begin] = table[: len(factors), :, begin:end]
        factors[..., end - begin :] = 1
        tiny = self._kernel("tiny_factors")(factors)
        if len(tiny):
            self._tiny[block] = tiny
            self._others[block] = aligned(self._products[block].shape, self._dtype)

    def _multiply(self, block: int, first: int, last: int) -> None:
        factors, out = self._factors[block], self._products[block]
        exponents = self._exponents[block]
        tiny = self._tiny.get(block)
        others = factors
        if tiny is not None:
            others = factors.copy()
            others[tuple(tiny.T)] = 1
        bits = self._samples.bits, first, last
        room = out.view(exponents.dtype), exponents, exponents.view(out.dtype)
        kernel = self._kernel("products")
        if not kernel(self._words, others, *bits, self._room(), out, *room):
            self._kernel("any_products")(self._words, others, *bits, out)
        if tiny is not None:
            each = self._samples.planes_a_feature
            what = self._planes, each, factors, first, last, tiny
            self._kernel("times_tiny")(*what, out, self._others[block], exponents)

    def _sum(self, _: int, first: int, last: int) -> None:
        kernel, parts = self._kernel("model_sums"), self._blocks.parts
        kernel(self._products, parts, first, last, self._sums)

    def _times(self, slopes: FloatArray, block: int, first: int, last: int) -> None:
        kernel, parts = self._kernel("times_slopes"), self._blocks.parts_of(block)
        kernel(self._products[block], parts, first, last, slopes)
        if block in self._others:
            kernel(self._others[block], parts, first, last, slopes)

    def _derive(self, block: int, first: int, last: int) -> None:
        """Derivatives by the factors of some modes."""
        factors, (sums, zeroth) = self._factors[block], self._bit_sums[:, block]
        tables, total = self._room(), np.zeros(self._blocks.width, self._dtype)
        each = self._samples.planes_a_feature
        what = self._planes, self._products[block], first * each, last * each
        gradient = self._gradient[block]
        add = self._kernel("plane_sums")
        add(*what, False, tables, sums, total)
        of_two = self._samples.values == 2
        if of_two and self._kernel("cancels")(factors, first, last):
            add(*what, True, tables, zeroth, total)
        else:
            zeroth = zeroth[:0]
        derive = self._kernel("derivatives")
        derive(factors, first, last, sums, zeroth, total, gradient)
        if block in self._tiny:
            what_tiny = self._tiny[block], self._others[block], gradient
            derive = self._kernel("tiny_derivatives")
            derive(self._planes, each, len(self._rows), first, last, *what_tiny)

    def _items(self, blocks: int, count: int) -> Iterator[_Item]:
        """Blocks and parts of the rows, to share between threads."""
        parts = 1 if blocks % self._cores == 0 else min(count, self._cores)
        for block in range(blocks):
            for part in range(parts):
                yield block, count * part // parts, count * (part + 1) // parts

    def _each(
        self,
        work: Callable[[int, int, int], None],
        items: Iterator[tuple[int, int, int]],
    ) -> None:
        jobs = list(items)
        if self._cores == 1 or len(jobs) == 1:
            for job in jobs:
                work(*job)
        else:
            list(self._pool.map(lambda job: work(*job), jobs))
