"""Spectral radius of the Hessian, by power iteration."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rankrise.factorizations import AbstractFactorization
from rankrise.problems import AbstractProblem
from rankrise.solvers._contract import tree_norm

# Enough that the radius is known to a few percent; the safety factor covers the rest.
_CHANGE = 0.02
_SAFETY = 1.1
_PRODUCTS_AT_FIRST = 50
_PRODUCTS_AFTERWARDS = 4
# A Hessian-vector product costs about as much as two gradients.
EVALUATIONS_A_PRODUCT = 2


class Radius(NamedTuple):
    """An estimate of the spectral radius.

    Attributes
    ----------
    value
        A little above the estimate.
    direction
        Vector of norm one, near the eigenvector: where the next iteration begins.
    products
        Hessian-vector products taken for it.
    """

    value: Float[Array, ""]
    direction: AbstractFactorization
    products: Int[Array, ""]


def spectral_radius(
    problem: AbstractProblem,
    model: AbstractFactorization,
    last: Radius | None = None,
) -> Radius:
    r"""Largest $|\lambda|$ of the Hessian $\nabla^2 \phi$ of the objective.

    The Hessian is symmetric, so the norms of $H v$ along a power iteration rise to it.
    From the estimate at a nearby point, `last`, one product often is enough.
    """
    most_products = _PRODUCTS_AT_FIRST if last is None else _PRODUCTS_AFTERWARDS
    last = _guess(problem, model) if last is None else last
    gradient = eqx.filter_grad(problem.loss)

    def product(vector: AbstractFactorization) -> AbstractFactorization:
        _, along = jax.jvp(gradient, (model,), (vector,))
        curved: AbstractFactorization = along
        return curved

    def unsettled(
        carry: tuple[AbstractFactorization, Array, Array, Int[Array, ""]],
    ) -> Bool[Array, ""]:
        _, norm, before, count = carry
        return (jnp.abs(norm - before) > _CHANGE * norm) & (count < most_products)

    def iterate(
        carry: tuple[AbstractFactorization, Array, Array, Int[Array, ""]],
    ) -> tuple[AbstractFactorization, Array, Array, Int[Array, ""]]:
        vector, norm, _, count = carry
        curved = product(vector)
        new = tree_norm(curved)
        # Where the Hessian is zero, there is nothing to turn towards.
        scale = jnp.where(new > 0, new, 1)
        turned = jax.tree.map(
            lambda c, v: jnp.where(new > 0, c / scale, v), curved, vector
        )
        return turned, new, norm, count + 1

    known = last.value / _SAFETY
    start = (
        last.direction,
        known,
        jnp.full_like(known, jnp.inf),
        jnp.zeros((), jnp.int32),
    )
    vector, norm, _, count = jax.lax.while_loop(unsettled, iterate, start)
    return Radius(_SAFETY * norm, vector, count)


def _guess(problem: AbstractProblem, model: AbstractFactorization) -> Radius:
    gradient = eqx.filter_grad(problem.loss)(model)
    norm = tree_norm(gradient)
    # At a stationary point any direction will do.
    pointing = jax.tree.map(
        lambda g: jnp.where(norm > 0, g / jnp.where(norm > 0, norm, 1), 1), gradient
    )
    return Radius(jnp.zeros_like(norm), pointing, jnp.zeros((), jnp.int32))
