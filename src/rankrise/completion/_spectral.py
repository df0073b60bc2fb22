r"""Where components enter in a large sparse tensor: spectra of its unfoldings.

A direction that starts at random follows the largest entries there. The leading
eigenvectors of $X_{(n)} X_{(n)}^\top$ with its diagonal deleted do not (Montanari and
Sun 2018, "Spectral algorithms for tensor completion"): every entry meets only others of
its column. The same spectrum with the signs of all entries drawn at random says which
eigenvalues are more than noise. The largest mode needs no spectrum of its own where
those of others tell: its vectors are the leading ones of the tensor times theirs.
"""

import functools as ft
import itertools
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rankrise._typing import Indices, ModeDims, Values
from rankrise.completion._compiled import kernels
from rankrise.completion._drawn import drawn_signs
from rankrise.completion._plain_fit import PlainFits
from rankrise.losses import SquaredLoss

# Spectra are taken of so many observations at least, of at most this share of entries.
_MANY, _SPARSE = 300_000, 0.01
# Eigenvectors that are looked for at first; as many again while all are signal.
_VECTORS, _MOST_VECTORS = 8, 32
# An eigenvalue this much above the largest of noise is signal.
_ABOVE = 1.15
# Vectors that the noise is told by, and steps of a Krylov space.
_FEW, _STEPS = 4, 8
# Observations that are summed over at once, fewer where each has more products.
_BLOCK, _NARROW = 2**16, 64
# With more observations one unfolding at a time is held in memory.
_ONE_AT_A_TIME = 30_000_000
_PENALTY = 1e-3
_SORTING = threading.Lock()

Signs = npt.NDArray[np.int8]
# A symmetric matrix that is not formed, times a block.
Times = Callable[[Values], Values]


def is_spectral(count: int, dims: ModeDims) -> bool:
    """Whether components of such a tensor enter by spectra."""
    columns = math.prod(dims) // min(dims)
    return count >= _MANY and count <= _SPARSE * math.prod(dims) and columns < 2**63


def spectral_components(
    indices: Indices,
    numbers: Values,
    dims: ModeDims,
    *,
    seed: int,
    pool: Executor | None,
) -> Values:
    """Components of a sparse tensor that rise above its noise, stacked.

    Parameters
    ----------
    indices, numbers
        Observed entries, in order; those that are to be left out are zero.
    """
    count = np.count_nonzero(numbers)
    run: Callable[..., Any] = map
    if pool is not None and count <= _ONE_AT_A_TIME:
        run = pool.map
    signs = drawn_signs(indices, seed)

    def signals_of(mode: int) -> Signals:
        # One at a time: sorting takes more memory than what comes of it.
        with _SORTING:
            unfolding, own = unfolding_of(indices, numbers, signs, dims, mode)
        rows, values, begins = unfolding
        noise = ft.partial(times_unfolding, (rows, values * own, begins))
        return signals(ft.partial(times_unfolding, unfolding), noise, dims, mode, seed)

    found = list(run(signals_of, unfolded_modes(dims)))
    size = max(each.above for each in found)
    if not size:
        return np.empty((sum(dims), 0))
    bases = other_bases(found, dims, size)
    largest = projected_mode(dims)
    if largest is not None:
        projected = times_others(indices, numbers, dims, bases, largest)
        vectors = leading_vectors(projected.T @ projected, size)
        bases[largest] = np.linalg.qr(projected @ vectors)[0]
    core = core_of(indices, numbers, bases) * (math.prod(dims) / count)
    return components_of_core(core, bases, size, seed)


class Signals(NamedTuple):
    """Leading eigenvectors of one mode's unfolding.

    Attributes
    ----------
    above
        How many of their eigenvalues are above those of noise.
    """

    mode: int
    above: int
    vectors: Values


def is_short(dim: int) -> bool:
    """Whether all directions of a mode are kept, without a spectrum."""
    return dim <= _MOST_VECTORS + 1


