r"""Targets of known CP rank, kept as factor matrices.

A target $\mathcal{W} = \sum_r w_r^1 \otimes \dots \otimes w_r^N$ is one factor matrix
(mode dimension x component) for every mode; the tensor itself is never formed.
"""

import functools as ft
import math
from collections.abc import Sequence

import numpy as np

from rankrise._errors import InputError
from rankrise._typing import Indices, ModeDims, Values
from rankrise.synthetic._synthetic import (
    Stream,
    at_least_one,
    checked_mode_dims,
    generator,
    row_blocks,
)
from rankrise.tensors import refuse_out_of_range


def random_target(
    mode_dims: ModeDims,
    cp_rank: int,
    *,
    frobenius_norm: float = 1.0,
    symmetric: bool = False,
    seed: int,
) -> tuple[Values, ...]:
    """Factor matrices of a random tensor with a given CP rank and Frobenius norm.

    The entries of the factor matrices are independent standard Gaussians before all
    modes are scaled by one number. The CP rank is the given one with probability one
    as long as tensors of that rank need as many components, which fails only when
    `cp_rank` is so large that fewer components fill the space.

    Parameters
    ----------
    symmetric
        Use one matrix for every mode: permuting the modes leaves the tensor as it is.
        Needs equal mode dimensions.
    seed
        The same seed may be given to all functions for synthetic data: what they
        draw from it is independent.

    Examples
    --------
    >>> import rankrise as rr
    >>> factors = rr.synthetic.random_target((4, 5, 6), cp_rank=2, seed=0)
    >>> [matrix.shape for matrix in factors]
    [(4, 2), (5, 2), (6, 2)]
    >>> round(float(rr.synthetic.cp_frobenius_norm(factors)), 6)
    1.0
    """
    dims = checked_mode_dims(mode_dims)
    at_least_one("CP rank of the target", cp_rank)
    if not 0 < frobenius_norm < math.inf:
        raise InputError(
            f"The Frobenius norm of the target is {frobenius_norm}; it must be "
            "positive and finite."
        )
    rng = generator(seed, Stream.TARGET)
    if not symmetric:
        gaussian = tuple(rng.standard_normal((dim, cp_rank)) for dim in dims)
    elif len(set(dims)) == 1:
        gaussian = (rng.standard_normal((dims[0], cp_rank)),) * len(dims)
    else:
        raise InputError(
            f"A symmetric target needs equal mode dimensions, not {dims}; make them "
            "equal or leave symmetric out."
        )
    return scaled_to(gaussian, frobenius_norm)


def khatri_rao(matrices: Sequence[Values]) -> Values:
    """Column-wise Kronecker product; rows of the last matrix run fastest."""
    return ft.reduce(
        lambda a, b: (a[:, None] * b).reshape(len(a) * len(b), a.shape[1]), matrices
    )


def cp_entries(factor_matrices: tuple[Values, ...], indices: Indices) -> Values:
    """Entries of a CP tensor at index rows, counted from 0.

    The rows are taken in blocks: beyond the result, memory does not grow with them.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> factors = np.array([[1.0], [2.0]]), np.array([[3.0], [4.0], [5.0]])
    >>> rr.synthetic.cp_entries(factors, np.array([[0, 0], [1, 2]]))
    array([ 3., 10.])
    """
    refuse_out_of_range(indices, target_mode_dims(factor_matrices))
    entries = np.empty(len(indices))
    for block in row_blocks(len(indices), factor_matrices[0].shape[1]):
        picked = (
            matrix[index]
            for matrix, index in zip(factor_matrices, indices[block].T, strict=True)
        )
        entries[block] = ft.reduce(np.multiply, picked).sum(axis=1)
    return entries


def cp_frobenius_norm(factor_matrices: tuple[Values, ...]) -> float:
    """Frobenius norm of a CP tensor, from the Gram matrices of its factor matrices.

    Where components cancel, the error is about 1e-8 of the largest component norm,
    not of the result.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> rr.synthetic.cp_frobenius_norm((np.full((2, 1), 3.0), np.ones((2, 1))))
    6.0
    """
    target_mode_dims(factor_matrices)
    return float(np.exp(_log_frobenius_norm(factor_matrices)))


def cp_component_norms(factor_matrices: tuple[Values, ...]) -> Values:
    """Norm of every component of a CP tensor, largest first."""
    norms = (np.linalg.norm(matrix, axis=0) for matrix in factor_matrices)
    return np.sort(ft.reduce(np.multiply, norms))[::-1]


def root_mean_square_entry(factor_matrices: tuple[Values, ...]) -> float:
    """Frobenius norm over the square root of the number of entries."""
    entry_count = math.prod(target_mode_dims(factor_matrices))
    # 784 modes have more entries than the largest float; the logarithm fits.
    log_norm = _log_frobenius_norm(factor_matrices)
    return float(np.exp(log_norm - math.log(entry_count) / 2))


def scaled_to(factors: tuple[Values, ...], frobenius_norm: float) -> tuple[Values, ...]:
    """Scale CP tensors to a Frobenius norm, every mode by the same number.

    The last two axes are mode dimension and component; axes before count tensors,
    each of which is scaled by itself.
    """
    log_scale = math.log(frobenius_norm) - _log_frobenius_norm(factors)
    scale = np.exp(log_scale / len(factors))[..., None, None]
    return tuple(matrix * scale for matrix in factors)


def target_mode_dims(factor_matrices: tuple[Values, ...]) -> ModeDims:
    """Mode dimensions of factor matrices, which must fit together."""
    shapes = [matrix.shape for matrix in factor_matrices]
    if any(len(shape) != 2 for shape in shapes) or len({s[1] for s in shapes}) != 1:
        raise InputError(
            f"The factor matrices have shapes {shapes}; each needs one row per index "
            "of its mode and all the same number of components (columns)."
        )
    at_least_one("number of components", shapes[0][1])
    return checked_mode_dims(tuple(shape[0] for shape in shapes))


def _log_frobenius_norm(factors: tuple[Values, ...]) -> Values:
    r"""Logarithms of the Frobenius norms of CP tensors, minus infinity for zero.

    With component norms $\sigma_r$ and cosines $c_{rs}^n$ between the columns of mode
    $n$, $\|\mathcal{W}\|^2 = \sum_{rs} \sigma_r \sigma_s \prod_n c_{rs}^n$. Axes are
    as in `scaled_to`.
    """
    columns = (np.asarray(matrix, dtype=np.float64) for matrix in factors)
    log_norms, cosines = zip(*map(_log_norms_and_cosines, columns), strict=True)
    # A product of hundreds of column norms overflows, so sum their logarithms.
    log_sigma = sum(log_norms)
    largest = log_sigma.max(axis=-1)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    sigma = np.exp(log_sigma - largest[..., None])
    squared = np.einsum(
        "...r,...rs,...s->...", sigma, ft.reduce(np.multiply, cosines), sigma
    )
    with np.errstate(divide="ignore"):
        # Rounding can leave a sum that should be zero slightly below it.
        return np.asarray(largest + np.log(np.maximum(squared, 0.0)) / 2)


def _log_norms_and_cosines(matrix: Values) -> tuple[Values, Values]:
    norms = np.linalg.norm(matrix, axis=-2)
    directions = matrix / np.where(norms > 0, norms, 1.0)[..., None, :]
    with np.errstate(divide="ignore"):
        return np.log(norms), directions.swapaxes(-1, -2) @ directions
