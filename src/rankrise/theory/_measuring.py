"""Verdicts that know the error of measuring."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypedDict, TypeVar

import jax
import numpy as np
import numpy.typing as npt

from rankrise._typing import Values
from rankrise.theory._claim import Verdict

Found = TypeVar("Found")

# Sums of tens of products are off by several units of rounding.
ROUNDING = 16 * float(np.finfo(np.float64).eps)


class Tolerances(TypedDict, total=False):
    """Tolerances of the flow's steps, where they differ from its defaults."""

    rtol: float
    atol: float


# Ten times looser than the flow's own tolerances: what changes from one to the other
# is at least what the integrator is off by.
LOOSE: Tolerances = {"rtol": 1e-11, "atol": 1e-13}
TIGHT: Tolerances = {}
_PERTURBED = 4
# Where a smaller share of the values was told apart, nothing is said.
_LEAST_SHARE = 0.1
# Points of a curve of residuals.
_CURVE = 400


class Judgement(NamedTuple):
    """A verdict on many values at once.

    Attributes
    ----------
    error, measuring_error
        The largest of the values that count; None where none does.
    counted
        Which values were told apart: measured more finely than the tolerance and
        within it, or beyond it by more than their error of measuring.
    residuals
        Errors that count, largest first; of very many some, evenly among them.
    """

    verdict: Verdict
    error: float | None
    measuring_error: float | None
    tolerance: float
    counted: npt.NDArray[np.bool_]
    finest: float
    residuals: Values

    @property
    def compared(self) -> int:
        return int(np.sum(self.counted))

    @property
    def reason(self) -> str:
        """Why nothing was told apart."""
        return (
            f"The error of measuring, {self.finest:.1e} at best, leaves "
            f"{self.counted.size - self.compared} of {self.counted.size} differences "
            f"undecided at a tolerance of {self.tolerance:.1e}."
        )


def judge(errors: Values, bounds: Values, tolerance: float) -> Judgement:
    """Errors against a tolerance, each with a bound of its error of measuring.

    An error within its bound of the tolerance is no violation, and one that is not told
    apart from it does not count. An error that is no number is a violation.
    """
    errors = np.nan_to_num(np.ravel(errors), nan=np.inf, posinf=np.inf)
    bounds = np.ravel(bounds)
    violating = np.isfinite(bounds) & ~(errors - bounds <= tolerance)
    counted = violating | ((bounds <= tolerance) & (errors <= tolerance))
    verdict: Verdict = "not tested"
    if violating.any():
        verdict = "violated"
    elif np.sum(counted) >= max(1, _LEAST_SHARE * counted.size):
        verdict = "holds"
    some = bool(counted.any())
    return Judgement(
        verdict,
        float(np.max(errors[counted])) if some else None,
        float(np.max(bounds[counted])) if some else None,
        tolerance,
        counted,
        float(np.nanmin(bounds, initial=np.inf)),
        _falling(errors[counted]),
    )


def _falling(errors: Values) -> Values:
    """Errors from the largest on, no more than a curve needs."""
    falling = np.sort(errors)[::-1]
    places = np.linspace(0, len(falling) - 1, min(len(falling), _CURVE))
    return np.asarray(falling[places.astype(int)])


def with_rounding(measure: Callable[[Any], Found], models: Any) -> tuple[Found, Found]:
    """What is measured of models, and by how much rounding may change each number.

    It is measured again with every parameter a few units of rounding off, several
    times, for one of them may change a number little by chance.
    """
    found = measure(models)
    changes = [
        jax.tree.map(change, found, measure(_perturbed(models, seed)))
        for seed in range(_PERTURBED)
    ]
    return found, jax.tree.map(lambda *each: np.max(each, axis=0), *changes)


def _perturbed(models: Any, seed: int) -> Any:
    """Every parameter a few units of rounding off, up or down by chance."""
    rng = np.random.default_rng(seed)

    def moved(leaf: Any) -> Any:
        return leaf * (1 + ROUNDING * rng.choice([-1.0, 1.0], leaf.shape))

    return jax.tree.map(moved, models)


def change(first: Any, second: Any) -> Values:
    """By how much numbers differ; nothing where the difference is no number."""
    gap = np.abs(np.asarray(first) - np.asarray(second))
    return np.nan_to_num(gap, nan=0.0, posinf=0.0)
