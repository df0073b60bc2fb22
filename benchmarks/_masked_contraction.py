"""Sums over the observed entries of a slice, for all slices of a mode at once."""

from collections.abc import Sequence

import numpy as np

from _completion_cases import Floats


def contract(tensor: Floats, tables: Sequence[Floats], mode: int) -> Floats:
    r"""Contract all modes but one with the columns of tables.

    Of a tensor $\mathcal{X}$ and tables $T^k$ with rows for indices and columns $w$,

    $$ S_{i w} = \sum_{i_k,\, k \ne n} \mathcal{X}_{i_1 \dots i_N}
       \prod_{k \ne n} T^k_{i_k w} \quad \text{with } i = i_n . $$

    With factor matrices and a tensor that is zero where nothing was observed, these
    are the right sides of least squares; with products of columns and a mask, its
    normal matrices.
    """
    others = [k for k in range(tensor.ndim) if k != mode]
    # The largest mode first and by a matrix product: what it leaves is smallest.
    first, *rest = sorted(others, key=lambda k: -tensor.shape[k])
    left = [k for k in range(tensor.ndim) if k != first]
    sums = np.tensordot(tensor, tables[first], axes=(first, 0))
    column = tensor.ndim
    for k in rest:
        after = [each for each in left if each != k]
        sums = np.einsum(
            sums, [*left, column], tables[k], [k, column], [*after, column]
        )
        left = after
    return sums


def pair_products(factor: Floats) -> Floats:
    """Products of each two columns, in the order of `np.triu_indices`."""
    one, other = np.triu_indices(factor.shape[1])
    return factor[:, one] * factor[:, other]


def symmetric(packed: Floats, components: int) -> Floats:
    """A symmetric matrix a row, from its upper triangle."""
    one, other = np.triu_indices(components)
    matrices = np.empty((len(packed), components, components))
    matrices[:, one, other] = packed
    matrices[:, other, one] = packed
    return matrices


def cp_tensor(factors: Sequence[Floats]) -> Floats:
    """The end tensor of factor matrices."""
    rows = factors[0]
    for factor in factors[1:-1]:
        rows = (rows[:, None, :] * factor[None]).reshape(-1, rows.shape[1])
    dims = [len(factor) for factor in factors]
    return (rows @ factors[-1].T).reshape(dims)
