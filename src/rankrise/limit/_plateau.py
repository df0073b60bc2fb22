"""From plateau to plateau: a component joins, and the learned set comes to rest."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rankrise._compiling import lowered
from rankrise.factorizations import AbstractFactorization
from rankrise.limit._flat import flattened, unflattened
from rankrise.limit._hessian import lowered_slopes, slopes
from rankrise.limit._learned_set import LearnedComponents, LearnedSet
from rankrise.limit._risers import Riser
from rankrise.limit._stationary import (
    Stationary,
    follow_flow,
    settle,
)
from rankrise.problems import AbstractProblem
from rankrise.solvers import GradientFlow

# The flow only has to find the basin; where it is slow, Newton's method ends it.
_FLOW = GradientFlow(rtol=0.03)
# Typically a few hundred gradients; without end where the loss has no minimum.
_MOST_EVALUATIONS = 10_000
# The flow is slow when nothing changes faster than this share of the rate at which the
# component that joined began.
_SLOW_SHARE = 1e-2
_MOST_RESTS = 8
# How far a saddle is left, as a share of the parameters' norm.
_LEAVE = 1e-2


class Plateau(NamedTuple):
    """What is learned at rest.

    Attributes
    ----------
    notes
        What happened on the way that a reader should know.
    residual
        Residual of the stationary point; NaN where the flow diverged.
    at_rest
        Whether it is below the tolerance; if not, `learned` is where the flow was.
    """

    learned: LearnedSet
    notes: tuple[str, ...]
    evaluations: int
    residual: float
    at_rest: bool


class Entry(NamedTuple):
    r"""How a component joins.

    Attributes
    ----------
    norm
        The component norm with which it does.
    optimum
        $s$ that minimizes the loss along $\mathcal{W} + s \otimes_n \hat w^n$, to
        second order.
    pull
        Minus the slope of the loss there.
    """

    norm: float
    optimum: float
    pull: float


def entry(
    problem: AbstractProblem,
    learned: LearnedSet,
    riser: Riser,
    *,
    share: float,
    largest: float,
) -> Entry:
    """A small norm to join with: a share of the optimum, which is at most `largest`."""
    ones = (1.0,) * (learned.factors - 1)
    base = learned.joined_by(riser.units, riser.place, (*ones, 0.0)).model
    ray = learned.joined_by(riser.units, riser.place, (*ones, 1.0)).model
    step = flattened(ray) - flattened(base)
    gradient, product = slopes(problem, base, step)
    slope, curvature = float(gradient @ step), float(product @ step)
    optimum = min(largest, -slope / curvature) if curvature > 0 else largest
    return Entry(share * optimum, optimum, -slope)


def next_plateau(
    problem: AbstractProblem,
    learned: LearnedSet,
    riser: Riser,
    joins: Entry,
    *,
    scale: float,
    tolerance: float,
) -> Plateau:
    """Let the component join at its small norm, and follow the flow to rest."""
    size = joins.norm ** (1 / learned.factors)
    learned = learned.joined_by(riser.units, riser.place, (size,) * learned.factors)
    slow = _SLOW_SHARE * joins.pull * size ** (learned.factors - 2)
    notes: list[str] = []
    evaluations = 0
    residual = np.inf
    for _ in range(_MOST_RESTS):
        model, used = _follow(problem, learned.model, slow)
        evaluations += used
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(model)):
            residual = np.nan
            break
        learned, fallen = _without_fallen(learned.moved_to(model), joins.norm)
        if fallen:
            notes += [f"{name} fell back to zero and was taken out" for name in fallen]
            continue
        found = settle(
            problem,
            learned.model,
            learned.active(),
            scale=scale,
            tolerance=tolerance,
        )
        evaluations += found.evaluations
        residual = found.residual
        if not found.arrived:
            if evaluations > _MOST_EVALUATIONS:
                break
            slow *= 0.1
            continue
        saddle = found.eigenvalue <= -_saddle_threshold(found)
        if not saddle:
            if np.isnan(found.eigenvalue):
                notes.append(
                    "the smallest Hessian eigenvalue was not found, so a minimum is "
                    "not told from a saddle"
                )
            # Neither the flow's tolerance nor Newton's method keeps them balanced.
            learned = learned.moved_to(found.model).balanced()
            return Plateau(learned, tuple(notes), evaluations, residual, True)
        notes.append(
            "the learned set came to a saddle (smallest Hessian eigenvalue "
            f"{found.eigenvalue:.2g} of the largest) and left along it"
        )
        learned = learned.moved_to(_beside(found, learned.model))
    return Plateau(learned, tuple(notes), evaluations, residual, False)


def lowered_plateau(problem: AbstractProblem, learned: LearnedSet) -> list[Any]:
    """Programs that `next_plateau` needs for a learned set of this width."""
    return [
        lowered(follow_flow, *_following(problem, learned.model, 1.0)),
        lowered_slopes(problem, learned.model),
    ]


def _following(
    problem: AbstractProblem, model: AbstractFactorization, slow: float
) -> tuple[Any, ...]:
    rate = jnp.asarray(slow, problem.values.dtype)
    return problem, model, _FLOW, rate, jnp.asarray(_MOST_EVALUATIONS, jnp.int32)


def _follow(
    problem: AbstractProblem, model: AbstractFactorization, slow: float
) -> tuple[AbstractFactorization, int]:
    moved, evaluations = follow_flow(*_following(problem, model, slow))
    host: AbstractFactorization = jax.tree.map(np.asarray, moved)
    return host, int(evaluations)


def _without_fallen(
    learned: LearnedSet, smallest: float
) -> tuple[LearnedSet, list[str]]:
    """Components below the norm at which one joins have fallen back to zero."""
    if not isinstance(learned, LearnedComponents) or learned.factors == 2:
        # Singular values fall and rise together; none is a component of its own.
        return learned, []
    names = []
    for component in reversed(np.flatnonzero(learned.norms() < smallest)):
        names.append(f"component {int(np.argmax(learned.places[component]))}")
        learned = learned.without(int(component))
    return learned, names


def _saddle_threshold(found: Stationary) -> float:
    # The flat directions of a factorization are zero but for rounding, and for what
    # is left of the gradient.
    leaf = jax.tree.leaves(found.model)[0]
    return 3 * float(np.finfo(leaf.dtype).eps) ** 0.5


def _beside(found: Stationary, flowed: AbstractFactorization) -> AbstractFactorization:
    """A point off the saddle, on the side that the flow was on."""
    point = flattened(found.model)
    side = np.dot(flattened(flowed) - point, found.direction)
    length = np.copysign(_LEAVE * np.linalg.norm(point), side)
    moved = point + (length * found.direction).astype(point.dtype)
    beside: AbstractFactorization = unflattened(found.model, moved)
    return beside
