r"""Normal equations of one mode's rows, the other factor matrices held fixed.

With $h_s = \prod_{m \ne n} w^m_{i_m}$, taken component by component, the prediction at
observation $s$ is $\langle h_s, w^n_{i_n}\rangle$, linear in a row of factor matrix
$n$. A row's equations sum $a_s h_s h_s^\top$ and $a_s y_s h_s$ over its observations.
"""

import functools as ft
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rankrise.completion._layout import Chunks, Layout
from rankrise.completion._parabola import parabola
from rankrise.losses import AbstractLoss, SquaredLoss

# Factor matrices of all modes, one above another.
Tall = Float[Array, "rows components"]


class Equations(NamedTuple):
    r"""$A_i w_i = b_i$, row by row of a factor matrix."""

    matrices: Float[Array, "dim components components"]
    right: Float[Array, "dim components"]


class Targets(eqx.Module):
    """What the predictions of a group's chunks are held against.

    Attributes
    ----------
    weights
        Of every observation in the loss; zero where it is held out, or none stands.
    """

    values: Float[Array, "modes chunks length"]
    weights: Float[Array, "modes chunks length"]


class Block(NamedTuple):
    """Some chunks of one mode and what else stands at their places."""

    row: Int[Array, " chunks"]
    others: Int[Array, "chunks length others"]
    numbers: tuple[Float[Array, "chunks length"], ...]

    def products(self, tall: Tall) -> Float[Array, "chunks length components"]:
        """The other modes' rows, multiplied."""
        rows = [
            tall.at[self.others[..., n]].get(mode="promise_in_bounds")
            for n in range(self.others.shape[-1])
        ]
        return ft.reduce(jnp.multiply, rows)

    def predictions(
        self, products: Float[Array, "chunks length components"], matrix: Array
    ) -> Float[Array, "chunks length"]:
        """Of the factor matrix of the mode itself."""
        return jnp.einsum("clr,cr->cl", products, matrix[self.row])


def own_rows(layout: Layout, tall: Tall, mode: Int[Array, ""], rows: int) -> Array:
    """A mode's factor matrix; below it, other modes' rows where there is room."""
    return jax.lax.dynamic_slice_in_dim(tall, layout.modes.starts[mode], rows)


def over_blocks(
    chunks: Chunks,
    place: Int[Array, ""],
    numbers: tuple[Array, ...],
    one: Callable[[Any, Int[Array, ""], Block], Any],
    begin: Any,
) -> Any:
    """Carry something over the blocks of chunks of a mode.

    Parameters
    ----------
    place
        The how manieth mode of these chunks.
    numbers
        Arrays that have a number for each place of these chunks.
    one
        Takes what is carried, the number of the first chunk, and a block.
    """
    size = chunks.block_size

    def cut(array: Array, first: Array) -> Array:
        starts = (place, first, *(jnp.int32(0),) * (array.ndim - 2))
        return jax.lax.dynamic_slice(array, starts, (1, size, *array.shape[2:]))[0]

    def step(number: Array, carry: Any) -> Any:
        first = number.astype(jnp.int32) * size
        parts = tuple(cut(array, first) for array in numbers)
        block = Block(cut(chunks.row, first), cut(chunks.others, first), parts)
        return one(carry, first, block)

    return jax.lax.fori_loop(0, chunks.blocks[place], step, begin)


def normal_equations(
    chunks: Chunks,
    place: Int[Array, ""],
    tall: Tall,
    matrix: Float[Array, "dim components"],
    targets: Targets,
    offset: Float[Array, ""],
    loss: AbstractLoss,
) -> Equations:
    """The equations of the quadratic that touches the loss at the factors given.

    Parameters
    ----------
    place
        The how manieth mode of these chunks.
    matrix
        Its factor matrix.
    """
    dim, components = matrix.shape

    def one(totals: Equations, _: Array, block: Block) -> Equations:
        products = block.products(tall)
        weights, wanted = _quadratic(block, products, matrix, offset, loss)
        weighted = products * weights[..., None]
        return Equations(
            _added(totals[0], block, jnp.einsum("clr,cls->crs", weighted, products)),
            _added(totals[1], block, jnp.einsum("clr,cl->cr", weighted, wanted)),
        )

    zeros = Equations(
        jnp.zeros((dim, components, components), matrix.dtype),
        jnp.zeros((dim, components), matrix.dtype),
    )
    numbers = (targets.values, targets.weights)
    return over_blocks(chunks, place, numbers, one, zeros)


def _added(totals: Array, block: Block, numbers: Array) -> Array:
    return totals.at[block.row].add(numbers, indices_are_sorted=True)


def _quadratic(
    block: Block,
    products: Float[Array, "chunks length components"],
    matrix: Float[Array, "dim components"],
    offset: Float[Array, ""],
    loss: AbstractLoss,
) -> tuple[Float[Array, "chunks length"], Float[Array, "chunks length"]]:
    """Weights and targets of the least squares that stand for the loss here."""
    values, weights = block.numbers
    if isinstance(loss, SquaredLoss):
        return weights, values - offset
    here = block.predictions(products, matrix)
    weight, wanted = parabola(loss, here + offset, values)
    return weights * weight, wanted - offset


def pulls(
    chunks: Chunks,
    place: Int[Array, ""],
    units: Float[Array, "rows starts"],
    residuals: Float[Array, "modes chunks length"],
) -> Float[Array, "dim starts"]:
    r"""$-\nabla\mathcal{L} \times_{m \ne n} u^m$ for several starts as columns."""

    def one(total: Array, _: Array, block: Block) -> Array:
        (numbers,) = block.numbers
        sums = jnp.einsum("clr,cl->cr", block.products(units), numbers)
        return _added(total, block, sums)

    zeros = jnp.zeros((chunks.rows, units.shape[1]), units.dtype)
    return over_blocks(chunks, place, (residuals,), one, zeros)
