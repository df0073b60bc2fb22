"""Tensors given by their entries, and gradients by them."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from rankrise._typing import ModeDims
from rankrise.factorizations._contract import AbstractFactorization, Loss, safe_ratio


class DenseTensor(AbstractFactorization):
    """A tensor given by its entries: the trivial factorization, with one component.

    It serves as a known target, and as the point at which a loss is differentiated
    by the end tensor itself.

    Examples
    --------
    >>> import jax.numpy as jnp, rankrise as rr
    >>> tensor = rr.factorizations.DenseTensor(jnp.array([[3.0, 0.0], [0.0, 4.0]]))
    >>> float(tensor.frobenius_norm())
    5.0
    """

    tensor: Float[Array, "..."]

    @property
    def mode_dims(self) -> ModeDims:
        return self.tensor.shape

    @property
    def components(self) -> int:
        return 1

    def end_tensor(self) -> Float[Array, "..."]:
        return self.tensor

    def component_norms(self) -> Float[Array, " components"]:
        return self.frobenius_norm()[None]

    def unbalancedness(self) -> Float[Array, ""]:
        return jnp.zeros((), self.tensor.dtype)

    def pull(self, loss: Loss) -> Float[Array, " components"]:
        gradient = end_gradient(loss, self)
        norm = self.frobenius_norm()
        return -safe_ratio(jnp.sum(gradient * self.tensor), norm)[None]


def end_gradient(loss: Loss, model: AbstractFactorization) -> Float[Array, "..."]:
    r"""Gradient $\nabla \mathcal{L}(\mathcal{W}_e)$ of a loss by the end tensor."""
    gradient: DenseTensor = eqx.filter_grad(loss)(DenseTensor(model.end_tensor()))
    return gradient.tensor
