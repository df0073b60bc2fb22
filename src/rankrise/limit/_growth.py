r"""Growth of unlearned components under a constant gradient, up to the first escape.

For order $N \ge 3$ a component that is pulled, $\gamma > 0$, escapes to infinity in
finite time: Razin et al. (2021), Theorem 1 gives $u' \ge \gamma u^{N-1}$ for
$u = \sigma^{1/N}$, with equality where it is balanced, and the pull of a component
never falls while the gradient is constant, so that $1/((N-2) \gamma u^{N-2})$ bounds
the time left from above and becomes exact as the component grows.
"""

import functools as ft
import operator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float, Int

from rankrise._algebra import vector_norms
from rankrise._array_namespace import array_namespace
from rankrise._typing import ModeDims
from rankrise.limit._pull_field import AbstractPullField

FloatArray = npt.NDArray[np.floating]

# Dormand and Prince (1980), the pair of orders 5 and 4. The last row is the solution of
# order 5, and its stage the first of the next step.
_STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
STAGES_A_STEP = len(_STAGES)
# One row a stage; a loop over them compiles the velocity once.
_TABLEAU = np.zeros((STAGES_A_STEP, STAGES_A_STEP + 1))
for _row, _weights in zip(_TABLEAU, _STAGES, strict=True):
    _row[: len(_weights)] = _weights
_SAFETY, _SHRINK, _STRETCH = 0.9, 0.2, 5.0
_FIRST_STEP = 0.05


class Growth(eqx.Module):
    """Components on their way, each with a clock and a step of its own.

    Attributes
    ----------
    vectors, velocity
        One column a component, the modes one below another.
    clock
        Time since the gradient became what it is.
    escape
        When the component escapes; infinite as long as it has not.

    Arrays are of NumPy on the host, and of JAX in compiled code.
    """

    vectors: Any
    velocity: Any
    clock: Any
    step: Any
    escape: Any

    def unfinished(self, horizon: float | Float[Array, ""]) -> Any:
        """Which have neither escaped nor reached the horizon."""
        return (self.clock < horizon) & (self.escape == np.inf)


def begin_growth(vectors: FloatArray, velocity: FloatArray) -> Growth:
    """Components at the moment the gradient became constant."""
    speed = np.linalg.norm(velocity, axis=0)
    step = _FIRST_STEP * np.linalg.norm(vectors, axis=0) / np.where(speed > 0, speed, 1)
    return Growth(
        vectors=vectors,
        velocity=velocity,
        clock=np.zeros_like(speed),
        step=np.where(speed > 0, step, np.inf).astype(speed.dtype),
        escape=np.full_like(speed, np.inf),
    )


def time_left(mode_dims: ModeDims, growth: Growth) -> Any:
    r"""Upper bound $1/((N-2) \gamma u^{N-2})$ of the time left, or infinity.

    Takes arrays of NumPy, or of JAX in compiled code.
    """
    xp = array_namespace(growth.vectors)
    order, ends = len(mode_dims), np.cumsum(mode_dims)[:-1]
    squares = [xp.sum(w * w, axis=0) for w in xp.split(growth.vectors, ends)]
    size = ft.reduce(operator.mul, map(xp.sqrt, squares))
    first = slice(mode_dims[0])
    # <w', w> is gamma sigma in every mode.
    rate = xp.sum(growth.velocity[first] * growth.vectors[first], axis=0)
    pulled = (rate > 0) & (size > 0)
    bound = size ** (2 / order) / ((order - 2) * xp.where(pulled, rate, 1))
    return xp.where(pulled, bound, np.inf)


