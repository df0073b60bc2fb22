"""Loops over observations, compiled by Numba for all shapes and kept on disk.

Rows of all factor matrices stand above one another, mode after mode, in `factors`
(row, component): up to 2**16 rows, and `_wide_kernels` takes more. Observations are
listed once for every mode, sorted by the row they lie in there: those of a row are
`begins[row]` to `begins[row + 1]`, and `others` names the rows of the remaining modes.
So no loop knows of modes, and none is compiled anew for another shape, order or number
of components.

All kernels leave Python's lock to others; none starts a thread. Products are cut so
that OpenBLAS starts none either.
"""

from typing import Any

import numba
import numpy as np
from numba import boolean, float32, float64, int32, int64, uint8, uint16, void
from numba.core import types

from rankrise.completion._arrangement import Chains, Lists
from rankrise.completion._tiles import LANES, TILE, add_squares, multiply

# Sums may be taken in any order; NaN and infinity keep their meaning.
_SUMS = {"reassoc", "contract", "nsz", "arcp"}
# OpenBLAS multiplies matrices of at most 4 * 2**16 products in the calling thread.
_ONE_THREAD = 2**18
_CHUNK = 128
# Numbers that stay in a core's nearest cache.
_CACHED = 2**12
# Rounds over the components of a row that may not be negative.
_ROUNDS = 4

# What is done to rows: solve for each alone; descend without negative entries, beside
# the neighbours as they are; leave their equations, and solve these as one chain; and
# to all rows at last: let components weigh the same in all modes.
SOLVE, NON_NEGATIVE, EQUATIONS, CHAIN, BALANCE = 0, 1, 2, 3, 4
# Directions that are tried for a component to enter with: as many numbers as a
# processor multiplies at once.
DIRECTIONS = 4
# Turns towards the pull end where the largest grows by less than this share.
CLIMBED = 1e-3

_F, _FF, _FFF = float64[::1], float64[:, ::1], float64[:, :, ::1]
_I, _II = int64[::1], int32[:, ::1]
_CHAINS = types.NamedUniTuple(_F, 3, Chains)
# Targets, weights and parts of observations at all places, and the part held out.
_SEEN = types.Tuple((_F, _F, uint8[::1], int64))


def _compiled(signature):
    return numba.njit(signature, cache=True, nogil=True, fastmath=_SUMS)


def _inner(function):
    """Compiled as a part of the kernels that call it."""
    return numba.njit(function, nogil=True, fastmath=_SUMS)


# Kernels that read lists: the function, and its signature for each type of list.
READING_LISTS: dict[str, Any] = {}


def for_rows(number: Any, signature: Any, function: Any) -> Any:
    """A kernel compiled for lists whose row numbers have this type."""
    rows = number[:, ::1]
    lists = types.NamedTuple((_I, rows), Lists)
    return _compiled(signature(lists, rows))(function)


def _reads_lists(signature):
    def compiled(function):
        READING_LISTS[function.__name__] = signature, function
        return for_rows(uint16, signature, function)

    return compiled


@_compiled(void(_II, int64, int64, _I, int32[::1]))
def sort_rows(indices, mode, dim, begins, places):
    """Counting sort by one column: where each row begins, and the places in order."""
    begins[:] = 0
    for p in range(len(indices)):
        begins[indices[p, mode] + 1] += 1
    for row in range(dim):
        begins[row + 1] += begins[row]
    ends = begins[:-1].copy()
    for p in range(len(indices)):
        row = indices[p, mode]
        places[ends[row]] = p
        ends[row] += 1


@_reads_lists(lambda _, rows: void(_II, int32[::1], int64, _I, rows))
def gather_others(indices, places, mode, starts, others):
    """Rows of the modes but one, in the order of `places`."""
    order = indices.shape[1]
    for p in range(len(places)):
        column = 0
        for m in range(order):
            if m != mode:
                others[p, column] = indices[places[p], m] + starts[m]
                column += 1


@_inner
def _fill(factors, others, places, count, out):
    """The other modes' rows of some observations, multiplied, a row of `out` each."""
    # One loop for each of the usual orders: a loop over modes within costs ten times.
    if others.shape[1] == 1:
        for c in range(count):
            first = others[places[c], 0]
            for r in range(factors.shape[1]):
                out[c, r] = factors[first, r]
        return
    for c in range(count):
        first, second = others[places[c], 0], others[places[c], 1]
        multiply(factors, int64(first), factors, int64(second), out, c)
    for n in range(2, others.shape[1]):
        for c in range(count):
            multiply(factors, int64(others[places[c], n]), out, c, out, c)


