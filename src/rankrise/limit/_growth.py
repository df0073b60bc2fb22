r"""Growth of unlearned components under a constant gradient, up to the first escape.

For order $N \ge 3$ a component that is pulled, $\gamma > 0$, escapes to infinity in
finite time: Razin et al. (2021), Theorem 1 gives $u' \ge \gamma u^{N-1}$ for
$u = \sigma^{1/N}$, with equality where it is balanced, and the pull of a component
never falls while the gradient is constant, so that $1/((N-2) \gamma u^{N-2})$ bounds
the time left from above and becomes exact as the component grows.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rankrise._algebra import vector_norms
from rankrise.limit._pull_field import AbstractPullField, unstacked

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
    """

    vectors: Float[Array, "rows r"]
    velocity: Float[Array, "rows r"]
    clock: Float[Array, " r"]
    step: Float[Array, " r"]
    escape: Float[Array, " r"]

    def unfinished(self, horizon: Float[Array, ""]) -> Bool[Array, " r"]:
        """Which have neither escaped nor reached the horizon."""
        return (self.clock < horizon) & jnp.isinf(self.escape)


def begin_growth(field: AbstractPullField, vectors: Float[Array, "rows r"]) -> Growth:
    """Components at the moment the gradient became constant."""
    velocity = field.velocity(vectors)
    speed = vector_norms(velocity)
    step = _FIRST_STEP * vector_norms(vectors) / jnp.where(speed > 0, speed, 1)
    return Growth(
        vectors=vectors,
        velocity=velocity,
        clock=jnp.zeros_like(speed),
        step=jnp.where(speed > 0, step, jnp.inf),
        escape=jnp.full_like(speed, jnp.inf),
    )


def time_left(field: AbstractPullField, growth: Growth) -> Float[Array, " r"]:
    r"""Upper bound $1/((N-2) \gamma u^{N-2})$ of the time left, or infinity."""
    order = len(field.mode_dims)
    size = unstacked(growth.vectors, field.mode_dims).component_norms()
    first = slice(field.mode_dims[0])
    # <w', w> is gamma sigma in every mode.
    rate = jnp.sum(growth.velocity[first] * growth.vectors[first], axis=0)
    pulled = (rate > 0) & (size > 0)
    bound = size ** (2 / order) / ((order - 2) * jnp.where(pulled, rate, 1))
    return jnp.where(pulled, bound, jnp.inf)


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
    slopes = [growth.velocity]
    vectors = growth.vectors
    for weights in _STAGES:
        vectors = growth.vectors + step * _weighted(weights, slopes)
        slopes.append(field.velocity(vectors))
    size = jnp.maximum(vector_norms(growth.vectors), vector_norms(vectors))
    wrong = vector_norms(step * _weighted(_ERROR, slopes))
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
    bound = time_left(field, moved)
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


def _weighted(weights: tuple[float, ...], slopes: list[Array]) -> Array:
    terms = [w * slope for w, slope in zip(weights, slopes, strict=True) if w]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
