"""Distance between two factorizations' end tensors."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from rankrise._algebra import gram_norm
from rankrise._errors import InputError
from rankrise.factorizations._contract import AbstractFactorization
from rankrise.factorizations._cp import CPFactorization
from rankrise.factorizations._entries import GRID_ENTRIES


def end_tensor_distance(
    first: AbstractFactorization, second: AbstractFactorization
) -> Float[Array, ""]:
    """Frobenius distance of two end tensors.

    Tensors too large to form are compared through Gram matrices, which loses half of
    the digits: distances below about 1e-3 of the norm (float32) are noise there.

    Examples
    --------
    >>> import jax.numpy as jnp, rankrise as rr
    >>> first = rr.factorizations.DenseTensor(jnp.array([0.0, 0.0]))
    >>> second = rr.factorizations.DenseTensor(jnp.array([3.0, 4.0]))
    >>> float(rr.factorizations.end_tensor_distance(first, second))
    5.0
    """
    if first.mode_dims != second.mode_dims:
        raise InputError(
            f"The end tensors have mode dimensions {first.mode_dims} and "
            f"{second.mode_dims}; only tensors of one shape can be compared."
        )
    if math.prod(first.mode_dims) <= GRID_ENTRIES:
        difference = first.end_tensor() - second.end_tensor()
        return jnp.sqrt(jnp.sum(difference * difference))
    if not (isinstance(first, CPFactorization) and isinstance(second, CPFactorization)):
        raise InputError(
            f"A tensor of {math.prod(first.mode_dims)} entries is compared without "
            "forming it, which needs both sides as CP factorizations."
        )
    signs = [-1.0] + [1.0] * (len(second.factor_matrices) - 1)
    return gram_norm(
        [
            jnp.concatenate([left, sign * right], axis=1)
            for left, right, sign in zip(
                first.factor_matrices, second.factor_matrices, signs, strict=True
            )
        ]
    )
