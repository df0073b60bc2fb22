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
    ENTRIES,
    GROUPS,
    add_rows,
    give_exponents,
    multiply_rows,
    sum_subsets,
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
def _fill_products(factors, bits, word, scale, tables):
    """Tables of products of the factors whose values a word's groups of bits name.

    The last table's are multiplied by `scale`.
    """
    values, modes, width = factors.shape
    span = 1 << bits
    for group in range(GROUPS):
        table = tables[group]
        table[0] = 1 if group + 1 < GROUPS else scale
        filled, mode = 1, (word * GROUPS + group) * (4 // bits)
        while filled < ENTRIES:
            # The first value last, for it takes the place of what is multiplied.
            for value in range(span - 1, -1, -1):
                for entry in range(filled):
                    source, target = table[entry], table[value * filled + entry]
                    if mode < modes and value < values:
                        factor = factors[value, mode]
                        for j in range(width):
                            target[j] = source[j] * factor[j]
                    else:
                        target[:] = source
            filled *= span
            mode += 1


@_inner
def _value(words, bits, mode, row):
    """The value of a sample's mode."""
    digits = _WORD // bits
    shift = np.uint64(mode % digits * bits)
    mask = np.uint64((1 << bits) - 1)
    return int64((words[mode // digits, row] >> shift) & mask)


@_compiled(
    lambda number, _: boolean(
        number[:, :, ::1], int64, number[:, ::1], number[:, ::1]
    )
)  # fmt: skip
def ranges(factors, bits, highest, lowest):
    """Largest and smallest products of any factors of a word, by word and column.

    Returns
    -------
    Whether `products` can be made of these factors.
    """
    modes = _WORD // bits
    most, least = np.empty((2, factors.shape[2]), factors.dtype)
    count = np.int32(0)
    for word in range(len(highest)):
        high, low = highest[word], lowest[word]
        high[:] = low[:] = 1
        for mode in range(word * modes, min((word + 1) * modes, factors.shape[1])):
            most[:] = least[:] = 1
            for value in range(len(factors)):
                for j in range(len(most)):
                    size = abs(factors[value, mode, j])
                    most[j] = size if size > most[j] else most[j]
                    least[j] = size if size < least[j] else least[j]
            for j in range(len(most)):
                high[j] *= most[j]
                low[j] *= least[j]
    for factor in factors.reshape(-1):
        count += np.int32(abs(factor) < np.inf)
    return count == factors.size and 4 * highest.max() < 2.0 ** _most(factors)


@_compiled(
    lambda number, integer: void(
        uint64[:, ::1], number[:, :, ::1], int64, number[:, ::1], number[:, ::1], int64,
        int64, number[:, :, ::1], number[:, ::1], integer[:, ::1],
    )
)  # fmt: skip
def products(
    words, factors, bits, highest, lowest, first, last, tables, out, exponents
):
    """Products of a block of columns for some samples, where `ranges` allows it.

    Before a product can leave the range of numbers its exponent is moved elsewhere.
    What falls below it within a word is next to nothing, whatever the others are.

    Parameters
    ----------
    words
        Values of the samples, `bits` each; a row for each place in a sample.
    highest, lowest
        What `ranges` found.
    tables
        Room.
    out
        A row a sample.
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
            is_last = word + 1 == len(words)
            scale = 1 / start if is_last and not is_apart else 1.0
            _fill_products(factors, bits, word, scale, tables)
            multiply_rows(words[word, one:end], tables, some)
        if is_apart:
            give_exponents(begin, some, apart)


@_compiled(
    lambda number, _: void(
        uint64[:, ::1], number[:, :, ::1], int64, int64, int64, number[:, ::1]
    )
)
def any_products(words, factors, bits, first, last, out):
    """The same whatever the factors are, an order of magnitude slower."""
    _, modes, width = factors.shape
    sizes = np.empty_like(factors)
    powers = np.zeros(factors.shape, np.int64)
    for place in np.ndindex(factors.shape):
        if math.isfinite(factors[place]):
            sizes[place], powers[place] = math.frexp(factors[place])
        else:
            sizes[place] = np.nan
    power = np.empty(width, np.int64)
    for row in range(first, last):
        number = out[row]
        number[:] = 1
        power[:] = 0
        for mode in range(modes):
            value = _value(words, bits, mode, row)
            for j in range(width):
                # From 1/2 to 1, or twice that.
                number[j] *= sizes[value, mode, j]
                power[j] += powers[value, mode, j]
                if abs(number[j]) < 0.5:
                    number[j] *= 2
                    power[j] -= 1
        for j in range(width):
            number[j] = math.ldexp(number[j], min(max(power[j], -5000), 5000))


@_compiled(lambda number, _: int64[:, ::1](number[:, :, ::1]))
def tiny_factors(factors):
    """Value, mode and column of factors next to zero.

    Products are first made without them, for where a product is nothing no quotient
    says what it would be without one of its factors.
    """
    smallest, count = _smallest(factors), np.int32(0)
    for factor in factors.reshape(-1):
        count += np.int32(abs(factor) < smallest)
    found = np.empty((count, 3), np.int64)
    k = 0
    if count:
        for place in np.ndindex(factors.shape):
            if abs(factors[place]) < smallest:
                found[k] = place
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


@_compiled(
    lambda number, integer: void(
        uint64[:, ::1], int64, number[:, :, ::1], int64, int64, int64[:, ::1],
        number[:, ::1], number[:, ::1],
    )
)  # fmt: skip
def times_tiny(planes, each, factors, first, last, tiny, out, others):
    """Multiply products by tiny factors, for some samples.

    Most tiny factors are of values that few samples have, and these alone are visited.

    Parameters
    ----------
    planes, each
        Values of the samples by bit, so many bits a mode.
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
            out[row, j] *= factors[value, mode, j]


@_compiled(
    lambda number, _: void(
        uint64[:, ::1], int64, number[:, ::1],
        types.Array(number, 2, "C", readonly=True), int64[::1], int64, int64,
        int64[:, ::1], number[:, :, ::1],
    )
)  # fmt: skip
def tiny_derivatives(planes, each, others, slopes, models, first, last, tiny, out):
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
            out[value, mode, j] = total


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
                total = products[block, row, begin]
                for j in range(begin + 1, end):
                    total += products[block, row, j]
                out[row, model] += total


@_compiled(
    lambda number, _: void(
        uint64[:, ::1], number[:, ::1], types.Array(number, 2, "C", readonly=True),
        int64[::1], int64, int64, int64[::1], number[:, :, ::1], number[:, ::1],
        number[:, ::1], number[:, ::1], number[::1],
    )
)  # fmt: skip
def plane_sums(
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


@_compiled(
    lambda number, _: void(
        number[:, :, ::1], int64, int64, number[:, ::1], int64[::1], number[:, ::1],
        number[::1], number[:, :, ::1],
    )
)  # fmt: skip
def derivatives(factors, first, last, sums, zeroth, others, total, out):
    """Derivatives by the factors of some modes, from sums of slopes times products.

    Those by tiny factors have no meaning yet.

    Parameters
    ----------
    zeroth, others
        Modes whose sums of the first of two values do not serve as differences, and
        these sums.
    """
    values, _, width = factors.shape
    given = 0
    for mode in range(first, last):
        is_given = given < len(zeroth) and zeroth[given] == mode
        for value in range(values):
            for j in range(width):
                if values > 2:
                    found = sums[mode * values + value, j]
                elif value:
                    found = sums[mode, j]
                elif is_given:
                    found = others[given, j]
                else:
                    found = total[j] - sums[mode, j]
                factor = factors[value, mode, j]
                out[value, mode, j] = found / factor if factor else 0
        given += is_given


@_compiled(lambda number, _: int64[::1](number[:, :, ::1], int64, int64))
def cancelling(factors, first, last):
    """Modes whose derivatives by the first of two values would round as differences.

    So they do where its factor is next to nothing, and few samples have it that count.
    """
    smallest, found = _smallest(factors), np.empty(last - first, np.int64)
    count = 0
    for mode in range(first, last):
        is_small = False
        for j in range(factors.shape[2]):
            size = abs(factors[0, mode, j])
            is_small |= smallest <= size < abs(factors[1, mode, j]) / 16
        found[count] = mode
        count += is_small
    return found[:count].copy()
