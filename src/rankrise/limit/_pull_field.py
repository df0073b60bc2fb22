r"""Velocity of components that are near zero, while the loss gradient is constant.

Where unlearned components are small, the gradient $G = \nabla\mathcal{L}$ by the end
tensor is that of the learned ones alone, and every unlearned component evolves by
itself under $\dot w^n = -G \times_{m \neq n} w^m$.
"""

import math
from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rankrise._algebra import balanced_split, khatri_rao
from rankrise._typing import ModeDims
from rankrise.factorizations import (
    AbstractFactorization,
    CPFactorization,
    end_gradient,
)
from rankrise.problems import AbstractProblem

# The dense gradient is contracted by two matrix products, at this cost in multiply-adds
# a component and entry, up to this many entries; beyond, it may not even fit.
_DENSE_ENTRIES = 100_000


class AbstractPullField(eqx.Module):
    r"""The multilinear form $-\langle G, \otimes_n w^n \rangle$ and its derivatives.

    Components are columns of one matrix whose rows are those of all factor matrices,
    one below another.
    """

    mode_dims: eqx.AbstractVar[ModeDims]

    @abstractmethod
    def value(self, model: CPFactorization) -> Float[Array, ""]:
        r"""$-\langle G, \mathcal{W} \rangle$ of a factorization's end tensor."""

    @abstractmethod
    def strength(self) -> Float[Array, ""]:
        """Norm of the gradient, which vanishes when nothing pulls."""

    def velocity(self, vectors: Float[Array, "rows r"]) -> Float[Array, "rows r"]:
        r"""$-G \times_{m \neq n} w^m$ for every component and mode $n$."""
        return jax.grad(lambda v: self.value(unstacked(v, self.mode_dims)))(vectors)


class DensePullField(AbstractPullField):
    """A gradient small enough to be formed, contracted by two matrix products."""

    unfolded: Float[Array, "rows columns"]
    mode_dims: ModeDims = eqx.field(static=True)

    def value(self, model: CPFactorization) -> Float[Array, ""]:
        split = balanced_split(self.mode_dims)
        left = khatri_rao(model.factor_matrices[:split])
        right = khatri_rao(model.factor_matrices[split:])
        return -jnp.sum(left * (self.unfolded @ right))

    def strength(self) -> Float[Array, ""]:
        return jnp.linalg.norm(self.unfolded)


class ObservedPullField(AbstractPullField):
    """A gradient kept as the loss's slopes by the predictions, never formed."""

    problem: AbstractProblem
    slopes: Float[Array, " m"]
    mode_dims: ModeDims = eqx.field(static=True)

    def value(self, model: CPFactorization) -> Float[Array, ""]:
        return -jnp.dot(self.slopes, self.problem.predictions(model))

    def strength(self) -> Float[Array, ""]:
        return jnp.linalg.norm(self.slopes)


def pull_field(
    problem: AbstractProblem, learned: AbstractFactorization
) -> AbstractPullField:
    """The pull on components near zero beside the learned ones."""
    dims = problem.mode_dims
    if math.prod(dims) <= _DENSE_ENTRIES:
        gradient = end_gradient(problem.loss, learned)
        split = balanced_split(dims)
        return DensePullField(
            unfolded=gradient.reshape(math.prod(dims[:split]), math.prod(dims[split:])),
            mode_dims=dims,
        )
    slopes = jax.grad(problem.loss_at)(problem.predictions(learned))
    return ObservedPullField(problem=problem, slopes=slopes, mode_dims=dims)


def stacked(model: CPFactorization) -> Float[Array, "rows r"]:
    """The factor matrices one below another."""
    return jnp.concatenate(model.factor_matrices)


def unstacked(vectors: Float[Array, "rows r"], mode_dims: ModeDims) -> CPFactorization:
    """The factorization whose factor matrices `stacked` put one below another."""
    ends = [sum(mode_dims[: mode + 1]) for mode in range(len(mode_dims) - 1)]
    return CPFactorization(tuple(jnp.split(vectors, ends)))