# In the loop over rows arrays go one by one: each tuple that is taken apart there costs
# as much as some observations.
@_inner
def _add_products(
    held_out, place, end, factors, others, targets, weights, parts, part, places,
    some, weight, wanted, sums,
):  # fmt: skip
    """Add to a row's normal equations, or take off, what its observations say.

    Entries of the part that is held out, or all others; all where there are no parts.
    """
    size, takes_all = factors.shape[1], len(parts) == 0
    while place < end:
        count = 0
        while place < end and count < len(some):
            # Written in any case: what is held out is at random, and hard to foresee.
            places[count] = place
            count += takes_all or (parts[place] == part) == held_out
            place += 1
        _fill(factors, others, places, count, some)
        for c in range(count if len(targets) else 0):
            wanted[c] = targets[places[c]]
        for c in range(count if len(weights) else 0):
            weight[c] = weights[places[c]]
        # The upper half of the symmetric matrix, in tiles.
        for row in range(0, size, TILE):
            for column in range(row, size, LANES):
                add_squares(some, weight, wanted, count, row, column, sums)


@_inner
def _cholesky(matrix, shift):
    """The upper Cholesky factor in place, four rows at a time.

    `shift` is added to the diagonal. A pivot that rounding made negative is set to a
    small share of the diagonal.
    """
    size = len(matrix)
    for i in range(size):
        matrix[i, i] += shift
    for begin in range(0, size, 4):
        end = min(begin + 4, size)
        for j in range(begin, end):
            for k in range(begin, j):
                share = matrix[k, j]
                for q in range(j, size):
                    matrix[j, q] -= share * matrix[k, q]
            pivot = max(matrix[j, j], 1e-300)
            inverse = 1.0 / np.sqrt(pivot)
            for q in range(j, size):
                matrix[j, q] *= inverse
        if end - begin < 4:
            break
        for i in range(end, size):
            one, two = matrix[begin, i], matrix[begin + 1, i]
            three, four = matrix[begin + 2, i], matrix[begin + 3, i]
            for q in range(i, size):
                matrix[i, q] -= (
                    one * matrix[begin, q]
                    + two * matrix[begin + 1, q]
                    + three * matrix[begin + 2, q]
                    + four * matrix[begin + 3, q]
                )


@_inner
def _back_substitute(upper, right, out):
    size = len(upper)
    out[:] = right
    for i in range(size):
        out[i] /= upper[i, i]
        for q in range(i + 1, size):
            out[q] -= out[i] * upper[i, q]
    for i in range(size - 1, -1, -1):
        total = out[i]
        for q in range(i + 1, size):
            total -= upper[i, q] * out[q]
        out[i] = total / upper[i, i]


@_inner
def _inverse(upper, root, out):
    """The inverse of the matrix with this Cholesky factor."""
    size = len(upper)
    root[:] = 0.0
    for i in range(size - 1, -1, -1):
        for k in range(i + 1, size):
            share = upper[i, k]
            for q in range(k, size):
                root[i, q] -= share * root[k, q]
        inverse = 1.0 / upper[i, i]
        for q in range(i + 1, size):
            root[i, q] *= inverse
        root[i, i] = inverse
    np.dot(root, root.T, out)


@_inner
def _beside(row, r, coupling, factors):
    """What a component's neighbours in its mode add to the penalty's slope."""
    total = 0.0
    # Where the coupling is zero the next row is of another mode, or none.
    if row and coupling[row - 1] != 0.0:
        total += coupling[row - 1] * factors[row - 1, r]
    if coupling[row] != 0.0:
        total += coupling[row] * factors[row + 1, r]
    return total


@_inner
def _change(row, right, diagonal, coupling, factors):
    """Change of the squared error by a row that solves its equations."""
    total = 0.0
    for r in range(len(right)):
        value = factors[row, r]
        slope = diagonal[row] * value + _beside(row, r, coupling, factors)
        total -= (right[r] + slope) * value
    return total


@_inner
def _descend(row, matrix, right, diagonal, coupling, towards, factors):
    """Coordinate descent on a row without negative entries; the error's change."""
    size, out, shift = len(right), factors[row], diagonal[row]
    for r in range(size):
        towards[r] = _beside(row, r, coupling, factors)
        out[r] = max(out[r], 0.0)
    for _ in range(_ROUNDS):
        for r in range(size):
            own = matrix[r, r] + shift
            slope = right[r] - towards[r] - shift * out[r]
            for q in range(size):
                slope -= matrix[r, q] * out[q]
            if own > 0:
                out[r] = max(out[r] + slope / own, 0.0)
    total = 0.0
    for r in range(size):
        inner = -2.0 * right[r]
        for q in range(size):
            inner += matrix[r, q] * out[q]
        total += inner * out[r]
    return total


