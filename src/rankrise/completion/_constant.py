"""Completion where there is too little to learn components from."""

import numpy as np

from rankrise._errors import InputError
from rankrise.completion._arrangement import Rows
from rankrise.completion._holdout import make_folds
from rankrise.completion._model import Baseline, Model, fit_baseline
from rankrise.completion._path import Path, PathPoint
from rankrise.completion._result import Completion
from rankrise.completion._settings import CompletionSettings
from rankrise.data import IncompleteTensor
from rankrise.runs import Ending

_MODELS = 8


def complete_by_constants(
    incomplete: IncompleteTensor, settings: CompletionSettings
) -> Completion:
    """Models without components, of a constant or of as few entries as two.

    Each is the mean of what it was shown, also where no mean is taken off otherwise.
    """
    observations, loss = incomplete.observations, settings.loss_function
    observed = len(observations)
    if observed < 2:
        raise InputError("Only one entry is observed; at least two are needed.")
    folds = make_folds(
        observations,
        min(_MODELS, observed),
        share=None,
        heldout="random",
        seed=settings.seed,
    )
    rows = Rows.of(observations.indices, observations.mode_dims)
    models = []
    for number in range(folds.count):
        shown = folds.part != number
        values, weights = observations.values[shown], observations.weights
        if weights is not None:
            weights = weights[shown]
        # The baseline of `fit_baseline` has a scale, which a constant does not have.
        baseline = Baseline(float(np.average(values, weights=weights)), 1.0)
        if loss.is_linked:
            baseline = fit_baseline(
                observations.indices,
                observations.values,
                shown,
                rows.dims,
                loss,
                center=True,
                main_effects=False,
            )
        losses = loss(np.full(observed, baseline.offset), observations.values)
        means = float(np.mean(losses[shown])), float(np.mean(losses[~shown]))
        point = PathPoint(np.inf, 0, *means, (0.0,) * observations.order)
        path = Path([point], 0, np.empty((rows.starts[-1], 0)))
        models.append(Model.at_best(rows, path, baseline, number, smooth=False))
    return Completion.of_models(
        incomplete, observations, settings, folds, models, Ending.CONVERGED
    )
