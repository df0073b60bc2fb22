r"""Where components enter in a large sparse tensor: spectra of its unfoldings.

A direction that starts at random follows the largest entries there. The leading
eigenvectors of $X_{(n)} X_{(n)}^\top$ with its diagonal deleted do not (Montanari and
Sun 2018, "Spectral algorithms for tensor completion"): every entry meets only others of
its column. The same spectrum with the signs of all entries drawn at random says which
eigenvalues are more than noise.
"""

import itertools
import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._typing import Indices, ModeDims, Values
from rankrise.completion._compiled import kernels
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
# Observations that are summed over at once.
_BLOCK = 2**16
# With more observations one unfolding at a time is held in memory.
_ONE_AT_A_TIME = 30_000_000
_PENALTY = 1e-3
_SORTING = threading.Lock()


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
    starts = np.concatenate([[0], np.cumsum(dims)]).astype(np.int64)
    modes = range(len(dims))
    run: Callable[..., Any] = map
    if pool is not None and count <= _ONE_AT_A_TIME:
        run = pool.map
    found = list(run(lambda n: _signal(indices, numbers, dims, n, seed), modes))
    size = max(vectors.shape[1] for vectors, _ in found)
    if not size:
        return np.empty((int(starts[-1]), 0))
    bases = [more(size) for _, more in found]
    core = _core(indices, numbers, bases) * (math.prod(dims) / count)
    factors = _cp_of(core, size, seed)
    return np.concatenate([b @ f for b, f in zip(bases, factors, strict=True)])


def _signal(
    indices: Indices, numbers: Values, dims: ModeDims, mode: int, seed: int
) -> tuple[Values, Callable[[int], Values]]:
    """Eigenvectors of one unfolding whose eigenvalues are above those of noise, and
    what gives as many as are asked for: of a short mode all.
    """
    if dims[mode] <= _MOST_VECTORS + 1:
        return np.empty((dims[mode], 0)), lambda size: np.eye(dims[mode])
    # One at a time: sorting takes more memory than what comes of it.
    with _SORTING:
        unfolding = _unfolding(indices, numbers, dims, mode)
    rows, values, begins = unfolding
    rng = np.random.default_rng((seed, mode))
    signs = rng.integers(0, 2, len(values), np.int8) * np.int8(2) - np.int8(1)
    noise = _leading((rows, values * signs, begins), dims[mode], _FEW, rng)[0][0]
    del signs
    count, above = _VECTORS // 2, _VECTORS
    while above >= count and count < _MOST_VECTORS:
        count *= 2
        eigenvalues, vectors = _leading(unfolding, dims[mode], count, rng)
        above = int(np.sum(eigenvalues > _ABOVE * noise))
    return vectors[:, :above], lambda size: vectors[:, :size]


def _unfolding(
    indices: Indices, numbers: Values, dims: ModeDims, mode: int
) -> tuple[Any, Any, Any]:
    """Rows and values of the entries, column after column, and where columns begin.

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
    return rows, numbers[order].astype(np.float32), begins


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
    unfolding: tuple[Any, Any, Any], dim: int, count: int, rng: np.random.Generator
) -> tuple[Values, Values]:
    """Leading eigenvalues, falling, and vectors of the unfolding times its transpose,
    without the diagonal; by a Krylov space of blocks (Musco and Musco 2015).
    """
    block = np.linalg.qr(rng.standard_normal((dim, count)))[0]
    bases, products = [block], []
    while True:
        product = np.zeros_like(block)
        kernels.times_unfolding(*unfolding, np.ascontiguousarray(block), product)
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


def _core(indices: Indices, numbers: Values, bases: Sequence[Values]) -> Values:
    """The tensor times all bases."""
    order, shape = len(bases), tuple(basis.shape[1] for basis in bases)
    core = np.zeros((math.prod(shape[:-1]), shape[-1]))
    for begin in range(0, len(numbers), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        product = numbers[block, None]
        for mode in range(order - 1):
            own = bases[mode][indices[block, mode]]
            product = (product[:, :, None] * own[:, None, :]).reshape(len(own), -1)
        core += product.T @ bases[-1][indices[block, -1]]
    return core.reshape(shape)


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
