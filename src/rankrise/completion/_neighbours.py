r"""Factor matrices whose neighbouring rows may be alike.

Rows of a mode with an order, such as time, wavelength or a line of pixels, resemble
their neighbours, and where few entries are observed that is most of what is known of
them. A penalty $\lambda\,\mathrm{tr}(W^\top Q_\rho W)$ says so, where $Q_\rho$ is the
precision of a stationary chain of unit variance whose neighbours are correlated by
$\rho$ (an autoregressive process of order one); $\rho = 0$ is the plain L2 penalty.

A mode's factor matrix stands in room for more rows. How many are its own, `dim`, is no
constant of the program, so that modes and tensors share it.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Bool, Float, Int

from rankrise.completion._layout import Modes, numbered
from rankrise.completion._normal_equations import Equations, Tall

# Correlations below the first count as none; the largest leaves rows some freedom.
LEAST_CORRELATION, MOST_CORRELATION = 0.4, 0.98
# What is assumed before anything is learned.
_FIRST_CORRELATION = 0.9
# With fewer rows there is no telling.
_FEWEST_ROWS = 5
# Up to so many, LAPACK inverts faster than a loop.
_FEW_COMPONENTS = 8
# Rows that are solved for at once.
_BLOCK_ROWS = 1024

Matrix = Float[Array, "room components"]
Scalar = Float[Array, ""]
Count = Int[Array, ""]


def precision_diagonal(row: Array, dim: Array, correlation: Array) -> Array:
    """Of a chain's precision, at rows of chains of so many rows."""
    square = correlation**2
    ends = (row == 0).astype(square.dtype) + (row == dim - 1).astype(square.dtype)
    return (1 + square * (1 - ends)) / (1 - square)


def coupling(correlation: Array) -> Array:
    """The precision between neighbours."""
    return -correlation / (1 - correlation**2)


def penalties(
    matrix: Matrix, dim: Count, correlation: Scalar
) -> Float[Array, " components"]:
    r"""$w_r^\top Q_\rho w_r$ for every column; rows beyond the chain must be zero."""
    diagonal = precision_diagonal(numbered(len(matrix)), dim, correlation)
    return jnp.sum(diagonal[:, None] * matrix**2, axis=0) + 2 * coupling(
        correlation
    ) * jnp.sum(matrix[1:] * matrix[:-1], axis=0)


def penalties_by_mode(
    tall: Tall, modes: Modes, correlations: Float[Array, " order"]
) -> Float[Array, "order components"]:
    """The same for all modes."""
    mode = jnp.minimum(modes.of_row, len(modes.dims) - 1)
    row = numbered(len(tall)) - modes.starts[mode]
    own = correlations[mode]
    diagonal = precision_diagonal(row, modes.dims[mode], own)
    between = jnp.where(row < modes.dims[mode] - 1, coupling(own), 0)
    # The last row of all couples with none.
    after = jnp.roll(tall, -1, axis=0)
    return modes.rows_of() @ (
        diagonal[:, None] * tall**2 + 2 * between[:, None] * tall * after
    )


def spread_along(matrix: Matrix, dim: Count, correlation: Scalar) -> Matrix:
    r"""$Q_\rho^{-1} W$: every row shared with its neighbours, the less the farther.

    Rows beyond the chain must be zero, and are.
    """

    def step(before: Array, row: Array) -> tuple[Array, Array]:
        total = row + correlation * before
        return total, total

    def spread() -> Matrix:
        zero = jnp.zeros_like(matrix[0])
        _, down = jax.lax.scan(step, zero, matrix)
        _, up = jax.lax.scan(step, zero, matrix, reverse=True)
        return jnp.where(within(matrix, dim), down + up - matrix, 0)

    return jax.lax.cond(correlation == 0, lambda: matrix, spread)


def within(matrix: Matrix, dim: Count) -> Bool[Array, "room 1"]:
    """Which rows are of the chain."""
    return (numbered(len(matrix)) < dim)[:, None]


