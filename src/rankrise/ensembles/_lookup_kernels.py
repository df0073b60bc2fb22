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
    multiply_rows,
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
def _fraction(numbers):
    """Bits of a number's fraction."""
    return 23 if numbers.itemsize == 4 else 52


@_inner
def _smallest(numbers):
    """Tiny factors are below this: two of them make a product as good as zero."""
    return 2.0 ** (-63 if numbers.itemsize == 4 else -511)


@_inner
def _transpose(rows):
    """Exchange rows and columns of 64 words of 64 bits, in place."""
    size, mask = 32, np.uint64(0xFFFFFFFF)
    while size:
        shift = np.uint64(size)
        for begin in range(0, _WORD, 2 * size):
            for i in range(begin, begin + size):
                change = ((rows[i] >> shift) ^ rows[i + size]) & mask
                rows[i + size] ^= change
                rows[i] ^= change << shift
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
    square = np.empty(_WORD, np.uint64)
    for begin in range(0, len(order), _WORD):
        count = min(_WORD, len(order) - begin)
        for w in range(packed.shape[1]):
            square[:] = 0
            for i in range(count):
                square[i] = packed[order[begin + i], w]
            _transpose(square)
            row = planes[begin // _WORD]
            for i in range(_WORD):
                row[w * _WORD + i] = square[i]


@_inner
def _fill_products(factors, bits, word, tables):
    """Tables of products of the factors whose values a word's groups of bits name."""
    values, modes, width = factors.shape
    span = 1 << bits
    for group in range(GROUPS):
        table = tables[group]
        table[0] = 1
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


@_inner
def _are_finite(factors):
    """Whether all factors are."""
    are_finite = True
    for value in range(len(factors)):
        for mode in range(factors.shape[1]):
            for j in range(factors.shape[2]):
                are_finite &= abs(factors[value, mode, j]) < np.inf
    return are_finite


@_inner
def _ranges(factors, begin, end, highest, lowest):
    """Largest and smallest products there can be of some modes, by column."""
    highest[:] = 1
    lowest[:] = 1
    for mode in range(begin, end):
        for j in range(len(highest)):
            size = abs(factors[0, mode, j])
            high, low = size, size
            for value in range(1, len(factors)):
                size = abs(factors[value, mode, j])
                high, low = max(high, size), min(low, size)
            highest[j] *= high
            lowest[j] *= low


@_inner
def _take_exponents(first, last, fraction, bits, exponents):
    """Move the numbers' exponents to those that are counted apart."""
    bias = 127 if fraction == 23 else 1023
    kind = bits.dtype.type
    mask, one = kind((2 * bias + 1) << fraction), kind(bias << fraction)
    shift, bias = kind(fraction), kind(bias)
    for row in range(first, last):
        number, exponent = bits[row], exponents[row]
        for j in range(len(number)):
            exponent[j] += ((number[j] & mask) >> shift) - bias
            number[j] = (number[j] & ~mask) | one


@_inner
def _give_exponents(first, last, fraction, numbers, exponents, powers):
    """Multiply numbers by powers of two; beyond the range they are infinite or zero."""
    bias = 127 if fraction == 23 else 1023
    kind = exponents.dtype.type
    least, most = kind(2 - 2 * bias), kind(2 * bias)
    shift, bias, one = kind(fraction), kind(bias), kind(1)
    rest = np.empty(numbers.shape[1], exponents.dtype)
    for row in range(first, last):
        number, exponent, power = numbers[row], exponents[row], powers[row]
        # In two halves, for one power of two may be out of range by itself.
        for j in range(len(number)):
            whole = min(max(exponent[j], least), most)
            half = whole >> one
            rest[j] = (whole - half + bias) << shift
            exponent[j] = (half + bias) << shift
        for j in range(len(number)):
            number[j] *= power[j]
        exponent[:] = rest
        for j in range(len(number)):
            number[j] *= power[j]


@_compiled(
    lambda number, integer: boolean(
        uint64[:, ::1], number[:, :, ::1], int64, int64, int64, number[:, :, ::1],
        number[:, ::1], integer[:, ::1], integer[:, ::1], number[:, ::1],
    )
)  # fmt: skip
def products(
    words, factors, bits, first, last, tables, out, out_bits, exponents, powers
):
    """Products of a block of columns for some samples, if no factor is too large.

    Before a product can leave the range of numbers its exponent is moved elsewhere.
    What falls below it within a word is next to nothing, whatever the others are.

    Parameters
    ----------
    words
        Values of the samples, `bits` each; a row for each place in a sample.
    tables
        Room.
    out, out_bits
        A row a sample, and the same memory as integers.
    exponents, powers
        Room, as integers and as numbers.

    Returns
    -------
    Whether none is; else `out` has no meaning.
    """
    width = out.shape[1]
    if not _are_finite(factors):
        return False
    fraction = _fraction(factors)
    limit = 2.0 ** (120 if fraction == 23 else 1000)
    highest, lowest = np.empty((2, width), factors.dtype)
    high, low = np.ones((2, width), factors.dtype)
    modes = _WORD // bits
    is_apart = False
    out[first:last] = 1
    for word in range(len(words)):
        end = min((word + 1) * modes, factors.shape[1])
        _ranges(factors, word * modes, end, highest, lowest)
        is_wide = False
        for j in range(width):
            if not highest[j] < limit:
                return False
            high[j] *= highest[j]
            low[j] *= lowest[j]
            is_wide |= not (high[j] < limit and low[j] * limit > 1)
        if is_wide:
            if not is_apart:
                exponents[first:last] = 0
            is_apart = True
            _take_exponents(first, last, fraction, out_bits, exponents)
            for j in range(width):
                high[j], low[j] = 2 * highest[j], lowest[j]
        _fill_products(factors, bits, word, tables)
        multiply_rows(words[word], first, last, tables, out)
    if is_apart:
        _give_exponents(first, last, fraction, out, exponents, powers)
    return True


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
    smallest = _smallest(factors)
    count = 0
    for place in np.ndindex(factors.shape):
        count += abs(factors[place]) < smallest
    found = np.empty((count, 3), np.int64)
    count = 0
    for place in np.ndindex(factors.shape):
        if abs(factors[place]) < smallest:
            found[count] = place
            count += 1
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
        number[:, ::1], number[:, ::1], integer[:, ::1],
    )
)  # fmt: skip
def times_tiny(planes, each, factors, first, last, tiny, out, others, counts):
    """Multiply products by tiny factors, for some samples.

    Most tiny factors are of values that few samples have, and these alone are visited.

    Parameters
    ----------
    planes, each
        Values of the samples by bit, so many bits a mode.
    others
        Products as they were where one tiny factor comes in; else zero.
    counts
        Room.
    """
    others[first:last] = 0
    counts[first:last] = 0
    rows = np.empty(last - first, np.int64)
    for k in range(len(tiny)):
        value, mode, j = tiny[k]
        for place in range(_rows_with(planes, each, value, mode, first, last, rows)):
            row = rows[place]
            others[row, j] = 0 if counts[row, j] else out[row, j]
            counts[row, j] += 1
            out[row, j] *= factors[value, mode, j]