def advance(
    field: AbstractPullField,
    growth: Growth,
    horizon: Float[Array, ""],
    accuracy: Float[Array, ""],
    max_steps: int | Int[Array, ""],
) -> tuple[Growth, Float[Array, ""], Int[Array, ""]]:
    """Take every component to the horizon, or to its escape if that comes earlier.

    The horizon is lowered to the first escape found: a component that passed it
    before that is beyond. Returns the growth, the horizon and the steps taken.

    Parameters
    ----------
    accuracy
        Error of a step over the component's own size, and of an escape time over the
        time it took.
    """

    def running(carry: tuple[Growth, Float[Array, ""], Int[Array, ""]]) -> Array:
        growth, horizon, steps = carry
        return jnp.any(growth.unfinished(horizon)) & (steps < max_steps)

    def body(
        carry: tuple[Growth, Float[Array, ""], Int[Array, ""]],
    ) -> tuple[Growth, Float[Array, ""], Int[Array, ""]]:
        growth, horizon, steps = carry
        growth = _step(field, growth, horizon, accuracy)
        return growth, jnp.minimum(horizon, jnp.min(growth.escape)), steps + 1

    zero = jnp.zeros((), jnp.int32)
    return jax.lax.while_loop(running, body, (growth, horizon, zero))


def _step(
    field: AbstractPullField,
    growth: Growth,
    horizon: Float[Array, ""],
    accuracy: Float[Array, ""],
) -> Growth:
    active = growth.unfinished(horizon)
    left = horizon - growth.clock
    lands = growth.step >= left
    # Finished components stand still: a step of length zero is always accepted.
    step = jnp.where(active, jnp.where(lands, left, growth.step), 0)
    tableau = jnp.asarray(_TABLEAU, step.dtype)

    def stage(number: Array, slopes: Array) -> Array:
        vectors = growth.vectors + step * weighted(tableau[number], slopes)
        return slopes.at[number + 1].set(field.velocity(vectors))

    def weighted(weights: Array, slopes: Array) -> Array:
        return jnp.tensordot(weights, slopes, 1)

    first = jnp.zeros((STAGES_A_STEP + 1, *growth.vectors.shape), step.dtype)
    slopes = jax.lax.fori_loop(
        0, STAGES_A_STEP, stage, first.at[0].set(growth.velocity)
    )
    vectors = growth.vectors + step * weighted(tableau[-1], slopes)
    size = jnp.maximum(vector_norms(growth.vectors), vector_norms(vectors))
    wrong = vector_norms(step * weighted(jnp.asarray(_ERROR, step.dtype), slopes))
    error = wrong / (accuracy * jnp.where(size > 0, size, 1))
    # A step that overflowed has no error; it is rejected and shortened.
    error = jnp.where(jnp.isfinite(error), error, jnp.inf)
    accepted = active & (error <= 1)
    factor = jnp.clip(_SAFETY * jnp.maximum(error, 1e-10) ** -0.2, _SHRINK, _STRETCH)
    clock = jnp.where(lands, horizon, growth.clock + step)
    moved = Growth(
        vectors=jnp.where(accepted, vectors, growth.vectors),
        velocity=jnp.where(accepted, slopes[-1], growth.velocity),
        clock=jnp.where(accepted, clock, growth.clock),
        # The last step before the horizon was shortened, which says nothing.
        step=jnp.where(active & ~(accepted & lands), step * factor, growth.step),
        escape=growth.escape,
    )
    bound = time_left(field.mode_dims, moved)
    escaped = (
        accepted
        & (bound <= _share_left(len(field.mode_dims), accuracy) * moved.clock)
        & (moved.clock + bound < horizon)
    )
    return eqx.tree_at(
        lambda g: g.escape,
        moved,
        jnp.where(escaped, moved.clock + bound, growth.escape),
    )


def _share_left(order: int, accuracy: Float[Array, ""]) -> Float[Array, ""]:
    """Time left over time taken at which a component counts as escaped.

    It is so small that the component has grown enough for its direction to settle,
    and not so large that products of all modes overflow in float32.
    """
    grown = 10.0 ** min(5.0, 30.0 / order)
    return jnp.minimum(accuracy, grown ** (2 - order))
