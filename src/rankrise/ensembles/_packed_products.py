"""Products of a table's columns for packed samples, and their derivatives."""

import functools as ft
import importlib
from collections.abc import Callable, Iterable, Iterator
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
        self._samples, self._blocks = samples, blocks
        self._all_kernels: Any = kernels
        self._dtype = np.dtype(dtype)
        is_little = rows * samples.features * blocks.columns < _FEW
        self._cores = 1 if is_little else usable_cores()
        self._pool = ThreadPoolExecutor(self._cores)
        count, width = len(blocks), blocks.width
        factors = count, samples.values, samples.features, width
        whole = -(-rows // _WORD) * _WORD
        bits = samples.planes.shape[1] * _WORD
        self._rows: Rows = np.zeros(rows, np.int32)
        self._words = aligned((samples.words.shape[1], rows), np.uint64)
        self._planes = aligned((whole // _WORD, bits), np.uint64)
        self._factors, self._gradient = (aligned(factors, dtype) for _ in "ab")
        self._products = aligned((count, whole, width), dtype)
        self._highest, self._lowest = np.empty(
            (2, count, len(self._words), width), dtype
        )
        self._in_range = np.zeros(count, bool)
        # Of blocks with factors next to zero: which, the factors without them, and
        # products without one of them.
        self._tiny: dict[int, npt.NDArray[np.int64]] = {}
        self._larger: dict[int, FloatArray] = {}
        self._others: dict[int, FloatArray] = {}
        self._models = [blocks.models_of(block) for block in range(count)]
        self._bit_sums = aligned((count, bits, width), dtype)
        self._sums = np.zeros((rows, models), dtype)

    def forward(self, table: FloatArray, rows: Rows) -> FloatArray:
        """Sums over each model's columns, for the samples of these rows.

        Written over by the next call.
        """
        self._rows = rows
        self._all_kernels.gather_words(self._samples.words, rows, self._words)
        self._tiny.clear()
        self._others.clear()
        self._each(
            ft.partial(self._place, table), [(b,) for b in range(len(self._blocks))]
        )
        if self._tiny:
            self._gather_planes()
        self._each(self._multiply, self._items(len(rows)))
        self._each(self._sum, self._parts(len(rows)))
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
        derive = ft.partial(self._derive, slopes)
        self._each(derive, self._items(self._samples.features))
        for block, columns in self._blocks.slices():
            some = self._gradient[block, ..., : columns.stop - columns.start]
            gradient[: len(some), :, columns] = some

    def _gather_planes(self) -> None:
        self._all_kernels.gather_planes(self._samples.planes, self._rows, self._planes)

    def _kernel(self, name: str) -> Callable[..., Any]:
        kernel: Callable[..., Any] = getattr(self._all_kernels, name)(self._dtype)
        return kernel

    def _place(self, table: FloatArray, block: int) -> None:
        begin = block * self._blocks.width
        end = min(begin + self._blocks.width, self._blocks.columns)
        factors = self._factors[block]
        factors[..., : end - begin] = table[: len(factors), :, begin:end]
        factors[..., end - begin :] = 1
        tiny = self._kernel("tiny_factors")(factors)
        if len(tiny):
            self._tiny[block] = tiny
            self._larger[block] = larger = factors.copy()
            larger[tuple(tiny.T)] = 1
            self._others[block] = aligned(self._products[block].shape, self._dtype)
        self._in_range[block] = self._kernel("ranges")(
            self._larger.get(block, factors),
            self._samples.bits,
            self._highest[block],
            self._lowest[block],
        )

    def _multiply(self, block: int, first: int, last: int) -> None:
        factors, out = self._factors[block], self._products[block]
        what = self._words, self._larger.get(block, factors), self._samples.bits
        if self._in_range[block]:
            at_once = min(last - first, _AT_ONCE), self._blocks.width
            integer = np.int32 if self._dtype.itemsize == 4 else np.int64
            room = self._room(_GROUPS, _ENTRIES), out, aligned(at_once, integer)
            between = self._highest[block], self._lowest[block]
            self._kernel("products")(*what, *between, first, last, *room)
        else:
            self._kernel("any_products")(*what, first, last, out)
        if block in self._tiny:
            which = first, last, self._tiny[block]
            each = self._samples.planes_a_feature
            times = self._kernel("times_tiny")
            times(self._planes, each, factors, *which, out, self._others[block])

    def _sum(self, first: int, last: int) -> None:
        kernel, parts = self._kernel("model_sums"), self._blocks.parts
        kernel(self._products, parts, first, last, self._sums)

    def _derive(self, slopes: FloatArray, block: int, first: int, last: int) -> None:
        """Derivatives by the factors of some modes."""
        factors, sums = self._factors[block], self._bit_sums[block]
        each, zeroth = self._samples.planes_a_feature, np.empty(0, np.int64)
        if self._samples.values == 2:
            zeroth = self._kernel("cancelling")(factors, first, last)
        others, total = self._room(len(zeroth)), self._room()
        what = self._planes, self._products[block], slopes, self._models[block]
        room = self._room(_GROUPS, _ENTRIES), self._room(_WORD), sums, others, total
        self._kernel("plane_sums")(*what, first * each, last * each, zeroth, *room)
        gradient = self._gradient[block]
        derive = self._kernel("derivatives")
        derive(factors, first, last, sums, zeroth, others, total, gradient)
        if block in self._tiny:
            which = first, last, self._tiny[block]
            derive = self._kernel("tiny_derivatives")
            of = self._planes, each, self._others[block], slopes, self._models[block]
            derive(*of, *which, gradient)

    def _room(self, *shape: int) -> FloatArray:
        return aligned((*shape, self._blocks.width), self._dtype)

    def _items(self, count: int) -> Iterator[_Item]:
        """Blocks and parts of the rows, to share between threads."""
        blocks = len(self._blocks)
        whole = blocks - blocks % self._cores
        for block in range(whole):
            yield block, 0, count
        for block in range(whole, blocks):
            for first, last in self._parts(count):
                yield block, first, last

    def _parts(self, count: int) -> Iterator[tuple[int, int]]:
        parts = min(count, self._cores)
        for part in range(parts):
            yield count * part // parts, count * (part + 1) // parts

    def _each(
        self, work: Callable[..., None], items: Iterable[tuple[int, ...]]
    ) -> None:
        jobs = list(items)
        if self._cores == 1 or len(jobs) == 1:
            for job in jobs:
                work(*job)
        else:
            list(self._pool.map(lambda job: work(*job), jobs))
