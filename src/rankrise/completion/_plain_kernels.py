r"""A least-squares fit of CP components by Levenberg-Marquardt, compiled by Numba.

Steps solve $(J^\top A J + (\lambda + \mu) I)\,x = -\nabla$ by conjugate gradients with
a block for each row as preconditioner, as in Sorber, Van Barel and De Lathauwer (2013),
"Optimization-based algorithms for tensor decompositions". Where components overlap such
steps are tens where alternating least squares take thousands of sweeps.
"""

import numba
import numpy as np

_SUMS = {"reassoc", "contract", "nsz", "arcp"}
# Products with the normal equations in one step, and where they end: the square of the
# residual, in the preconditioner's norm, over what it was.
_PRODUCTS, _SOLVED = 40, 1e-4
# Damping at first, of the mean curvature; the largest by which it may grow in a step.
_DAMPING, _MOST_GROWTH = 1e-2, 1e6
# Steps in a row that bring less than the tolerance before a fit ends.
_FLAT = 2
# How often a new component is turned towards what is left, and what ends that.
_TURNS, _TURNED = 10, 1e-3

_F, _FF, _FFF = "float64[::1]", "float64[:,::1]", "float64[:,:,::1]"


def _inner(function):
    """Compiled as a part of the kernels that call it."""
    return numba.njit(function, nogil=True, fastmath=_SUMS)


@_inner
def _slopes(factors, rows, slopes):
    """Derivative of every observation's prediction by the rows it depends on."""
    count, order = rows.shape
    size = factors.shape[1]
    for s in range(count):
        for r in range(size):
            product = 1.0
            for n in range(order):
                slopes[s, n, r] = product
                product *= factors[rows[s, n], r]
            product = 1.0
            for n in range(order - 1, -1, -1):
                slopes[s, n, r] *= product
                product *= factors[rows[s, n], r]


@_inner
def _residuals(factors, offset, rows, values, weights, out):
    """Residuals, and half the sum of their weighted squares twice."""
    count, order = rows.shape
    size = factors.shape[1]
    total = 0.0
    for s in range(count):
        prediction = offset
        for r in range(size):
            product = 1.0
            for n in range(order):
                product *= factors[rows[s, n], r]
            prediction += product
        out[s] = values[s] - prediction
        total += weights[s] * out[s] * out[s]
    return total


@_inner
def _times(slopes, rows, weights, vector, along, out):
    """The normal equations times a change of the factors and of the offset."""
    count, order = rows.shape
    size = vector.shape[1]
    out[:] = 0.0
    total = 0.0
    for s in range(count):
        change = along
        for n in range(order):
            row = rows[s, n]
            for r in range(size):
                change += vector[row, r] * slopes[s, n, r]
        change *= weights[s]
        total += change
        for n in range(order):
            row = rows[s, n]
            for r in range(size):
                out[row, r] += change * slopes[s, n, r]
    return total


@_inner
def _blocks(slopes, rows, weights, residuals, gradient, blocks):
    """The gradient, and the block of the normal equations of every row."""
    count, order = rows.shape
    size = gradient.shape[1]
    gradient[:] = 0.0
    blocks[:] = 0.0
    for s in range(count):
        for n in range(order):
            row = rows[s, n]
            for r in range(size):
                share = weights[s] * slopes[s, n, r]
                gradient[row, r] += residuals[s] * share
                for q in range(r + 1):
                    blocks[row, r, q] += share * slopes[s, n, q]


@_inner
def _cholesky(blocks, shift, out):
    """The lower Cholesky factor of every block, with `shift` on its diagonal."""
    count, size, _ = blocks.shape
    for i in range(count):
        for r in range(size):
            for q in range(r + 1):
                total = blocks[i, r, q]
                for k in range(q):
                    total -= out[i, r, k] * out[i, q, k]
                if q < r:
                    out[i, r, q] = total / out[i, q, q]
                else:
                    out[i, r, r] = np.sqrt(max(total + shift, 1e-300))


@_inner
def _solve_blocks(lower, right, out):
    count, size = right.shape
    for i in range(count):
        for r in range(size):
            total = right[i, r]
            for q in range(r):
                total -= lower[i, r, q] * out[i, q]
            out[i, r] = total / lower[i, r, r]
        for r in range(size - 1, -1, -1):
            total = out[i, r]
            for q in range(r + 1, size):
                total -= lower[i, q, r] * out[i, q]
            out[i, r] = total / lower[i, r, r]


@_inner
def _balance(factors, starts):
    """Give a component the same norm in every mode, where the penalty is smallest."""
    order = len(starts) - 1
    norms = np.empty(order)
    for r in range(factors.shape[1]):
        mean = 0.0
        for n in range(order):
            own = factors[starts[n] : starts[n + 1], r]
            norms[n] = np.sqrt(np.sum(own * own))
            mean += np.log(max(norms[n], 1e-300)) / order
        if np.min(norms) > 0:
            for n in range(order):
                factors[starts[n] : starts[n + 1], r] *= np.exp(mean) / norms[n]


