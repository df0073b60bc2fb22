"""Completion where there is too little to learn components from."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise._typing import Values
from rankrise.completion._baseline import LINKED, Baseline, fit_baseline
from rankrise.completion._completer import Completing, completion_of
from rankrise.completion._completion import Completion, Member
from rankrise.completion._gaps import make_folds
from rankrise.completion._path import Path, PathPoint
from rankrise.data import Observations

_MODELS = 8


def complete_by_baseline(
    observations: Observations, completing: Completing
) -> Completion:
    """Models of rank zero, of a constant or of as few entries as two.

    Each is the mean of what it was shown, also where no mean is taken off otherwise.
    """
    observed, order = len(observations), observations.order
    if observed < 2:
        raise InputError("Only one entry is observed; at least two are needed.")
    folds = make_folds(
        observations,
        min(_MODELS, observed),
        share=None,
        heldout="random",
        seed=completing.seed,
    )
    nothing = tuple(np.zeros((dim, 0)) for dim in observations.mode_dims)
    members = []
    for number in range(folds.count):
        hidden = folds.part == number
        baseline = _baseline(observations, completing, ~hidden)
        losses = _losses(observations.values, completing, baseline)
        point = PathPoint(
            penalty=math.inf,
            rank=0,
            train_loss=float(np.mean(losses[~hidden])),
            heldout_loss=float(np.mean(losses[hidden])),
            correlations=(0.0,) * order,
        )
        path = Path([point], 0, nothing)
        members.append(Member(number, nothing, baseline, path, smooth=False))
    return completion_of(observations, completing, folds, members, "finished")


def _baseline(
    observations: Observations, completing: Completing, shown: npt.NDArray[np.bool_]
) -> Baseline:
    values = observations.values[shown]
    if isinstance(completing.loss, LINKED):
        return fit_baseline(
            observations.indices[shown],
            values,
            observations.mode_dims,
            completing.loss,
            center=True,
            main_effects=False,
        )
    weights = None if observations.weights is None else observations.weights[shown]
    # A baseline of `fit_baseline` has a scale, which a constant does not have.
    return Baseline(float(np.average(values, weights=weights)), 1.0)


def _losses(values: Values, completing: Completing, baseline: Baseline) -> Values:
    with jax.enable_x64(True):
        offset = jnp.full(len(values), baseline.offset)
        return np.asarray(completing.loss(offset, jnp.asarray(values)))
