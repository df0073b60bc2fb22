"""A run that moved: gradient flow until the loss has fallen, at well-chosen times."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Unpack

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rankrise._errors import InputError
from rankrise._typing import Values
from rankrise.factorizations import AbstractFactorization, CPFactorization
from rankrise.problems import AbstractProblem
from rankrise.solvers import flow_until
from rankrise.theory._measuring import LOOSE, Tolerances

# A run that moved: the loss fell tenfold, or the largest component grew tenfold.
TENFOLD = 10.0
# The loss is followed a little further than that.
_FURTHER = 0.05
# A run that rests elsewhere would take steps for ever.
MOST_STEPS = 10_000
_TIMES = 257


class Run(NamedTuple):
    """A trajectory of gradient flow.

    Attributes
    ----------
    times
        From zero on, nearer to one another where the flow is faster.
    models
        The factorization at each time, stacked along the first axis.
    moved
        Loss at the end over loss at the start, and growth of the largest component.
    """

    times: Values
    models: Any
    moved: Mapping[str, float]

    @property
    def moved_far(self) -> bool:
        """Whether the run moved far enough to prove anything."""
        fell = self.moved["loss_ratio"] <= 1 / TENFOLD
        return fell or self.moved["norm_growth"] >= TENFOLD


def learned_run(problem: AbstractProblem, model: AbstractFactorization) -> Run:
    """Gradient flow from `model` until the loss is a twentieth of what it was.

    Where it does not come to that, the run ends at a step limit or at rest, and is what
    was saved until then.
    """
    loss, slopes = eqx.filter_value_and_grad(problem.loss)(model)
    if not (math.isfinite(loss) and any(map(jnp.any, jax.tree.leaves(slopes)))):
        raise InputError(
            f"The loss of the start is {float(loss):.3g} and its gradient "
            f"{'zero' if math.isfinite(loss) else 'no number'}, so nothing moves; give "
            "another start or loss."
        )
    level = _FURTHER * float(loss)
    crossing = flow_until(
        problem, model, AbstractProblem.loss, level, times=_TIMES, max_steps=MOST_STEPS
    )
    # Every saved time ends a step, so there are more of them than there were.
    steps = np.append(0.0, crossing.step_times[: MOST_STEPS - 2 * _TIMES])
    places = np.linspace(0, len(steps) - 1, _TIMES)
    times = np.interp(places, np.arange(len(steps)), steps)
    models = _saved(problem, model, times)
    end = jax.tree.map(lambda leaf: leaf[-1], models)
    start_norms, end_norms = model.component_norms(), end.component_norms()
    times = times[: len(jax.tree.leaves(models)[0])]
    moved = {
        "loss_ratio": float(problem.loss(end) / problem.loss(model)),
        "norm_growth": float(jnp.max(end_norms) / jnp.max(start_norms)),
        "time": float(times[-1]),
    }
    return Run(times, models, moved)


def loosely(problem: AbstractProblem, run: Run) -> Any:
    """The same run at looser tolerances, by which the integrator's error is known.

    Models at the times of the run, of which there may be fewer.
    """
    start = jax.tree.map(lambda leaf: leaf[0], run.models)
    return _saved(problem, start, run.times, **LOOSE)


def _saved(
    problem: AbstractProblem,
    model: AbstractFactorization,
    times: Values,
    **tolerances: Unpack[Tolerances],
) -> Any:
    """The flow at those of the times that come before the step limit."""
    models = flow_until(
        problem,
        model,
        AbstractProblem.loss,
        times=times,
        max_steps=MOST_STEPS,
        **tolerances,
    ).models
    finite = np.logical_and.reduce(
        [
            np.isfinite(leaf).reshape(len(leaf), -1).all(axis=1)
            for leaf in map(np.asarray, jax.tree.leaves(models))
        ]
    )
    saved = len(times) if finite.all() else int(np.argmin(finite))
    return jax.tree.map(lambda leaf: leaf[:saved], models)


def require_cp(model: AbstractFactorization, claim: str) -> CPFactorization:
    """The model as a CP factorization, which the claim is about."""
    if not isinstance(model, CPFactorization):
        raise InputError(
            f"The claim {claim!r} is about CP factorizations, not "
            f"{type(model).__name__}; give a start such as `near_zero` makes."
        )
    if not bool(jnp.all(model.component_norms() > 0)):
        raise InputError(
            "A component of the start is zero, so it has no direction; leave it out."
        )
    return model


def standing_still(run: Run) -> str:
    """Why a run that did not move proves nothing."""
    return (
        f"The loss ended at {run.moved['loss_ratio']:.3g} of its start, not at a tenth "
        f"or less, and the largest component grew {run.moved['norm_growth']:.3g}-fold, "
        "not tenfold, so the claim was not put to the test."
    )
