"""Rows without negative entries that minimize a penalized quadratic."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rankrise.completion._layout import numbered
from rankrise.completion._neighbours import coupling, precision_diagonal, within
from rankrise.completion._normal_equations import Equations

# Rounds over the components; each lowers the quadratic, and sweeps follow.
_ROUNDS = 4

Matrix = Float[Array, "room components"]


def solve_non_negative(
    equations: Equations,
    penalty: Float[Array, ""],
    dim: Int[Array, ""],
    correlation: Float[Array, ""],
    start: Matrix,
) -> Matrix:
    """Coordinate descent, component by component, on rows of even and odd number.

    Rows that are neighbours are coupled, so they do not move at once.
    """
    matrices, right = equations
    room, components = right.shape
    place = numbered(room)
    diagonal = penalty * precision_diagonal(place, dim, correlation)
    between = penalty * coupling(correlation)
    even = place % 2 == 0

    def one(number: Array, rows: Matrix) -> Matrix:
        column = number % components
        # Rows beyond the mode's own stay zero, so they pull at none.
        moves = (even == ((number // components) % 2 == 0)) & (place < dim)
        own = matrices[:, column, column] + diagonal
        neighbours = jnp.zeros_like(rows[:, 0])
        neighbours = neighbours.at[1:].add(rows[:-1, column])
        neighbours = neighbours.at[:-1].add(rows[1:, column])
        slope = (
            right[:, column]
            - jnp.einsum("ds,ds->d", matrices[:, column], rows)
            - diagonal * rows[:, column]
            - between * neighbours
        )
        found = jnp.maximum(rows[:, column] + slope / jnp.where(own > 0, own, 1), 0)
        return rows.at[:, column].set(jnp.where(moves, found, rows[:, column]))

    begin = jnp.where(within(start, dim), jnp.maximum(start, 0), 0)
    return jax.lax.fori_loop(0, 2 * _ROUNDS * components, one, begin)
