"""A run that moved: gradient flow until the loss has fallen, at well-chosen times."""

import functools as ft
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rankrise._errors import InputError
from rankrise._typing import Values
from rankrise.factorizations import AbstractFactorization, CPFactorization
from rankrise.problems import AbstractProblem
from rankrise.solvers import flow_until
from rankrise.theory._quadrature import INTERVALS, QUADRATURE_TIMES, quadrature_times

# The loss is to fall tenfold at least; it is followed a little further.
TENFOLD = 0.1
_FURTHER = 0.05
# A run that rests elsewhere would take steps for ever.
_MOST_STEPS = 10_000


class Run(NamedTuple):
    """A trajectory of gradient flow.

    Attributes
    ----------
    times
        Ends of intervals, with the nodes of a quadrature rule inside each: intervals
        are shorter where the flow is faster.
    models
        The factorization at each time, stacked along the first axis.
    moved
        Loss at the end over loss at the start, and growth of the largest component.
    """

    times: Values
    models: Any
    moved: Mapping[str, float]

    @property
    def fell_tenfold(self) -> bool:
        """Whether the run moved far enough to prove anything."""
        return self.moved["loss_ratio"] <= TENFOLD


def learned_run(problem: AbstractProblem, model: AbstractFactorization) -> Run:
    """Gradient flow from `model` until the loss is a twentieth of what it was.

    Where it does not come to that, the run ends at a step limit or at rest.
    """
    level = _FURTHER * float(problem.loss(model))
    measure, most = AbstractProblem.loss, _MOST_STEPS
    follow = ft.partial(flow_until, problem, model, measure, max_steps=most)
    crossing = follow(level, times=QUADRATURE_TIMES)
    times = quadrature_times(interval_ends(crossing.step_times))
    models = follow(times=times).models
    end = jax.tree.map(lambda leaf: leaf[-1], models)
    start_norms, end_norms = model.component_norms(), end.component_norms()
    moved = {
        "loss_ratio": float(problem.loss(end) / problem.loss(model)),
        "norm_growth": float(jnp.max(end_norms) / jnp.max(start_norms)),
        "time": float(times[-1]),
    }
    return Run(times, models, moved)


def interval_ends(step_times: Values) -> Values:
    """Ends of intervals from zero on with an equal share of the solver's steps."""
    steps = np.concatenate([[0.0], step_times])
    places = np.linspace(0, len(steps) - 1, INTERVALS + 1)
    return np.interp(places, np.arange(len(steps)), steps)


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
        "or less, so the claim was not put to the test."
    )