def projected_mode(dims: ModeDims) -> int | None:
    """The largest mode, if the spectra of others say what is signal."""
    largest = int(np.argmax(dims))
    others = [dim for mode, dim in enumerate(dims) if mode != largest]
    return None if all(map(is_short, others)) else largest


def unfolded_modes(dims: ModeDims) -> list[int]:
    """Modes whose spectra are taken."""
    projected = projected_mode(dims)
    return [n for n, dim in enumerate(dims) if n != projected and not is_short(dim)]


def other_bases(found: Sequence[Signals], dims: ModeDims, size: int) -> list[Values]:
    """Bases of all modes but the projected one."""
    bases: list[Values] = [np.eye(dim if is_short(dim) else 0) for dim in dims]
    for each in found:
        bases[each.mode] = each.vectors[:, :size]
    return bases


def signals(
    times: Times, times_noise: Times, dims: ModeDims, mode: int, seed: int
) -> Signals:
    """Eigenvectors of one unfolding, as many as are above the noise or more.

    Parameters
    ----------
    times, times_noise
        The unfolding times its transpose, without the diagonal, times a block; and the
        same with the signs of all entries drawn.
    """
    rng, dim = np.random.default_rng((seed, mode)), dims[mode]
    noise = _leading(times_noise, dim, _FEW, rng)[0][0]
    count, above = _VECTORS // 2, _VECTORS
    while above >= count and count < _MOST_VECTORS:
        count *= 2
        eigenvalues, vectors = _leading(times, dim, count, rng)
        above = int(np.sum(eigenvalues > _ABOVE * noise))
    return Signals(mode, above, vectors)


def times_unfolding(unfolding: tuple[Any, Any, Any], block: Values) -> Values:
    """An unfolding times its transpose, without the diagonal, times a block."""
    product = np.zeros_like(block)
    kernels.times_unfolding(*unfolding, np.ascontiguousarray(block), product)
    return product


def unfolding_of(
    indices: Indices, numbers: Values, signs: Signs, dims: ModeDims, mode: int
) -> tuple[tuple[Any, Any, Any], Signs]:
    """Rows and values of the entries, column after column, and where columns begin;
    and the signs of the entries.

    Without columns of one entry, which say nothing once the diagonal is deleted.
    """
    kept = np.flatnonzero(numbers).astype(np.int32)
    column = np.zeros(len(kept), np.int64)
    for other, dim in enumerate(dims):
        if other != mode:
            column *= dim
            column += indices[kept, other]
    order, column = _in_order(column, math.prod(dims) // dims[mode])
    is_new = np.append(True, column[1:] != column[:-1])
    del column
    shared = ~(is_new & np.append(is_new[1:], True))
    order = kept[order[shared]]
    del kept
    begins = np.append(np.flatnonzero(is_new[shared]), len(order))
    rows = np.ascontiguousarray(indices[order, mode], np.int32)
    return (rows, numbers[order].astype(np.float32), begins), signs[order]


def _in_order(
    column: npt.NDArray[np.int64], columns: int
) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.int64]]:
    """A stable sort: the order of the entries, and the sorted columns.

    Done in the memory of the columns if one number can also hold that of its entry.
    """
    count = len(column)
    if columns * count >= 2**63:
        order = np.argsort(column, kind="stable")
        return order, column[order]
    column *= count
    column += np.arange(count, dtype=np.int32)
    column.sort()
    order = np.empty(count, np.int32)
    np.remainder(column, count, out=order, casting="unsafe")
    column //= count
    return order, column


