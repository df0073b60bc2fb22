r"""Claim 6: where all rank-one trajectories end in one tensor, so does descent."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PRNGKeyArray
from scipy.integrate import solve_ivp

from rankrise._typing import Values
from rankrise.factorizations import (
    AbstractFactorization,
    CPFactorization,
    DenseTensor,
    near_zero,
)
from rankrise.problems import AbstractProblem
from rankrise.solvers import reference_flows, velocity
from rankrise.theory._claim import Claim, Theorem, check_tolerance
from rankrise.theory._measuring import judge
from rankrise.theory._passage import (
    end_distances,
    on_sphere,
    passage,
    saved_times,
)
from rankrise.theory._rank_one import (
    beyond_sphere,
    checked_alphas,
    not_tested,
    starts_inside,
)
from rankrise.theory._rank_one_setting import (
    NotApplicable,
    RankOneSetting,
    rank_one_setting,
    two_decades,
)
from rankrise.theory._rates import component, dense_pull
from rankrise.theory._run import require_cp

COROLLARY = Theorem(
    "corollary",
    "Convergence to a rank-one tensor",
    "Razin et al. (2021), Corollary 1",
    "If moreover all balanced rank-one trajectories from the sphere converge uniformly "
    "to W*, the end tensor comes as near to W* as wished, for alpha small enough.",
)
_ALPHAS = 5
_STARTS = 24
_CANDIDATES = 20_000
# A trajectory has converged when it is this near to W*, relative to its norm.
_CONVERGED = 1e-3
# Fewer trajectories than this say little about all of them.
_FEWEST_STARTS = 10
# Enough to tell whether a trajectory arrives.
_RTOL, _ATOL = 1e-8, 1e-10
# Steps after which the flow is taken to be stiff.
_EXPLICIT = 10_000


class _Premise(NamedTuple):
    """Where rank-one trajectories from the sphere end.

    Attributes
    ----------
    limit
        W*, where the trajectory along the leading component ends.
    share, spread
        Share of the starts with at least the leading component's pull that end at W*,
        and the largest distance left, over the norm of W*.
    sphere_share
        Share of all directions that end at W*.
    """

    limit: Values
    share: float
    spread: float
    starts: int
    sphere_share: float
    times: Values
    distances: Values

    @property
    def fulfilled(self) -> bool:
        return self.share == 1.0 and self.starts >= _FEWEST_STARTS and self.at_rest

    @property
    def at_rest(self) -> bool:
        """Whether the leading trajectory no longer moved at the end."""
        return bool(self.distances[0, -2] <= _CONVERGED)


def check_corollary(
    problem: AbstractProblem,
    directions: AbstractFactorization,
    *,
    alphas: Sequence[float] | None = None,
    radius: float | None = None,
    horizon: float | None = None,
    tolerance: float = 1e-3,
    seed: int = 0,
) -> Claim:
    r"""The nearest that the end tensor comes to $\mathcal{W}^*$, against alpha.

    The premise is checked first, on random starts on the sphere. Taken at its word it
    never holds: along the direction of most negative pull a trajectory falls back to
    zero. But the pull on the leading component grows inside the sphere, so the proof
    needs the trajectories only that start with at least its pull, and those are
    checked; the share among all directions is reported beside it.

    Parameters
    ----------
    directions
        The start at $\alpha = 1$: balanced, with a leading component.
    tolerance
        How near the end tensor must come at the smallest alpha, over the norm of W*.
    """
    check_tolerance(tolerance)
    directions = require_cp(directions, COROLLARY.name)
    setting = rank_one_setting(problem, directions, radius=radius, horizon=horizon)
    if isinstance(setting, NotApplicable):
        return not_tested(COROLLARY, setting.reason, tolerance)
    premise = _premise(setting, jax.random.key(seed))
    if premise is None:
        return not_tested(
            COROLLARY,
            "Rank-one trajectories could not be followed within the step limit; with "
            "so small a threshold of the loss they are stiff.",
            tolerance,
        )
    if not premise.fulfilled:
        return _without_premise(premise, tolerance)
    swept = np.array(checked_alphas(alphas) or two_decades(setting, _ALPHAS))
    nearest = []
    for alpha in swept:
        if not starts_inside(setting, float(alpha)):
            return not_tested(
                COROLLARY, beyond_sphere(setting, float(alpha)), tolerance
            )
        models = _from_sphere(setting, float(alpha))
        if models is None:
            reason = f"At alpha {alpha:.3g} the flow took more than the step limit."
            return not_tested(COROLLARY, reason, tolerance)
        nearest.append(float(np.min(_gaps(models, premise.limit))))
    return _judged(setting, premise, swept, np.array(nearest), tolerance)


def _judged(
    setting: RankOneSetting,
    premise: _Premise,
    alphas: Values,
    nearest: Values,
    tolerance: float,
) -> Claim:
    # W* is known no better than the leading trajectory has come to rest.
    unrest = float(premise.distances[0, -2]) + _RTOL
    error = float(nearest[-1])
    judged = judge(nearest[-1:], np.array([unrest]), tolerance)
    verdict, explanation = judged.verdict, judged.reason
    # Towards zero it goes at least in proportion, towards another distance it slows.
    pace = np.log(nearest[-2] / nearest[-1]) / np.log(alphas[-2] / alphas[-1])
    if verdict == "violated" and pace >= 1:
        verdict = "not tested"
        explanation = (
            f"The end tensor comes within {error:.1e} at alpha {alphas[-1]:.2g}, and "
            "comes nearer with every smaller alpha; give smaller ones."
        )
    elif verdict != "not tested":
        explanation = (
            f"All {premise.starts} rank-one trajectories with at least the leading "
            f"pull end within {premise.spread:.1e} of W* ({premise.sphere_share:.0%} "
            f"of those in any direction); the end tensor comes within {nearest[0]:.1e} "
            f"at alpha {alphas[0]:.2g} and {nearest[-1]:.1e} at {alphas[-1]:.2g}."
        )
    return Claim(
        theorem=COROLLARY,
        verdict=verdict,
        explanation=explanation,
        predicted=0.0,
        measured=error,
        error=error,
        measuring_error=unrest,
        compared=len(alphas),
        tolerance=tolerance,
        moved={
            "norm_growth": float(
                np.linalg.norm(premise.limit) / alphas[-1] ** setting.order
            ),
            "time": setting.horizon,
        },
        numbers=_numbers(premise),
        curves={
            "alpha": alphas,
            "distance": nearest,
            "time": premise.times,
            "rank_one_distances": premise.distances,
        },
    )


def _without_premise(premise: _Premise, tolerance: float) -> Claim:
    return Claim(
        theorem=COROLLARY,
        verdict="not tested",
        explanation=(
            f"The premise fails or is not known: of {premise.starts} rank-one "
            f"trajectories with at least the leading pull, {premise.share:.0%} end at "
            "one tensor; the "
            f"farthest ends {premise.spread:.2g} of its norm away"
            f"{'' if premise.at_rest else ', and the leading one is not at rest'}."
        ),
        tolerance=tolerance,
        numbers=_numbers(premise),
        curves={"time": premise.times, "rank_one_distances": premise.distances},
    )


def _numbers(premise: _Premise) -> dict[str, float]:
    return {
        "premise_share": premise.share,
        "premise_spread": premise.spread,
        "premise_starts": float(premise.starts),
        "sphere_share": premise.sphere_share,
        "limit_norm": float(np.linalg.norm(premise.limit)),
    }


def _premise(setting: RankOneSetting, key: PRNGKeyArray) -> _Premise | None:
    """Follow rank-one tensors from the sphere, and see whether they meet."""
    pulled, anywhere = sphere_starts(setting, key)
    leader = on_sphere(setting.directions, setting.leader, setting.radius)
    starts = [component(leader, setting.leader), *pulled, *anywhere]
    times = saved_times(setting.horizon)
    flows = _flows(setting, starts, times)
    if flows is None:
        return None
    ends = jax.tree.map(lambda leaf: leaf[0, -1], flows)
    limit = np.asarray(ends.end_tensor())
    distances = np.stack(
        [
            _gaps(jax.tree.map(lambda leaf, i=i: leaf[i], flows), limit)
            for i in range(len(starts))
        ]
    )
    counted = 1 + len(pulled)
    arrived = distances[:, -1] <= _CONVERGED
    return _Premise(
        limit,
        float(np.mean(arrived[:counted])),
        float(np.max(distances[:counted, -1])),
        counted,
        float(np.mean(arrived[counted:])),
        times,
        distances[:counted],
    )


def _from_sphere(setting: RankOneSetting, alpha: float) -> CPFactorization | None:
    """The flow from one init scale, from the sphere on; None beyond the step limit."""
    passed = passage(setting, alpha, setting.horizon)
    if passed is None or passed.succeeded:
        return None if passed is None else passed.models
    flows = _flows(setting, [passed.at_sphere], passed.times)
    return None if flows is None else jax.tree.map(lambda leaf: leaf[0], flows)


def _flows(
    setting: RankOneSetting, starts: list[CPFactorization], times: Values
) -> CPFactorization | None:
    """The flow from several starts; None where one could not be followed.

    Where the threshold of the loss is small the flow is stiff once it has arrived, and
    explicit steps would be many.
    """
    flows = reference_flows(
        setting.problem, starts, times, rtol=_RTOL, atol=_ATOL, max_steps=_EXPLICIT
    )
    if flows.succeeded:
        return cast("CPFactorization", flows.models)
    field, slope = _stiff_field(setting.problem, starts[0])
    points = []
    for start in starts:
        flat, unravel = ravel_pytree(start)
        # LSODA takes implicit steps where those are longer.
        solved = solve_ivp(
            lambda time, point: np.asarray(field(point)),
            (0.0, times[-1]),
            np.asarray(flat),
            method="LSODA",
            t_eval=times,
            jac=lambda time, point: np.asarray(slope(point)),
            rtol=_RTOL,
            atol=_ATOL,
        )
        if not solved.success:
            return None
        points.append(solved.y.T)
    flow: CPFactorization = jax.vmap(jax.vmap(unravel))(jnp.asarray(np.stack(points)))
    return flow


def _stiff_field(
    problem: AbstractProblem, like: CPFactorization
) -> tuple[Callable[[Values], Array], Callable[[Values], Array]]:
    """The velocity by parameters in one row, and its derivatives."""
    unravel = ravel_pytree(like)[1]

    def field(point: Array) -> Array:
        return ravel_pytree(velocity(problem, unravel(point)))[0]

    return jax.jit(field), jax.jit(jax.jacfwd(field))


def sphere_starts(
    setting: RankOneSetting, key: PRNGKeyArray
) -> tuple[list[CPFactorization], list[CPFactorization]]:
    """Balanced rank-one tensors of the radius's norm in random directions.

    First those with at least the leading component's pull, then any.
    """
    dims = setting.problem.mode_dims
    random = near_zero(dims, _CANDIDATES, init_scale=1.0, key=key)
    pull = dense_pull(setting.gradient, random)
    # Turning one vector around turns the pull around.
    signs = jnp.where(pull < 0, -1.0, 1.0)
    first, *others = random.factor_matrices
    towards = CPFactorization((first * signs, *others))
    enough = np.flatnonzero(np.abs(np.asarray(pull)) >= setting.pull)[:_STARTS]
    radius = setting.radius
    return (
        [component(on_sphere(towards, int(r), radius), int(r)) for r in enough],
        [component(on_sphere(random, r, radius), r) for r in range(_STARTS)],
    )


def _gaps(models: CPFactorization, limit: Values) -> Values:
    """Distances to a tensor over its norm, time by time."""
    times = len(models.factor_matrices[0])
    repeated = jnp.broadcast_to(jnp.asarray(limit), (times, *limit.shape))
    distances = end_distances(models, DenseTensor(repeated))
    return np.asarray(distances) / np.linalg.norm(limit)
