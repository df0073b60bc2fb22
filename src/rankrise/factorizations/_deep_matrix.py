"""Deep matrix factorization: the order-2 case the tensor results generalize."""

import functools as ft
import itertools

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rankrise._errors import InputError
from rankrise._typing import ModeDims
from rankrise.factorizations._contract import AbstractFactorization, Loss
from rankrise.factorizations._dense import end_gradient


class DeepMatrixFactorization(AbstractFactorization):
    r"""A product of matrices, $W_e = W_L W_{L-1} \cdots W_1$ (Arora et al. 2019).

    Its components are the singular triples of the end matrix, largest first, and
    component norms are singular values, so their identity over time is their order.

    Attributes
    ----------
    layers
        $W_1, \dots, W_L$: the first maps the columns' mode in, the last maps out to
        the rows' mode.
    """

    layers: tuple[Float[Array, "_ _"], ...]

    def __check_init__(self) -> None:
        shapes = [jnp.shape(layer) for layer in self.layers]
        if not shapes or any(len(shape) != 2 for shape in shapes):
            raise InputError(
                f"The layers have shapes {shapes}; give at least one layer, each of "
                "them a matrix."
            )
        for inner, outer in itertools.pairwise(shapes):
            if inner[0] != outer[1]:
                raise InputError(
                    f"Layer shapes {shapes} do not multiply; give every layer as many "
                    "rows as the next has columns."
                )

    @property
    def mode_dims(self) -> ModeDims:
        return (self.layers[-1].shape[0], self.layers[0].shape[1])

    @property
    def components(self) -> int:
        return min(min(layer.shape) for layer in self.layers)

    @property
    def depth(self) -> int:
        """How many layers."""
        return len(self.layers)

    def entries(self, indices: Int[Array, "m order"]) -> Float[Array, " m"]:
        return self.end_tensor()[indices[:, 0], indices[:, 1]]

    def end_tensor(self) -> Float[Array, "..."]:
        return ft.reduce(lambda product, layer: layer @ product, self.layers)

    def component_norms(self) -> Float[Array, " components"]:
        values = jnp.linalg.svd(self.end_tensor(), compute_uv=False)
        return values[: self.components]

    def unbalancedness(self) -> Float[Array, ""]:
        r"""$\max_j \| W_{j+1}^\top W_{j+1} - W_j W_j^\top \|_F$, zero for depth one."""
        gaps = [
            jnp.linalg.norm(outer.T @ outer - inner @ inner.T)
            for inner, outer in itertools.pairwise(self.layers)
        ]
        return ft.reduce(jnp.maximum, gaps, jnp.zeros((), self.layers[0].dtype))

    def pull(self, loss: Loss) -> Float[Array, " components"]:
        r"""$\langle -\nabla\mathcal{L}(W_e), u_r v_r^\top \rangle$ of each triple."""
        left, values, right = jnp.linalg.svd(self.end_tensor(), full_matrices=False)
        gradient = end_gradient(loss, self)
        pulls = -jnp.einsum("dr,de,re->r", left, gradient, right)
        # Singular vectors of the value zero are arbitrary.
        return jnp.where(values > 0, pulls, 0)[: self.components]
