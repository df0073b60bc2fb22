"""Loops over observations, compiled by Numba for all shapes and kept on disk.

Rows of all factor matrices stand above one another, mode after mode, in `factors`
(row, component). Observations are listed once for every mode, sorted by the row they
lie in there: those of a row are `begins[row]` to `begins[row + 1]`, and `others` names
the rows of the remaining modes. So no loop knows of modes, and none is compiled anew
for another shape, order or number of components.

All kernels leave Python's lock to others; none starts a thread. Products are cut so
that OpenBLAS starts none either.
"""

import numba
import numpy as np

# Sums may be taken in any order; NaN and infinity keep their meaning.
_SUMS = {"reassoc", "contract", "nsz", "arcp"}
# OpenBLAS multiplies matrices of at most 4 * 2**16 products in the calling thread.
_ONE_THREAD = 2**18
_CHUNK = 128
# Rounds over the components of a row that may not be negative.
_ROUNDS = 4

SOLVE, NON_NEGATIVE, EQUATIONS = 0, 1, 2
# Directions that are tried for a component to enter with: as many numbers as a
# processor multiplies at once.
DIRECTIONS = 4
# Turns towards the pull end where the largest grows by less than this share.
CLIMBED = 1e-3

_F, _FF, _FFF = "float64[::1]", "float64[:,::1]", "float64[:,:,::1]"
_I, _II, _P = "int64[::1]", "int32[:,::1]", "uint8[::1]"


def _compiled(signature):
    return numba.njit(signature, cache=True, nogil=True, fastmath=_SUMS)


def _inner(function):
    """Compiled as a part of the kernels that call it."""
    return numba.njit(function, nogil=True, fastmath=_SUMS)


@_compiled(f"void({_II}, int64, int64, {_I}, int32[::1])")
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


@_compiled(f"void({_II}, int32[::1], int64, {_I}, {_II})")
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
    size = factors.shape[1]
    # One loop for each of the usual orders: a loop over modes within costs ten times.
    if others.shape[1] == 1:
        for c in range(count):
            first = others[places[c], 0]
            for r in range(size):
                out[c, r] = factors[first, r]
        return
    for c in range(count):
        first, second = others[places[c], 0], others[places[c], 1]
        for r in range(size):
            out[c, r] = factors[first, r] * factors[second, r]
    for n in range(2, others.shape[1]):
        for c in range(count):
            first = others[places[c], n]
            for r in range(size):
                out[c, r] *= factors[first, r]


@_inner
def _row_equations(
    factors, others, targets, weights, parts, part, begin, end, places, some, weighted,
    product, matrix, right,
):  # fmt: skip
    """Add to a row's normal equations what the observations shown to a model say."""
    size = factors.shape[1]
    place = begin
    while place < end:
        count = 0
        while place < end and count < len(some):
            if parts[place] != part:
                places[count] = place
                count += 1
            place += 1
        _fill(factors, others, places, count, some)
        if len(weights):
            for c in range(count):
                weight = weights[places[c]]
                for r in range(size):
                    weighted[c, r] = weight * some[c, r]
        left = weighted if len(weights) else some
        for c in range(count):
            target = targets[places[c]]
            for r in range(size):
                right[r] += target * left[c, r]
        np.dot(left[:count].T, some[:count], product)
        for r in range(size):
            for q in range(size):
                matrix[r, q] += product[r, q]


@_inner
def _take_off(factors, others, parts, part, begin, end, places, some, product, matrix):
    """Subtract from the equations of all entries what some of them say.

    Those are all that are listed, or of these only the ones of a part.
    """
    size = factors.shape[1]
    place = begin
    while place < end:
        count = 0
        while place < end and count < len(some):
            if len(parts) == 0 or parts[place] == part:
                places[count] = place
                count += 1
            place += 1
        _fill(factors, others, places, count, some)
        np.dot(some[:count].T, some[:count], product)
        for r in range(size):
            for q in range(size):
                matrix[r, q] -= product[r, q]


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
def _descend(matrix, right, diagonal, towards, out):
    """Coordinate descent on a row without negative entries."""
    size = len(right)
    for _ in range(_ROUNDS):
        for r in range(size):
            own = matrix[r, r] + diagonal
            slope = right[r] - towards[r] - diagonal * out[r]
            row = matrix[r]
            for q in range(size):
                slope -= row[q] * out[q]
            if own > 0:
                out[r] = max(out[r] + slope / own, 0.0)


