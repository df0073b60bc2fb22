"""Inner products with measurement tensors that are kept factored."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from rankrise._algebra import balanced_split


def dense_inner_products(
    tensor: Float[Array, "..."], measurements: tuple[Float[Array, "m _ k"], ...]
) -> Float[Array, " m"]:
    """Inner products of a dense tensor with factored ones: two halves, one product."""
    split = balanced_split(tensor.shape)
    left = _fold(measurements[:split])
    right = _fold(measurements[split:])
    unfolded = tensor.reshape(left.shape[1], right.shape[1])
    partial = jnp.einsum("mpk,pq->mqk", left, unfolded)
    return jnp.sum(partial * right, axis=(1, 2))


def _fold(measurements: tuple[Float[Array, "m _ k"], ...]) -> Float[Array, "m rows k"]:
    folded = measurements[0]
    for factors in measurements[1:]:
        count, _, width = folded.shape
        folded = (folded[:, :, None] * factors[:, None]).reshape(count, -1, width)
    return folded
