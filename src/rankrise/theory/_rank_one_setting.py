"""When the theorem on rank-one trajectories applies, and its sphere."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rankrise._errors import InputError
from rankrise.factorizations import (
    CPFactorization,
    DenseTensor,
    end_gradient,
)
from rankrise.losses import HuberLoss, SmoothL1Loss
from rankrise.problems import AbstractProblem, CompletionProblem
from rankrise.theory._critical_direction import critical_direction
from rankrise.theory._rates import component, dense_pull, relative_unbalancedness

_BALANCED = 1e-10
_RADIUS_SHARE = 0.5
# Times a rank-one tensor on the sphere needs to grow by itself, along the direction
# the leading component turns to; it comes to rest within a few.
_HORIZON = 25.0


class RankOneSetting(NamedTuple):
    r"""A completion problem and directions $a_r^n$ that fulfil the assumptions.

    Attributes
    ----------
    directions
        The start at $\alpha = 1$.
    leader
        Which component leads.
    pull
        $\gamma_l(0)$, its pull at zero.
    steepness
        $\|\nabla\mathcal{L}(0)\|$.
    radius
        $\rho$ of the sphere, within which the gradient is the same everywhere.
    horizon
        How long trajectories are compared from the sphere on.
    bound
        Norm of the end tensor at which the comparison stops.
    """

    problem: CompletionProblem
    directions: CPFactorization
    leader: int
    pull: float
    steepness: float
    gradient: Float[Array, "..."]
    radius: float
    horizon: float
    bound: float

    @property
    def order(self) -> int:
        return len(self.problem.mode_dims)

    @property
    def leader_norm(self) -> float:
        r"""$\|a_l^n\|$, the same in every mode."""
        return float(self.directions.component_norms()[self.leader] ** (1 / self.order))


class NotApplicable(NamedTuple):
    """Which assumption fails, with the numbers."""

    reason: str


def leading_ratio(
    steepness: float, pull: Float[Array, " components"], order: int
) -> Float[Array, " components"]:
    r"""$(\|\nabla\mathcal{L}(0)\| / \gamma_r(0))^{1/(N-2)}$: how many times longer a
    component's vectors must be than all others' for it to lead."""
    return (steepness / pull) ** (1 / (order - 2))


def rank_one_setting(
    problem: AbstractProblem,
    directions: CPFactorization,
    *,
    radius: float | None = None,
    horizon: float | None = None,
    bound: float | None = None,
) -> RankOneSetting | NotApplicable:
    """Check the assumptions of Razin et al. (2021), Theorem 2, and choose the sphere.

    By default the radius is half of what the loss allows, the horizon some times the
    time of growth at the sphere, and the bound ten times the norm of the values.
    """
    order = len(problem.mode_dims)
    if order < 3:
        return NotApplicable(f"The order is {order}; the theorem needs 3 or more.")
    if not isinstance(problem, CompletionProblem):
        return NotApplicable(
            f"The problem is a {type(problem).__name__}; the theorem is about "
            "completion."
        )
    room = _room(problem)
    if isinstance(room, NotApplicable):
        return room
    unbalancedness = float(relative_unbalancedness(directions))
    if unbalancedness > _BALANCED:
        return NotApplicable(
            f"The start is unbalanced by {unbalancedness:.2g} of its largest squared "
            "norm; the theorem needs a balanced one, such as `leading_component` makes."
        )
    gradient = _gradient_at_zero(problem)
    steepness = float(jnp.sqrt(jnp.sum(gradient * gradient)))
    pull = dense_pull(gradient, directions)
    leader = leading(directions, pull, steepness)
    if isinstance(leader, NotApplicable):
        return leader
    radius = _RADIUS_SHARE * room if radius is None else radius
    if not 0 < radius < room:
        raise InputError(
            f"The radius is {radius:g}; it must lie between 0 and {room:.4g}, the "
            "smallest observed value in size minus the threshold of the loss."
        )
    if horizon is None:
        limit = critical_direction(-gradient, component(directions, leader))
        fastest = float(dense_pull(gradient, limit)[0])
        horizon = _HORIZON / (fastest * radius ** (1 - 2 / order))
    norm = float(jnp.sqrt(jnp.sum(problem.values**2)))
    return RankOneSetting(
        problem,
        directions,
        leader,
        float(pull[leader]),
        steepness,
        gradient,
        radius,
        horizon,
        10 * norm if bound is None else bound,
    )


def leading(
    directions: CPFactorization, pull: Float[Array, " components"], steepness: float
) -> int | NotApplicable:
    """Which component leads, if one does."""
    order = len(directions.factor_matrices)
    lengths = np.asarray(directions.component_norms()) ** (1 / order)
    shortfalls = np.full(len(lengths), np.inf)
    for place in np.flatnonzero(np.asarray(pull) > 0):
        others = np.max(np.delete(lengths, place), initial=0.0)
        ratio = float(leading_ratio(steepness, pull, order)[place])
        shortfalls[place] = others * ratio / lengths[place]
    best = int(np.argmin(shortfalls))
    if shortfalls[best] < 1:
        return best
    if not np.isfinite(shortfalls[best]):
        return NotApplicable(
            "No component has a positive pull at zero, so none leads; try other "
            "directions or `leading_component`."
        )
    return NotApplicable(
        f"No component leads: the vectors of the nearest, component {best}, would have "
        f"to be {shortfalls[best]:.3g} times as long; `leading_component` makes a "
        "start that has one."
    )


def _room(problem: CompletionProblem) -> float | NotApplicable:
    r"""$\min|y| - \delta$ over the observations that count."""
    loss = problem.loss_function
    if not isinstance(loss, (HuberLoss, SmoothL1Loss)):
        return NotApplicable(
            f"The loss is {type(loss).__name__}; the theorem needs Huber loss."
        )
    sizes = np.abs(np.asarray(problem.values))
    if problem.weights is not None:
        sizes = sizes[np.asarray(problem.weights) > 0]
    smallest = float(sizes.min())
    if not loss.delta < smallest:
        return NotApplicable(
            f"The threshold of the loss is {loss.delta:.4g}, not below the smallest "
            f"observed value in size, {smallest:.4g}."
        )
    return smallest - loss.delta


def _gradient_at_zero(problem: CompletionProblem) -> Float[Array, "..."]:
    zero = DenseTensor(jnp.zeros(problem.mode_dims, problem.values.dtype))
    return end_gradient(problem.loss, zero)


def escape_bounds(
    setting: RankOneSetting, alpha: float, reached_norm: float
) -> tuple[float, float]:
    r"""Bounds on the time at which the leading vectors have a given norm $v$.

    With $u_0 = \alpha \|a_l\|$ they are $(u_0^{2-N} - v^{2-N}) / ((N-2) \gamma)$, for
    $\gamma$ from the pull at the start, below which it never falls inside the sphere,
    to $\|\nabla\mathcal{L}(0)\|$, above which no pull can be.
    """
    power = 2 - setting.order
    distance = (alpha * setting.leader_norm) ** power - reached_norm**power
    latest, earliest = (
        distance / ((setting.order - 2) * pull)
        for pull in (setting.pull, setting.steepness)
    )
    return earliest, latest


def two_decades(setting: RankOneSetting, count: int) -> tuple[float, ...]:
    r"""Values of $\alpha$ over two decades, from the largest at which the leading
    component starts well inside the sphere."""
    top = 0.7 * setting.radius ** (1 / setting.order) / setting.leader_norm
    # With many components, or large ones, their sum must be inside too.
    norms = np.asarray(setting.directions.component_norms())
    whole = (0.5 * setting.radius / float(np.sum(norms))) ** (1 / setting.order)
    return tuple(
        float(a) for a in np.geomspace(min(top, whole), 1e-2 * min(top, whole), count)
    )


def scaled(model: CPFactorization, alpha: float) -> CPFactorization:
    """Every vector times alpha."""
    return CPFactorization(tuple(alpha * matrix for matrix in model.factor_matrices))