@_compiled(
    f"void(int64, int64, int64, int64, int64, {_FF}, {_I}, {_II}, {_F}, {_F}, {_P}, "
    f"int64, {_I}, {_II}, {_FF}, {_F}, {_F}, {_FFF}, {_FF}, {_F})"
)
def solve_rows(
    what, start, first, last, step, factors, begins, others, targets, weights, parts,
    part, missing_begins, missing, gram, diagonal, coupling, matrices, rights, along,
):  # fmt: skip
    r"""Rows `first`, `first + step`, ... of one mode that minimize their quadratic.

    Parameters
    ----------
    what
        SOLVE: rows that know nothing of each other. NON_NEGATIVE: rows without
        negative entries, beside the neighbours as they are. EQUATIONS: leave the
        equations in `matrices` and `rights`, counted from `first`.
    weights
        Of the observations; empty where all are one.
    parts, part
        Observations of this part are held out.
    missing_begins, missing, gram
        Entries that are not observed, listed as observations are, and the matrix that
        a row's equations have where all are shown; `rights` are given then. Empty where
        observations are summed.
    diagonal, coupling
        Of the penalty: of a row, and of a row with the next.
    along
        For every row the change of the squared error, $w^\top A w - 2 b^\top w$.
    """
    size = factors.shape[1]
    chunk = max(4, min(_CHUNK, _ONE_THREAD // (size * size + 1)))
    some, weighted = np.empty((chunk, size)), np.empty((chunk, size))
    places = np.empty(chunk, np.int64)
    product, matrix = np.empty((size, size)), np.empty((size, size))
    right, found, towards = np.empty(size), np.empty(size), np.empty(size)
    for row in range(first, last, step):
        if len(missing_begins):
            matrix[:] = gram
            right[:] = rights[row - start]
            _take_off(
                factors, others, parts, part, begins[row], begins[row + 1], places,
                some, product, matrix,
            )  # fmt: skip
            _take_off(
                factors, missing, parts[:0], part, missing_begins[row],
                missing_begins[row + 1], places, some, product, matrix,
            )  # fmt: skip
        else:
            right[:] = 0.0
            matrix[:] = 0.0
            _row_equations(
                factors, others, targets, weights, parts, part, begins[row],
                begins[row + 1], places, some, weighted, product, matrix, right,
            )  # fmt: skip
        if what == EQUATIONS:
            matrices[row - start] = matrix
            rights[row - start] = right
            continue
        own = factors[row]
        if what == SOLVE:
            _cholesky(matrix, diagonal[row])
            _back_substitute(matrix, right, found)
            total = 0.0
            for r in range(size):
                total -= (right[r] + diagonal[row] * found[r]) * found[r]
                own[r] = found[r]
            along[row] = total
            continue
        before = coupling[row - 1] if row else 0.0
        for r in range(size):
            pull = 0.0
            # Where the coupling is zero the next row is of another mode, or none.
            if before != 0.0:
                pull += before * factors[row - 1, r]
            if coupling[row] != 0.0:
                pull += coupling[row] * factors[row + 1, r]
            towards[r] = pull
            own[r] = max(own[r], 0.0)
        _descend(matrix, right, diagonal[row], towards, own)
        total = 0.0
        for r in range(size):
            inner = -2.0 * right[r]
            for q in range(size):
                inner += matrix[r, q] * own[q]
            total += inner * own[r]
        along[row] = total


@_compiled(f"void({_FFF}, {_FF}, {_F}, {_F}, int64, {_FF}, {_F})")
def solve_chain(matrices, rights, diagonal, coupling, first, factors, along):
    """Rows coupled to their neighbours: block elimination forth and back.

    `matrices` and `rights` are overwritten.
    """
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
        for r in range(size):
            factors[row, r] = rights[i, r]
    for i in range(rows):
        row = first + i
        total = 0.0
        for r in range(size):
            inner = plain[i, r] + diagonal[row] * factors[row, r]
            if i:
                inner += coupling[row - 1] * factors[row - 1, r]
            if i < rows - 1:
                inner += coupling[row] * factors[row + 1, r]
            total -= inner * factors[row, r]
        along[row] = total


@_compiled(f"void(int64, int64, {_FF}, {_I}, {_II}, {_F})")
def predict_rows(first, last, factors, begins, others, out):
    """Sums of components at the observations of some rows."""
    size = factors.shape[1]
    if others.shape[1] == 2:
        for row in range(first, last):
            for place in range(begins[row], begins[row + 1]):
                one, other = others[place, 0], others[place, 1]
                total = 0.0
                for r in range(size):
                    total += factors[row, r] * factors[one, r] * factors[other, r]
                out[place] = total
        return
    some, places = np.empty((_CHUNK, size)), np.empty(_CHUNK, np.int64)
    for row in range(first, last):
        for begin in range(begins[row], begins[row + 1], _CHUNK):
            count = min(_CHUNK, begins[row + 1] - begin)
            for c in range(count):
                places[c] = begin + c
            _fill(factors, others, places, count, some)
            for c in range(count):
                total = 0.0
                for r in range(size):
                    total += factors[row, r] * some[c, r]
                out[begin + c] = total


@_compiled(f"void({_FF}, {_II}, {_F})")
def predict_entries(factors, rows, out):
    """Sums of components at entries given by the rows of all modes."""
    size = factors.shape[1]
    some, places = np.empty((_CHUNK, size)), np.empty(_CHUNK, np.int64)
    for begin in range(0, len(rows), _CHUNK):
        count = min(_CHUNK, len(rows) - begin)
        for c in range(count):
            places[c] = begin + c
        _fill(factors, rows, places, count, some)
        for c in range(count):
            total = 0.0
            for r in range(size):
                total += some[c, r]
            out[begin + c] = total


@_compiled(f"void(int64, int64, int64, {_FF}, {_I}, {_II}, {_F}, int64, {_FF})")
def add_pulls(first, last, mode, units, begins, others, residuals, start, out):
    r"""Add $-\nabla\mathcal{L} \times_{m \ne n} u^m$ of some rows of the first mode.

    Parameters
    ----------
    units
        Stacked vectors, a column for each direction.
    start
        Where the rows of mode $n$ begin in the stack; `out` has its rows.
    """
    count = others.shape[1]
    one = np.empty(DIRECTIONS)
    for row in range(first, last):
        for place in range(begins[row], begins[row + 1]):
            residual = residuals[place]
            if residual == 0.0:
                continue
            target = row
            if mode == 0:
                along = others[place, 0]
                for r in range(DIRECTIONS):
                    one[r] = residual * units[along, r]
            else:
                target = others[place, mode - 1]
                for r in range(DIRECTIONS):
                    one[r] = residual * units[row, r]
            for n in range(count):
                if n != mode - 1 and (mode or n):
                    along = others[place, n]
                    for r in range(DIRECTIONS):
                        one[r] *= units[along, r]
            target -= start
            for r in range(DIRECTIONS):
                out[target, r] += one[r]


@_compiled(f"void({_FF}, {_F}, int64, boolean, {_FF})")
def towards_pull(pull, decay, start, non_negative, units):
    """Turn a mode's vectors towards the pull: shared with neighbours, of norm one.

    Parameters
    ----------
    decay
        Correlation of a row of the stack with the next; zero where it has none.
    units
        The vectors, replaced; their norm is that of the penalty.
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
        if square > 0.0:
            for i in range(rows):
                units[start + i, r] /= np.sqrt(square)


@_compiled(f"void(int64, {_FF}, {_I}, {_I}, {_II}, {_F}, {_F}, boolean, {_F})")
def climb(
    turns, units, starts, begins, others, residuals, decay, non_negative, strengths
):
    """Turn all modes' vectors towards the pull, one after another, so many times."""
    order, before = len(starts) - 1, 0.0
    for _ in range(turns):
        for mode in range(order):
            start, end = starts[mode], starts[mode + 1]
            pull = np.zeros((end - start, DIRECTIONS))
            add_pulls(0, starts[1], mode, units, begins, others, residuals, start, pull)
            towards_pull(pull, decay, start, non_negative, units)
            if mode == order - 1:
                for r in range(DIRECTIONS):
                    strengths[r] = 0.0
                    for i in range(end - start):
                        strengths[r] += pull[i, r] * units[start + i, r]
        if np.max(strengths) <= (1 + CLIMBED) * before:
            break
        before = np.max(strengths)


@_compiled(f"void({_FF}, {_I}, {_F}, {_F}, {_FF})")
def penalties(factors, starts, diagonal, coupling, out):
    """For every mode and component what the penalty is of, without its weight."""
    size = factors.shape[1]
    for mode in range(len(starts) - 1):
        out[mode] = 0.0
        for row in range(starts[mode], starts[mode + 1]):
            for r in range(size):
                value = factors[row, r]
                total = diagonal[row] * value * value
                if coupling[row] != 0.0:
                    total += 2.0 * coupling[row] * value * factors[row + 1, r]
                out[mode, r] += total


@_compiled(f"void({_FF}, {_I}, {_FF})")
def balance(factors, starts, shares):
    """Spread every component's penalty evenly over the modes, where it is smallest.

    Parameters
    ----------
    shares
        Penalties by mode and component; those after it are left there.
    """
    order, size = shares.shape
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


@_compiled(f"void({_FF}, {_FF}, {_FF})")
def times_last(tensor, matrix, out):
    """A tensor, unfolded to rows of its last mode, times that mode's matrix."""
    length = max(1, _ONE_THREAD // (matrix.shape[0] * matrix.shape[1] + 1))
    for begin in range(0, len(tensor), length):
        end = min(begin + length, len(tensor))
        np.dot(tensor[begin:end], matrix, out[begin:end])


@_compiled(f"void({_FF}, {_FF}, {_FF})")
def times_rows(tensor, products, out):
    """The same unfolded tensor, transposed, times a row for each of its rows."""
    length = max(1, _ONE_THREAD // (out.shape[0] * out.shape[1] + 1))
    part = np.empty_like(out)
    out[:] = 0.0
    for begin in range(0, len(tensor), length):
        end = min(begin + length, len(tensor))
        np.dot(tensor[begin:end].T, products[begin:end], part)
        out += part


@_compiled(f"void({_FF}, {_I}, int64, {_FF})")
def gram_of_others(factors, starts, mode, out):
    """Products of components over all entries of the other modes."""
    out[:] = 1.0
    size = factors.shape[1]
    longest = max(1, _ONE_THREAD // (size * size + 1))
    product, total = np.empty((size, size)), np.empty((size, size))
    for m in range(len(starts) - 1):
        if m != mode:
            total[:] = 0.0
            for begin in range(starts[m], starts[m + 1], longest):
                some = factors[begin : min(begin + longest, starts[m + 1])]
                np.dot(some.T, some, product)
                total += product
            out *= total


@_compiled(
    f"float64(int64, {_FF}, {_I}, {_I}, {_II}, {_F}, {_F}, {_P}, int64, {_F}, {_F}, "
    f"boolean[::1], float64, {_F}, {_FF})"
)
def sweep_rows(
    what, factors, starts, begins, others, targets, weights, parts, part, diagonal,
    coupling, chained, penalty, along, shares,
):  # fmt: skip
    """Solve for one factor matrix after another; sum of `along` of the last."""
    size, order = factors.shape[1], len(starts) - 1
    scaled, links = penalty * diagonal, penalty * coupling
    nothing, none = np.empty((0, 0, 0)), np.empty((0, 0))
    for mode in range(order):
        start, end = starts[mode], starts[mode + 1]
        if what == SOLVE and chained[mode]:
            matrices = np.empty((end - start, size, size))
            rights = np.empty((end - start, size))
            solve_rows(
                EQUATIONS, start, start, end, 1, factors, begins, others, targets,
                weights, parts, part, begins[:0], others, none, scaled, links, matrices,
                rights, along,
            )  # fmt: skip
            solve_chain(matrices, rights, scaled, links, start, factors, along)
            continue
        # Rows that are neighbours do not move at once.
        steps = 2 if what == NON_NEGATIVE else 1
        for begin in range(steps):
            solve_rows(
                what, start, start + begin, end, steps, factors, begins, others,
                targets, weights, parts, part, begins[:0], others, none, scaled, links,
                nothing, none, along,
            )  # fmt: skip
    total = 0.0
    for row in range(starts[order - 1], starts[order]):
        total += along[row]
    penalties(factors, starts, diagonal, coupling, shares)
    balance(factors, starts, shares)
    return total


@_compiled(f"void({_FF}, {_I}, {_F}, {_F})")
def neighbour_products(factors, starts, gaps, out):
    """Of every mode, how alike rows are that are next to one another."""
    size = factors.shape[1]
    for mode in range(len(starts) - 1):
        product = left = right = 0.0
        for row in range(starts[mode], starts[mode + 1] - 1):
            if gaps[row] == 1.0:
                for r in range(size):
                    one, other = factors[row, r], factors[row + 1, r]
                    product += one * other
                    left += one * one
                    right += other * other
        out[mode] = product / np.sqrt(left * right) if left * right > 0 else 0.0
