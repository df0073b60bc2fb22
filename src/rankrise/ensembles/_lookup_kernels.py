"""Products and sums over packed samples, compiled by Numba and kept on disk.

Four bits of a sample, which are the values of four features of two values, or two of
four, or one of 16, name one of 16 products of factors; so a component's product takes a
sixteenth of the instructions that a product of matrices does, or a quarter of that
again. Backward, the same four bits of a feature are four samples, and name one of 16
sums of slopes. Columns stand in blocks of `ROW_BYTES`.

All kernels leave Python's lock to others; none starts a thread, and no number depends
on how rows are shared between threads.
"""

import functools as ft
import math
from typing import Any

import numba
import numpy as np
from numba import boolean, float32, float64, int32, int64, uint64, void
from numba.core import types

from rankrise.ensembles._lookup_registers import (
    add_rows,
    give_exponents,
    multiply_rows,
    multiply_values_of_1,
    multiply_values_of_2,
    multiply_values_of_4,
    sum_subsets,
    survey,
    take_exponents,
)

_WORD, _BYTE = 64, np.uint64(0xFF)
_KINDS = {np.dtype("f4"): (float32, int32), np.dtype("f8"): (float64, int64)}
_kernels: list[Any] = []


def _compiled(signature: Any) -> Any:
    """A kernel for each precision, compiled when it is first asked for."""

    def of(function: Any) -> Any:
        @ft.cache
        def kernel(dtype: Any) -> Any:
            kind = signature(*_KINDS[dtype])
            return numba.njit(kind, cache=True, nogil=True)(function)

        _kernels.append(kernel)
        return kernel

    return of


def compile_all() -> None:
    """Compile every kernel now, in both precisions, for who will need them all."""
    for kernel in _kernels:
        for dtype in _KINDS:
            kernel(dtype)


def _inner(function: Any) -> Any:
    """Compiled as a part of the kernels that call it."""
    return numba.njit(function, nogil=True)


@_inner
def _most(numbers):
    """Products are kept below two to this power."""
    return 120 if numbers.itemsize == 4 else 1000


@_inner
def _smallest(numbers):
    """Tiny factors are below this: two of them make a product as good as zero."""
    return 2.0 ** (-63 if numbers.itemsize == 4 else -511)


@_inner
def _transpose(rows):
    """Exchange rows and columns of squares of 64 words of 64 bits, in place.

    A column of `rows` is a square.
    """
    size, mask = 32, np.uint64(0xFFFFFFFF)
    while size:
        shift = np.uint64(size)
        for begin in range(0, _WORD, 2 * size):
            for i in range(begin, begin + size):
                for k in range(rows.shape[1]):
                    change = ((rows[i, k] >> shift) ^ rows[i + size, k]) & mask
                    rows[i + size, k] ^= change
                    rows[i, k] ^= change << shift
        size //= 2
        mask ^= mask << np.uint64(size)


@numba.njit(void(uint64[:, ::1], int32[::1], uint64[:, ::1]), cache=True, nogil=True)
def gather_words(packed, order, words):
    """Words of some samples, a row of `words` for each place in a sample."""
    for s in range(len(order)):
        for w in range(packed.shape[1]):
            words[w, s] = packed[order[s], w]


