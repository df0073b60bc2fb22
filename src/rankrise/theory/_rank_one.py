r"""Claim 5: from a near-zero start, the end tensor follows a rank-one trajectory."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, Unpack

import numpy as np

from rankrise._errors import InputError
from rankrise._typing import Values
from rankrise.factorizations import AbstractFactorization
from rankrise.problems import AbstractProblem
from rankrise.theory._claim import Claim, Theorem, check_tolerance
from rankrise.theory._measuring import LOOSE, Tolerances, change, judge
from rankrise.theory._passage import (
    Passage,
    end_distances,
    end_norms,
    followed,
    on_sphere,
    passage,
    within_reach,
)
from rankrise.theory._rank_one_setting import (
    NotApplicable,
    RankOneSetting,
    escape_bounds,
    rank_one_setting,
    scaled,
    two_decades,
)
from rankrise.theory._run import require_cp

RANK_ONE = Theorem(
    "rank-one",
    "Rank-one trajectory",
    "Razin et al. (2021), Theorem 2",
    "With Huber loss, delta < min|y|, N>=3 and a leading component, starts alpha*a "
    "follow a balanced rank-one trajectory from the sphere as nearly as wished, for "
    "alpha small enough.",
)
# The distance is to fall at least like this power of alpha. Other components' vectors
# stay of the order of alpha, so one expects the order of the tensor.
LEAST_SLOPE = 2.0
_ALPHAS = 7
# The earliest and latest escape times, relative.
_ROUNDING = 1e-9
# A distance counts where it is so many times its error of measuring.
_RESOLVED = 4.0


class _Comparison(NamedTuple):
    """One init scale against its rank-one trajectory.

    Attributes
    ----------
    integrator
        By how much distances change at looser tolerances.
    """

    alpha: float
    escape_time: float
    earliest: float
    latest: float
    distance: float
    times: Values
    distances: Values
    integrator: float
    components: int

    @property
    def resolved(self) -> bool:
        """Whether the distance is more than the integrator's error."""
        return self.distance > _RESOLVED * self.integrator


def check_rank_one_trajectory(
    problem: AbstractProblem,
    directions: AbstractFactorization,
    *,
    alphas: Sequence[float] | None = None,
    radius: float | None = None,
    horizon: float | None = None,
    bound: float | None = None,
    tolerance: float = 0.1,
) -> Claim:
    r"""Sup distance to a rank-one trajectory, against the init scale.

    For every $\alpha$ the end tensor is followed to the sphere. The rank-one trajectory
    starts there from the tensor of norm $\rho$ along the leading component, as in the
    proof of the theorem, which allows another one for every $\alpha$. Both are
    compared for the horizon, or until the end tensor's norm reaches the bound.
    Distances no larger than the integrator's error have no part in the slope.

    Parameters
    ----------
    directions
        The start at $\alpha = 1$: balanced, with a leading component.
    alphas
        By default seven over two decades.
    tolerance
        By how much the slope, on logarithmic axes, may fall short of two.
    """
    check_tolerance(tolerance)
    directions = require_cp(directions, RANK_ONE.name)
    setting = rank_one_setting(
        problem, directions, radius=radius, horizon=horizon, bound=bound
    )
    if isinstance(setting, NotApplicable):
        return not_tested(RANK_ONE, setting.reason, tolerance)
    if horizon is None:
        setting = within_reach(setting)
    swept = checked_alphas(alphas) or two_decades(setting, _ALPHAS)
    comparisons = []
    for alpha in swept:
        if not starts_inside(setting, alpha):
            return not_tested(RANK_ONE, beyond_sphere(setting, alpha), tolerance)
        compared = _compared(setting, alpha)
        if compared is None:
            return not_tested(RANK_ONE, _lost(setting, alpha), tolerance)
        comparisons.append(compared)
    return _judged(setting, comparisons, tolerance)


def not_tested(theorem: Theorem, reason: str, tolerance: float) -> Claim:
    """The claim, with the assumption that fails."""
    return Claim(
        theorem=theorem,
        verdict="not tested",
        explanation=reason,
        tolerance=tolerance,
    )


def checked_alphas(alphas: Sequence[float] | None) -> tuple[float, ...]:
    """From the largest to the smallest; empty where none are given."""
    if alphas is None:
        return ()
    ordered = tuple(sorted(map(float, alphas), reverse=True))
    if len(set(ordered)) < 3 or ordered[-1] <= 0:
        raise InputError(
            f"The init scales alpha are {list(alphas)}; a slope needs three or more "
            "positive numbers."
        )
    return ordered


def starts_inside(setting: RankOneSetting, alpha: float) -> bool:
    """Whether the end tensor starts inside the sphere."""
    start = scaled(setting.directions, alpha).end_tensor()
    return float(np.linalg.norm(np.asarray(start))) < setting.radius


def beyond_sphere(setting: RankOneSetting, alpha: float) -> str:
    """Why an init scale was not followed."""
    return (
        f"At alpha {alpha:.3g} the end tensor starts outside the sphere of radius "
        f"{setting.radius:.3g}; give smaller ones."
    )


def slope(alphas: Values, distances: Values) -> float:
    """Least-squares slope on logarithmic axes."""
    return float(np.polyfit(np.log(alphas), np.log(distances), 1)[0])


def _lost(setting: RankOneSetting, alpha: float) -> str:
    return (
        f"At alpha {alpha:.3g} the flow could not be followed to the sphere of radius "
        f"{setting.radius:.3g} and for a time of {setting.horizon:.3g} from there "
        "within the step limit; with so small a threshold of the loss it is stiff."
    )


