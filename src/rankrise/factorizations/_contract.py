"""What every factorization offers to problems, observables and solvers."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rankrise._errors import InputError
from rankrise._typing import ModeDims
from rankrise.factorizations._inner_products import dense_inner_products

Loss = Callable[[Any], Float[Array, ""]]


class AbstractFactorization(eqx.Module):
    r"""Parameters that stand for an end tensor $\mathcal{W}_e$.

    A factorization knows nothing of problems: it evaluates its end tensor and
    measures its components. Everything is differentiable, and compiled once per shape.

    A factorization of your own has arrays as fields, and `end_tensor`. Everything else
    has a default that forms the end tensor, except what is said of components. Fields
    that are no parameters are declared by `eqx.field(static=True)`.
    """

    @abstractmethod
    def end_tensor(self) -> Float[Array, "..."]:
        """The whole end tensor; memory grows with the product of mode dimensions."""

    @property
    def mode_dims(self) -> ModeDims:
        """Dimension of every mode of the end tensor."""
        return jax.eval_shape(lambda: self.end_tensor()).shape

    def entries(self, indices: Int[Array, "m order"]) -> Float[Array, " m"]:
        """Entries of the end tensor at index rows counted from 0.

        The way of computing them is chosen from shapes. Indices out of range are
        not detected here: `Observations` refuses them.
        """
        return self.end_tensor()[tuple(indices.T)]

    def inner_products(
        self, measurements: tuple[Float[Array, "m _ k"], ...]
    ) -> Float[Array, " m"]:
        r"""Inner products with CP-rank-$k$ measurement tensors, kept factored.

        `measurements` holds, mode by mode, one matrix (mode dimension times $k$) per
        measurement tensor. No measurement tensor is formed.
        """
        return dense_inner_products(self.end_tensor(), measurements)

    def frobenius_norm(self) -> Float[Array, ""]:
        r"""Frobenius norm $\|\mathcal{W}_e\|$ of the end tensor."""
        tensor = self.end_tensor()
        return jnp.sqrt(jnp.sum(tensor * tensor))

    def parameter_norms(self) -> Float[Array, " groups"]:
        """Euclidean norms of groups of parameters that have a size of their own.

        A group is a component where every parameter belongs to one, else an array (a
        layer). A solver with error control measures its error group by group.
        """
        arrays = jax.tree.leaves(self)
        return jnp.stack([jnp.sqrt(jnp.sum(array * array)) for array in arrays])

    @property
    def has_components(self) -> bool:
        """Whether it says how many components it has."""
        return type(self).components is not AbstractFactorization.components

    @property
    def components(self) -> int:
        """How many components, which bounds the CP rank of the end tensor."""
        raise self._without("components")

    def component_norms(self) -> Float[Array, " components"]:
        r"""Norm $\sigma_r$ of every component."""
        raise self._without("component_norms")

    def unbalancedness(self) -> Float[Array, ""]:
        """Unbalancedness magnitude; zero means balanced, and gradient flow keeps it."""
        raise self._without("unbalancedness")

    def pull(self, loss: Loss) -> Float[Array, " components"]:
        r"""Pull $\gamma_r$ of minus the loss gradient on every normalized component.

        `loss` takes a factorization with this one's mode dimensions. The pull is
        zero where a component is exactly zero, for it has no direction.
        """
        raise self._without("pull")

    def _without(self, name: str) -> InputError:
        return InputError(
            f"{type(self).__name__} defines no `{name}`, which is asked of it; measure "
            "something else, or give it the components it is a sum of."
        )


def safe_ratio(numerator: Array, denominator: Array) -> Array:
    """The quotient, and zero where the denominator is."""
    nonzero = denominator != 0
    return jnp.where(nonzero, numerator / jnp.where(nonzero, denominator, 1), 0)
