r"""Normal equations of one mode's rows, the other factor matrices held fixed.

With $h_s = \prod_{m \ne n} w^m_{i_m}$, taken component by component, the prediction at
observation $s$ is $\langle h_s, w^n_{i_n}\rangle$, linear in a row of factor matrix
$n$. A row's equations sum $a_s h_s h_s^\top$ and $a_s y_s h_s$ over its observations.
"""

import functools as ft
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rankrise.completion._layout import ModeLayout, block_of, without
from rankrise.completion._parabola import parabola
from rankrise.problems import AbstractLoss, SquaredLoss

FactorMatrices = tuple[Float[Array, "_ _"], ...]


class Equations(NamedTuple):
    r"""$A_i w_i = b_i$, row by row of a factor matrix."""

    matrices: Float[Array, "dim components components"]
    right: Float[Array, "dim components"]


class Targets(NamedTuple):
    """What the predictions are held against.

    Attributes
    ----------
    weights
        Of every observation in the loss; zero where it is held out.
    offset
        Added to the sum of components before the loss.
    """

    values: Float[Array, " m"]
    weights: Float[Array, " m"]
    offset: Float[Array, ""]


def normal_equations(
    layout: ModeLayout,
    factors: FactorMatrices,
    mode: int,
    targets: Targets,
    loss: AbstractLoss,
) -> Equations:
    """The equations of the quadratic that touches the loss at the factors given."""
    matrix = factors[mode]
    dim, components = matrix.shape

    def of_block(chunks: ModeLayout) -> tuple[Array, Array]:
        products = _row_products(chunks, factors, mode)
        weights, wanted = _quadratic(
            chunks, products, matrix[chunks.row], targets, loss
        )
        weighted = products * weights[..., None]
        return (
            jnp.einsum("clr,cls->crs", weighted, products),
            jnp.einsum("clr,cl->cr", weighted, wanted),
        )

    zeros = (
        jnp.zeros((dim, components, components), matrix.dtype),
        jnp.zeros((dim, components), matrix.dtype),
    )
    return Equations(*sum_by_row(layout, of_block, zeros))


def _row_products(
    chunks: ModeLayout, factors: FactorMatrices, mode: int
) -> Float[Array, "chunks length components"]:
    rows = [
        matrix.at[chunks.others[..., n]].get(mode="promise_in_bounds")
        for n, matrix in enumerate(without(factors, mode))
    ]
    return ft.reduce(jnp.multiply, rows)


def _quadratic(
    chunks: ModeLayout,
    products: Float[Array, "chunks length components"],
    rows: Float[Array, "chunks components"],
    targets: Targets,
    loss: AbstractLoss,
) -> tuple[Float[Array, "chunks length"], Float[Array, "chunks length"]]:
    """Weights and targets of the least squares that stand for the loss here."""
    values = targets.values[chunks.place]
    weights = jnp.where(chunks.there, targets.weights[chunks.place], 0)
    if isinstance(loss, SquaredLoss):
        return weights, values - targets.offset
    here = jnp.einsum("clr,cr->cl", products, rows)
    weight, wanted = parabola(loss, here + targets.offset, values)
    return weights * weight, wanted - targets.offset


def pulls(
    layout: ModeLayout,
    units: FactorMatrices,
    mode: int,
    residuals: Float[Array, " m"],
) -> Float[Array, "dim starts"]:
    r"""$-\nabla\mathcal{L} \times_{m \ne n} u^m$ for several starts as columns."""
    dim, starts = units[mode].shape

    def of_block(chunks: ModeLayout) -> tuple[Array]:
        products = _row_products(chunks, units, mode)
        numbers = jnp.where(chunks.there, residuals[chunks.place], 0)
        return (jnp.einsum("clr,cl->cr", products, numbers),)

    zeros = (jnp.zeros((dim, starts), residuals.dtype),)
    return sum_by_row(layout, of_block, zeros)[0]


def sum_by_row(
    layout: ModeLayout,
    of_block: Callable[[ModeLayout], tuple[Array, ...]],
    zeros: tuple[Array, ...],
) -> tuple[Array, ...]:
    """Sums over each row's chunks, block by block."""
    chunks, length = layout.place.shape
    size = block_of(chunks, length)

    def one_block(number: Array, totals: tuple[Array, ...]) -> tuple[Array, ...]:
        part = jax.tree.map(
            lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, number * size, size),
            layout,
        )
        return tuple(
            total.at[part.row].add(numbers, indices_are_sorted=True)
            for total, numbers in zip(totals, of_block(part), strict=True)
        )

    return jax.lax.fori_loop(0, chunks // size, one_block, zeros)