def _leading(
    times: Times, dim: int, count: int, rng: np.random.Generator
) -> tuple[Values, Values]:
    """Leading eigenvalues, falling, and vectors of a symmetric matrix; by a Krylov
    space of blocks (Musco and Musco 2015).
    """
    block = np.linalg.qr(rng.standard_normal((dim, count)))[0]
    bases, products = [block], []
    while True:
        product = times(block)
        products.append(product)
        if len(products) == _STEPS or (len(products) + 1) * count > dim:
            break
        block = product
        for _ in range(2):
            for basis in bases:
                block = block - basis @ (basis.T @ block)
        block = np.linalg.qr(block)[0]
        bases.append(block)
    basis = np.hstack(bases)
    small = basis.T @ np.hstack(products)
    values, vectors = np.linalg.eigh((small + small.T) / 2)
    return values[::-1][:count], basis @ vectors[:, ::-1][:, :count]


def times_others(
    indices: Indices,
    numbers: Values,
    dims: ModeDims,
    bases: Sequence[Values],
    mode: int,
) -> Values:
    """The tensor times the bases of all modes but one, unfolded: a row an index."""
    others = [n for n in range(len(dims)) if n != mode]
    width = math.prod(bases[n].shape[1] for n in others)
    out, length = np.zeros((dims[mode], width)), _block_length(width)
    for begin in range(0, len(numbers), length):
        own = indices[begin : begin + length, mode]
        order = np.argsort(own, kind="stable")
        own = own[order]
        product = _products(indices, numbers, bases, others, begin + order)
        first = np.flatnonzero(np.append(True, own[1:] != own[:-1]))
        out[own[first]] += np.add.reduceat(product, first)
    return out


def leading_vectors(gram: Values, size: int) -> Values:
    """Eigenvectors of the largest eigenvalues of a symmetric matrix."""
    return np.linalg.eigh((gram + gram.T) / 2)[1][:, ::-1][:, :size]


def core_of(indices: Indices, numbers: Values, bases: Sequence[Values]) -> Values:
    """The tensor times all bases."""
    *modes, last = range(len(bases))
    shape = tuple(basis.shape[1] for basis in bases)
    core = np.zeros((math.prod(shape[:-1]), shape[-1]))
    length = _block_length(len(core))
    for begin in range(0, len(numbers), length):
        block = slice(begin, begin + length)
        product = _products(indices, numbers, bases, modes, block)
        core += product.T @ bases[last][indices[block, last]]
    return core.reshape(shape)


def _block_length(width: int) -> int:
    return max(1, _BLOCK * _NARROW // max(_NARROW, width))


def _products(
    indices: Indices,
    numbers: Values,
    bases: Sequence[Values],
    modes: Iterable[int],
    some: Any,
) -> Values:
    """Of some numbers all products with their rows of some modes' bases."""
    product = numbers[some, None]
    for mode in modes:
        own = bases[mode][indices[some, mode]]
        product = (product[:, :, None] * own[:, None, :]).reshape(len(own), -1)
    return product


def components_of_core(
    core: Values, bases: Sequence[Values], size: int, seed: int
) -> Values:
    """Components of a tensor whose core between the bases this is, stacked."""
    factors = _cp_of(core, size, seed)
    return np.concatenate([b @ f for b, f in zip(bases, factors, strict=True)])


def _cp_of(core: Values, size: int, seed: int) -> list[Values]:
    """The best of as many components of a small tensor."""
    order = core.ndim
    starts = np.concatenate([[0], np.cumsum(core.shape)]).astype(np.int64)
    places = np.argwhere(np.ones(core.shape, bool))
    rows = np.ascontiguousarray(places + starts[:-1], np.int32)
    scale = math.sqrt(float(np.mean(core**2))) or 1.0
    values = np.ravel(core) / scale
    fits = PlainFits(starts, rows, values, np.ones(len(rows)), SquaredLoss())
    every = np.arange(len(rows))
    fit = fits.nothing(every, offset=False)
    for number in range(size):
        fit = fits.extended(fit, every, _PENALTY, seed=(seed, number))
    fit = fits.improved(fit, every, _PENALTY, seed=(seed,))
    share = scale ** (1 / order)
    pairs = itertools.pairwise(starts)
    return [share * fit.factors[begin:end] for begin, end in pairs]