@numba.njit(
    f"UniTuple(float64, 2)({_FF}, float64, boolean, int64[::1], int32[:,::1], {_F}, "
    f"{_F}, float64, int64, float64)",
    cache=True,
    nogil=True,
    fastmath=_SUMS,
)
def descend(
    factors, offset, is_free, starts, rows, values, weights, penalty, steps, tolerance
):
    """Fit stacked factors in place; the objective, and the offset, where they end.

    Parameters
    ----------
    is_free
        Whether the offset is fitted as well.
    starts
        Where the rows of every mode begin in the stack.
    rows
        Rows of the stack that every observation lies in, a column a mode.
    steps, tolerance
        At most so many; fewer where the objective falls by less than this share.
    """
    (count, size), (observed, order) = factors.shape, rows.shape
    slopes = np.empty((observed, order, size))
    residuals, trials = np.empty(observed), np.empty(observed)
    blocks, lower = np.empty((count, size, size)), np.empty((count, size, size))
    gradient, found = np.empty((count, size)), np.empty((count, size))
    rest, scaled = np.empty((count, size)), np.empty((count, size))
    along, product = np.empty((count, size)), np.empty((count, size))
    _balance(factors, starts)
    objective = _residuals(factors, offset, rows, values, weights, residuals)
    objective += penalty * np.sum(factors * factors)
    whole = np.sum(weights)
    damping, growth, flat = -1.0, 2.0, 0
    for _ in range(steps):
        _slopes(factors, rows, slopes)
        _blocks(slopes, rows, weights, residuals, gradient, blocks)
        gradient -= penalty * factors
        slope = np.sum(weights * residuals) if is_free else 0.0
        if damping < 0:
            curvature = 0.0
            for i in range(count):
                for r in range(size):
                    curvature += blocks[i, r, r]
            damping = _DAMPING * max(curvature / (count * size), 1e-300)
        while True:
            shift = penalty + damping
            _cholesky(blocks, shift, lower)
            found[:] = 0.0
            moved = 0.0
            rest[:] = gradient
            left = slope
            _solve_blocks(lower, rest, scaled)
            along[:] = scaled
            ahead = left / (whole + damping)
            size_now = np.sum(rest * scaled) + left * ahead
            size_first = size_now
            for _ in range(_PRODUCTS):
                if size_now <= _SOLVED * size_first:
                    break
                total = _times(slopes, rows, weights, along, ahead, product)
                product += shift * along
                pushed = total + damping * ahead if is_free else 0.0
                length = size_now / (np.sum(along * product) + ahead * pushed)
                found += length * along
                moved += length * ahead
                rest -= length * product
                left -= length * pushed
                _solve_blocks(lower, rest, scaled)
                size_next = np.sum(rest * scaled) + left * left / (whole + damping)
                share = size_next / size_now
                along[:] = scaled + share * along
                ahead = left / (whole + damping) + share * ahead
                size_now = size_next
            trial = factors + found
            reached = _residuals(trial, offset + moved, rows, values, weights, trials)
            reached += penalty * np.sum(trial * trial)
            promised = np.sum(found * (gradient + rest)) + moved * (slope + left)
            promised += damping * (np.sum(found * found) + moved * moved)
            if reached < objective and promised > 0:
                break
            damping *= growth
            growth *= 2
            if growth > _MOST_GROWTH:
                return objective, offset
        fall = objective - reached
        trust = 2 * fall / promised - 1
        damping *= max(1 / 3, 1 - trust * trust * trust)
        growth = 2.0
        factors[:] = trial
        offset += moved
        _balance(factors, starts)
        # The penalty is smaller now; predictions are the same.
        objective = _residuals(factors, offset, rows, values, weights, residuals)
        objective += penalty * np.sum(factors * factors)
        flat = flat + 1 if fall < tolerance * objective else 0
        if flat == _FLAT:
            break
    return objective, offset


@numba.njit(
    f"float64(int64[::1], int32[:,::1], {_F}, {_F})",
    cache=True,
    nogil=True,
    fastmath=_SUMS,
)
def turn(starts, rows, residuals, unit):
    """Turn a component of norm one towards the residuals, by the higher-order power
    method; how strongly it is drawn there.
    """
    observed, order = rows.shape
    strength = before = 0.0
    for _ in range(_TURNS):
        for mode in range(order):
            own = unit[starts[mode] : starts[mode + 1]]
            pull = np.zeros(len(own))
            for s in range(observed):
                product = residuals[s]
                for n in range(order):
                    if n != mode:
                        product *= unit[rows[s, n]]
                pull[rows[s, mode] - starts[mode]] += product
            strength = np.sqrt(np.sum(pull * pull))
            if strength == 0.0:
                return 0.0
            own[:] = pull / strength
        if strength <= (1 + _TURNED) * before:
            break
        before = strength
    return strength