@_compiled(
    lambda number, _: void(
        uint64[:, ::1], int64, int64, int64, int64, int64[:, ::1], number[:, ::1],
        number[:, :, ::1],
    )
)  # fmt: skip
def tiny_derivatives(planes, each, samples, first, last, tiny, others, out):
    """Derivatives by the tiny factors of some modes.

    Parameters
    ----------
    samples
        How many there are.
    others
        Slopes times products without one tiny factor.
    """
    rows = np.empty(samples, np.int64)
    for k in range(len(tiny)):
        value, mode, j = tiny[k]
        if first <= mode < last:
            total = 0.0
            for place in range(_rows_with(planes, each, value, mode, 0, samples, rows)):
                total += others[rows[place], j]
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
    for row in range(first, last):
        out[row] = 0
        for part in range(len(parts)):
            block, begin, end = parts[part, 0], parts[part, 1], parts[part, 2]
            total = products[block, row, begin]
            for j in range(begin + 1, end):
                total += products[block, row, j]
            out[row, parts[part, 3]] += total


@_compiled(
    lambda number, _: void(
        number[:, ::1], int64[:, ::1], int64, int64,
        types.Array(number, 2, "C", readonly=True),
    )
)  # fmt: skip
def times_slopes(products, parts, first, last, slopes):
    """Multiply a block's products by the slopes of their models, in place."""
    for row in range(first, last):
        for part in range(len(parts)):
            slope = slopes[row, parts[part, 3]]
            for j in range(parts[part, 1], parts[part, 2]):
                products[row, j] *= slope


@_compiled(
    lambda number, _: void(
        uint64[:, ::1], number[:, ::1], int64, int64, boolean, number[:, :, ::1],
        number[:, ::1], number[::1],
    )
)  # fmt: skip
def plane_sums(planes, slopes, first, last, flip, tables, out, total):
    """Sums of the slopes of samples whose bit is set (or is not), for some bits."""
    total[:] = 0
    out[first:last] = 0
    row = np.empty(last, np.uint64)
    mask = ~np.uint64(0) if flip else np.uint64(0)
    for word in range(len(planes)):
        for group in range(GROUPS):
            table = tables[group]
            table[0] = 0
            filled = 1
            for k in range(4):
                slope = slopes[word * _WORD + group * 4 + k]
                for entry in range(filled):
                    source, target = table[entry], table[filled + entry]
                    for j in range(len(total)):
                        target[j] = source[j] + slope[j]
                filled *= 2
            everything = table[ENTRIES - 1]
            for j in range(len(total)):
                total[j] += everything[j]
        for i in range(first, last):
            row[i] = planes[word, i] ^ mask
        add_rows(row, first, last, tables, out)


@_compiled(
    lambda number, _: void(
        number[:, :, ::1], int64, int64, number[:, ::1], number[:, ::1], number[::1],
        number[:, :, ::1],
    )
)  # fmt: skip
def derivatives(factors, first, last, sums, zeroth_sums, total, out):
    """Derivatives by the factors of some modes, from sums of slopes times products.

    Those by tiny factors have no meaning yet.

    Parameters
    ----------
    zeroth_sums
        Those of the first of two values; empty where differences serve.
    """
    values, _, width = factors.shape
    for mode in range(first, last):
        for value in range(values):
            for j in range(width):
                if values > 2:
                    found = sums[mode * values + value, j]
                elif value:
                    found = sums[mode, j]
                elif len(zeroth_sums):
                    found = zeroth_sums[mode, j]
                else:
                    found = total[j] - sums[mode, j]
                factor = factors[value, mode, j]
                out[value, mode, j] = found / factor if factor else 0


@_compiled(lambda number, _: boolean(number[:, :, ::1], int64, int64))
def cancels(factors, first, last):
    """Whether a derivative by the first of two values would round as a difference.

    So it does where its factor is next to nothing, and few samples have it that count.
    """
    found, smallest = False, _smallest(factors)
    for mode in range(first, last):
        for j in range(factors.shape[2]):
            size = abs(factors[0, mode, j])
            found |= smallest <= size < abs(factors[1, mode, j]) / 16
    return found