@numba.njit(void(uint64[:, ::1], int32[::1], uint64[:, ::1]), cache=True, nogil=True)
def gather_planes(packed, order, planes):
    """Bits of some samples by bit: 64 samples a word, a row for each word of them."""
    count = packed.shape[1]
    # Whole vector registers.
    squares = np.zeros((_WORD, (count + 7) // 8 * 8), np.uint64)
    for begin in range(0, len(order), _WORD):
        squares[:] = 0
        for i in range(min(_WORD, len(order) - begin)):
            for w in range(count):
                squares[i, w] = packed[order[begin + i], w]
        _transpose(squares)
        row = planes[begin // _WORD]
        for w in range(count):
            for i in range(_WORD):
                row[w * _WORD + i] = squares[i, w]


@_inner
def _value(words, bits, mode, row):
    """The value of a sample's mode."""
    digits = _WORD // bits
    shift = np.uint64(mode % digits * bits)
    mask = np.uint64((1 << bits) - 1)
    return int64((words[mode // digits, row] >> shift) & mask)


@_inner
def _values(table, each):
    """Values of a feature that samples have; a table may be of more, or of one."""
    return min(len(table), max(each, 2))


@_inner
def _place(table, block, values, factors):
    """Copy a block of a table's columns to where other factors are 1."""
    _, modes, columns = table.shape
    begin = block * factors.shape[2]
    count = min(factors.shape[2], columns - begin)
    for value in range(values):
        for mode in range(modes):
            for j in range(count):
                factors[value, mode, j] = table[value, mode, begin + j]
            for j in range(count, factors.shape[2]):
                factors[value, mode, j] = 1


@_inner
def _fill_products(factors, bits, word, tables):
    """Tables of a word's products."""
    if bits == 1:
        multiply_values_of_1(factors, word, tables)
    elif bits == 2:
        multiply_values_of_2(factors, word, tables)
    else:
        multiply_values_of_4(factors, word, tables)


@_inner
def _products(
    words, factors, bits, highest, lowest, first, last, tables, out, exponents
):
    """Products of a block of columns for some samples.

    Before a product can leave the range of numbers its exponent is moved elsewhere.
    What falls below it within a word is next to nothing, whatever the others are.

    Parameters
    ----------
    highest, lowest
        Largest and smallest products of any factors, by word and column.
    tables
        Room.
    exponents
        Room for some samples at a time, so that they stay in the cache.
    """
    width, most = out.shape[1], _most(factors)
    # High in the range of numbers, for more of them fall than grow.
    begin = min(most - 2 - int(math.log2(highest.max())), most * 5 // 6)
    start, limit = 2.0**begin, 2.0**most
    high, low = np.empty((2, width), factors.dtype)
    parts = (last - first + len(exponents) - 1) // len(exponents)
    for part in range(parts):
        one = first + (last - first) * part // parts
        end = first + (last - first) * (part + 1) // parts
        some, apart = out[one:end], exponents[: end - one]
        high[:] = low[:] = start
        some[:] = start
        is_apart = False
        for word in range(len(words)):
            is_wide = False
            for j in range(width):
                high[j] *= highest[word, j]
                low[j] *= lowest[word, j]
                is_wide |= not (high[j] < limit and low[j] * limit > 1)
            if is_wide:
                if not is_apart:
                    apart[:] = 0
                is_apart = True
                take_exponents(begin, some, apart)
                for j in range(width):
                    high[j] = 2 * start * highest[word, j]
                    low[j] = start * lowest[word, j]
            _fill_products(factors, bits, word, tables)
            multiply_rows(words[word, one:end], tables, some)
        if is_apart:
            give_exponents(begin, some, apart)
        else:
            some *= factors.dtype.type(1 / start)


@_inner
def _any_products(words, factors, bits, modes, column, first, last, out):
    """Those of one column whatever its factors are, an order of magnitude slower."""
    sizes = np.full(factors.shape[:2], np.nan, factors.dtype)
    powers = np.zeros(factors.shape[:2], np.int64)
    for value, mode in np.ndindex(sizes.shape):
        factor = factors[value, mode, column]
        if math.isfinite(factor):
            sizes[value, mode], powers[value, mode] = math.frexp(factor)
    for row in range(first, last):
        number, power = factors.dtype.type(1), 0
        for mode in range(modes):
            value = _value(words, bits, mode, row)
            # From 1/2 to 1, or twice that.
            number *= sizes[value, mode]
            power += powers[value, mode]
            if abs(number) < 0.5:
                number *= factors.dtype.type(2)
                power -= 1
        out[row, column] = math.ldexp(number, min(max(power, -5000), 5000))


@_inner
def _tiny_factors(factors):
    """Value, mode and column of factors next to zero.

    Products are first made without them, for where a product is nothing no quotient
    says what it would be without one of its factors.
    """
    smallest, count = factors.dtype.type(_smallest(factors)), np.int32(0)
    values, modes, width = factors.shape
    for factor in factors.reshape(-1):
        count += np.int32(abs(factor) < smallest)
    found = np.empty((count, 3), np.int64)
    k = 0
    for value in range(values):
        for mode in range(modes):
            some = np.int32(0)
            for j in range(width):
                some += np.int32(abs(factors[value, mode, j]) < smallest)
            if some:
                for j in range(width):
                    if abs(factors[value, mode, j]) < smallest:
                        found[k] = value, mode, j
                        k += 1
    return found


@_inner
def _rows_with(planes, each, value, mode, first, last, rows):
    """Write to `rows` which samples, from `first` to `last`, have a value; how many."""
    count = 0
    for word in range(first // _WORD, (last + _WORD - 1) // _WORD):
        row = word * _WORD
        bits = planes[word, mode * each + value if each > 1 else mode]
        if each == 1 and not value:
            bits = ~bits
        if first > row:
            bits &= ~np.uint64(0) << np.uint64(first - row)
        if last < row + _WORD:
            bits &= (np.uint64(1) << np.uint64(last - row)) - np.uint64(1)
        while bits:
            if not bits & _BYTE:
                bits >>= np.uint64(8)
                row += 8
                continue
            if bits & np.uint64(1):
                rows[count] = row
                count += 1
            bits >>= np.uint64(1)
            row += 1
    return count


@_inner
def _times_tiny(planes, each, tiny, sizes, first, last, out, others):
    """Multiply products by tiny factors, for some samples.

    Most tiny factors are of values that few samples have, and these alone are visited.

    Parameters
    ----------
    planes, each
        Values of the samples by bit, so many bits a mode.
    tiny, sizes
        Which, and the factors themselves.
    others
        Products as they were where one tiny factor comes in; else zero.
    """
    others[first:last] = 0
    counts = np.zeros((last - first, out.shape[1]), np.uint8)
    rows = np.empty(last - first, np.int64)
    for k in range(len(tiny)):
        value, mode, j = tiny[k]
        for place in range(_rows_with(planes, each, value, mode, first, last, rows)):
            row = rows[place]
            others[row, j] = 0 if counts[row - first, j] else out[row, j]
            counts[row - first, j] = 1
            out[row, j] *= sizes[k]


@_compiled(
    lambda number, integer: void(
        int64[:, ::1], types.Array(number, 3, "C", readonly=True), uint64[:, ::1],
        uint64[:, ::1], int64, int64, number[:, :, ::1], number[:, :, ::1],
        boolean[::1], number[:, :, ::1], number[:, :, ::1], number[:, :, ::1],
        integer[:, ::1],
    )
)  # fmt: skip
def forward(
    items, table, words, planes, each, bits, products, others, has_tiny, factors,
    ranges, tables, exponents,
):  # fmt: skip
    """Products of some blocks of columns for some samples.

    Parameters
    ----------
    items
        A block, first and last sample, row by row.
    words, planes, each, bits
        Values of the samples, `bits` each, a row for each place in a sample; and by
        bit, `each` bits a mode.
    products, others
        By block, sample and column; and without one tiny factor, where there is one.
    has_tiny
        Which blocks have some.
    factors, ranges, tables, exponents
        Room.
    """
    modes, width = _WORD // bits, factors.shape[2]
    values = _values(table, each)
    highest, lowest, least = ranges[0], ranges[1], ranges[2, :1]
    for k in range(len(items)):
        block, first, last = items[k]
        out = products[block]
        _place(table, block, values, factors)
        survey(factors, modes, highest, lowest, least)
        is_tiny = least.min() < _smallest(factors)
        has_tiny[block] = is_tiny
        if is_tiny:
            tiny = _tiny_factors(factors)
            sizes = np.empty(len(tiny), factors.dtype)
            for i in range(len(tiny)):
                value, mode, j = tiny[i]
                sizes[i] = factors[value, mode, j]
                factors[value, mode, j] = 1
            survey(factors, modes, highest, lowest, least)
        wide, limit = np.zeros(width, np.bool_), 2.0 ** (_most(factors) - 2)
        for highest_of_word in highest:
            for j in range(width):
                wide[j] |= not highest_of_word[j] < limit
        every = factors
        if wide.any():
            every = factors.copy()
            for j in np.nonzero(wide)[0]:
                factors[:, :, j] = 1
            survey(factors, modes, highest, lowest, least)
        between = highest, lowest, first, last
        _products(words, factors, bits, *between, tables, out, exponents)
        for j in np.nonzero(wide)[0]:
            _any_products(words, every, bits, table.shape[1], j, first, last, out)
        if is_tiny:
            what = planes, each, tiny, sizes, first, last
            _times_tiny(*what, out, others[block])


@_inner
def _tiny_derivatives(
    planes, each, others, slopes, models, first, last, tiny, begin, out
):
    """Derivatives by the tiny factors of some modes.

    Parameters
    ----------
    others
        Products without one tiny factor.
    """
    samples = len(slopes)
    rows = np.empty(samples, np.int64)
    for k in range(len(tiny)):
        value, mode, j = tiny[k]
        if first <= mode < last:
            total = 0.0
            for place in range(_rows_with(planes, each, value, mode, 0, samples, rows)):
                row = rows[place]
                total += others[row, j] * slopes[row, models[j]]
            out[value, mode, begin + j] = total


@_compiled(
    lambda number, _: void(
        number[:, :, ::1], int64[:, ::1], int64, int64, number[:, ::1]
    )
)
def model_sums(products, parts, first, last, out):
    """Sums of the products of each model's columns, for some samples.

    Parameters
    ----------
    parts
        Block, first and last column in it, and model; in this order.
    """
    out[first:last] = 0
    # Some rows at a time, which stay in the cache while their parts are summed.
    for start in range(first, last, _WORD):
        for part in range(len(parts)):
            block, begin, end = parts[part, 0], parts[part, 1], parts[part, 2]
            model = parts[part, 3]
            for row in range(start, min(start + _WORD, last)):
                # From left to right, wherever a block ends.
                total = out[row, model]
                for j in range(begin, end):
                    total += products[block, row, j]
                out[row, model] = total


@_inner
def _plane_sums(
    planes, products, slopes, models, first, last, zeroth, tables, room, out, others,
    total,
):  # fmt: skip
    """Sums over samples whose bit is set, for some bits, of products times slopes.

    Parameters
    ----------
    slopes, models
        By sample and model, and the model of each column.
    zeroth, others
        Bits for which those whose bit is not set are summed too, and these sums.
    """
    total[:] = 0
    out[first:last] = 0
    others[:] = 0
    row = np.empty(len(zeroth), np.uint64)
    for word in range(len(planes)):
        count = min(_WORD, len(slopes) - word * _WORD)
        for i in range(count):
            product, slope = products[word * _WORD + i], slopes[word * _WORD + i]
            for j in range(len(models)):
                room[i, j] = product[j] * slope[models[j]]
        room[count:] = 0
        sum_subsets(room, tables, total)
        add_rows(planes[word, first:last], tables, out[first:last])
        if len(zeroth):
            for k in range(len(zeroth)):
                row[k] = ~planes[word, zeroth[k]]
            add_rows(row, tables, others)


@_inner
def _derivatives(
    factors, values, each, first, last, sums, zeroth, others, total, begin, out
):
    """Derivatives by the factors of some modes, from sums of slopes times products.

    Those by tiny factors have no meaning yet.

    Parameters
    ----------
    zeroth, others
        Modes whose sums of the first of two values do not serve as differences, and
        these sums.
    """
    width, given = min(factors.shape[2], out.shape[2] - begin), 0
    for mode in range(first, last):
        is_given = given < len(zeroth) and zeroth[given] == mode
        zero, one = factors[0, mode], factors[1, mode]
        for value in range(values):
            for j in range(width):
                if each > 1:
                    found = sums[mode * each + value, j]
                elif value:
                    found = sums[mode, j]
                elif is_given and _cancels(zero[j], one[j]):
                    found = others[given, j]
                else:
                    found = total[j] - sums[mode, j]
                factor = factors[value, mode, j]
                out[value, mode, begin + j] = found / factor if factor else 0
        given += is_given


@_inner
def _cancels(zero, one):
    """Whether a sum over samples with the first of two values rounds as a difference.

    Its factor is next to nothing then, so that few samples have it that count.
    """
    return abs(zero) < abs(one) / 16


@_inner
def _cancelling(factors, first, last):
    """Modes with such factors, for some column."""
    found, count = np.empty(last - first, np.int64), 0
    for mode in range(first, last):
        is_small = False
        for j in range(factors.shape[2]):
            is_small |= _cancels(factors[0, mode, j], factors[1, mode, j])
        found[count] = mode
        count += is_small
    return found[:count].copy()


@_compiled(
    lambda number, _: void(
        int64[:, ::1], types.Array(number, 3, "C", readonly=True), uint64[:, ::1],
        int64, types.Array(number, 2, "C", readonly=True), int64[:, ::1],
        number[:, :, ::1], number[:, :, ::1], boolean[::1], number[:, :, ::1],
        number[:, :, ::1], number[:, :, ::1], number[:, ::1], number[:, ::1],
    )
)  # fmt: skip
def backward(
    items, table, planes, each, slopes, models, products, others, has_tiny, gradient,
    factors, tables, room, sums,
):  # fmt: skip
    """Derivatives by some blocks of columns, for some modes.

    Parameters
    ----------
    items
        A block, first and last mode, row by row.
    slopes, models
        By sample and model, and the model of each column by block.
    gradient
        Where derivatives are written to.
    factors, tables, room, sums
        Room.
    """
    values, width = _values(table, each), factors.shape[2]
    zeroth, total = np.empty(0, np.int64), np.empty(width, factors.dtype)
    for k in range(len(items)):
        block, first, last = items[k]
        begin = block * width
        _place(table, block, values, factors)
        if each == 1:
            zeroth = _cancelling(factors, first, last)
        zeroth_sums = np.empty((len(zeroth), width), factors.dtype)
        by_sample = slopes, models[block]
        bits = first * each, last * each, zeroth
        rooms = tables, room, sums, zeroth_sums, total
        _plane_sums(planes, products[block], *by_sample, *bits, *rooms)
        given = sums, zeroth, zeroth_sums, total, begin
        _derivatives(factors, values, each, first, last, *given, gradient)
        if has_tiny[block]:
            which = first, last, _tiny_factors(factors), begin
            _tiny_derivatives(planes, each, others[block], *by_sample, *which, gradient)
