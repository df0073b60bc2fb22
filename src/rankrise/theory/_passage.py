"""From near zero to the sphere, and on from there."""

from typing import Any, NamedTuple, Unpack

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from rankrise._typing import Values
from rankrise.factorizations import AbstractFactorization, CPFactorization
from rankrise.problems import AbstractProblem
from rankrise.solvers import flow_until, velocity
from rankrise.theory._measuring import Tolerances
from rankrise.theory._rank_one_setting import RankOneSetting, scaled

# Saved times of every trajectory; one number of them, so one compilation serves all.
SAVES = 100
_NEWTON_STEPS = 12
# From the sphere on, where the horizon is not given.
_STEPS_AHEAD = 4000
# Of the time: as near as floating point comes.
_AT_SPHERE = 1e-13


def _norm(problem: AbstractProblem, model: AbstractFactorization) -> Array:
    return model.frobenius_norm()


def _formed_norm(model: AbstractFactorization) -> Array:
    """The norm to full precision, which inner products of components lose."""
    tensor = model.end_tensor()
    return jnp.sqrt(jnp.sum(tensor * tensor))


class Passage(NamedTuple):
    """A trajectory from one init scale.

    Attributes
    ----------
    escape_time
        When the end tensor's norm first equals the radius.
    at_sphere
        The factorization at that time.
    models
        From the sphere on, at `times` after it.
    """

    alpha: float
    escape_time: float
    at_sphere: CPFactorization
    times: Values
    models: Any
    succeeded: bool


def passage(
    setting: RankOneSetting,
    alpha: float,
    horizon: float,
    **tolerances: Unpack[Tolerances],
) -> Passage | None:
    """Follow one start to the sphere, and for the horizon from there.

    None where the sphere was not reached, or the time of it not found to precision.
    `tolerances` are rtol and atol of `flow_until`.
    """
    problem, start = setting.problem, scaled(setting.directions, alpha)
    crossing = flow_until(
        problem, start, _norm, setting.radius, times=SAVES, **tolerances
    )
    if not crossing.reached:
        return None
    time, model = crossing.time, crossing.model
    for _ in range(_NEWTON_STEPS):
        step = float(_time_beyond(problem, model, jnp.asarray(setting.radius)))
        time -= step
        model = last(followed(problem, start, saved_times(time), **tolerances).models)
        if abs(step) <= _AT_SPHERE * time:
            break
    else:
        return None
    times = saved_times(horizon)
    models, succeeded = followed(problem, model, times, **tolerances)
    return Passage(alpha, time, model, times, models, succeeded)


def within_reach(setting: RankOneSetting) -> RankOneSetting:
    """With a horizon no longer than the flow from the sphere takes some steps to.

    Where the threshold of the loss is small the flow is stiff once it has arrived, and
    explicit steps go on for ever; the theorem is about any time.
    """
    start = on_sphere(setting.directions, setting.leader, setting.radius)
    times = saved_times(setting.horizon)
    flow = flow_until(
        setting.problem, start, _norm, times=times, max_steps=_STEPS_AHEAD
    )
    reached = flow.time >= setting.horizon
    return setting if reached else setting._replace(horizon=0.9 * flow.time)


class Followed(NamedTuple):
    """Gradient flow at some times, and whether it came to the last."""

    models: Any
    succeeded: bool


def followed(
    problem: AbstractProblem,
    start: CPFactorization,
    times: Values,
    **tolerances: Unpack[Tolerances],
) -> Followed:
    """Gradient flow; all trajectories share one compilation."""
    flow = flow_until(problem, start, _norm, times=times, **tolerances)
    return Followed(flow.models, flow.time >= times[-1])


def saved_times(horizon: float) -> Values:
    """Evenly spaced, the last at the horizon; the start is not among them."""
    return horizon * np.arange(1, SAVES + 1) / SAVES


def last(models: Any) -> Any:
    """The factorization at the last time."""
    return jax.tree.map(lambda leaf: leaf[-1], models)


def on_sphere(model: CPFactorization, leader: int, radius: float) -> CPFactorization:
    r"""The balanced rank-one tensor of norm $\rho$ along the leading component.

    The other components are zero, which gradient flow leaves them for order three and
    more, so that all trajectories have one shape.
    """
    _, units = model.normalized()
    length = radius ** (1 / len(units))
    return CPFactorization(
        tuple(jnp.zeros_like(u).at[:, leader].set(length * u[:, leader]) for u in units)
    )


@eqx.filter_jit
def end_distances(first: Any, second: Any) -> Array:
    """Frobenius distances of end tensors, time by time."""

    def distance(one: AbstractFactorization, other: AbstractFactorization) -> Array:
        gap = one.end_tensor() - other.end_tensor()
        return jnp.sqrt(jnp.sum(gap * gap))

    return eqx.filter_vmap(distance)(first, second)


@eqx.filter_jit
def end_norms(models: Any) -> Array:
    """Frobenius norms of end tensors, time by time."""
    return eqx.filter_vmap(_formed_norm)(models)


@eqx.filter_jit
def _time_beyond(problem: AbstractProblem, model: Any, radius: Array) -> Array:
    """By how much the time is past the sphere, to first order."""
    value, slope = jax.jvp(_formed_norm, (model,), (velocity(problem, model),))
    return (value - radius) / slope
