"""What every factorization offers to problems, observables and solvers."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rankrise._typing import ModeDims

Loss = Callable[[Any], Float[Array, ""]]


class AbstractFactorization(eqx.Module):
    r"""Parameters that stand for an end tensor $\mathcal{W}_e$.

    A factorization knows nothing of problems: it evaluates its end tensor and
    measures its components. Everything is differentiable, and compiled once a shape.
    """

    @property
    @abstractmethod
    def mode_dims(self) -> ModeDims:
        """Dimension of every mode of the end tensor."""

    @property
    @abstractmethod
    def components(self) -> int:
        """How many components, which bounds the CP rank of the end tensor."""

    @abstractmethod
    def entries(self, indices: Int[Array, "m order"]) -> Float[Array, " m"]:
        """Entries of the end tensor at index rows counted from 0.

        The way of computing them is chosen from shapes. Indices out of range are
        not detected here: `Observations` refuses them.
        """

    @abstractmethod
    def end_tensor(self) -> Float[Array, "..."]:
        """The whole end tensor; memory grows with the product of mode dimensions."""

    @abstractmethod
    def inner_products(
        self, measurements: tuple[Float[Array, "m _ k"], ...]
    ) -> Float[Array, " m"]:
        r"""Inner products with CP-rank-$k$ measurement tensors, kept factored.

        `measurements` holds, mode by mode, one matrix (mode dimension times $k$) per
        measurement tensor. No measurement tensor is formed.
        """

    @abstractmethod
    def component_norms(self) -> Float[Array, " components"]:
        r"""Norm $\sigma_r$ of every component."""

    @abstractmethod
    def parameter_norms(self) -> Float[Array, " groups"]:
        """Euclidean norms of groups of parameters that have a size of their own.

        A group is a component where every parameter belongs to one, else a layer. A
        solver with error control measures its error group by group.
        """

    @abstractmethod
    def unbalancedness(self) -> Float[Array, ""]:
        """Unbalancedness magnitude; zero means balanced, and gradient flow keeps it."""

    @abstractmethod
    def pull(self, loss: Loss) -> Float[Array, " components"]:
        r"""Pull $\gamma_r$ of minus the loss gradient on every normalized component.

        `loss` takes a factorization with this one's mode dimensions. The pull is
        zero where a component is exactly zero, for it has no direction.
        """

    @abstractmethod
    def frobenius_norm(self) -> Float[Array, ""]:
        r"""Frobenius norm $\|\mathcal{W}_e\|$ of the end tensor."""


def safe_ratio(numerator: Array, denominator: Array) -> Array:
    """The quotient, and zero where the denominator is."""
    nonzero = denominator != 0
    return jnp.where(nonzero, numerator / jnp.where(nonzero, denominator, 1), 0)