def neighbour_correlations(tall: Tall, modes: Modes) -> Float[Array, " order"]:
    """How alike neighbouring rows are, zero unless clearly; a guess if all are zero."""
    left, right = tall[:-1], tall[1:]
    pairs = jnp.stack([left * right, left**2, right**2]).sum(axis=-1)
    rows = modes.rows_of()
    # Products of rows of two modes are of neither.
    products, lefts, rights = (rows[:, :-1] * rows[:, 1:] @ pairs.T).T
    sizes = jnp.sqrt(lefts * rights)
    found = products / jnp.where(sizes > 0, sizes, 1)
    found = jnp.minimum(found, MOST_CORRELATION)
    found = jnp.where(found > LEAST_CORRELATION, found, 0)
    there = rows @ jnp.any(tall != 0, axis=1).astype(tall.dtype) > 0
    found = jnp.where(there, found, _FIRST_CORRELATION)
    return jnp.where(modes.dims < _FEWEST_ROWS, 0, found)


def solve_rows(
    equations: Equations,
    penalty: Scalar,
    dim: Count,
    correlation: Scalar,
    start: Matrix,
) -> Matrix:
    """The factor matrix that minimizes its penalized quadratic, from any start."""
    del start
    matrices, right = equations
    rows = numbered(len(right))
    diagonal = penalty * precision_diagonal(rows, dim, correlation)
    between = penalty * coupling(correlation)
    return jax.lax.cond(
        correlation == 0,
        lambda: _each(matrices, right, diagonal, dim),
        lambda: _chain(matrices, right, diagonal, between, dim),
    )


def _each(matrices: Array, right: Array, diagonal: Array, dim: Count) -> Matrix:
    """Rows that know nothing of each other."""
    room, components = right.shape
    identity = jnp.eye(components, dtype=right.dtype)
    size = min(room, _BLOCK_ROWS)

    def one_block(number: Array, found: Matrix) -> Matrix:
        first = number * size
        own, wanted, added = (
            jax.lax.dynamic_slice_in_dim(array, first, size)
            for array in (matrices, right, diagonal)
        )
        lower = jnp.linalg.cholesky(own + added[:, None, None] * identity)
        solved = cho_solve((lower, True), wanted[..., None])[..., 0]
        return jax.lax.dynamic_update_slice_in_dim(found, solved, first, 0)

    blocks = (dim + size - 1) // size
    return jax.lax.fori_loop(0, blocks, one_block, jnp.zeros_like(right))


def _chain(
    matrices: Array, right: Array, diagonal: Array, between: Scalar, dim: Count
) -> Matrix:
    """Rows coupled to their neighbours: block elimination forth and back."""
    components = right.shape[-1]
    identity = jnp.eye(components, dtype=right.dtype)

    def forth(row: Array, carry: tuple[Array, ...]) -> tuple[Any, ...]:
        inverse, mean, inverses, means = carry
        own = matrices[row] + diagonal[row] * identity
        lower = jnp.linalg.cholesky(own - between**2 * inverse)
        inverse = _inverse(lower)
        mean = inverse @ (right[row] - between * mean)
        return inverse, mean, inverses.at[row].set(inverse), means.at[row].set(mean)

    def back(number: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        after, rows = carry
        row = dim - 1 - number
        found = means[row] - between * (inverses[row] @ after)
        return found, rows.at[row].set(found)

    zeros = (jnp.zeros_like(identity), jnp.zeros_like(right[0]))
    empty = (jnp.zeros_like(matrices), jnp.zeros_like(right))
    _, _, inverses, means = jax.lax.fori_loop(0, dim, forth, (*zeros, *empty))
    return jax.lax.fori_loop(0, dim, back, (zeros[1], empty[1]))[1]


def _inverse(lower: Float[Array, "components components"]) -> Array:
    """The inverse of the matrix that has this Cholesky factor."""
    components = len(lower)
    identity = jnp.eye(components, dtype=lower.dtype)
    if components <= _FEW_COMPONENTS:
        return cho_solve((lower, True), identity)

    # Row by row: LAPACK would start threads, which costs many times as much here.
    def one_row(row: Array, root: Array) -> Array:
        found = (identity[row] - lower[row] @ root) / lower[row, row]
        return root.at[row].set(found)

    root = jax.lax.fori_loop(0, components, one_row, jnp.zeros_like(lower))
    return root.T @ root
