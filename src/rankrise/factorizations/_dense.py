"""Tensors given by their entries, and gradients by them."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rankrise._algebra import balanced_split
from rankrise._typing import ModeDims
from rankrise.factorizations._contract import AbstractFactorization, Loss, safe_ratio


class DenseTensor(AbstractFactorization):
    """A tensor given by its entries: the trivial factorization, with one component.

    It serves as a known target, and as the point at which a loss is differentiated
    by the end tensor itself.
    """

    tensor: Float[Array, "..."]

    @property
    def mode_dims(self) -> ModeDims:
        return self.tensor.shape

    @property
    def components(self) -> int:
        return 1

    def entries(self, indices: Int[Array, "m order"]) -> Float[Array, " m"]:
        return self.tensor[tuple(indices.T)]

    def end_tensor(self) -> Float[Array, "..."]:
        return self.tensor

    def inner_products(
        self, measurements: tuple[Float[Array, "m _ k"], ...]
    ) -> Float[Array, " m"]:
        return dense_inner_products(self.tensor, measurements)

    def component_norms(self) -> Float[Array, " components"]:
        return self.frobenius_norm()[None]

    def parameter_norms(self) -> Float[Array, " groups"]:
        return self.frobenius_norm()[None]

    def unbalancedness(self) -> Float[Array, ""]:
        return jnp.zeros((), self.tensor.dtype)

    def pull(self, loss: Loss) -> Float[Array, " components"]:
        gradient = end_gradient(loss, self)
        norm = self.frobenius_norm()
        return -safe_ratio(jnp.sum(gradient * self.tensor), norm)[None]

    def frobenius_norm(self) -> Float[Array, ""]:
        return jnp.sqrt(jnp.sum(self.tensor * self.tensor))


def end_gradient(loss: Loss, model: AbstractFactorization) -> Float[Array, "..."]:
    r"""Gradient $\nabla \mathcal{L}(\mathcal{W}_e)$ of a loss by the end tensor."""
    gradient: DenseTensor = eqx.filter_grad(loss)(DenseTensor(model.end_tensor()))
    return gradient.tensor


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
