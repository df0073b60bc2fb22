r"""Factor matrices whose neighbouring rows may be alike.

Rows of a mode with an order, such as time, wavelength or a line of pixels, resemble
their neighbours, and where few entries are observed that is most of what is known of
them. A penalty $\lambda\,\mathrm{tr}(W^\top Q_\rho W)$ says so, where $Q_\rho$ is the
precision of a stationary chain of unit variance whose neighbours are correlated by
$\rho$ (an autoregressive process of order one); $\rho = 0$ is the plain L2 penalty.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Float

from rankrise.completion._normal_equations import Equations

# Correlations below the first count as none; the largest leaves rows some freedom.
LEAST_CORRELATION, MOST_CORRELATION = 0.4, 0.98
# What is assumed before anything is learned.
_FIRST_CORRELATION = 0.9
# With fewer rows there is no telling.
_FEWEST_ROWS = 5

Matrix = Float[Array, "dim components"]
Scalar = Float[Array, ""]


def precision_diagonal(dim: int, correlation: Scalar) -> Float[Array, " dim"]:
    """Diagonal of the chain's precision."""
    if dim == 1:
        return jnp.ones(1, correlation.dtype)
    ends = jnp.zeros(dim, correlation.dtype).at[jnp.array([0, dim - 1])].set(1)
    square = correlation**2
    return (1 + square * (1 - ends)) / (1 - square)


def coupling(correlation: Scalar) -> Scalar:
    """The precision between neighbours."""
    return -correlation / (1 - correlation**2)


def penalties(matrix: Matrix, correlation: Scalar) -> Float[Array, " components"]:
    r"""$w_r^\top Q_\rho w_r$ for every column."""
    diagonal = precision_diagonal(len(matrix), correlation)
    return jnp.sum(diagonal[:, None] * matrix**2, axis=0) + 2 * coupling(
        correlation
    ) * jnp.sum(matrix[1:] * matrix[:-1], axis=0)


def spread_along(matrix: Matrix, correlation: Scalar) -> Matrix:
    r"""$Q_\rho^{-1} W$: every row shared with its neighbours, the less the farther."""

    def step(before: Array, row: Array) -> tuple[Array, Array]:
        total = row + correlation * before
        return total, total

    zero = jnp.zeros_like(matrix[0])
    _, down = jax.lax.scan(step, zero, matrix)
    _, up = jax.lax.scan(step, zero, matrix, reverse=True)
    return down + up - matrix


def neighbour_correlation(matrix: Matrix) -> Scalar:
    """How alike neighbouring rows are, zero unless clearly; a guess if all are zero."""
    if len(matrix) < _FEWEST_ROWS:
        return jnp.zeros((), matrix.dtype)
    left, right = matrix[:-1], matrix[1:]
    sizes = jnp.sqrt(jnp.sum(left**2) * jnp.sum(right**2))
    found = jnp.sum(left * right) / jnp.where(sizes > 0, sizes, 1)
    found = jnp.minimum(found, MOST_CORRELATION)
    found = jnp.where(found > LEAST_CORRELATION, found, 0)
    return jnp.where(jnp.any(matrix != 0), found, _FIRST_CORRELATION)


def solve_rows(
    equations: Equations, penalty: Scalar, correlation: Scalar, start: Matrix
) -> Matrix:
    """The factor matrix that minimizes its penalized quadratic, from any start."""
    del start
    matrices, right = equations
    dim, components = right.shape
    diagonal = penalty * precision_diagonal(dim, correlation)
    damped = matrices + diagonal[:, None, None] * jnp.eye(components)
    if dim < _FEWEST_ROWS:
        return _each(damped, right)
    between = penalty * coupling(correlation)
    return jax.lax.cond(
        correlation == 0,
        lambda: _each(damped, right),
        lambda: _chain(damped, right, between),
    )


def _each(matrices: Array, right: Array) -> Matrix:
    lower = jnp.linalg.cholesky(matrices)
    return cho_solve((lower, True), right[..., None])[..., 0]


def _chain(matrices: Array, right: Array, between: Scalar) -> Matrix:
    """Rows coupled to their neighbours: block elimination forth and back."""
    components = right.shape[-1]
    identity = jnp.eye(components, dtype=right.dtype)

    def forth(carry: tuple[Array, Array], row: tuple[Array, Array]) -> tuple[Any, Any]:
        inverse, mean = carry
        matrix, wanted = row
        lower = jnp.linalg.cholesky(matrix - between**2 * inverse)
        inverse = cho_solve((lower, True), identity)
        mean = inverse @ (wanted - between * mean)
        return (inverse, mean), (inverse, mean)

    def back(after: Array, row: tuple[Array, Array]) -> tuple[Array, Array]:
        inverse, mean = row
        found = mean - between * (inverse @ after)
        return found, found

    zeros = (jnp.zeros_like(identity), jnp.zeros_like(right[0]))
    _, means = jax.lax.scan(forth, zeros, (matrices, right))
    _, rows = jax.lax.scan(back, zeros[1], means, reverse=True)
    return rows