def _compared(setting: RankOneSetting, alpha: float) -> _Comparison | None:
    tight, loose = _apart(setting, alpha), _apart(setting, alpha, **LOOSE)
    if tight is None or loose is None:
        return None
    passed, distances = tight
    large = np.asarray(end_norms(passed.models)) >= setting.bound
    within = slice(int(np.argmax(large)) + 1) if large.any() else slice(None)
    norm = float(passed.at_sphere.component_norms()[setting.leader])
    earliest, latest = escape_bounds(setting, passed.alpha, norm ** (1 / setting.order))
    return _Comparison(
        passed.alpha,
        passed.escape_time,
        earliest,
        latest,
        float(np.max(distances[within])),
        passed.times[within],
        distances[within],
        float(np.max(change(distances, loose[1])[within])),
        len(setting.directions.component_norms()),
    )


def _apart(
    setting: RankOneSetting, alpha: float, **tolerances: Unpack[Tolerances]
) -> tuple[Passage, Values] | None:
    """The passage, and its distances to the rank-one trajectory from the sphere."""
    passed = passage(setting, alpha, setting.horizon, **tolerances)
    if passed is None or not passed.succeeded:
        return None
    start = on_sphere(passed.at_sphere, setting.leader, setting.radius)
    reference = followed(setting.problem, start, passed.times, **tolerances)
    if not reference.succeeded:
        return None
    return passed, np.asarray(end_distances(passed.models, reference.models))


def slope_error(alphas: Values, shares: Values) -> float:
    """By how much the slope changes at most where distances do by these shares."""
    logarithms = np.log(alphas) - np.mean(np.log(alphas))
    weights = np.abs(logarithms) / np.sum(logarithms**2)
    return float(weights @ -np.log1p(-shares))


def _judged(
    setting: RankOneSetting, comparisons: list[_Comparison], tolerance: float
) -> Claim:
    common = _without_slope(setting, comparisons, tolerance)
    alphas, distances = common.curves["alpha"], common.curves["distance"]
    escapes = common.curves["escape_time"]
    late, early = escapes - common.curves["latest"], common.curves["earliest"] - escapes
    outside = np.maximum(late, early) / escapes
    bounded = bool(np.max(outside) <= _ROUNDING)
    integrator = np.array([each.integrator for each in comparisons])
    told = np.array([each.resolved for each in comparisons])
    if np.sum(told) < 3:
        if bounded:
            return common
        words = "Escape times lie outside their bounds."
        return replace(common, verdict="violated", explanation=words)
    alphas, distances = alphas[told], distances[told]
    measured = slope(alphas, distances)
    uncertain = slope_error(alphas, (integrator[told] / distances))
    error = max(LEAST_SLOPE - measured, 0.0)
    judged = judge(np.array([error]), np.array([uncertain]), tolerance)
    falls = bool(np.all(np.diff(distances[-3:]) < 0) and distances[-1] < distances[0])
    holds = judged.verdict == "holds" and falls and bounded
    undecided = judged.verdict == "not tested" and falls and bounded
    return replace(
        common,
        verdict="holds" if holds else "not tested" if undecided else "violated",
        explanation=judged.reason
        if undecided
        else (
            f"Over alpha from {alphas[0]:.2g} to {alphas[-1]:.2g} the sup distance "
            f"{'falls' if falls else 'does not keep falling'} from {distances[0]:.1e} "
            f"to {distances[-1]:.1e}, with slope {measured:.2f}; escape times lie "
            f"{'within' if bounded else 'outside'} their bounds."
        ),
        predicted=LEAST_SLOPE,
        measured=measured,
        error=error,
        measuring_error=uncertain,
        numbers={
            **common.numbers,
            "final_slope": slope(alphas[-3:], distances[-3:]),
        },
    )


def _without_slope(
    setting: RankOneSetting, comparisons: list[_Comparison], tolerance: float
) -> Claim:
    """What was measured, before a slope is known."""
    alphas = np.array([each.alpha for each in comparisons])
    distances = np.array([each.distance for each in comparisons])
    escapes = np.array([each.escape_time for each in comparisons])
    earliest = np.array([each.earliest for each in comparisons])
    latest = np.array([each.latest for each in comparisons])
    integrator = max(each.integrator for each in comparisons)
    return Claim(
        theorem=RANK_ONE,
        verdict="not tested",
        explanation=_undecided(comparisons),
        tolerance=tolerance,
        measuring_error=integrator,
        compared=sum(each.resolved for each in comparisons),
        moved={
            "norm_growth": float(setting.radius / alphas[-1] ** setting.order),
            "time": float(escapes[-1] + setting.horizon),
        },
        numbers={
            "radius": setting.radius,
            "horizon": setting.horizon,
            "leading_pull": setting.pull,
            "gradient_norm": setting.steepness,
            "largest_distance": float(distances[0]),
            "smallest_distance": float(distances[-1]),
            "integrator_error": integrator,
            "escape_over_latest": float(np.max(escapes / latest)),
            "escape_over_earliest": float(np.min(escapes / earliest)),
        },
        curves={
            "alpha": alphas,
            "distance": distances,
            "escape_time": escapes,
            "earliest": earliest,
            "latest": latest,
        },
    )


def _undecided(comparisons: list[_Comparison]) -> str:
    """Why there is no slope."""
    told = sum(each.resolved for each in comparisons)
    floor = max(each.integrator for each in comparisons)
    alone = comparisons[0].components == 1
    return (
        f"At {len(comparisons) - told} of {len(comparisons)} init scales the distance "
        f"is within the error of measuring it, {floor:.1e}, and a slope needs three "
        + (
            "others; one component alone is a rank-one trajectory itself, so start "
            "with more."
            if alone
            else "others; give larger ones."
        )
    )