@_inner
def _padded(factors, wide):
    """Factors padded with zeros to the right."""
    padded = np.zeros((len(factors), wide))
    padded[:, : factors.shape[1]] = factors
    return padded


@_inner
def _solve_rows(
    job, observed, missing, seen, chain, factors, gram, matrices, rights, along
):
    what, start, first, last, step = job
    begins, others = observed
    missing_begins, absent = missing
    targets, weights, parts, part = seen
    _, diagonal, coupling = chain
    size = factors.shape[1]
    wide = (size + TILE - 1) // TILE * TILE
    padded = _padded(factors, wide)
    chunk = max(TILE, min(_CHUNK, _CACHED // (wide + 1)))
    some, sums = np.zeros((chunk, wide)), np.empty((wide + 1, wide))
    places, matrix = np.empty(chunk, np.int64), np.empty((size, size))
    weight, wanted = np.ones(chunk), np.zeros(chunk)
    right, towards = np.empty(size), np.empty(size)
    none, everywhere = targets[:0], parts[:0]
    for row in range(first, last, step):
        sums[:] = 0.0
        if len(missing_begins):
            _add_products(
                True, begins[row], begins[row + 1], padded, others, none, none, parts,
                part, places, some, weight, wanted, sums,
            )  # fmt: skip
            _add_products(
                True, missing_begins[row], missing_begins[row + 1], padded, absent,
                none, none, everywhere, part, places, some, weight, wanted, sums,
            )  # fmt: skip
            right[:] = rights[row - start]
        else:
            _add_products(
                False, begins[row], begins[row + 1], padded, others, targets, weights,
                parts, part, places, some, weight, wanted, sums,
            )  # fmt: skip
            right[:] = sums[wide, :size]
        for r in range(size):
            for q in range(r, size):
                value = sums[r, q]
                if len(missing_begins):
                    value = gram[r, q] - value
                matrix[r, q] = matrix[q, r] = value
        if what == EQUATIONS:
            matrices[row - start] = matrix
            rights[row - start] = right
        elif what == NON_NEGATIVE:
            along[row] = _descend(
                row, matrix, right, diagonal, coupling, towards, factors
            )
        else:
            _cholesky(matrix, diagonal[row])
            _back_substitute(matrix, right, factors[row])
            along[row] = _change(row, right, diagonal, coupling, factors)


@_inner
def _solve_chain(matrices, rights, chain, first, factors, along):
    """Rows coupled to their neighbours: block elimination forth and back.

    `matrices` and `rights` are overwritten.
    """
    _, diagonal, coupling = chain
    rows, size = rights.shape
    upper, root = np.empty((size, size)), np.empty((size, size))
    wanted = np.empty(size)
    plain = rights.copy()
    for i in range(rows):
        row = first + i
        upper[:] = matrices[i]
        wanted[:] = rights[i]
        if i:
            link = coupling[row - 1]
            square = link * link
            before = matrices[i - 1]
            for r in range(size):
                wanted[r] -= link * rights[i - 1, r]
                for q in range(size):
                    upper[r, q] -= square * before[r, q]
        _cholesky(upper, diagonal[row])
        _inverse(upper, root, matrices[i])
        _back_substitute(upper, wanted, rights[i])
    for i in range(rows - 1, -1, -1):
        row = first + i
        if i < rows - 1:
            link = coupling[row]
            after = factors[row + 1]
            for r in range(size):
                total = 0.0
                for q in range(size):
                    total += matrices[i, r, q] * after[q]
                rights[i, r] -= link * total
        factors[row] = rights[i]
    for i in range(rows):
        row = first + i
        along[row] = _change(row, plain[i], diagonal, coupling, factors)


@_inner
def _balance(factors, starts, chain, shares):
    """Spread every component's penalty evenly over the modes, where it is smallest.

    Parameters
    ----------
    shares
        Penalties by mode and component; those after it are left there.
    """
    _, diagonal, coupling = chain
    order, size = shares.shape
    for mode in range(order):
        shares[mode] = 0.0
        for row in range(starts[mode], starts[mode + 1]):
            for r in range(size):
                value = factors[row, r]
                total = diagonal[row] * value * value
                if coupling[row] != 0.0:
                    total += 2.0 * coupling[row] * value * factors[row + 1, r]
                shares[mode, r] += total
    for r in range(size):
        mean, there = 0.0, True
        for mode in range(order):
            there = there and shares[mode, r] > 0.0
            mean += np.log(max(shares[mode, r], 1e-300)) / order
        for mode in range(order):
            factor = np.sqrt(np.exp(mean) / shares[mode, r]) if there else 0.0
            shares[mode, r] = np.exp(mean) if there else 0.0
            for row in range(starts[mode], starts[mode + 1]):
                factors[row, r] *= factor


@_compiled(void(_FF, _I, _CHAINS, _FF))
def balance(factors, starts, chain, shares):
    """The same, as a function that Python calls."""
    _balance(factors, starts, chain, shares)


@_reads_lists(
    lambda lists, _: void(
        int64[:, ::1], _I, lists, lists, _SEEN, _CHAINS, _FF, _FF, _FFF, _FF, _F, _FF
    )
)
def solve(
    jobs, starts, observed, missing, seen, chain, factors, gram, matrices, rights,
    along, shares,
):  # fmt: skip
    r"""Rows of factor matrices that minimize their quadratic, in place.

    Parameters
    ----------
    jobs
        One after another: what to do, where the mode's rows start, and with which of
        them (first, last, step).
    missing, gram
        Entries that are not observed, and the matrix that a row's equations have where
        all are shown; `rights` are given then. Empty where observations are summed.
    seen
        What to learn from; weights are empty where all are one.
    chain
        The penalty.
    matrices, rights
        Equations of the rows of a chain.
    along
        For every row the change of the squared error, $w^\top A w - 2 b^\top w$.
    """
    for n in range(len(jobs)):
        what, start, first, last = jobs[n, 0], jobs[n, 1], jobs[n, 2], jobs[n, 3]
        if what == BALANCE:
            _balance(factors, starts, chain, shares)
        elif what == CHAIN:
            count = last - start
            _solve_chain(matrices[:count], rights[:count], chain, start, factors, along)
        else:
            _solve_rows(
                (what, start, first, last, jobs[n, 4]), observed, missing, seen, chain,
                factors, gram, matrices, rights, along,
            )  # fmt: skip


@_reads_lists(lambda lists, _: void(int64, int64, _FF, _FF, lists, _F))
def predict(first, last, own, factors, lists, out):
    """Sums of components at the entries of some rows.

    Parameters
    ----------
    own
        The rows themselves, which the products of those listed are multiplied by.
    """
    begins, others = lists
    size = factors.shape[1]
    if others.shape[1] == 2:
        for row in range(first, last):
            for place in range(begins[row], begins[row + 1]):
                one, other = others[place, 0], others[place, 1]
                total = 0.0
                for r in range(size):
                    total += own[row, r] * factors[one, r] * factors[other, r]
                out[place] = total
        return
    wide = (size + TILE - 1) // TILE * TILE
    some, places = np.zeros((_CHUNK, wide)), np.empty(_CHUNK, np.int64)
    padded = _padded(factors, wide)
    for row in range(first, last):
        for begin in range(begins[row], begins[row + 1], _CHUNK):
            count = min(_CHUNK, begins[row + 1] - begin)
            for c in range(count):
                places[c] = begin + c
            _fill(padded, others, places, count, some)
            for c in range(count):
                total = 0.0
                for r in range(size):
                    total += own[row, r] * some[c, r]
                out[begin + c] = total


@_inner
def _add_pulls(first, last, mode, units, lists, residuals, start, out):
    r"""Add $-\nabla\mathcal{L} \times_{m \ne n} u^m$ of some rows of the first mode.

    Parameters
    ----------
    units
        Stacked vectors, a column for each direction.
    start
        Where the rows of mode $n$ begin in the stack; `out` has its rows.
    """
    begins, others = lists
    count, one = others.shape[1], np.empty(DIRECTIONS)
    for row in range(first, last):
        for place in range(begins[row], begins[row + 1]):
            residual = residuals[place]
            if residual == 0.0:
                continue
            target, along = row, others[place, 0]
            if mode:
                target, along = others[place, mode - 1], row
            for r in range(DIRECTIONS):
                one[r] = residual * units[along, r]
            for n in range(count):
                if n != mode - 1 and (mode or n):
                    along = others[place, n]
                    for r in range(DIRECTIONS):
                        one[r] *= units[along, r]
            target -= start
            for r in range(DIRECTIONS):
                out[target, r] += one[r]


@_reads_lists(lambda lists, _: void(int64, int64, int64, _FF, lists, _F, int64, _FF))
def add_pulls(first, last, mode, units, lists, residuals, start, out):
    """The same, as a function that Python calls."""
    _add_pulls(first, last, mode, units, lists, residuals, start, out)


@_compiled(void(_FF, _F, int64, boolean, _FF, _F))
def towards_pull(pull, decay, start, non_negative, units, strengths):
    """Turn a mode's vectors towards the pull: shared with neighbours, of norm one.

    Parameters
    ----------
    decay
        Correlation of a row of the stack with the next; zero where it has none.
    units
        The vectors, replaced; their norm is that of the penalty.
    strengths
        How strong the pull is along each.
    """
    rows, size = pull.shape
    for r in range(size):
        carried = 0.0
        for i in range(rows):
            before = decay[start + i - 1] if i else 0.0
            carried = pull[i, r] + before * carried
            units[start + i, r] = carried
        carried = 0.0
        for i in range(rows - 1, -1, -1):
            carried = pull[i, r] + decay[start + i] * carried
            units[start + i, r] += carried - pull[i, r]
        if non_negative:
            for i in range(rows):
                units[start + i, r] = max(units[start + i, r], 0.0)
        square = 0.0
        for i in range(rows):
            row = start + i
            square += units[row, r] * units[row, r]
            if i < rows - 1 and decay[row] != 0.0:
                link = decay[row]
                change = units[row + 1, r] - link * units[row, r]
                square += change * change / (1.0 - link * link) - (
                    units[row + 1, r] * units[row + 1, r]
                )
        strengths[r] = 0.0
        for i in range(rows):
            if square > 0.0:
                units[start + i, r] /= np.sqrt(square)
            strengths[r] += pull[i, r] * units[start + i, r]


@_reads_lists(lambda lists, _: void(int64, _FF, _I, lists, _F, _F, boolean, _F))
def climb(turns, units, starts, lists, residuals, decay, non_negative, strengths):
    """Turn all modes' vectors towards the pull, one after another, so many times."""
    order, before = len(starts) - 1, 0.0
    for _ in range(turns):
        for mode in range(order):
            start, end = starts[mode], starts[mode + 1]
            pull = np.zeros((end - start, DIRECTIONS))
            _add_pulls(0, starts[1], mode, units, lists, residuals, start, pull)
            towards_pull(pull, decay, start, non_negative, units, strengths)
        if np.max(strengths) <= (1 + CLIMBED) * before:
            break
        before = np.max(strengths)


@_compiled(void(_FF, _FF, _FF))
def times_last(tensor, matrix, out):
    """A tensor, unfolded to rows of its last mode, times that mode's matrix."""
    length = max(1, _ONE_THREAD // (matrix.shape[0] * matrix.shape[1] + 1))
    for begin in range(0, len(tensor), length):
        end = min(begin + length, len(tensor))
        np.dot(tensor[begin:end], matrix, out[begin:end])


@_compiled(void(_FF, _FF, _FF))
def times_rows(tensor, products, out):
    """The same unfolded tensor, transposed, times a row for each of its rows."""
    length = max(1, _ONE_THREAD // (out.shape[0] * out.shape[1] + 1))
    part = np.empty_like(out)
    out[:] = 0.0
    for begin in range(0, len(tensor), length):
        end = min(begin + length, len(tensor))
        np.dot(tensor[begin:end].T, products[begin:end], part)
        out += part


@_compiled(void(_FF, _I, int64, _FF))
def gram_of_others(factors, starts, mode, out):
    """Products of components over all entries of the other modes."""
    out[:] = 1.0
    product = np.empty_like(out)
    for m in range(len(starts) - 1):
        if m != mode:
            own = factors[starts[m] : starts[m + 1]]
            times_rows(own, own, product)
            out *= product


@_compiled(void(int32[::1], float32[::1], _I, _FF, _FF))
def times_unfolding(rows, values, begins, block, out):
    """Add an unfolding times its transpose, without the diagonal, times a block.

    Parameters
    ----------
    rows, values, begins
        The entries column after column, and where columns begin.
    """
    size = block.shape[1]
    sums = np.empty(size)
    for column in range(len(begins) - 1):
        sums[:] = 0.0
        for place in range(begins[column], begins[column + 1]):
            value, row = values[place], rows[place]
            for r in range(size):
                sums[r] += value * block[row, r]
        for place in range(begins[column], begins[column + 1]):
            value, row = values[place], rows[place]
            for r in range(size):
                out[row, r] += value * (sums[r] - value * block[row, r])
