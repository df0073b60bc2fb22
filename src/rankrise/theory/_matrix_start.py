"""A balanced start for a product of matrices, with singular values set apart."""

import itertools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rankrise._errors import InputError
from rankrise._typing import ModeDims
from rankrise.factorizations import DeepMatrixFactorization, check_layers

# The smallest singular value over the largest.
_SPREAD = 0.3


def balanced_matrix(
    mode_dims: ModeDims, depth: int, *, init_scale: float, key: PRNGKeyArray
) -> DeepMatrixFactorization:
    r"""$W_j = Q_j S Q_{j-1}^\top$ with random orthonormal columns in every $Q_j$.

    Then $W_{j+1}^\top W_{j+1} = W_j W_j^\top$, as Arora et al. (2019) assume, and the
    singular values of the product are those of $S^L$.

    Parameters
    ----------
    init_scale
        The largest singular value of every layer; the others fall evenly, in ratio,
        to 0.3 of it.
    """
    check_layers(mode_dims, depth)
    if not (init_scale > 0 and math.isfinite(init_scale)):
        raise InputError(f"The init scale is {init_scale}; it must be positive.")
    hidden = min(mode_dims)
    values = init_scale * _SPREAD ** jnp.linspace(0.0, 1.0, hidden)
    widths = [mode_dims[1], *[hidden] * (depth - 1), mode_dims[0]]
    keys = jax.random.split(key, len(widths))
    bases = [_orthonormal(k, dim, hidden) for k, dim in zip(keys, widths, strict=True)]
    return DeepMatrixFactorization(
        tuple((outer * values) @ inner.T for inner, outer in itertools.pairwise(bases))
    )


def _orthonormal(key: PRNGKeyArray, rows: int, columns: int) -> Float[Array, "_ _"]:
    basis: Array = jnp.linalg.qr(jax.random.normal(key, (rows, columns)))[0]
    return basis
