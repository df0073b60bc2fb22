"""Growth rates along the flow's velocity, and pulls by an independent route."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rankrise.factorizations import (
    AbstractFactorization,
    CPFactorization,
    end_gradient,
)
from rankrise.problems import AbstractProblem
from rankrise.solvers import velocity


class Rates(NamedTuple):
    r"""What the laws of growth need, and what is measured: one row per time.

    Attributes
    ----------
    squares
        $\|w_r^n\|^2$, one row per mode.
    pull, same_pull
        From the end tensor's gradient, and from that of the parameters.
    steepness
        Frobenius norm of the end tensor's gradient.
    measured
        $d\sigma_r/dt$ along the flow's velocity.
    """

    norms: Array
    squares: Array
    pull: Array
    same_pull: Array
    steepness: Array
    measured: Array
    unbalancedness: Array


@eqx.filter_jit
def rates_along(problem: AbstractProblem, models: Any) -> Rates:
    """The rates of CP factorizations that are stacked along their first axis."""

    def at(model: CPFactorization) -> Rates:
        gradient, steepness = end_gradient_of(problem, model)
        return Rates(
            norms=model.component_norms(),
            squares=squared_norms(model),
            pull=dense_pull(gradient, model),
            same_pull=model.pull(problem.loss),
            steepness=steepness,
            measured=measured_rates(problem, model),
            unbalancedness=model.unbalancedness(),
        )

    rates: Rates = eqx.filter_vmap(at)(models)
    return rates


def measured_rates(
    problem: AbstractProblem, model: AbstractFactorization
) -> Float[Array, " components"]:
    r"""$d\sigma_r/dt$: component norms differentiated along the flow's velocity."""

    def norms(each: AbstractFactorization) -> Float[Array, " components"]:
        return each.component_norms()

    _, rates = jax.jvp(norms, (model,), (velocity(problem, model),))
    return rates


def dense_pull(
    gradient: Float[Array, "..."], model: CPFactorization
) -> Float[Array, " components"]:
    r"""$\gamma_r = \langle -\nabla\mathcal{L}(\mathcal{W}_e), \otimes_n \hat w_r^n
    \rangle$ from the end tensor's gradient, contracted one mode at a time.

    `CPFactorization.pull` gets the same from the parameters' gradient.
    """
    _, units = model.normalized()
    contracted = jnp.einsum("i...,ir->...r", gradient, units[0])
    for unit in units[1:]:
        contracted = jnp.einsum("i...r,ir->...r", contracted, unit)
    return -contracted


def end_gradient_of(
    problem: AbstractProblem, model: AbstractFactorization
) -> tuple[Float[Array, "..."], Float[Array, ""]]:
    r"""$\nabla\mathcal{L}(\mathcal{W}_e)$ and its Frobenius norm."""
    gradient = end_gradient(problem.loss, model)
    return gradient, jnp.sqrt(jnp.sum(gradient * gradient))


def squared_norms(model: CPFactorization) -> Float[Array, "order components"]:
    r"""$\|w_r^n\|^2$, one row per mode."""
    return jnp.stack([jnp.sum(w * w, axis=0) for w in model.factor_matrices])


def balance(model: CPFactorization) -> CPFactorization:
    """The same end tensor and components, with equal norms in every mode."""
    norms, units = model.normalized()
    share = norms ** (1 / len(units))
    return CPFactorization(tuple(unit * share for unit in units))


def unbalance(model: CPFactorization, ratio: float) -> CPFactorization:
    """The same end tensor, with vectors of the first mode `ratio` times as long as
    those of the last, and those of modes between in between.

    The component norms are those of the balanced factorization.
    """
    balanced = balance(model)
    order = len(balanced.factor_matrices)
    powers = [0.5 - mode / (order - 1) for mode in range(order)]
    return CPFactorization(
        tuple(
            ratio**power * matrix
            for power, matrix in zip(powers, balanced.factor_matrices, strict=True)
        )
    )


def relative_unbalancedness(model: CPFactorization) -> Float[Array, ""]:
    """Unbalancedness magnitude over the largest squared norm of a vector."""
    return model.unbalancedness() / jnp.max(squared_norms(model))


def component(model: CPFactorization, place: int) -> CPFactorization:
    """One component alone."""
    return CPFactorization(
        tuple(matrix[:, place : place + 1] for matrix in model.factor_matrices)
    )
